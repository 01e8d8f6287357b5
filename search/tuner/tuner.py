"""A KerasTuner tuner for activations.

Paired seeds, divergence as a result, and a process left as it was found.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import logging
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import keras
import keras_tuner
import numpy as np

from keras_acts.errors import ModelError, SearchError, shown

from ..rewrite.building import takes_activation
from ..rewrite.compiling import compile_arguments, first_metric_names
from ..rewrite.first_inputs import built
from ..rewrite.own_training import own_methods
from ..rewrite.slots import left_alone
from ..runtime import device
from ..runtime.garbage import Garbage
from ..runtime.interrupts import Interrupts
from ..runtime.kept_files import DiskFullError, put_in_place, read_kept, telling_full_disk
from ..runtime.ownership import (
    check_clearable,
    check_directory,
    check_project_name,
    clear_project,
)
from ..runtime.project_lock import locked
from ..runtime.reasons import first_line, reason_of
from ..runtime.seeding import Stream, derive, isolated_seed
from ..runtime.tracing import steps_forgotten
from ..strategy.base import DIVERGED
from ..strategy.callbacks import give_own_files
from ..strategy.checks import (
    are_complex,
    check_every_epoch,
    check_flag,
    check_kinds,
    check_population,
)
from ..strategy.objective import check_direction, checked_objectives, needs_model
from ..strategy.own_data import free_copies, own_data
from ..strategy.scaled_callbacks import scaled_callbacks
from ..strategy.scoring import Data, numbers
from .callbacks import check_callbacks
from .checkpoints import RoomForCheckpoint
from .hypermodel import ActivationHyperModel, Activations
from .keeping import (
    check_checkpoint,
    check_tuner_file,
    is_remote,
    keep_whole,
    save_state,
    saved_once,
)
from .kept_population import forget
from .kept_settings import KeptSettings
from .kerastuner import (
    Trial,
    TrialStatus,
    checkpoint_file,
    end_if_trained,
    folders_as_written,
    has_chief_oracle,
    is_worker,
    tuner_file,
)
from .oracle import ActivationOracle, Objectives
from .populations import PartialScore, PopulationRunner, TrialMember
from .proposals import next_trials

_AT_ONCE = 64  # what an interrupt can cost
_WEIGHTS = ".weights.h5"
# the hyperparameter that names the trial to go on from
_EARLIER = "tuner/trial_id"
# the name that KerasTuner has for a project that is given none
_NO_NAME = "untitled_project"

# a Keras model, a function that builds one, or KerasTuner's hypermodel
Searched: TypeAlias = keras.Model | Callable[..., keras.Model] | keras_tuner.HyperModel
_log = logging.getLogger(__name__)


class ActivationTuner(keras_tuner.Tuner):
    """A KerasTuner tuner that searches activations.

    It differs from KerasTuner's own in what it proposes (`ActivationOracle`), in that all trials
    share their initialization and batch order (so that they can be compared), in that a candidate
    whose loss is no longer finite is stopped and recorded as diverged, and in that it leaves the
    global seed, dtype policy and Keras session alone. Trials whose models are the same but for
    their activations and a constant learning rate train together, as one population (see
    `PopulationModel`): the same scores, sooner. What cannot, trains one by one, and a line says
    why.

    Args:
        hypermodel: a compiled Keras model; a function ``build(hp, activation)``, or ``build(hp)``
            that calls `activation_choice`; or a `keras_tuner.HyperModel`.
        objective: as in KerasTuner, ``"val_loss"`` by default; but whether more of a metric is
            better its own class says. Of a metric of your own say it:
            ``keras_tuner.Objective("val_mine", "max")``.
        max_trials: as in KerasTuner.
        activations: an `ActivationSpace`, or what it is made of, for a model or ``build(hp,
            activation)``.
        choice: the name of the `Choice` hyperparameter that holds the activation, as
            `activation_choice` was given it.
        seed: of proposals, initialization and batch order; execution e of every trial has the same
            derived seed.
        population: how many trials are asked for and trained together at most: ``"auto"`` for up to
            64, as many as are independent of each other's results in the oracle and fit into
            memory; 1 trains one by one.
        oracle: another oracle, such as KerasTuner's; then `objective`, `max_trials` and the
            arguments of an oracle are its own.
        **kwargs: KerasTuner's arguments (`executions_per_trial`, `directory`, `project_name`,
            `overwrite`, …), and those of an oracle (`max_retries_per_trial`, `hyperparameters`, …).

    Raises:
        SearchError: on contradictory arguments.
    """

    hypermodel: Any  # of KerasTuner
    memory: int | None = None
    """The bytes that a population may use; None for half of what is free."""

    def __init__(
        self,
        hypermodel: Searched | None = None,
        objective: Objectives = "val_loss",
        max_trials: int = 20,
        *,
        activations: Activations = None,
        choice: str = "act",
        seed: int = 0,
        population: int | str = "auto",
        oracle: keras_tuner.Oracle | None = None,
        **kwargs: Any,
    ):
        device.check_backend()
        _check_integer("max_trials", max_trials, 1)
        _check_integer("seed", seed, 0)
        check_population(population)
        searched = _hypermodel(hypermodel, activations, choice)
        self.seed = seed
        self.population = population
        self.choice = choice
        # of trials that an interrupt ended
        self.partial_scores: dict[str, PartialScore] = {}
        self._trained: dict[str, list[keras.callbacks.History]] = {}  # in populations
        self._trials_at_once = 1  # that the time goes to
        self._announced: set[str] = set()
        self._inputs: Data = None  # of the training
        self._executions = itertools.count()
        self._garbage = Garbage()
        self.execution = 0  # of the trials, that trains now
        self._writing = ""  # the trial whose checkpoint is not whole yet
        self.interrupts = Interrupts()
        options = {key: kwargs.pop(key) for key in _ORACLE_OPTIONS if key in kwargs}
        if oracle is None:
            example = _example_for(objective, searched, seed, kwargs)
            goal = checked_objectives(objective, example)
            oracle = ActivationOracle(goal, max_trials, seed=seed, choice=choice, **options)
        else:
            check_direction(oracle, _example_for(oracle.objective, searched, seed, kwargs))
        _clear(kwargs)
        # before its files are read: what changes later is seen
        self._state_read = _state_of(_project_of(kwargs))
        keep_whole(oracle)
        _check_files(kwargs)
        # KerasTuner builds the model several times to find the hyperparameters
        with isolated_seed(derive(seed, Stream.BUILDS)):
            super().__init__(oracle, hypermodel=searched, **kwargs)

    def save(self) -> None:
        """Keep the search in its folder, each file in one step."""
        path = tuner_file(self)
        if is_remote(path) or has_chief_oracle():
            super().save()
            return
        self.oracle.save()
        save_state(Path(path), self.get_state())

    def reload(self) -> None:
        """Go on from what an earlier process kept.

        Raises:
            SearchError: naming the file that is missing or damaged.
        """
        path = tuner_file(self)
        if is_remote(path) or has_chief_oracle():
            with folders_as_written():
                super().reload()
            return
        state = read_kept(Path(path))
        self.oracle.reload()
        self.set_state(state)

    def on_search_begin(self) -> None:
        """Say what trains."""
        # a worker of a distributed search has a client of the chief's oracle, which does not tell it
        if not getattr(self.oracle, "verbose", True):
            return
        print(f"Training on {device.describe()}")
        searched = getattr(self.hypermodel, "model", None)
        if isinstance(self.hypermodel, ActivationHyperModel) and isinstance(searched, keras.Model):
            for sentence in left_alone(searched):
                print(sentence)

    def _populate_initial_space(self) -> None:
        # KerasTuner builds a model for each activation, to find its parameters; one shows that it
        # can be built
        hypermodel = self.hypermodel
        if isinstance(hypermodel, ActivationHyperModel) and isinstance(
            hypermodel.model, keras.Model
        ):
            hypermodel.build(self.oracle.get_space())
            self.hypermodel = _Space(hypermodel)
        try:
            super()._populate_initial_space()
        finally:
            self.hypermodel = hypermodel

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Search; the arguments are those of `keras.Model.fit`.

        Raises:
            SearchError: on arguments that make no sense, or if another process searches in the
                project.
            DataError: if the inputs are dates, or complex where the models take real numbers.
        """
        fit = inspect.signature(keras.Model.fit).bind(None, *fit_args, **fit_kwargs).arguments
        fit.pop("self")
        check_every_epoch(fit)
        self._check_kinds(fit)
        self._check_validated(fit)
        self._inputs = fit.get("x")
        with self._alone(), self.interrupts.noted():
            self._search(fit_args, fit_kwargs, fit)

    def _check_kinds(self, fit: Mapping[str, Any]) -> None:
        """Check that inputs are such as the models take."""
        data = (fit.get("x"), fit.get("validation_data"))
        check_kinds(None, *data)
        if are_complex(*data):
            # built for this only: most data are not
            check_kinds(_example(self.hypermodel, self.seed), *data)

    def _check_validated(self, fit: Mapping[str, Any]) -> None:
        """Check that there are data to validate with, if trials rank by what these say.

        Raises:
            SearchError: if there are none, and nothing of the user's may log it.
        """
        if fit.get("validation_data") is not None or fit.get("validation_split"):
            return
        of_user = type(self.hypermodel).fit is not keras_tuner.HyperModel.fit
        of_user = of_user or type(self).run_trial is not ActivationTuner.run_trial
        goal = self.oracle.objective
        needed = []
        for one in getattr(goal, "objectives", [goal]):
            if getattr(one, "name", "").startswith("val_"):
                needed.append(one.name)
        if of_user or fit.get("callbacks") or not needed:
            return
        example = _example(self.hypermodel, self.seed)
        if not isinstance(example, keras.Model) or own_methods(example):
            return
        raise SearchError(
            f"The objective {needed[0]!r} needs validation_data or a validation_split. Received: neither"
        )

    def _alone(self) -> contextlib.AbstractContextManager[None, bool | None]:
        """No other process searches in the project meanwhile.

        Raises:
            SearchError: if one does.
        """
        return self._held()

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        # the processes of a distributed search share a project, and a chief gives out the trials
        if is_remote(self.directory) or has_chief_oracle():
            yield
            return
        project = Path(self.project_dir)
        with locked(project):
            if _state_of(project) != self._state_read:
                # another process has searched since this one read the files
                self.reload()
            try:
                yield
            finally:
                self._state_read = _state_of(project)

    def _search(
        self, fit_args: tuple[Any, ...], fit_kwargs: dict[str, Any], fit: dict[str, Any]
    ) -> None:
        self._settle()
        # without its file, KerasTuner would begin again and forget the trials in flight
        self.save()
        reason = self._why_not_together(fit)
        if self.population == 1 or reason:
            self._announce(reason)
            super().search(*fit_args, **fit_kwargs)
            return
        if "verbose" in fit:
            self.oracle.verbose = fit["verbose"]
        self.on_search_begin()
        most = _AT_ONCE
        if self.population != "auto":
            most = int(self.population)
        settings = KeptSettings(self, fit)
        trials = self._next_trials(most)
        while trials:
            self._train(trials, fit, settings)
            trials = self._next_trials(most)
        if not is_remote(self.project_dir):
            # of trials that were to train beside others than they did
            forget(Path(self.project_dir))
        self.on_search_end()

    def _settle(self) -> None:
        """Go on after a search of this process that ended early as another process would."""
        # trained with what that search was given
        self._trained.clear()
        # what is in flight in a distributed search is the chief's
        if is_remote(self.directory) or has_chief_oracle():
            return
        in_flight = list(self.oracle.ongoing_trials.values())
        if not in_flight:
            return
        for trial in in_flight:
            end_if_trained(self.oracle, trial)
        self.save()
        self.reload()

    def _next_trials(self, most: int) -> list[Trial]:
        with saved_once(self.oracle):
            return next_trials(self, most)

    def _train(self, trials: list[Trial], fit: dict[str, Any], settings: KeptSettings) -> None:
        """Train trials, in populations where that is possible, and end each."""
        self._garbage.collect()
        runner = PopulationRunner(self, fit, settings, self.memory)
        groups: list[tuple[list[TrialMember], dict[str, Any]]] = []
        if len(trials) > 1:
            groups = runner.groups(trials)
        alone = {trial.trial_id: trial for trial in trials}
        for members, options in groups:
            group = [alone.pop(member.trial.trial_id) for member in members]
            for trial in group:
                self.on_trial_begin(trial)
            self._trained = runner.train(members, options)
            self._trials_at_once = max(1, len(self._trained))
            with saved_once(self.oracle):
                self._end(group, fit, begun=True)
            runner.forget_kept()
            self._trials_at_once = 1
        for reason in runner.reasons:
            self._announce(reason)
        self._end(list(alone.values()), fit, begun=False)

    def _end(self, trials: list[Trial], fit: dict[str, Any], *, begun: bool) -> None:
        """End trials: those that did not train in a population train now."""
        for trial in trials:
            if not begun:
                self.on_trial_begin(trial)
            self._try_run_and_update_trial(trial, **fit)
            self.on_trial_end(trial)

    def _why_not_together(self, fit: dict[str, Any]) -> str:
        """Why no trial of this search can train in a population; empty if it may."""
        kind = type(self)
        if self.population == 1:
            return ""
        if self.distribution_strategy is not None or has_chief_oracle():
            return "a search is distributed"
        if type(self.hypermodel).fit is not keras_tuner.HyperModel.fit:
            return f"{type(self.hypermodel).__name__} has a fit of its own"
        for name, base in _STEPS.items():
            if getattr(kind, name) is not getattr(base or ActivationTuner, name):
                return f"{kind.__name__}.{name} is its own"
        objective = self.oracle.objective
        is_one = isinstance(objective, keras_tuner.Objective) and not hasattr(
            objective, "objectives"
        )
        if not is_one:
            return "there are several objectives, or none"
        try:
            check_callbacks(keras.tree.flatten(fit.get("callbacks") or []))
        except ModelError as error:
            return str(error)
        return ""

    def _announce(self, reason: str) -> None:
        """Say once why trials train one by one."""
        if reason and reason not in self._announced:
            self._announced.add(reason)
            self.say(f"Training one by one: {reason}")

    def on_known_epochs(
        self, trial: Trial, execution: int, history: Mapping[str, list[float]]
    ) -> None:
        """Hear all that an execution of a trial has logged, by an earlier process too."""

    def say(self, text: str) -> None:
        """Say what the user should know; to the log, unless a subclass knows better."""
        _log.warning(text)

    def fit_options(self, trial: Trial, fit: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `fit` for a trial: Hyperband says how many epochs."""
        values = trial.hyperparameters.values
        if "tuner/epochs" not in values:
            return dict(fit)
        first = values["tuner/initial_epoch"]
        reason = self._why_not_on(trial.hyperparameters)
        if reason:
            # all of its epochs: else it would be compared with those that have more
            first = 0
            text = f"Trial {trial.trial_id} trains from its beginning, not from epoch "
            text += f"{values['tuner/initial_epoch']} of an earlier trial: {reason}"
            if text not in self._announced:
                self._announced.add(text)
                self.say(text)
        return {**fit, "epochs": values["tuner/epochs"], "initial_epoch": first}

    def _why_not_on(self, hp: keras_tuner.HyperParameters) -> str:
        """Why a trial cannot go on from the weights of an earlier one; empty if it can or need not."""
        earlier = hp.values.get(_EARLIER)
        if earlier is None:
            return ""
        try:
            check_checkpoint(self.oracle, earlier)
        except SearchError as error:
            return reason_of(error)
        return ""

    def factor(self, trial: Trial) -> float:
        """Return by what the learning rate of a trial's model is multiplied."""
        if isinstance(self.hypermodel, ActivationHyperModel):
            return self.hypermodel.factor(trial.hyperparameters)
        return 1.0

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        """Train the trial's candidate `executions_per_trial` times and return the histories."""
        if trial.trial_id in self._trained:
            return [self._checked(history) for history in self._trained.pop(trial.trial_id)]
        self._executions = itertools.count()
        kwargs = self.fit_options(trial, kwargs)
        # one object will do, as in `fit`
        given = keras.tree.flatten(kwargs.pop("callbacks", None) or [])
        callbacks = [*given, StopDiverged(self.watched)]
        path = checkpoint_file(self, trial.trial_id)
        if not is_remote(path):
            callbacks.append(RoomForCheckpoint(path))
        with self._checkpoint_of(trial):
            return super().run_trial(trial, *args, callbacks=callbacks, **kwargs)

    @contextlib.contextmanager
    def _checkpoint_of(self, trial: Trial) -> Iterator[None]:
        """Have a trial's checkpoint written under another name until the trial is over."""
        path = checkpoint_file(self, trial.trial_id)
        if is_remote(path):
            yield
            return
        self._writing = trial.trial_id
        try:
            yield
            partial_path = Path(checkpoint_file(self, trial.trial_id))
            # a hypermodel with a loop of its own may write none
            if partial_path.is_file():
                put_in_place(partial_path, Path(path))
        finally:
            Path(checkpoint_file(self, trial.trial_id)).unlink(missing_ok=True)
            self._writing = ""

    def _get_checkpoint_fname(self, trial_id: str) -> str:
        path = str(super()._get_checkpoint_fname(trial_id))
        if trial_id == self._writing:
            # Keras asks for this ending
            return f"{path.removesuffix(_WEIGHTS)}.partial{_WEIGHTS}"
        return path

    def _try_run_and_update_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> None:
        # as in KerasTuner, but its traceback goes into the trial's message only, not onto the
        # screen
        if trial.trial_id not in self._trained:
            # one that came while the trial before trained, which went on to its end
            self.interrupts.raise_if_lost()
        try:
            with telling_full_disk(self.project_dir), self.interrupts.not_an_error():
                self._run_and_update_trial(trial, *args, **kwargs)
            trial.status = TrialStatus.COMPLETED
        except keras_tuner.errors.FatalError:
            raise
        except DiskFullError:
            raise  # the next trial would fail as this one
        except keras_tuner.errors.FailedTrialError as error:
            trial.status = TrialStatus.FAILED
            trial.message = str(error)
        except Exception as error:
            trial.status = TrialStatus.INVALID
            trial.message = f"{first_line(error)}\n{traceback.format_exc()}"

    def _build_and_fit_model(self, trial: Trial, *args: Any, **kwargs: Any) -> Any:
        self._garbage.collect()
        execution = next(self._executions)
        self.execution = execution
        # KerasTuner has copied them, and given TensorBoard a folder for each trial
        copies = keras.tree.flatten(kwargs.get("callbacks") or [])
        own = [one for one in copies if not isinstance(one, keras.callbacks.TensorBoard)]
        give_own_files(own, f"trial{trial.trial_id}-execution{execution}")
        kwargs["callbacks"] = scaled_callbacks(copies, self.factor(trial))
        if args:
            # as a keyword, `x` is one of the data that are copied
            kwargs["x"] = args[0]
        own_kwargs = own_data(kwargs)
        own_args = args
        if args:
            own_args = (own_kwargs.pop("x"), *args[1:])
        with isolated_seed(derive(self.seed, Stream.EXECUTIONS, execution)), steps_forgotten():
            history = super()._build_and_fit_model(trial, *own_args, **own_kwargs)
        if args:
            own_kwargs["x"] = own_args[0]
        free_copies(own_kwargs, kwargs)
        return self._checked(history)

    def _checked(self, history: Any) -> Any:
        # a hypermodel with a fit of its own may return something else
        logs = getattr(history, "history", None)
        kept: dict[str, list[float]] = {}
        if isinstance(logs, dict):
            # KerasTuner keeps numbers only
            for name, values in numbers(logs, axes=1).items():
                kept[name] = list(map(float, values))
            history.history = kept
        # an infinite score would be the best one, or one without a checkpoint
        for name in self.watched:
            for epoch, value in enumerate(kept.get(name, []), start=1):
                if not np.isfinite(value):
                    raise keras_tuner.errors.FailedTrialError(
                        f"{DIVERGED}: {name} is {value} after epoch {epoch}"
                    )
        return history

    @property
    def watched(self) -> tuple[str, ...]:
        """What must stay finite."""
        return ("loss", self.oracle.objective.name)

    def load_model(self, trial: Trial) -> keras.Model:
        """Return the trial's model with the weights of its best epoch.

        Raises:
            SearchError: if its checkpoint is missing or damaged.
        """
        check_checkpoint(self.oracle, trial.trial_id)
        with isolated_seed(derive(self.seed, Stream.BUILDS)):
            return super().load_model(trial)

    def _build_hypermodel(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        with first_metric_names():
            model = super()._build_hypermodel(hp)
        if _EARLIER in hp.values and not self._why_not_on(hp):
            # Hyperband goes on from the best weights of an earlier trial
            model = self._built(model)
            _load_weights(model, checkpoint_file(self, hp.values[_EARLIER]))
        return model

    def _built(self, model: keras.Model) -> keras.Model:
        """A model with its weights, which a subclassed one has after its first call only."""
        if self._inputs is None:
            return model
        return built(model, self._inputs)

    def fresh_model(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the model of a trial as it is before it trains.

        Raises:
            keras_tuner.errors.FatalTypeError: if it is no Keras model.
            keras_tuner.errors.FailedTrialError: if it has too many parameters.
        """
        return self._try_build(hp)

    def _try_build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        # KerasTuner's own begins with clear_session(), which forgets the user's dtype policy and
        # seed as well, and with gc.collect(), which takes half a second once there are a few
        # programs
        model = self._build_hypermodel(hp)
        if not isinstance(model, keras.Model):
            raise keras_tuner.errors.FatalTypeError(
                f"build must return a Keras model. Received: {model!r}"
            )
        if self.max_model_size and model.count_params() > self.max_model_size:
            raise keras_tuner.errors.FailedTrialError(
                f"The model must have at most {self.max_model_size} parameters. "
                f"Received: {model.count_params()}"
            )
        # without weights there are none that can be loaded
        model = self._built(model)
        self._garbage.add(model)
        optimizer = getattr(model, "optimizer", None)
        if model.built and optimizer is not None:
            # a checkpoint holds the optimizer's variables too, and Keras warns if they have no
            # place to go
            optimizer.build(model.trainable_variables)
        return model


# steps of KerasTuner that a population goes around
_STEPS = {
    "run_trial": None,
    "_build_and_fit_model": None,
    "_run_and_update_trial": keras_tuner.Tuner,
    "on_batch_begin": keras_tuner.Tuner,
    "on_batch_end": keras_tuner.Tuner,
    "save_model": keras_tuner.Tuner,
}
_ORACLE_OPTIONS = (
    "hyperparameters",
    "tune_new_entries",
    "allow_new_entries",
    "max_retries_per_trial",
    "max_consecutive_failed_trials",
)


def _check_files(kwargs: Mapping[str, Any]) -> None:
    """Have KerasTuner find a search that is kept, also where the file is gone that it looks for."""
    if is_remote(_directory(kwargs)) or has_chief_oracle():
        return
    project = _project_of(kwargs)
    check_directory(Path(_directory(kwargs)), project)
    tuner_id = os.environ.get("KERASTUNER_TUNER_ID", "tuner0")
    check_tuner_file(project / f"{tuner_id}.json", project / "oracle.json")


def _clear(kwargs: dict[str, Any]) -> None:
    """Do what `overwrite` asks for: KerasTuner's own would delete whatever folder is there."""
    name = kwargs.get("project_name")
    if name is not None:
        check_project_name(name, nested=True)
    overwrite = kwargs.pop("overwrite", False)
    check_flag("overwrite", overwrite)
    # a worker would delete what the others of its search have trained by then: the chief clears
    if not overwrite or is_worker():
        return
    directory = _directory(kwargs)
    if is_remote(directory):
        raise SearchError(
            f"overwrite=True deletes files on local disks only. Received: directory={directory!r}"
        )
    project = _project_of(kwargs)
    # before the lock, whose file must not come into a folder that is no search's
    check_clearable(project, Path(directory))
    with locked(project):
        clear_project(project, Path(directory))


def _directory(kwargs: Mapping[str, Any]) -> str:
    return str(kwargs.get("directory") or ".")


def _project_of(kwargs: Mapping[str, Any]) -> Path:
    return Path(_directory(kwargs)) / (kwargs.get("project_name") or _NO_NAME)


def _state_of(project: Path) -> bytes | None:
    """What KerasTuner last wrote of a search; None if there is nothing yet."""
    try:
        return (project / "oracle.json").read_bytes()
    except OSError:
        return None


def _check_integer(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SearchError(f"{name} must be an integer >= {least}. Received: {name}={shown(value)}")


def _hypermodel(
    hypermodel: Searched | None, activations: Activations, choice: str
) -> Searched | None:
    if isinstance(hypermodel, keras.Model) or _takes_activation(hypermodel):
        return ActivationHyperModel(hypermodel, activations, choice=choice)
    if activations is not None:
        raise SearchError(
            "activations goes with a model or a function build(hp, activation); "
            "anything else holds its own. "
            f"Received: activations={activations!r} with {hypermodel!r}"
        )
    return hypermodel


def _takes_activation(hypermodel: Searched | None) -> bool:
    """Whether it is a function ``build(hp, activation)``."""
    if isinstance(hypermodel, keras_tuner.HyperModel) or not callable(hypermodel):
        return False
    return takes_activation(hypermodel)


def _example_for(
    objective: Objectives, searched: Searched | None, seed: int, options: Mapping[str, Any]
) -> keras.Model | None:
    """A model as the search trains them, if an objective needs one to say what is better."""
    if not needs_model(objective):
        return None
    example = _example(searched, seed)
    if example is None or options.get("metrics") is None:
        return example
    # KerasTuner compiles each trial with these instead of the model's own
    loss = options.get("loss") or example.loss
    if isinstance(searched, ActivationHyperModel) and example is searched.model:
        # the user's own model stays as it was compiled: all trials are compiled like it
        with isolated_seed(derive(seed, Stream.BUILDS)):
            example = keras.models.clone_model(example)
    example.compile(loss=loss, metrics=options["metrics"])
    return example


def _example(hypermodel: Searched | None, seed: int) -> keras.Model | None:
    """A model as the search trains them; None if it cannot be built, which KerasTuner tells of."""
    if isinstance(hypermodel, ActivationHyperModel) and isinstance(hypermodel.model, keras.Model):
        return hypermodel.model
    build: Any = getattr(hypermodel, "build", hypermodel)
    try:
        with isolated_seed(derive(seed, Stream.BUILDS)), first_metric_names():
            return build(keras_tuner.HyperParameters())
    except Exception:
        return None


def _load_weights(model: keras.Model, path: str) -> None:
    """Load a checkpoint's weights; the optimizer starts afresh."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        model.load_weights(path)
    # a hypermodel with a loop of its own may compile nothing
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.built:
        # then its state was loaded
        model.compile(**compile_arguments(model))


class _Space(keras_tuner.HyperModel):
    """Declares what a hypermodel searches, and builds nothing."""

    def __init__(self, whole: ActivationHyperModel):
        super().__init__()
        self._whole = whole
        self.declare_hyperparameters = whole.declare_hyperparameters

    def build(self, hp: keras_tuner.HyperParameters) -> None:
        """Declare the activation and the learning rate."""
        self._whole.candidate(hp)
        self._whole.factor(hp)


class StopDiverged(keras.callbacks.Callback):
    """Ends the training when the loss or the objective is not finite: no later epoch can help."""

    def __init__(self, watched: tuple[str, ...]):
        super().__init__()
        self._watched = watched

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """End it, if something is not finite."""
        values = logs or {}
        if not all(np.isfinite(values.get(name, 0.0)) for name in self._watched):
            self.model.stop_training = True
