"""What a search makes of a real model, checked: its slots, its copies, how it trains, what is kept and exported."""

from __future__ import annotations

import contextlib
import inspect
import io
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from keras_acts.errors import KerasActsError
from keras_acts.search import (
    ActivationSpace,
    PopulationModel,
    SearchResult,
    export,
    search_activations,
    slots,
    with_activations,
)
from keras_acts.search.race.runner import why_one_by_one
from keras_acts.search.runtime.seeding import isolated_seed

from .example import Example, Structure, Way

BATCH = 16
# what changes an activation by so little is noise of the order in which numbers are added
TOLERANCE = 1e-4
TRAINED = 1e-3
EXPORTED = 1e-4
_MOST_APART = 0.05
_SEED = 3


@dataclass
class Finding:
    """What was found of one example.

    Attributes:
        example: the model.
        slots: how many hidden activations were found.
        way: how its candidates train.
        reason: why they do not train together.
        failures: what is not as it should be, by what was checked.
        checked: what was checked.
    """

    example: Example
    slots: int = 0
    way: Way | None = None
    reason: str = ""
    failures: dict[str, str] = field(default_factory=dict)
    checked: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def check(self, name: str) -> Iterator[None]:
        """Note whether what is done inside holds."""
        self.checked.append(name)
        try:
            yield
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            self.failures[name] = text[:300]

    @property
    def as_wanted(self) -> bool:
        """Whether all is as the example says."""
        return not self.failures and self.way is self.example.way


def examine(example: Example) -> Finding:
    """Return what a search makes of an example."""
    finding = Finding(example)
    with warnings.catch_warnings(), _silent():
        warnings.simplefilter("ignore")
        if example.build is None:
            _check_copies(example, finding)
        _check_search(example, finding)
        if finding.way is Way.TOGETHER:
            _check_training(example, finding)
    return finding


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _check_copies(example: Example, finding: Finding) -> None:
    """The slots that a person lists; a copy with the same activations is the same model."""
    keras.utils.set_random_seed(_SEED)
    model = example.model()
    x, _ = example.data()
    with finding.check("slots"):
        hidden = slots(model).hidden
        finding.slots = len(hidden)
        assert len(hidden) == example.hidden, f"{[slot.name for slot in hidden]}"
    with finding.check("same output"):
        current = {slot.name: slot.current for slot in slots(model).hidden}
        copy = with_activations(model, current, weights=True)
        for expected, found in zip(_outputs(model, x), _outputs(copy, x), strict=True):
            np.testing.assert_array_equal(found, expected)
    with finding.check("each slot counts"):
        for slot in slots(model).hidden:
            other = with_activations(model, {slot.name: "softplus"}, weights=True)
            pairs = zip(_outputs(model, x), _outputs(other, x), strict=True)
            assert max(np.abs(a - b).max() for a, b in pairs) > 0, slot.name


def _outputs(model: keras.Model, x: Structure) -> list[np.ndarray]:
    """What a model makes of the first samples; no random numbers."""
    few = keras.tree.map_structure(lambda values: tf.convert_to_tensor(values[:4]), x)
    return [np.asarray(y) for y in keras.tree.flatten(model(few, training=False))]


def _check_search(example: Example, finding: Finding) -> None:
    """A small search to its end, as a user calls it; what it keeps scores and exports as it says."""
    x, y = example.data()
    searched = example.build or example.model()
    validation_data: tuple[Structure, ...] = (x, y)
    if y is None:
        validation_data = (x,)
    try:
        result = search_activations(
            searched,
            x,
            y,
            validation_data=validation_data,
            activations=["relu", "tanh", "mish"],
            objective=example.objective,
            trials=3,
            epochs=2,
            batch_size=BATCH,
            learning_rates=None,
            verdict=0,
            seed=_SEED,
            verbose=0,
            **example.fit,
        )
    except KerasActsError as error:
        finding.way = Way.REFUSED
        finding.reason = str(error)
        return
    finding.way, finding.reason = _way_of(example, searched)
    with finding.check("search"):
        failed = [trial for trial in result.trials if trial.score is None]
        assert not failed, failed[0].message
        assert not result.errors, result.errors
    with finding.check("score = evaluate"):
        _check_score(example, result, x, y)
    with finding.check("export = predict"), tempfile.TemporaryDirectory() as folder:
        assert result.model is not None
        few = keras.tree.map_structure(lambda values: values[:8], x)
        exported = export(result.model, Path(folder, "model"), samples=few)
        assert exported.difference <= EXPORTED, exported.difference


def _way_of(example: Example, searched: Any) -> tuple[Way, str]:
    """How the candidates of a search train, and why not together."""
    x, y = example.data()
    reason = why_one_by_one(searched, ActivationSpace(), {"x": x, "y": y, **example.fit})
    if reason:
        return Way.ONE_BY_ONE, reason
    return Way.TOGETHER, ""


def _check_score(example: Example, result: SearchResult, x: Structure, y: Structure) -> None:
    assert result.model is not None
    scored = result.model.evaluate(x, y, batch_size=BATCH, return_dict=True, verbose=0)
    name = example.objective.removeprefix("val_")
    assert result.score is not None
    # class weights count in training only
    np.testing.assert_allclose(scored[name], result.score, rtol=example.apart, atol=TOLERANCE)
    best = result.trials[0]
    if best.seeds == 1:  # else its score is the mean over its seeds
        assert best.score == result.score


def _check_training(example: Example, finding: Finding) -> None:
    """A trained member equals an ordinary training of its model, without dropped values."""
    x, y = example.data()
    with finding.check("member = training"), _nothing_dropped():
        keras.utils.set_random_seed(_SEED)
        model = example.model()
        fit = {"batch_size": BATCH, "epochs": 2, "verbose": 0, "shuffle": False, **example.fit}
        population = PopulationModel(model, ["tanh", "mish"], seeds=[_SEED])
        with isolated_seed(_SEED):
            population.fit(x, y, **fit)
        with isolated_seed(_SEED):
            single = with_activations(model, "mish")
        with isolated_seed(_SEED):
            single.fit(x, y, **fit)
        member = population.model(1)
        _assert_same_weights(single, member)
        for expected, found in zip(_outputs(single, x), _outputs(member, x), strict=True):
            np.testing.assert_allclose(found, expected, atol=TRAINED, rtol=TRAINED)


def _assert_same_weights(single: keras.Model, member: keras.Model) -> None:
    """Nearly all weights are the same.

    A bias before a normalization has no gradient but rounding, which Adam makes steps of.
    """
    apart = 0
    count = 0
    for expected, found in zip(single.trainable_weights, member.trainable_weights, strict=True):
        close = np.isclose(found, expected, atol=TOLERANCE, rtol=TOLERANCE)
        apart += int((~close).sum())
        count += close.size
    assert apart <= _MOST_APART * count, f"{apart} of {count} weights differ"


@contextlib.contextmanager
def _nothing_dropped() -> Iterator[None]:
    """Have Dropout keep all values: members draw other random numbers than a model alone."""
    backend = inspect.getmodule(keras.random.dropout).backend  # type: ignore[union-attr]
    with mock.patch.object(backend.random, "dropout", lambda inputs, *args, **options: inputs):
        yield
