"""Trials of a search trained together.

Which of them, in what populations, and what KerasTuner gets to keep of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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
from ..runtime.memory import is_out_of_memory
from ..runtime.reasons import first_line
from ..runtime.seeding import Stream, derive, isolated_seed
from ..space.assignment import Choice
from ..strategy.direction import more_is_better
from ..vectorize.segments import arrange
from .callbacks import TrialCallbacks
from .checkpoints import Checkpoints
from .compatibility import BuiltModel, check_training, differing_slots, inspect_model
from .hypermodel import ActivationHyperModel
from .kerastuner import Trial, build_config_file, checkpoint_file, save_json
from .member_epochs import BestEpochs, MemberEpochs, length, train_until_done


@dataclass(frozen=True, eq=False)
class TrialMember:
    """A trial as a slot of a population.

    Attributes:
        trial: of KerasTuner.
        model: the model that the slots are made of.
        slots: of that model, where the candidate goes; None for all hidden ones.
        candidate: the activation there, or one for each slot.
        rate: the learning rate, if trials have rates of their own.
        made: the trial's own models, one an execution, if the slot must start from their weights.
    """

    trial: Trial
    model: keras.Model
    slots: tuple[str, ...] | None
    candidate: Choice
    rate: float | None
    made: tuple[keras.Model, ...] | None


class PopulationRunner:
    """Trains trials of a tuner as populations.

    Args:
        tuner: an `ActivationTuner`.
        fit: the arguments of `search`.
        memory: the bytes that a population may use; None for half of what is free.

    Attributes:
        reasons: why trials could not train together.
    """

    def __init__(self, tuner: Any, fit: Mapping[str, Any], memory: int | None = None):
        self._tuner, self._fit, self._memory = tuner, dict(fit), memory
        self.reasons: dict[str, None] = {}

    def train(
        self, jobs: list[TrialMember], fit: Mapping[str, Any]
    ) -> dict[str, list[keras.callbacks.History]]:
        """Train jobs of one group in as many populations as it takes.

        Return each trial's histories.

        What did not train, for one of the `reasons`, is missing.
        """
        found: dict[str, list[keras.callbacks.History]] = {}
        # as they will lie inside: what a population returns needs no sorting then, nor does its
        # gradient
        order, _ = arrange([job.candidate for job in jobs])
        jobs = [jobs[index] for index in order]
        model = jobs[0].model
        shared = frozen_prefix(model, jobs[0].slots or [slot.name for slot in slots(model).hidden])
        slot = planner.bytes_per_member(model, _batch_size(fit), shared)
        waiting = planner.waves(jobs, slot, self._memory)
        while waiting:
            wave = waiting.pop(0)
            if len(wave) < 2:
                if len(jobs) > 1 and planner.most_members(slot, self._memory) == 1:
                    self.reasons[planner.too_little(slot, self._memory)] = None
                continue
            try:
                found |= self._population(wave, fit)
            except ModelError as error:
                self.reasons[str(error)] = None
            except Exception as error:
                if is_out_of_memory(error):
                    half = len(wave) // 2
                    waiting[:0] = [wave[:half], wave[half:]]
                else:  # one by one it comes again, and where it belongs
                    self.reasons[first_line(error)] = None
        return found

    def groups(self, trials: Iterable[Trial]) -> list[tuple[list[TrialMember], dict[str, Any]]]:
        """Return jobs that may share a population, with what `fit` gets."""
        by_key: dict[Any, list[tuple[Trial, list[BuiltModel], dict[str, Any]]]] = {}
        try:
            alone = self._fixed()
        except ModelError as error:
            self.reasons[str(error)] = None
            return []
        for trial in trials:
            fit = self._tuner.fit_options(trial, self._fit)
            apart = repr([fit.get("epochs"), fit.get("initial_epoch")])
            if alone is not None and "tuner/trial_id" not in trial.hyperparameters.values:
                by_key.setdefault((apart,), []).append((trial, [], fit))
                continue
            try:
                made = self._made(trial)
            except ModelError as error:
                self.reasons[str(error)] = None
            except Exception:  # a build that fails is told of where the trial trains by itself
                continue
            else:
                by_key.setdefault((apart, self._key(trial, made[0])), []).append((trial, made, fit))
        lone = {key: entries[0][1] for key, entries in by_key.items() if len(entries) == 1}
        own = [
            (apart, made[0].key) for (apart, *_), made in lone.items() if made and made[0].custom
        ]
        if len(set(own)) < len(own):
            reason = "parts of the model that are not Keras' may depend on hyperparameters other than choice="
            self.reasons[reason] = None
        result = []
        for entries in by_key.values():
            if len(entries) > 1:
                try:
                    result.append((self._jobs(entries, alone), entries[0][2]))
                except ModelError as error:
                    self.reasons[str(error)] = None
        return result

    def _fixed(self) -> keras.Model | None:
        """The model of the search, if its trials differ in nothing but hidden activations."""
        tuner, hypermodel = self._tuner, self._tuner.hypermodel
        if not isinstance(hypermodel, ActivationHyperModel) or not isinstance(
            hypermodel.model, keras.Model
        ):
            return None
        if (
            hypermodel.rescale_init
            or tuner.optimizer
            or tuner.loss
            or tuner.metrics
            or tuner.max_model_size
        ):
            return None
        check_training(hypermodel.model)
        table = slots(hypermodel.model)
        names = chosen_slots(table, hypermodel.space.per) or ()
        # losses look at what activation an output has
        return (
            None
            if any(slot.role == "output" for slot in table if slot.name in names)
            else hypermodel.model
        )

    def _made(self, trial: Trial) -> list[BuiltModel]:
        """A trial's own models, one an execution."""
        found = []
        for execution in range(self._tuner.executions_per_trial):
            with isolated_seed(derive(self._tuner.seed, Stream.EXECUTIONS, execution)):
                found.append(inspect_model(self._tuner._try_build(trial.hyperparameters)))
        return found

    def _key(self, trial: Trial, made: BuiltModel) -> str:
        key = made.key
        if made.rate is None or any(
            isinstance(c, keras.callbacks.LearningRateScheduler) for c in self._callbacks
        ):
            key += f" {made.rate}"
        if made.custom:  # its config may not tell all: only the activation may differ
            hp = trial.hyperparameters.values
            choice = self._tuner.choice
            own = sorted(
                (k, v)
                for k, v in hp.items()
                if k != choice and not k.startswith((f"{choice}.", "tuner/"))
            )
            key += repr(own)
        return key

    @property
    def _callbacks(self) -> list[Any]:
        return keras.tree.flatten(self._fit.get("callbacks") or [])

    def _jobs(
        self, entries: list[tuple[Trial, list[BuiltModel], Any]], fixed: keras.Model | None
    ) -> list[TrialMember]:
        if not entries[0][1]:
            assert fixed is not None  # else each trial has models of its own
            hypermodel = self._tuner.hypermodel
            names = chosen_slots(slots(fixed), hypermodel.space.per)
            chosen = [
                (trial, hypermodel.candidate(trial.hyperparameters)) for trial, _, _ in entries
            ]
            return [
                TrialMember(trial, fixed, names, candidate, None, None)
                for trial, candidate in chosen
            ]
        names, candidates = differing_slots([made[0] for _, made, _ in entries])
        rates = [made[0].rate for _, made, _ in entries]
        own = len(set(rates)) > 1
        return [
            TrialMember(
                trial,
                entries[0][1][0].model,
                names,
                candidate,
                rate if own else None,
                tuple(one.model for one in made),
            )
            for (trial, made, _), candidate, rate in zip(entries, candidates, rates, strict=True)
        ]

    def _population(
        self, jobs: list[TrialMember], fit: Mapping[str, Any]
    ) -> dict[str, list[keras.callbacks.History]]:
        """Train one population for each execution."""
        tuner = self._tuner
        found: dict[str, list[keras.callbacks.History]] = {job.trial.trial_id: [] for job in jobs}
        tops, bests = np.full(len(jobs), np.nan), list[np.ndarray]()
        direction = tuner.oracle.objective.direction
        for execution in range(tuner.executions_per_trial):
            seed = derive(tuner.seed, Stream.EXECUTIONS, execution)
            built = [self._built(jobs, seed, execution, fit)]
            watching = TrialCallbacks(
                tuner, [job.trial for job in jobs], execution, self._callbacks
            )
            epochs = MemberEpochs(
                tuner.watched,
                lambda slot, *rest: tuner.on_epoch_begin(jobs[slot].trial, *rest),
                lambda slot, *rest: tuner.on_epoch_end(jobs[slot].trial, *rest),
                watching.each,
                watching.views(),
            )
            bests.append(np.full(len(jobs), np.nan))

            def done(
                population: PopulationModel,
                best: BestEpochs,
                places: np.ndarray,
                epochs: MemberEpochs = epochs,
            ) -> None:
                """Keep the score of those trials, and their checkpoint if it is the best of their executions."""
                slots, scores = epochs.inside[places], best.best[places]
                bests[-1][slots] = scores
                better = more_is_better(scores, direction) > more_is_better(tops[slots], direction)
                better = np.isfinite(scores) & (better | np.isnan(tops[slots]))
                tops[slots[better]] = scores[better]
                taken = best.best_epoch + 1 - fit.get("initial_epoch", 0)
                share = taken / max(map(length, epochs.histories))
                self._save(
                    population, [jobs[slot] for slot in epochs.inside], places[better], share
                )

            with isolated_seed(seed):
                if jobs[0].made is None:  # as KerasTuner, which builds a model first
                    built[0].blueprint.drawn(jobs[0].candidate)
                try:
                    own = {**fit, "callbacks": watching.shared}
                    # nobody else keeps it, should it become smaller
                    train_until_done(built.pop(), own, epochs, tuner.oracle.objective, done)
                except KeyboardInterrupt:
                    if all(map(length, epochs.histories)):
                        lengths = map(length, epochs.histories)
                        for job, score, epoch in zip(
                            jobs, np.mean(bests, axis=0), lengths, strict=True
                        ):
                            tuner.so_far[job.trial.trial_id] = float(score), epoch
                    raise
            for job, history in zip(jobs, epochs.histories, strict=True):
                recorded = keras.callbacks.History()
                recorded.history, recorded.epoch = history, list(range(length(history)))
                found[job.trial.trial_id].append(recorded)
        return found

    def _built(
        self, jobs: list[TrialMember], seed: int, execution: int, fit: Mapping[str, Any]
    ) -> PopulationModel:
        model = jobs[0].model
        members = [Member(job.candidate, seed) for job in jobs]
        population = PopulationModel(model, members, slots=jobs[0].slots)
        # callbacks that want to see each batch train one by one
        several = steps_per_execution(model, {**fit, "callbacks": None})
        population.compile(**{**compile_arguments(model), **several})
        if jobs[0].rate is not None:
            population.set_learning_rates([job.rate or 0.0 for job in jobs])
        if jobs[0].made is not None:
            _start_from([job.made[execution] for job in jobs if job.made], population)
        population.optimizer.build(population.trainable_variables)
        return population

    def _save(
        self,
        population: PopulationModel,
        jobs: list[TrialMember],
        chosen: Iterable[int],
        share: Any,
    ) -> None:
        """Write each chosen trial's checkpoint.

        The state that its slot has now, after a share of all steps.
        """
        _, groups = arrange([member.candidate for member in population.members])
        contents, taken = (
            transfer.state_reader(population),
            int(keras.ops.convert_to_numpy(iterations_variable(population.optimizer))),
        )
        files: dict[int, tuple[keras.Model, Checkpoints]] = {}
        for slot in chosen:
            job, inside = jobs[slot], population.positions[slot]
            group = next(g for g in groups if g.start <= inside < g.stop)
            # without trained activations all files look alike
            kind = group.start if group.trained else -1
            if kind not in files:
                blueprint = population.blueprint
                model = blueprint.made(group.candidate) if group.trained else blueprint.reference
                model.compile(**compile_arguments(job.model))
                model.optimizer.build(model.trainable_variables)
                files[kind] = model, Checkpoints(model)
            model, checkpoints = files[kind]
            # `iterations` may be a number of accumulated steps
            own = {id(iterations_variable(model.optimizer)): round(taken * share[slot])}
            if job.rate is not None:
                own[id(model.optimizer.learning_rate)] = job.rate
            found = [
                (variable, own.get(id(variable), value))
                for variable, value in contents(inside, model)
            ]
            checkpoints.write(checkpoint_file(self._tuner, job.trial.trial_id), found)
            save_json(build_config_file(self._tuner, job.trial.trial_id), model.get_build_config())


def _start_from(models: list[keras.Model], population: PopulationModel) -> None:
    """Give each slot the weights of an ordinary model of the same architecture, whatever its layers are called."""
    values = [
        [weights for _, layer in layers_of(model) for weights in [variables_of(layer)]]
        for model in models
    ]
    order = population.order
    paths = [path for path, _ in layers_of(population.blueprint.model)]
    for layer in population.stacked:
        position = paths.index(layer.plan.path)
        if layer.plan.shared:
            same = weights_of(layer.plan.layer)
            if any(
                not np.array_equal(v, same[key])
                for own in values
                for key, v in _numpy(own[position]).items()
            ):
                raise ModelError("frozen layers differ from trial to trial")
        for block in layer.plan.blocks:
            own = [values[order[i]][position][block.key] for i in range(block.start, block.stop)]
            block.variable.assign(np.stack([keras.ops.convert_to_numpy(v) for v in own]))


def _numpy(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: keras.ops.convert_to_numpy(variable) for key, variable in variables.items()}


def _batch_size(fit: Mapping[str, Any]) -> int:
    return max(fit.get("batch_size") or 32, fit.get("validation_batch_size") or 0)
