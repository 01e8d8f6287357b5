"""An export computes what `predict` does.

Never in training mode, within the noise of the model itself.
"""

import importlib
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.errors import DataError, ExportError
from keras_acts.search import export, load
from keras_acts.search.exporting import agreement, savedmodel, verify
from keras_acts.search.exporting.names import by_export_names, given_names, input_specs
from keras_acts.search.exporting.precision import in_float32
from keras_acts.search.exporting.samples import named
from keras_acts.search.rewrite.first_inputs import few
from tests.helpers.models import mlp

IMAGES = np.random.default_rng(0).uniform(0, 255, size=(6, 9, 9, 3)).astype("float32")
ROWS = np.linspace(-3, 3, 20, dtype="float32").reshape(5, 4)


def normalized(*first):
    """A model whose BatchNormalization has seen other data than `IMAGES`."""
    layers = keras.layers
    norm = layers.BatchNormalization()
    rest = [layers.Conv2D(4, 3), norm, layers.Flatten(), layers.Dense(3, name="y")]
    model = keras.Sequential([keras.Input((9, 9, 3), name="image"), *first, *rest])
    norm.moving_mean.assign([20.0, -30.0, 10.0, 0.0])
    norm.moving_variance.assign([900.0, 400.0, 2500.0, 100.0])
    return model


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.Resizing(6, 6),
        pytest.param(lambda: keras.layers.CenterCrop(6, 6), marks=pytest.mark.slow),
        pytest.param(lambda: keras.layers.RandomFlip(seed=1), marks=pytest.mark.slow),
        pytest.param(lambda: keras.layers.RandomContrast(0.5, seed=1), marks=pytest.mark.slow),
        lambda: keras.layers.RandomRotation(0.2, seed=1),
    ],
)
def test_a_graph_is_not_in_training_mode(tmp_path, make):
    model = normalized(make())
    savedmodel.write(model, tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    expected = model.predict(IMAGES, verbose=0)
    for found in (loaded.serve(IMAGES), loaded.signatures["serving_default"](image=IMAGES)["y"]):
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)
    assert np.abs(model(IMAGES, training=True) - expected).max() > 0.05  # or nothing would be seen


def test_a_whole_export_is_not_in_training_mode_either(tmp_path):
    model = normalized(keras.layers.RandomFlip(seed=1), keras.layers.Resizing(6, 6))
    exported = export(
        model, tmp_path / "model", samples=IMAGES, preprocessing=keras.layers.CenterCrop(9, 9)
    )
    assert exported.difference <= 1e-6
    found = load(exported.path).predict(IMAGES)["y"]
    np.testing.assert_allclose(found, model.predict(IMAGES, verbose=0), atol=1e-4, rtol=1e-5)
    assert exported.card["verification"]["limits"]["SavedModel"] >= 1e-6


class Training(keras.Model):
    def call(self, x, training=True):
        return x * 2 if training else x


class Untold(keras.Model):
    def call(self, x):
        return x * 3


class Chooses(keras.Model):
    """What it predicts is not what it computes: an export is what it computes."""

    def call(self, x):
        return x * 4

    def predict_step(self, data):
        return keras.ops.argmax(self(data), axis=-1)


def test_subclassed_models_predict_as_keras_does():
    for model in (Training(), Untold()):
        model(ROWS)
        expected = model.predict(ROWS, verbose=0)
        np.testing.assert_array_equal(savedmodel.infer(model, ROWS), expected)
        (found,) = savedmodel.predict(model, {"input": ROWS}, None).values()
        np.testing.assert_array_equal(found, expected)
    model = Chooses()
    model(ROWS)
    for size in (None, 2):
        (found,) = savedmodel.predict(model, {"input": ROWS}, None, batch_size=size).values()
        np.testing.assert_array_equal(found, ROWS * 4)


@pytest.mark.once
def test_a_limit_follows_from_the_models_own_noise():
    def never():
        raise AssertionError("not needed")

    agreed = agreement.judge({"SavedModel": 9e-7, "litert": 9e-6}, never)
    assert (agreed.limits, agreed.noise) == ({"SavedModel": 1e-6, "litert": 1e-5}, None)
    agreed = agreement.judge({"SavedModel": 1.6e-5, "litert": 5e-6}, lambda: 8e-6)
    assert agreed.limits == {"SavedModel": pytest.approx(3.2e-5), "litert": pytest.approx(3.2e-5)}
    assert agreed.noise == 8e-6
    for difference, noise in (
        (1.6e-5, 1e-6),
        (2e-4, 1.0),
        (2e-6, np.inf),
        (np.nan, 1e-5),
        (2e-6, np.nan),
    ):
        with pytest.raises(
            ExportError, match=r"agree with the model to .*SavedModel.*own predictions differ by"
        ):
            agreement.judge({"SavedModel": difference}, lambda noise=noise: noise)


def test_noise_is_between_batch_sizes():
    def noise(function):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Lambda(function)(inputs))
        x = {"input": ROWS}
        return agreement.noise(model, x, savedmodel.predict(model, x, ["output"]))

    assert noise(lambda x: x + 1) == 0
    assert noise(lambda x: x - keras.ops.mean(x, axis=0)) > 0.5
    assert noise(lambda x: keras.ops.sum(x)) == np.inf


class Numbers(keras.utils.PyDataset):
    def __getitem__(self, index):
        return ROWS[:2] + index, np.zeros(2)

    def __len__(self):
        return 3


def test_samples_come_from_data_of_any_type():
    pandas = pytest.importorskip("pandas")
    dataset = tf.data.Dataset.from_tensor_slices(({"a": ROWS, "b": ROWS[:, 0]}, np.zeros(5)))
    for batched in (dataset.batch(2), dataset.batch(2).repeat()):
        found = few(batched)
        assert found["a"].shape == (min(256, len(found["a"])), 4)
        np.testing.assert_array_equal(found["a"][:5], ROWS)
        np.testing.assert_array_equal(found["b"][:5], ROWS[:, 0])
    lengths = tf.data.Dataset.from_generator(
        lambda: (np.zeros((2, n)) for n in (3, 4)), output_signature=tf.TensorSpec((2, None))
    )
    assert few(lengths).shape == (2, 3)
    for given in (ROWS, tf.constant(ROWS), pandas.DataFrame(ROWS)):
        np.testing.assert_array_equal(few(given), ROWS)
    assert len(few(np.zeros((1000, 2)))) == 256
    np.testing.assert_array_equal(few(Numbers(workers=1)), ROWS[:2])
    assert few([ROWS, ROWS[:3]])[1].shape == (3, 4)
    for words in (
        np.array([["a"], ["bär"]], object),
        tf.constant([["a"], ["bär"]]),
        np.array([["a"], ["bär"]]),
    ):
        assert few(words).tolist() == [["a"], ["bär"]]
    for nothing in (
        iter([ROWS]),
        (ROWS for _ in range(2)),
        np.array([{}, {}]),
        object(),
        None,
        {},
        "words",
    ):
        assert few(nothing) is None


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_in_float32_it_is_the_same_model(policy):
    words = np.array([["ant"], ["bee"], ["ant"], ["cow"]])
    lookup, scale = keras.layers.StringLookup(), keras.layers.Normalization(dtype=policy)
    lookup.adapt(words)
    table = keras.layers.Embedding(4, 2, dtype=policy)
    scale.adapt(np.arange(8.0).reshape(4, 1, 2))
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup, table, scale])
    copy = in_float32(model)
    assert [layer.compute_dtype for layer in copy.layers] == [
        lookup.compute_dtype,
        "float32",
        "float32",
    ]
    found, expected = (np.asarray(m(tf.constant(words)), "float32") for m in (copy, model))
    assert len(np.unique(found[:, 0, 0])) == 3
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert in_float32(keras.Sequential([keras.Input((1,), dtype="string"), lookup])).layers == [
        lookup
    ]


def test_one_value_a_sample_is_a_row():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    assert named(model, ROWS[:, 0])["input"].shape == (5, 1)


def test_random_samples_are_words_that_lookups_know():
    inputs = keras.Input((1,), dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=["ant", "bee"], num_oov_indices=0)
    model = keras.Model(inputs, keras.layers.Embedding(2, 3)(lookup(inputs)))
    x = named(model, None)
    assert set(x["input"].ravel()) == {"ant", "bee"}
    assert savedmodel.predict(model, x, ["y"])["y"].shape == (32, 1, 3)


def test_where_random_samples_will_not_do_it_says_so(tmp_path):
    inputs = keras.Input((1,), dtype="int64")
    lookup = keras.layers.IntegerLookup(vocabulary=[10, 20], num_oov_indices=0)
    model = keras.Model(inputs, keras.layers.Embedding(2, 3)(lookup(inputs)))
    with pytest.raises(ExportError, match=r"must predict random samples; give samples=.*Received"):
        export(model, tmp_path / "model")
    assert os.listdir(tmp_path) == []


def odd_names():
    inputs = [keras.Input((1,), name=name) for name in ("0", "in", "年龄", "_x", "a b")]
    return keras.Model(inputs, keras.layers.Add(name="sum")(inputs))


def test_any_name_of_an_input_becomes_one_that_graphs_can_have():
    model = odd_names()
    names = {"input_0": "0", "input_in": "in", "input_2": "年龄", "input_x": "_x", "a_b": "a b"}
    assert given_names(model) == names
    given = {own: index for index, own in enumerate(names.values())}
    assert list(by_export_names(given, names)) == list(names)
    assert by_export_names({"0": 1}, names) is None
    inputs = {name: keras.Input((1,), name=name) for name in ("input_0", "0")}
    same = keras.Model(inputs, keras.layers.Add()(list(inputs.values())))
    assert len(input_specs(same)) == 2


@pytest.mark.slow
def test_odd_names_export_and_both_kinds_load(tmp_path):
    model = odd_names()
    x = {own: ROWS[:, :1] + number for number, own in enumerate(("0", "in", "年龄", "_x", "a b"))}
    exported = export(model, tmp_path / "model", samples=x)
    inputs = exported.card["signatures"]["serving_default"]["inputs"]
    assert (inputs["input_2"]["given"], "given" in inputs["a_b"]) == ("年龄", True)
    expected = ROWS[:, :1] * 5 + 10
    loaded = load(exported.path)
    by_export = {name: x[spec["given"]] for name, spec in inputs.items()}
    for given in (x, by_export):
        np.testing.assert_allclose(loaded.predict(given)["sum"], expected, rtol=1e-6)


def test_a_check_has_a_time_limit(tmp_path, monkeypatch, own_process):
    monkeypatch.setenv(verify.LIMIT_VARIABLE, "0.01")
    with pytest.raises(
        ExportError, match=r"must answer in time; KERAS_ACTS_EXPORT_SECONDS .* within 0\.01 seconds"
    ):
        export(mlp(), tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_one_process_checks_as_many_as_come_and_says_why_it_ended(tmp_path):
    checker = importlib.import_module("keras_acts.search.exporting.export").Checker().__enter__()
    for times in (1.0, 2.0):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Rescaling(times)])
        savedmodel.write(model, tmp_path / str(times))
        found = checker.check(
            tmp_path / str(times), tmp_path / "x.npz", {"input": ROWS}, {"output": ROWS * 2}
        )
        assert found["differences"]["SavedModel"] == pytest.approx((2 - times) * 0.5, abs=1e-6)
        with pytest.raises(ExportError, match="must load and run with TensorFlow alone"):
            checker.check(
                tmp_path / "nothing", tmp_path / "x.npz", {"input": ROWS}, {"output": ROWS}
            )
    with verify.Checker() as ended:
        verify.kill(ended._process)
        with pytest.raises(ExportError, match="no answer; it was ended"):
            ended.check(tmp_path / "1.0", tmp_path / "x.npz", {"input": ROWS}, {"output": ROWS})


@pytest.mark.once
def test_what_a_process_started_ends_with_it():
    # the inner one holds the outer one's standard output: reading it ends when both are gone
    inner = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import signal; signal.pause()'])"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen([sys.executable, "-c", inner], start_new_session=True, **pipes)
    with pytest.raises(ExportError, match=r"no answer within 0\.2 seconds"):
        verify.answer_of(process, b"", 0.2)
    assert process.returncode == -9


@pytest.mark.once
@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_limit_is_a_time(monkeypatch, seconds):
    monkeypatch.setenv(verify.LIMIT_VARIABLE, seconds)
    with pytest.raises(
        ExportError, match=f"must be a number of seconds above 0. Received: '{seconds}'"
    ):
        verify.time_limit()


def test_a_gap_is_seen_where_the_input_is_of_integers(tmp_path):
    model = keras.Sequential([keras.Input((2,), dtype="int32"), keras.layers.Rescaling(0.5)])
    loaded = load(export(model, tmp_path / "model", samples=np.arange(8).reshape(4, 2)).path)
    for given in (np.array([[1.0, np.nan]]), [[1.0, np.nan]], np.array([[1.0, np.nan]], "float16")):
        with pytest.raises(
            DataError, match=r"Every value must be there.*Received: NaN in the input .* at \[0, 1\]"
        ):
            loaded.predict(given)
    (found,) = loaded.predict([[1.0, 3.0]]).values()
    np.testing.assert_array_equal(found, [[0.5, 1.5]])


def test_the_names_of_classes_overwrite_no_output(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="label")])
    with pytest.raises(
        ExportError, match=r"no output may be called 'label'.*Received: outputs=\['label'\]"
    ):
        export(model, tmp_path / "model", class_names=["no", "yes"])
    assert os.listdir(tmp_path) == []


@keras.saving.register_keras_serializable("test_export_agrees")
class WithoutPolicy(keras.layers.Layer):
    """Its config holds no dtype policy."""

    fixed: str | None = None

    def __init__(self, name=None):
        super().__init__(name=name, dtype=self.fixed)

    def call(self, x):
        return x * 2

    def get_config(self):
        return {"name": self.name}


@keras.saving.register_keras_serializable("test_export_agrees")
class Stubborn(WithoutPolicy):
    fixed = "mixed_float16"


def test_the_users_global_policy_is_not_the_copys():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), WithoutPolicy()])
        copy = in_float32(model)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in model.layers} == {"float16"}
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    model = keras.Sequential([keras.Input((4,)), Stubborn(name="mine")])
    with pytest.raises(
        ExportError, match=r"take the dtype policy of its config.*Received: .*{'mine': 'float16'}"
    ):
        in_float32(model)


@keras.saving.register_keras_serializable("test_export_agrees")
class Offset(keras.layers.Layer):
    """Its offset is in neither its config nor its weights."""

    offset = 0.0

    def call(self, x):
        return x + self.offset


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_a_copy_without_the_models_state_is_no_export(tmp_path, policy):
    last = Offset(dtype=policy, name="y")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=policy), last])
    last.offset = 5.0
    with pytest.raises(
        ExportError, match=r"must predict in float32 what it does now.*a difference of .* 'y'"
    ):
        export(model, tmp_path / "model", samples=ROWS)
    assert os.listdir(tmp_path) == []
    whole = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=policy, name="y")])
    assert export(whole, tmp_path / "model", samples=ROWS).difference <= 1e-6


@pytest.mark.once
def test_rounding_and_overflow_of_half_precision_are_no_difference():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, dtype="mixed_float16")])
    copy = {"y": np.array([[70000.0, 100.0]], "float32"), "n": np.array([2])}
    agreement.check_copy(
        model, {"y": np.array([[np.inf, 101.5]], "float16"), "n": np.array([1])}, copy
    )
    for other in (103.0, 0.0):
        with pytest.raises(ExportError, match=r"to 0\.02 of its largest prediction"):
            agreement.check_copy(
                model, {"y": np.array([[np.inf, other]], "float16"), "n": np.array([2])}, copy
            )
    with pytest.raises(ExportError, match="a difference of nan"):
        agreement.check_copy(
            model, {"y": np.ones((1, 2), "float16")}, {"y": np.full((1, 2), np.nan, "float32")}
        )
