"""The end of a search: its leaders and the baseline, trained again on fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from ..population.member_callbacks import why_callbacks_alone
from ..runtime.reasons import first_line
from ..space.learning_rates import around
from ..space.rated import Rated
from ..strategy.learning_rates import RatePlan
from ..strategy.objective import Objectives
from ..strategy.progress import Progress
from ..strategy.scoring import Data
from .compare import why_not_test_data
from .decide import judged_at_rates
from .judge import judge
from .kept_seeds import Keeping
from .rate_trials import Builder, RatedModels
from .replicates import HandOver, hand_over_to_nobody
from .sequential import planned
from .verdict import Verdict
from .words import listed, named

# the models of a verdict are not kept, and there are many: nobody reads what is written of them
_WATCHING = (
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
)

# as `compare_activations` has it by default
_LOOKS = 3


def retrain_leaders(
    model: keras.Model | Callable[..., keras.Model],
    leaders: Sequence[Rated],
    builder: Builder,
    baseline: str,
    fit: Mapping[str, Any],
    objective: Objectives,
    *,
    seeds: int,
    seed: int,
    test_data: Data,
    progress: Progress,
    slots: Iterable[str] | None = None,
    rate_plan: RatePlan | None = None,
    rescale_init: bool = False,
    folder: Path | None = None,
    hand_over: HandOver = hand_over_to_nobody,
) -> Verdict | None:
    """Return the verdict on the leaders of a search.

    None if there is nothing to compare the baseline with.

    The search is not lost where the training fails: then the verdict says why there is none.

    Args:
        model: that was searched: a compiled Keras model, or a function that builds one.
        leaders: the best of the search, each at its rate there, and the baseline.
        builder: of the model of a choice at any rate.
        baseline: its name.
        fit: the arguments of `fit`. The callbacks are kept, as else the verdict would be about other
            models than the search's; but for those that only write down what they see, of which a
            line says that they are left out.
        objective: of the search.
        seeds: how many at most.
        seed: of the search.
        test_data: of the search.
        progress: shows what happens.
        slots: the names of the slots that the candidates go to; by default all hidden ones.
        rate_plan: which learning rates the search has tried. Those near the leaders' own are tried
            again, to choose one for each. None: none but the model's own.
        rescale_init: whether `builder` initializes kernels for the activation that they feed.
        folder: where seeds are kept once they are trained; None keeps nothing.
        hand_over: gets the verdict, if there is one, with the trainings that it has judged.
    """
    names = [str(leader.choice) for leader in leaders]
    if len(names) < 2 and baseline in names:
        return None
    reason = _why_no_verdict(model, names, baseline, objective, test_data)
    if reason:
        return _withheld(names, baseline, reason)
    callbacks = _of_a_retraining(fit.get("callbacks") or [])
    options = {**fit, "callbacks": callbacks or None}
    progress.begin(seeds, "seed", "verdict")
    _tell_of_callbacks(fit.get("callbacks") or [], callbacks, progress, model)
    looks = _LOOKS
    if test_data is None:
        looks = 1  # what a look has seen cannot be judged as if it had not
    one_model = None
    if isinstance(model, keras.Model):
        one_model = model
    names_of_slots = None
    if slots is not None:
        names_of_slots = tuple(slots)
    keeping = None
    if folder is not None:
        keeping = Keeping(folder, progress.say)
    models = RatedModels(
        model=one_model,
        choices=tuple(leader.choice for leader in leaders),
        builder=builder,
        slots=names_of_slots,
        rescale_init=rescale_init,
        keeping=keeping,
    )
    near = rate_plan or RatePlan()
    if near.searches:
        near = replace(near, factors=_near(leaders, near))
    try:
        return judged_at_rates(
            models,
            baseline,
            near,
            options,
            objective,
            planned(seeds, looks),
            seed=seed,
            test_data=test_data,
            progress=progress,
            announcement=f"For the verdict {named(names)} train again, on up to {seeds} fresh seeds",
            hand_over=hand_over,
        )
    except Exception as error:
        return _withheld(names, baseline, f"training again failed, {first_line(error)}")


def _near(leaders: Sequence[Rated], tried: RatePlan) -> tuple[float, ...]:
    """The rates of the leaders, those next to the best one's, and the model's own."""
    near = set(around(tried.factors, leaders[0].factor))
    if not tried.widens:
        # the user has said which there are
        near &= set(tried.factors)
    near.add(1.0)
    near.update(leader.factor for leader in leaders)
    return tuple(sorted(near))


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
        several = getattr(objective, "objectives", objective)
        metrics = listed([one.name for one in several])
        return f"it needs one metric, and the objective is {metrics}"
    return ""


def _withheld(names: Sequence[str], baseline: str, reason: str) -> Verdict:
    """A verdict of no scores that says why there are none."""
    scores: dict[str, list[float]] = {name: [] for name in (*names, baseline)}
    return judge(scores, baseline=baseline, withheld=f"no verdict: {reason}")


def _of_a_retraining(
    callbacks: Iterable[keras.callbacks.Callback],
) -> list[keras.callbacks.Callback]:
    """The callbacks that may change how a model trains: all but those that only watch it."""
    return [callback for callback in callbacks if type(callback) not in _WATCHING]


def _tell_of_callbacks(
    given: Sequence[keras.callbacks.Callback],
    kept: Sequence[keras.callbacks.Callback],
    progress: Progress,
    model: keras.Model | Callable[..., keras.Model],
) -> None:
    if isinstance(model, keras.Model):
        reason = why_callbacks_alone(kept, model)
        if reason:
            progress.say(f"The verdict trains one by one: {reason}")
    left_out = {type(callback).__name__ for callback in given if callback not in kept}
    if left_out:
        progress.say(f"The verdict is without the callbacks {', '.join(sorted(left_out))}")
