"""The end of a search: its leaders and the baseline, trained again on fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import keras_tuner

from ..population.trainers import OF_ONE_MODEL, OneByOneTrainer, Trainer, trainer_for
from ..runtime.reasons import first_line
from ..runtime.seeding import isolated_seed
from ..space.assignment import Choice
from ..strategy.base import SHARED_CALLBACKS
from ..strategy.objective import Objectives
from ..strategy.progress import Progress
from ..strategy.scoring import Data
from .compare import decide, why_not_test_data
from .judge import judge
from .replicates import Replicates
from .sequential import planned
from .verdict import Verdict

# as `compare_activations` has it by default
_LOOKS = 3


def retrain_leaders(
    model: keras.Model | Callable[..., keras.Model],
    builds: Mapping[Choice, Callable[[], keras.Model]],
    baseline: str,
    fit: Mapping[str, Any],
    objective: Objectives,
    *,
    seeds: int,
    seed: int,
    test_data: Data,
    progress: Progress,
    slots: Iterable[str] | None = None,
) -> Verdict | None:
    """Return the verdict on the leaders of a search.

    None if there is nothing to compare the baseline with.

    The search is not lost where the training fails: then the verdict says why there is none.

    Args:
        model: that was searched: a compiled Keras model, or a function that builds one.
        builds: for each leader and the baseline what builds its model.
        baseline: its name.
        fit: the arguments of `fit`. Of the callbacks, those are kept that say how long and how fast
            a model trains, as else the verdict would be about other models than the search's:
            `EarlyStopping`, for which each model trains by itself, and those of learning rates. Of
            the others a line says that they are left out.
        objective: of the search.
        seeds: how many at most.
        seed: of the search.
        test_data: of the search.
        progress: shows what happens.
        slots: the names of the slots that the candidates go to; by default all hidden ones.
    """
    names = [str(candidate) for candidate in builds]
    if len(names) < 2 and baseline in names:
        return None
    reason = _why_no_verdict(model, names, baseline, objective, test_data)
    if reason:
        return _withheld(names, baseline, reason)
    callbacks = _of_a_retraining(fit.get("callbacks") or [])
    options = {**fit, "callbacks": callbacks or None}
    progress.begin(seeds, "seed")
    progress.say(f"Verdict: {', '.join(names)} on up to {seeds} fresh seeds")
    _tell_of_callbacks(fit.get("callbacks") or [], callbacks, progress)
    looks = _LOOKS
    if test_data is None:
        looks = 1  # what a look has seen cannot be judged as if it had not
    try:
        with isolated_seed(seed):
            trainer = _trainer(model, builds, slots, callbacks)
        with Replicates(trainer, names, options, progress.show) as replicates:
            return decide(
                replicates,
                list(builds.values()),
                baseline,
                objective,
                planned(seeds, looks),
                seed=seed,
                test_data=test_data,
                progress=progress,
            )
    except Exception as error:
        return _withheld(names, baseline, f"training again failed, {first_line(error)}")


def _why_no_verdict(
    model: keras.Model | Callable[..., keras.Model],
    names: Sequence[str],
    baseline: str,
    objective: Objectives,
    test_data: Data,
) -> str:
    """Why nothing is trained again; empty if it is."""
    if baseline not in names:
        return f"{baseline} was not trained to its end in the search"
    too_few = why_not_test_data(model, test_data)
    if too_few:
        return f"the test data are fewer than the classes, {too_few}"
    # one of several is another class, derived from this one
    if type(objective) is not keras_tuner.Objective:
        return f"it needs one metric, and the objective is {objective!r}"
    return ""


def _withheld(names: Sequence[str], baseline: str, reason: str) -> Verdict:
    """A verdict of no scores that says why there are none."""
    scores: dict[str, list[float]] = {name: [] for name in (*names, baseline)}
    return judge(scores, baseline=baseline, withheld=f"no verdict: {reason}")


def _of_a_retraining(
    callbacks: Iterable[keras.callbacks.Callback],
) -> list[keras.callbacks.Callback]:
    """The callbacks that say how long and how fast a model trains."""
    return [
        callback
        for callback in callbacks
        if isinstance(callback, (SHARED_CALLBACKS, *OF_ONE_MODEL))
    ]


def _tell_of_callbacks(
    given: Sequence[keras.callbacks.Callback],
    kept: Sequence[keras.callbacks.Callback],
    progress: Progress,
) -> None:
    for callback in kept:
        if isinstance(callback, OF_ONE_MODEL):
            kind = type(callback).__name__
            progress.say(f"One by one: the callback {kind} looks at a single model")
            break
    left_out = {type(callback).__name__ for callback in given if callback not in kept}
    if left_out:
        progress.say(f"Without the callbacks {', '.join(sorted(left_out))}")


def _trainer(
    model: keras.Model | Callable[..., keras.Model],
    builds: Mapping[Choice, Callable[[], keras.Model]],
    slots: Iterable[str] | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Trainer:
    """What trains the leaders: together if they are one model with other activations."""
    models = list(builds.values())
    if not isinstance(model, keras.Model):
        return OneByOneTrainer(models)  # a function may build each of another shape
    return trainer_for(model, list(builds), models, slots, callbacks)
