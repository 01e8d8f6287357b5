"""What an export holds: real names, preprocessing, classes, a model card.

And that it equals the model.
"""

import importlib.util
import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_acts as ka
from keras_acts.errors import ExportError, KerasActsError
from keras_acts.search import export, load
from keras_acts.search.exporting.names import input_specs, output_names
from tests.clients import make_exports
from tests.helpers.models import mlp
from tests.helpers.processes import python

X = np.linspace(-3, 3, 20, dtype="float32").reshape(5, 4)


def test_every_activation_exports(tmp_path, own_process):
    model, x, _ = make_exports.activations()
    exported = export(model, tmp_path / "a folder" / "größe", samples=x)
    assert exported.difference <= 1e-6
    loaded = tf.saved_model.load(str(exported.path))
    for given in (x, x[:1], np.concatenate([x, x])):  # any batch size
        found, expected = loaded.serve(given), model(given)
        assert found.keys() == expected.keys()
        for name in found:
            np.testing.assert_allclose(
                found[name], expected[name], atol=1e-6, rtol=1e-6, err_msg=name
            )
    assert set(loaded.signatures) == {"serve", "serving_default"}
    assert loaded.signatures["serve"](x=X[:, :1] * np.ones(6, "float32")).keys() == expected.keys()
    assert os.listdir(exported.path.parent) == ["größe"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """An export with all that it can hold."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((4,), name="petals"),
            keras.layers.Dense(6, activation=ka.TReLU(alpha=0.1, theta=0.5), name="first"),
            keras.layers.Dense(6, name="linear"),
            ka.layers.PReLU(name="second"),
            keras.layers.Dense(3, activation=ka.Softmax(), name="probabilities"),
        ],
        name="flowers",
    )
    model.layers[2].alpha.assign([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    scale = keras.layers.Normalization()
    scale.adapt(X)
    exported = export(
        model,
        tmp_path_factory.mktemp("served") / "model",
        samples=X,
        preprocessing=scale,
        class_names=["ant", "蜂", "größte Katze"],
        versioned=True,
        formats=["keras"],
        card={"license": "CC0-1.0", "metrics": {"test": {"accuracy": {"value": 0.5}}}},
    )
    return exported, model(scale(X)).numpy()


def test_raw_input_works_and_classes_have_names(served):
    exported, expected = served
    loaded = tf.saved_model.load(str(exported.path))
    np.testing.assert_allclose(loaded.serve(X), expected, atol=1e-6)
    found = loaded.signatures["classify"](petals=X)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    labels = [["ant", "蜂", "größte Katze"][i] for i in expected.argmax(axis=1)]
    assert [label.decode() for label in found["label"].numpy()] == labels
    again = keras.models.load_model(exported.path / "model.keras")
    np.testing.assert_allclose(again(X), expected, atol=1e-6)


def test_the_model_card_says_what_the_model_is(served):
    exported, _ = served
    card = json.loads((exported.path / "assets" / "model_card.json").read_text(encoding="utf-8"))
    assert card == json.loads(json.dumps(exported.card))
    slots = {entry["slot"]: entry for entry in card["activations"]}
    parameters = {"alpha": 0.1, "theta": 0.5, "mode": "threshold"}
    assert slots["first"] == {
        **{
            "slot": "first",
            "layer": "Dense",
            "role": "hidden",
            "activation": "trelu",
            "parameters": parameters,
        }
    }
    assert slots["second"]["trained"]["alpha"]["values"] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    )
    default = card["signatures"]["serving_default"]
    assert default["inputs"]["petals"]["shape"] == [None, 4]
    assert default["outputs"].keys() == {"probabilities"}
    assert card["preprocessing"] == ["Normalization"]
    assert card["verification"]["samples"] == 5
    assert card["license"] == "CC0-1.0"
    text = (exported.path / "assets" / "MODEL_CARD.md").read_text(encoding="utf-8")
    for part in (
        "# Model card: flowers",
        "alpha = 0.1; theta = 0.5",
        "alpha trained: 0.1 … 0.6",
        "ant, 蜂, größte Katze",
        "CC0",
    ):
        assert part in text


def test_load_gives_a_keras_callable_with_its_card(served):
    exported, expected = served
    model = load(exported.path.parent)  # the newest version
    assert model.card["name"] == "flowers"
    np.testing.assert_allclose(model(X), expected, atol=1e-6)
    x = keras.Input((4,))
    np.testing.assert_allclose(keras.Model(x, model(x)).predict(X, verbose=0), expected, atol=1e-6)
    found = model.predict(X, batch_size=2)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-6)
    assert found["label"].tolist() == [
        ["ant", "蜂", "größte Katze"][i] for i in expected.argmax(axis=1)
    ]
    np.testing.assert_array_equal(model.predict({"petals": X})["label"], found["label"])


def test_a_gap_is_not_predicted_unless_asked_for(served):
    exported, expected = served
    model, x = load(exported.path), X.copy()
    x[3, 1] = x[4, 0] = np.nan
    with pytest.raises(KerasActsError, match=r"NaN in the input 'petals' at \[3, 1\], and 1 more"):
        model.predict(x)
    np.testing.assert_allclose(
        model.predict(x, allow_nan=True)["probabilities"][:3], expected[:3], atol=1e-6
    )


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:, :3], r"shape \('n', 4\). Received: \(5, 3\)"),
        ({"leaves": X}, r"\['petals'\]. Received: \['leaves'\]"),
    ],
)
def test_predict_refuses_what_does_not_fit(served, x, message):
    with pytest.raises(KerasActsError, match=message):
        load(served[0].path).predict(x)


def test_names_are_those_that_the_model_gives():
    a, b = keras.Input((2,), name="a b"), keras.Input((3,))
    layers = keras.layers
    model = keras.Model(
        [a, b], [layers.Dense(1, name="class")(a), layers.Dense(1)(layers.Concatenate()([a, b]))]
    )
    assert list(input_specs(model)) == ["a_b", "input_1"]
    assert output_names(model) == ["output_class", "output_1"]
    for _ in range(2):  # Keras counts the names that it gives, exports do not
        assert output_names(mlp()) == ["output"]
        model = keras.Sequential([keras.Input((4,)), layers.PReLU()])
        assert (list(input_specs(model)), output_names(model)) == (["input"], ["output"])
    x = {name: keras.Input((1,), name=name) for name in ("right", "left")}
    model = keras.Model(x, {"sum": layers.Add()(list(x.values()))})
    assert (sorted(input_specs(model)), output_names(model)) == (["left", "right"], ["sum"])


@pytest.mark.slow
def test_several_inputs_of_a_subclassed_model(tmp_path):
    class Sum(keras.Model):
        def call(self, inputs):
            return {"sum": inputs["a"] + inputs["b"]}

    model = Sum()
    x = {"a": X[:, :1], "b": X}
    model(x)
    exported = export(model, tmp_path / "model", samples=x)
    found = tf.saved_model.load(str(exported.path)).signatures["serving_default"](**x)
    np.testing.assert_allclose(found["sum"], x["a"] + x["b"])
    assert exported.card["activations"] == []


@pytest.mark.slow
def test_exports_are_in_float32(tmp_path):
    x = X.reshape(5, 2, 2)
    inputs, outputs = keras.Input((2, 2)), {}
    for policy in ("mixed_bfloat16", "mixed_float16", "float64"):
        dense = keras.layers.Dense(8, activation=ka.PReLU(dtype=policy), dtype=policy)
        scale = keras.layers.Normalization(dtype=policy)
        scale.adapt(x)
        outputs[policy] = keras.layers.TimeDistributed(dense, dtype=policy)(scale(inputs))
    model = keras.Model(inputs, outputs)
    exported = export(model, tmp_path / "model", samples=x)
    loaded = tf.saved_model.load(str(exported.path))
    graph = str(loaded.signatures["serving_default"].graph.as_graph_def())
    assert "DT_FLOAT" in graph
    assert not any(dtype in graph for dtype in ("DT_HALF", "DT_BFLOAT16", "DT_DOUBLE"))
    found, expected = loaded.serve(x), model.predict(x, verbose=0)
    assert found.keys() == outputs.keys()
    for policy in outputs:
        np.testing.assert_allclose(
            found[policy], keras.ops.cast(expected[policy], "float32"), atol=0.02
        )


@pytest.mark.slow
def test_one_unit_without_sigmoid_has_two_classes(tmp_path):  # with sigmoid: test_cli_exports
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    exported = export(model, tmp_path / "model", class_names=["no", "yes"])
    x = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    loaded = load(exported.path)
    assert loaded.predict(x[:1] * np.nan, allow_nan=True)["label"].tolist() == [""]
    labels = loaded.predict(x)["label"]
    assert labels.tolist() == ["yes" if y > 0 else "no" for y in model.predict(x, verbose=0)[:, 0]]
    assert set(labels) == {"no", "yes"}


@pytest.mark.slow
def test_words_go_in_through_a_lookup_table(tmp_path):
    words = keras.Sequential(
        [
            keras.Input((1,), dtype="string", name="word"),
            keras.layers.StringLookup(vocabulary=["a"]),
        ]
    )
    inputs = keras.Input((1,), dtype="int64")
    model = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Embedding(2, 3)(inputs)))
    exported = export(
        model, tmp_path / "model", preprocessing=words, samples=np.array([["a"], ["b"]])
    )
    found = tf.saved_model.load(str(exported.path)).signatures["serving_default"](
        word=tf.constant([["a"], ["b"]])
    )
    np.testing.assert_allclose(found["output"], model(np.array([[1], [0]])), atol=1e-6)


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    """An export in every other format that this environment can make."""
    onnx = all(map(importlib.util.find_spec, ("tf2onnx", "onnxruntime")))
    return export(
        mlp("mish"),
        tmp_path_factory.mktemp("formats") / "model",
        samples=X,
        formats=["litert", *(["onnx"] if onnx else [])],
    )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "file"), [("litert", "model.tflite"), ("onnx", "model.onnx")])
def test_other_formats_lie_beside(formats, kind, file):
    if kind == "onnx":
        for module in ("tf2onnx", "onnxruntime"):
            pytest.importorskip(module)
    assert formats.card["verification"]["differences"][kind] <= 1e-5
    assert file in formats.card["files"]
    assert (formats.path / file).stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_models_of_other_backends_export_through_tensorflow(tmp_path, backend):
    pytest.importorskip(backend)
    code = """
import sys, keras, numpy as np, keras_acts as ka
from keras_acts.search import export
keras.utils.set_random_seed(1)
x = np.linspace(-3, 3, 20, dtype="float32").reshape(5, 4)
inputs = keras.Input((4,), name="x")
h = ka.layers.PReLU()(keras.layers.Dense(8, activation=ka.Mish())(inputs))
model = keras.Model(inputs, keras.layers.Dense(3, activation=ka.Softmax(), name="y")(ka.layers.TReLU(theta=0.3)(h)))
exported = export(model, sys.argv[1], samples=x)
print(exported.card["versions"]["backend"], exported.card["verification"]["differences"])
np.save(sys.argv[2], model.predict(x, verbose=0))
"""
    done = python(code, tmp_path / "model", tmp_path / "y.npy", KERAS_BACKEND=backend)
    assert f"{backend} " in done
    found = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](x=X)
    np.testing.assert_allclose(found["y"], np.load(tmp_path / "y.npy"), atol=1e-5)


def test_an_export_that_differs_is_refused(tmp_path):
    @keras.saving.register_keras_serializable(package="test_export")
    class Moody(keras.layers.Layer):
        """Answers differently each time that it is traced."""

        traces = 0

        def call(self, x):
            Moody.traces += 1
            return x + 1e-3 * Moody.traces

    model = keras.Sequential([keras.Input((4,)), Moody()])
    with pytest.raises(
        ExportError, match=r"agree with the model to 0.0001.*\(SavedModel; between batch sizes"
    ):
        export(model, tmp_path / "new" / "model")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_an_export_that_cannot_run_is_refused(tmp_path):
    class Fixed(keras.layers.Layer):
        def call(self, x):
            return keras.ops.reshape(x, (2, 10))  # whatever the batch size

    model = keras.Sequential([keras.Input((4,)), Fixed()])
    with pytest.raises(ExportError, match="must load and run with TensorFlow alone"):
        export(model, tmp_path / "model", samples=X)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"formats": ["pickle"]},
            r"\['keras', 'litert', 'onnx'\]\. Received: formats=\['pickle'\]",
        ),
        ({"formats": "onnx"}, "formats must be a list"),
        (
            {"class_names": ["a", "b"]},
            r"one for each unit.*2 names for outputs of shape \[\(None, 3\)\]",
        ),
        ({"class_names": ["a", "a", "b"]}, "different names"),
        ({"class_names": "abc"}, "different names"),
        (
            {"samples": X[:, :2]},
            r"samples must be what the model takes.*Received: shapes \[\(5, 2\)\]",
        ),
        ({"samples": X[:0]}, "samples must be"),
        ({"samples": 3.0}, r"samples must be.*Received: shapes \[\(\)\]"),
        ({"preprocessing": np.log}, "must be a Keras layer or model"),
        ({"preprocessing": keras.layers.Dense(7)}, "must make the model's inputs from raw ones"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ExportError, match=message):
        export(mlp(), tmp_path / "model", **options)
    assert os.listdir(tmp_path) == []


def test_a_model_that_has_diverged_is_refused(tmp_path):
    model = mlp()
    kernel = model.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(ExportError, match=r"must be finite.*kernel'.* that are NaN"):
        export(model, tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_only_built_models_and_plain_cards_are_exported(tmp_path):
    with pytest.raises(ExportError, match="built Keras model"):
        export(keras.Sequential([keras.layers.Dense(3)]), tmp_path / "model")
    with pytest.raises(ExportError, match=r"must add.*\['verification'\]"):
        export(mlp(), tmp_path / "model", card={"verification": {}})
    with pytest.raises(ExportError, match=r"plain data.*a set"):
        export(mlp(), tmp_path / "model", card={"tags": {"a"}})
    assert os.listdir(tmp_path) == []


@pytest.mark.once
def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(ExportError, match="a folder with an export"):
        load(tmp_path / "nothing")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "saved_model.pb").write_text("not read before the card")
    with pytest.raises(ExportError, match=r"without assets.model_card.json"):
        load(tmp_path / "foreign")
    card = tmp_path / "foreign" / "assets" / "model_card.json"
    card.parent.mkdir()
    for text, message in (("{", "must be readable"), ('{"format": 99}', "of format 1 or older")):
        card.write_text(text)
        with pytest.raises(ExportError, match=message):
            load(tmp_path / "foreign")
