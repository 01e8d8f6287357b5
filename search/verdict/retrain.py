"""The end of a search: its leaders and the baseline, trained again on fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import keras_tuner

from ..population.trainers import OF_ONE_MODEL, OneByOneTrainer, trainer_for
from ..runtime.reasons import first_line
from ..runtime.seeding import isolated_seed
from ..space.assignment import Assignment
from ..space.candidate import Candidate
from ..strategy.base import SHARED_CALLBACKS
from ..strategy.progress import Progress
from .compare import decide, why_not_test_data
from .judge import judge
from .replicates import Replicates
from .sequential import planned
from .verdict import Verdict


def retrain_leaders(
    model: Any,
    builds: Mapping[Any, Callable[[], keras.Model]],
    baseline: str,
    fit: Mapping[str, Any],
    objective: Any,
    *,
    seeds: int,
    seed: int,
    test_data: Any,
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

    def without(reason: str) -> Verdict:
        scores: dict[str, list[float]] = {name: [] for name in dict.fromkeys([*names, baseline])}
        return judge(scores, baseline=baseline, withheld=f"no verdict: {reason}")

    if baseline not in names:
        return without(f"{baseline} was not trained to its end in the search")
    if reason := why_not_test_data(model, test_data):
        return without(f"the test data are fewer than the classes, {reason}")
    if type(objective) is not keras_tuner.Objective:
        return without(f"it needs one metric, and the objective is {objective!r}")
    given = fit.get("callbacks") or []
    callbacks = [
        callback for callback in given if isinstance(callback, (SHARED_CALLBACKS, *OF_ONE_MODEL))
    ]
    options = {**fit, "callbacks": callbacks or None}
    progress.begin(seeds, "seed")
    progress.say(f"Verdict: {', '.join(names)} on up to {seeds} fresh seeds")
    if single := [
        type(callback).__name__ for callback in callbacks if isinstance(callback, OF_ONE_MODEL)
    ]:
        progress.say(f"One by one: the callback {single[0]} looks at a single model")
    if left_out := sorted(
        {type(callback).__name__ for callback in given if callback not in callbacks}
    ):
        progress.say(f"Without the callbacks {', '.join(left_out)}")
    try:
        with isolated_seed(seed):
            alike = isinstance(model, keras.Model) and all(
                isinstance(c, Candidate | Assignment) for c in builds
            )
            models = list(builds.values())
            trainer: Any = OneByOneTrainer(models)
            if alike:
                trainer = trainer_for(model, list(builds), models, slots, callbacks)
        with Replicates(trainer, names, options, progress.show) as replicates:
            return decide(
                replicates,
                models,
                baseline,
                objective,
                # without test data all seeds: what a look has seen cannot be judged as if it had
                # not
                planned(seeds, 3 if test_data is not None else 1),
                seed=seed,
                test_data=test_data,
                progress=progress,
            )
    except Exception as error:
        return without(f"training again failed, {first_line(error)}")
