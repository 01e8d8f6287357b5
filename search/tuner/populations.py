"""Trials of a search trained together.

Which of them, in what populations, and what KerasTuner gets to keep of each.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import keras
import numpy as np

from keras_acts.compat import iterations_variable
from keras_acts.errors import ModelError

from ..population import memory as planner
from ..population import transfer
from ..population.frozen_prefix import frozen_prefix
from ..population.members import Member
from ..population.model import PopulationModel
from ..population.trainers import steps_per_execution
from ..rewrite.compiling import compile_arguments
from ..rewrite.groups import chosen_slots
from ..rewrite.slots import slots
from ..rewrite.walk import layers_of, variables_of, weights_of
from ..runtime.kept_files import is_disk_full, telling_full_disk, write_whole
from ..runtime.memory import is_out_of_memory
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive, isolated_seed
from ..space.assignment import Choice
from ..strategy.direction import more_is_better
from ..strategy.own_data import free_copies, own_data
from ..vectorize.segments import arrange
from .callbacks import TrialCallbacks
from .checkpoints import Checkpoints
from .compatibility import (
    BuiltModel,
    check_training,
    differing_slots,
    inspect_model,
)
from .hypermodel import ActivationHyperModel
from .keeping import is_remote
from .kept_population import KeptTraining, TrialScores, file_of, forget_file
from .kept_settings import KeptSettings
from .kerastuner import Trial, build_config_file, checkpoint_file, save_json
from .member_epochs import BestEpochs, MemberEpochs, length, train_until_done

if TYPE_CHECKING:
    from .tuner import ActivationTuner

# by the ids of trials: one of each execution
Histories: TypeAlias = dict[str, list[keras.callbacks.History]]


class PartialScore(NamedTuple):
    """What a trial that an interrupt ended had: its score, and after how many epochs."""

    score: float
    epochs: int


# Keras' own, where `fit` is given none
_BATCH_SIZE = 32

_CUSTOM_ALONE = (
    "parts of the model that are not Keras' may depend on hyperparameters other than choice="
)


@dataclass(frozen=True, eq=False)
class TrialMember:
    """A trial as a member of a population.

    Attributes:
        trial: of KerasTuner.
        model: the model that the members are made of.
        slots: of that model, where the candidate goes; None for all hidden ones.
        candidate: the activation there, or one for each slot.
        rate: the learning rate, if trials have rates of their own.
        decay: the weight decay, if trials have their own.
        smoothing: the label smoothing, if trials have their own.
        noise: how strong its layers of noise are, by their paths in the model, where that differs
            from trial to trial.
        models: the trial's own, one an execution, if the member must start from their weights.
    """

    trial: Trial
    model: keras.Model
    slots: tuple[str, ...] | None
    candidate: Choice
    rate: float | None
    decay: float | None
    models: tuple[keras.Model, ...] | None
    smoothing: float | None = None
    noise: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class _InspectedTrial:
    """A trial, what `fit` gets for it, and its own models, one an execution.

    It has none, where the trials of a search differ in nothing but hidden activations.
    """

    trial: Trial
    fit: Mapping[str, Any]
    models: Sequence[BuiltModel] = ()

    @property
    def epochs_key(self) -> str:
        """What trials that train together have in common: how far, and from where."""
        return repr([self.fit.get("epochs"), self.fit.get("initial_epoch")])


class PopulationRunner:
    """Trains trials of a tuner as populations.

    Args:
        tuner: whose trials they are.
        fit: the arguments of `search`.
        settings: what must be the same for trials to go on in the middle of their epochs.
        memory: the bytes that a population may use; None for half of what is free.

    Attributes:
        reasons: why trials could not train together.
    """

    def __init__(
        self,
        tuner: ActivationTuner,
        fit: Mapping[str, Any],
        settings: KeptSettings,
        memory: int | None = None,
    ):
        self._tuner = tuner
        self._settings = settings
        self._files: list[Path] = []  # of the trials that train together
        self._fit = dict(fit)
        self._memory = memory
        self._callbacks = keras.tree.flatten(fit.get("callbacks") or [])
        self.reasons: dict[str, None] = {}

    def train(self, members: Sequence[TrialMember], fit: Mapping[str, Any]) -> Histories:
        """Train members of one group in as many populations as it takes.

        Return each trial's histories.

        What did not train is missing, for one of the `reasons`, or as it was alone in its
        population.
        """
        histories: Histories = {}
        # as they will lie inside: what a population returns needs no sorting then, nor does its
        # gradient
        order, _ = arrange([member.candidate for member in members])
        members = [members[index] for index in order]
        member_bytes = self._bytes_per_member(members[0], fit)
        waiting = planner.waves(members, member_bytes, self._memory)
        while waiting:
            wave = waiting.pop(0)
            if len(wave) < 2:
                fitting = planner.most_members(member_bytes, self._memory)
                if fitting == 1 and len(members) > 1:
                    self._note(planner.too_little(member_bytes, self._memory))
                continue
            self._tuner.interrupts.raise_if_lost()
            try:
                with self._tuner.interrupts.not_an_error():
                    histories |= self._train_population(wave, fit)
            except ModelError as error:
                self._note(str(error))
            except Exception as error:
                if is_disk_full(error):
                    raise
                if is_out_of_memory(error):
                    half = len(wave) // 2
                    waiting[:0] = [wave[:half], wave[half:]]
                else:  # one by one it comes again, and where it belongs
                    self._note(first_line(error))
        return histories

    def _note(self, reason: str) -> None:
        self.reasons[reason] = None

    def _bytes_per_member(self, member: TrialMember, fit: Mapping[str, Any]) -> int:
        chosen = member.slots or [slot.name for slot in slots(member.model).hidden]
        noise = [path for path, _ in member.noise]
        shared = frozen_prefix(member.model, [*chosen, *noise])
        return planner.bytes_per_member(member.model, _batch_size(fit), shared)

    def groups(self, trials: Iterable[Trial]) -> list[tuple[list[TrialMember], dict[str, Any]]]:
        """Return members that may share a population, with what `fit` gets."""
        try:
            fixed = self._fixed_model()
        except ModelError as error:
            self._note(str(error))
            return []
        by_key: dict[tuple[str, ...], list[_InspectedTrial]] = {}
        for trial in trials:
            fit = self._tuner.fit_options(trial, self._fit)
            if fixed is not None and "tuner/trial_id" not in trial.hyperparameters.values:
                inspected = _InspectedTrial(trial, fit)
                key: tuple[str, ...] = (inspected.epochs_key,)
            else:
                try:
                    models = self._built_models(trial)
                except ModelError as error:
                    self._note(str(error))
                    continue
                except Exception:
                    # a build that fails is told of where the trial trains by itself
                    continue
                inspected = _InspectedTrial(trial, fit, models)
                key = (inspected.epochs_key, self._key(trial, models[0]))
            by_key.setdefault(key, []).append(inspected)
        self._note_custom_models(by_key.values())
        groups = []
        parts = itertools.chain.from_iterable(map(_parts_by_noise, by_key.values()))
        for together in parts:
            if len(together) > 1:
                try:
                    members = self._members(together, fixed)
                except ModelError as error:
                    self._note(str(error))
                else:
                    groups.append((members, dict(together[0].fit)))
        return groups

    def _note_custom_models(self, groups: Iterable[list[_InspectedTrial]]) -> None:
        """Say if trials are alone only since nobody knows what parts of their models do."""
        alone = set()
        for group in groups:
            if len(group) > 1 or not group[0].models:
                continue
            model = group[0].models[0]
            if not model.custom:
                continue
            architecture = (group[0].epochs_key, model.key)
            if architecture in alone:
                self._note(_CUSTOM_ALONE)
            alone.add(architecture)

    def _fixed_model(self) -> keras.Model | None:
        """The model of the search, if its trials differ in nothing but hidden activations."""
        tuner = self._tuner
        hypermodel = tuner.hypermodel
        if not isinstance(hypermodel, ActivationHyperModel):
            return None
        model = hypermodel.model
        if not isinstance(model, keras.Model) or hypermodel.rescale_init:
            return None
        if hypermodel.searches_rates:
            return None
        # KerasTuner compiles each trial's model with these, and counts its parameters
        if tuner.optimizer or tuner.loss or tuner.metrics or tuner.max_model_size:
            return None
        check_training(model)
        table = slots(model)
        chosen = chosen_slots(table, hypermodel.space.per) or ()
        for slot in table:
            # losses look at what activation an output has
            if slot.name in chosen and slot.role == "output":
                return None
        return model

    def _built_models(self, trial: Trial) -> list[BuiltModel]:
        """A trial's own models, one an execution."""
        models = []
        for execution in range(self._tuner.executions_per_trial):
            with isolated_seed(derive(self._tuner.seed, Stream.EXECUTIONS, execution)):
                model = self._tuner.fresh_model(trial.hyperparameters)
                models.append(inspect_model(model))
        return models

    def _key(self, trial: Trial, model: BuiltModel) -> str:
        """What the models of one population have in common."""
        key = model.key
        if model.rate is None or self._is_scheduled():
            key += f" {model.rate}"
        if model.decay is None:
            key += " without weight decay"
        if model.custom:  # its config may not tell all: only the activation may differ
            key += repr(self._others(trial))
        return key

    def _is_scheduled(self) -> bool:
        """Whether a callback sets the learning rate: one rate for all."""
        schedule = keras.callbacks.LearningRateScheduler
        return any(isinstance(callback, schedule) for callback in self._callbacks)

    def _others(self, trial: Trial) -> list[tuple[str, Any]]:
        """A trial's hyperparameters but for the activation and KerasTuner's own."""
        choice = self._tuner.choice
        excluded = (f"{choice}.", "tuner/")
        values = trial.hyperparameters.values
        others = [name for name in values if name != choice and not name.startswith(excluded)]
        return [(name, values[name]) for name in sorted(others)]

    def _members(
        self, trials: Sequence[_InspectedTrial], fixed: keras.Model | None
    ) -> list[TrialMember]:
        if not trials[0].models:
            assert fixed is not None  # else each trial has models of its own
            return self._members_of(fixed, trials)
        firsts = [inspected.models[0] for inspected in trials]
        names, candidates = differing_slots(firsts)
        rates = _if_they_differ([model.rate for model in firsts])
        decays = _if_they_differ([model.decay for model in firsts])
        smoothings = _if_they_differ([model.smoothing for model in firsts])
        noises = _noise_that_differs(firsts)
        members = []
        for index, inspected in enumerate(trials):
            member = TrialMember(
                inspected.trial,
                firsts[0].model,
                names,
                candidates[index],
                rate=rates[index],
                decay=decays[index],
                smoothing=smoothings[index],
                models=tuple(built.model for built in inspected.models),
                noise=noises[index],
            )
            members.append(member)
        return members

    def _members_of(
        self, model: keras.Model, trials: Sequence[_InspectedTrial]
    ) -> list[TrialMember]:
        """The trials of a search whose models are one but for hidden activations."""
        hypermodel = self._tuner.hypermodel
        chosen = chosen_slots(slots(model), hypermodel.space.per)
        members = []
        for inspected in trials:
            candidate = hypermodel.candidate(inspected.trial.hyperparameters)
            members.append(
                TrialMember(
                    inspected.trial, model, chosen, candidate, rate=None, decay=None, models=None
                )
            )
        return members

    def _train_population(
        self, members: Sequence[TrialMember], fit: Mapping[str, Any]
    ) -> Histories:
        """Train one population for each execution."""
        trial_ids = [member.trial.trial_id for member in members]
        histories: Histories = {trial_id: [] for trial_id in trial_ids}
        training = self._kept_training([member.trial for member in members])
        kept = _KeptTrials(self._tuner, members, fit, histories)
        if training.known is not None:
            kept.go_on(training.known)
        for execution in range(training.execution, self._tuner.executions_per_trial):
            epochs = self._train_execution(members, fit, execution, kept, training)
            for member, values in zip(members, epochs.histories, strict=True):
                history = keras.callbacks.History()
                history.history = values
                history.epoch = list(range(length(values)))
                histories[member.trial.trial_id].append(history)
        return histories

    def _kept_training(self, trials: Sequence[Trial]) -> KeptTraining:
        trial_ids = [trial.trial_id for trial in trials]
        file = None
        folder = self._folder()
        if folder is not None:
            file = file_of(folder, trial_ids)
            self._files.append(file)
        settings = functools.partial(self._settings.of, trials)
        training = KeptTraining(file, trial_ids, settings, self._tuner.say)
        if training.known is not None and self._settings.has_batches:
            self._tuner.say(
                "What is kept goes on with the batches that are given; whether they hold the same "
                "values nobody has compared"
            )
        return training

    def forget_kept(self) -> None:
        """Delete what was kept of trials in the middle of their epochs: they have ended."""
        for file in self._files:
            forget_file(file)
        self._files.clear()

    def _folder(self) -> Path | None:
        """Where populations are kept while they train; None if they cannot go on from there."""
        board = keras.callbacks.TensorBoard
        writes_events = any(isinstance(callback, board) for callback in self._callbacks)
        # events that are written again would be there twice; and see `SkippedEpochs`
        if writes_events or keras.backend.backend() != "tensorflow":
            return None
        folder = self._tuner.project_dir
        if is_remote(folder):
            return None
        return Path(folder)

    def _train_execution(
        self,
        members: Sequence[TrialMember],
        fit: Mapping[str, Any],
        execution: int,
        kept: _KeptTrials,
        training: KeptTraining,
    ) -> MemberEpochs:
        tuner = self._tuner
        seed = derive(tuner.seed, Stream.EXECUTIONS, execution)
        # handed over below, as the only reference: should the population become smaller, nobody
        # else keeps the larger one in memory
        handed_over = [self._population(members, seed, execution, fit)]
        trials = [member.trial for member in members]
        callbacks = TrialCallbacks(tuner, trials, execution, self._callbacks)
        epochs = MemberEpochs(
            tuner.watched,
            lambda index, *rest: tuner.on_epoch_begin(trials[index], *rest),
            lambda index, *rest: tuner.on_epoch_end(trials[index], *rest),
            callbacks.per_trial,
            callbacks.models(),
        )
        tuner.execution = execution
        training.begin(execution, handed_over[0], kept.known)
        kept.begin(epochs)
        own = own_data(fit)
        options = {**own, "callbacks": callbacks.shared}
        objective = tuner.oracle.objective
        with isolated_seed(seed):
            if members[0].models is None:
                # as KerasTuner, which builds a model first: the batches come in the same order then
                handed_over[0].blueprint.drawn(members[0].candidate)
            try:
                train_until_done(
                    handed_over.pop(), options, epochs, objective, kept.keep_finished, training
                )
            except KeyboardInterrupt:
                if epochs.all_began:
                    kept.keep_partial_scores()
                raise
            finally:
                for trial, history in zip(trials, epochs.histories, strict=True):
                    tuner.on_known_epochs(trial, execution, history)
        free_copies(own, fit)
        return epochs

    def _population(
        self, members: Sequence[TrialMember], seed: int, execution: int, fit: Mapping[str, Any]
    ) -> PopulationModel:
        first = members[0]
        on_one_seed = [Member(one.candidate, seed, noise=one.noise) for one in members]
        population = PopulationModel(first.model, on_one_seed, slots=first.slots)
        # callbacks that want to see each batch train one by one
        several_steps = steps_per_execution(first.model, {**fit, "callbacks": None})
        population.compile(**{**compile_arguments(first.model), **several_steps})
        if first.rate is not None:
            rates = [member.rate for member in members if member.rate is not None]
            population.set_learning_rates(rates)
        if first.decay is not None:
            decays = [member.decay or 0.0 for member in members]
            population.set_weight_decays(decays)
        if first.smoothing is not None:
            smoothings = [member.smoothing or 0.0 for member in members]
            population.set_label_smoothing(smoothings)
        if first.models is not None:
            models = [member.models[execution] for member in members if member.models]
            _start_from(models, population)
        population.optimizer.build(population.trainable_variables)
        return population


def _if_they_differ(numbers: Sequence[float | None]) -> Sequence[float | None]:
    """The numbers of the trials, or None for each if all have the same: then the model says it."""
    if len(set(numbers)) > 1:
        return numbers
    return [None] * len(numbers)


def _noise_that_differs(models: Sequence[BuiltModel]) -> list[tuple[tuple[str, float], ...]]:
    """How strong the noise of each model is, by the first one's paths, where not all have the same.

    The others say so by place: Keras counts up the names of what is built in one process.
    """
    noises: list[list[tuple[str, float]]] = [[] for _ in models]
    strengths = [model.noise.values() for model in models]
    for path, column in zip(models[0].noise, zip(*strengths, strict=True), strict=True):
        if len(set(column)) == 1:
            continue
        for noise, strength in zip(noises, column, strict=True):
            noise.append((path, strength))
    return [tuple(noise) for noise in noises]


def _parts_by_noise(trials: Sequence[_InspectedTrial]) -> list[list[_InspectedTrial]]:
    """The trials of one group in as few parts as their layers of noise allow.

    Keras makes no random numbers for a layer that has no noise. So the first of each part, whose
    model the population is made of, has noise wherever another of the part has some.
    """
    waiting = sorted(trials, key=lambda trial: len(_noisy(trial)), reverse=True)
    parts = []
    while waiting:
        most = _noisy(waiting[0])
        part = [trial for trial in waiting if _noisy(trial) <= most]
        waiting = [trial for trial in waiting if not _noisy(trial) <= most]
        parts.append(part)
    return parts


def _noisy(trial: _InspectedTrial) -> frozenset[int]:
    """Which layers of noise of a trial's model make some, by their place."""
    if not trial.models:
        return frozenset()
    strengths = trial.models[0].noise.values()
    return frozenset(place for place, strength in enumerate(strengths) if strength > 0)


class _KeptTrials:
    """Keeps of each trial its scores, and the checkpoint of the best of its executions.

    Args:
        tuner: whose trials they are.
        members: the trials, as members of a population.
        fit: the arguments of `fit`.
        histories: of each trial, of the executions that are over.
    """

    def __init__(
        self,
        tuner: ActivationTuner,
        members: Sequence[TrialMember],
        fit: Mapping[str, Any],
        histories: Histories,
    ):
        self._histories = histories
        self._tuner = tuner
        self._members = members
        self._first_epoch = fit.get("initial_epoch", 0)
        self._best = np.full(len(members), np.nan)  # of all executions
        self._scores: list[np.ndarray] = []  # of each execution
        self._epochs: MemberEpochs

    def known(self) -> TrialScores:
        """Return what is known of the executions so far."""
        histories = []
        for member in self._members:
            of_trial = self._histories[member.trial.trial_id]
            histories.append([dict(history.history) for history in of_trial])
        return TrialScores(histories, list(self._scores), self._best)

    def go_on(self, known: TrialScores) -> None:
        """Go on from what an earlier process knew: of the last execution that began it has no end."""
        *self._scores, _ = known.scores
        self._best = known.best
        for member, executions in zip(self._members, known.histories, strict=True):
            for values in executions:
                history = keras.callbacks.History()
                history.history = dict(values)
                history.epoch = list(range(length(values)))
                of_trial = self._histories[member.trial.trial_id]
                self._tuner.on_known_epochs(member.trial, len(of_trial), history.history)
                of_trial.append(history)

    def begin(self, epochs: MemberEpochs) -> None:
        """Begin with an execution."""
        self._epochs = epochs
        self._scores.append(np.full(len(self._members), np.nan))

    def keep_finished(
        self, population: PopulationModel, best: BestEpochs, indices: np.ndarray
    ) -> None:
        """Keep the score of those trials, and their checkpoint if it is their best execution's.

        Args:
            population: that they are in, with the weights of their best epochs.
            best: those epochs.
            indices: of the trials, in that population.
        """
        direction = self._tuner.oracle.objective.direction
        inside = self._epochs.inside
        finished = inside[indices]
        scores = best.best[indices]
        self._scores[-1][finished] = scores
        known = self._best[finished]
        better = more_is_better(scores, direction) > more_is_better(known, direction)
        better = np.isfinite(scores) & (better | np.isnan(known))
        self._best[finished[better]] = scores[better]
        taken = best.best_epoch + 1 - self._first_epoch
        members = [self._members[int(index)] for index in inside]
        _save(self._tuner, population, members, indices[better], taken / self._epochs.trained)

    def keep_partial_scores(self) -> None:
        """Leave to the tuner what trials that an interrupt ended scored until then."""
        scores = np.mean(self._scores, axis=0)
        for member, score, history in zip(
            self._members, scores, self._epochs.histories, strict=True
        ):
            partial = PartialScore(float(score), length(history))
            self._tuner.partial_scores[member.trial.trial_id] = partial


def _save(
    tuner: ActivationTuner,
    population: PopulationModel,
    members: Sequence[TrialMember],
    chosen: Iterable[int],
    shares: np.ndarray,
) -> None:
    """Write each chosen trial's checkpoint: the state that its member has now.

    Args:
        tuner: who says where.
        population: that the members are in.
        members: its trials.
        chosen: the indices of those whose checkpoint is written.
        shares: of the steps of the population, those that led to each member's state.
    """
    contents_of = transfer.state_reader(population)
    steps = int(keras.ops.convert_to_numpy(iterations_variable(population.optimizer)))
    writers = _CheckpointWriters(population)
    for index in chosen:
        member = members[int(index)]
        inside = population.positions[index]
        model, checkpoints = writers.of(inside, member)
        # not the population's: each trial has a number of steps and a rate of its own. `iterations`
        # may be a number of accumulated steps
        of_trial: dict[int, np.ndarray] = {
            id(iterations_variable(model.optimizer)): np.asarray(round(steps * shares[index]))
        }
        if member.rate is not None:
            of_trial[id(model.optimizer.learning_rate)] = np.asarray(member.rate)
        contents = []
        for variable, value in contents_of(inside, model):
            contents.append((variable, of_trial.get(id(variable), value)))
        trial_id = member.trial.trial_id
        with telling_full_disk(tuner.project_dir):
            checkpoints.write(checkpoint_file(tuner, trial_id), contents)
        _write_build_config(build_config_file(tuner, trial_id), model)


def _write_build_config(path: str, model: keras.Model) -> None:
    """Write the shapes for which a model was built, as KerasTuner does."""
    config = model.get_build_config()
    if is_remote(path):
        save_json(path, config)
        return
    # only models without inputs of their own need it, and none that was a population is such
    write_whole(Path(path), json.dumps(config).encode(), durable=False)


class _CheckpointWriters:
    """What writes the checkpoints of a population: one for all whose files look alike."""

    def __init__(self, population: PopulationModel):
        self._blueprint = population.blueprint
        _, self._segments = arrange([member.candidate for member in population.members])
        self._writers: dict[int, tuple[keras.Model, Checkpoints]] = {}

    def of(self, inside: int, member: TrialMember) -> tuple[keras.Model, Checkpoints]:
        """Return the model and the writer for a member, by its place inside."""
        segment = next(one for one in self._segments if one.start <= inside < one.stop)
        # without trained activations all files look alike
        kind = -1
        if segment.trained:
            kind = segment.start
        if kind not in self._writers:
            model = self._blueprint.reference
            if segment.trained:
                model = self._blueprint.made(segment.candidate)
            model.compile(**compile_arguments(member.model))
            model.optimizer.build(model.trainable_variables)
            self._writers[kind] = (model, Checkpoints(model))
        return self._writers[kind]


def _start_from(models: Sequence[keras.Model], population: PopulationModel) -> None:
    """Give each member the weights of an ordinary model of the same architecture.

    Whatever its layers are called.
    """
    # of each model, those of its layers in order
    variables: list[list[dict[str, keras.Variable]]] = []
    for model in models:
        variables.append([variables_of(layer) for _, layer in layers_of(model)])
    paths = [path for path, _ in layers_of(population.blueprint.model)]
    order = population.order
    for layer in population.stacked:
        position = paths.index(layer.plan.path)
        of_layer = [layers[position] for layers in variables]
        if layer.plan.shared:
            own = {block.key for block in layer.plan.blocks}
            _check_same(weights_of(layer.plan.layer), of_layer, own)
        for block in layer.plan.blocks:
            of_block = [of_layer[index] for index in order[block.start : block.stop]]
            own_start = block.by_member(keras.ops.convert_to_numpy(block.variable))
            rows = []
            for of_model, before in zip(of_block, own_start, strict=True):
                # a layer without noise has no random state, and draws nothing
                rows.append(keras.ops.convert_to_numpy(of_model.get(block.key, before)))
            block.assign(np.stack(rows))
    population.regroup()


def _check_same(
    weights: Mapping[str, np.ndarray], layers: Iterable[Mapping[str, Any]], own: Container[str]
) -> None:
    """Check that a layer has the same weights in all models, but for those of their own."""
    for variables in layers:
        for key, variable in variables.items():
            if key in own:
                continue
            if not np.array_equal(keras.ops.convert_to_numpy(variable), weights[key]):
                raise ModelError("frozen layers differ from trial to trial")


def _batch_size(fit: Mapping[str, Any]) -> int:
    training = fit.get("batch_size") or _BATCH_SIZE
    return max(training, fit.get("validation_batch_size") or 0)
