"""Seeds with batch orders of their own: a slot is what an ordinary `fit` under its seed makes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_acts.errors import ModelError
from keras_acts.search import with_activations
from keras_acts.search.members import Member
from keras_acts.search.population import PopulationModel
from keras_acts.search.seeding import isolated_seed
from tests.test_population import cnn, data, float64, mlp, settings  # noqa: F401  (a fixture)

SEEDS = 3, 11


def check(model, candidates, fitted, *, compiled=None, rtol=1e-8, slots=None, **options):
    """Train a population and, under their seeds, its slots one by one; 10 batches and a smaller one an epoch."""
    compiled = compiled or settings()
    fitted = {"batch_size": 8, "epochs": 3, "verbose": 0, **fitted}
    population = PopulationModel(model, candidates, SEEDS)
    population.compile(**compiled(), **options)
    history = population.fit(**fitted, shuffle="seed").history
    for p in range(len(population.members)) if slots is None else slots:
        member = population.members[p]
        with isolated_seed(member.seed):
            alone = with_activations(model, member.candidate)
            alone.compile(**compiled())
            log = alone.fit(**fitted).history
        for expected, weights in zip(alone.weights, population.model(p).weights, strict=True):
            np.testing.assert_allclose(weights, expected, rtol=rtol, atol=rtol / 100, err_msg=f"{member}")
        for name, values in log.items():
            slot = f"val_slots/{name[4:]}" if name.startswith("val_") else f"slots/{name}"
            found = np.stack(history[slot])[:, p]
            np.testing.assert_allclose(found, values, rtol=max(rtol, 1e-6), err_msg=f"{member} {slot}")
    return population


def weighted():
    return settings(metrics=["accuracy"], weighted_metrics=["accuracy", keras.metrics.F1Score(average="macro")])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_slot_is_its_ordinary_fit(float64, jit_compile):  # noqa: F811
    x, y = data(samples=84)
    fitted = {"x": x, "y": y, "class_weight": {0: 0.5, 1: 1.0, 2: 3.0}, "validation_split": 0.1}
    check(mlp(), ["prelu", "mish", "relu"], fitted, jit_compile=jit_compile, steps_per_execution=4)
