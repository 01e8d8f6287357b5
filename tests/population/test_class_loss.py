"""The cross-entropy of classes in a population's step is Keras' own."""

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the kernels are TensorFlow's"
)
CLASSES = 5


def value_and_gradient(function, y, logits, *, ends_in_softmax):
    import tensorflow as tf

    def traced(y, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            output = keras.ops.softmax(logits) if ends_in_softmax else logits
            values = function(y, output)
        return values, tape.gradient(values, logits, keras.ops.ones_like(values) * 3)

    program = tf.function(traced, autograph=False)
    return [result.numpy() for result in program(tf.constant(y), tf.constant(logits))]


def logits_of_kinds(dtype):
    """Near ones, ones that tell a class for certain, equal ones, and some that are not finite."""
    logits = np.random.default_rng(0).normal(size=(3, 16, CLASSES))
    logits[:, 4:8] *= 30
    logits[:, 8:12] = 1.5
    logits[:, 12, 0] = -np.inf
    logits[:, 13, 1] = np.nan
    logits[:, 14, 2] = np.inf
    logits[:, 15] = 1e30
    return logits.astype(dtype)


@pytest.mark.parametrize("ends_in_softmax", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_are_those_of_keras(ends_in_softmax, dtype):
    from keras_acts.search.population.losses import class_entropies

    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=not ends_in_softmax, reduction="sum", dtype=dtype
    )
    y = np.random.default_rng(1).integers(0, CLASSES, (3, 16)).astype(dtype)
    logits = logits_of_kinds(dtype)

    def ours(y, output):
        values = class_entropies(loss, y, output)
        assert values is not None
        return values

    def theirs(y, output):
        return loss.fn(y, output, from_logits=not ends_in_softmax)

    found = value_and_gradient(ours, y, logits, ends_in_softmax=ends_in_softmax)
    expected = value_and_gradient(theirs, y, logits, ends_in_softmax=ends_in_softmax)
    unit = np.finfo(dtype).eps
    # who has a loss that is not finite is frozen, whatever its gradient
    is_finite = np.isfinite(expected[0])
    assert is_finite.sum() > 30
    np.testing.assert_allclose(found[0], expected[0], rtol=4 * unit, atol=4 * unit)
    np.testing.assert_allclose(
        found[1][is_finite], expected[1][is_finite], rtol=4 * unit, atol=12 * unit
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_that_is_not_finite_is_overlooked(dtype):
    from keras_acts.search.population.losses import class_entropies

    # at each place: what a processor looks at at once and what is left over are other code
    size = 37
    logits = np.random.default_rng(0).normal(size=(2, size, size)).astype(dtype)
    logits[0][np.eye(size, dtype=bool)] = np.nan
    logits[1][np.eye(size, dtype=bool)] = np.inf
    y = np.full((2, size), 3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    values, _ = value_and_gradient(
        lambda y, output: class_entropies(loss, y, output), y, logits, ends_in_softmax=False
    )
    assert not np.isfinite(values).any()


def test_a_class_that_there_is_not_is_an_error():
    from keras_acts.search.population.losses import class_entropies

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = np.zeros((1, 2, CLASSES), "float32")
    for wrong in (-1, CLASSES):
        y = np.array([[0, wrong]])
        with pytest.raises(Exception, match=str(wrong)):
            value_and_gradient(
                lambda y, output: class_entropies(loss, y, output), y, logits, ends_in_softmax=False
            )


def test_what_has_no_logits_is_left_to_keras():
    from keras_acts.search.population.losses import class_entropies

    output = keras.ops.convert_to_tensor(np.full((1, 2, CLASSES), 0.2, "float32"))
    y = np.zeros((1, 2))
    assert class_entropies(keras.losses.SparseCategoricalCrossentropy(), y, output) is None
    assert class_entropies(keras.losses.MeanSquaredError(), y, output) is None


@pytest.mark.slow
def test_a_step_has_one_softmax():
    from keras_acts.search import PopulationModel
    from tests.helpers.models import blobs, mlp

    model = mlp()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    population = PopulationModel(model, ["relu", "tanh"])
    population.fit(*blobs(32), batch_size=16, verbose=0)
    (program,) = population.training_step._traced.values()
    kinds = [operation.type for operation in program.graph.get_operations()]
    assert kinds.count("Softmax") == 1
    assert "SparseSoftmaxCrossEntropyWithLogits" not in kinds
