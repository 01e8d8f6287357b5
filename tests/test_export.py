"""Exports are whole or not there, and equal the model."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_acts as ka
from keras_acts.errors import ExportError
from keras_acts.search import export
from tests.models import mlp

X = np.linspace(-3, 3, 20, dtype="float32").reshape(5, 4)


@pytest.mark.parametrize("name", [name for name in ka.names() if ka.spec(name).hidden])
def test_every_activation_exports(tmp_path, name):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation=ka.get(name))])
    exported = export(model, tmp_path / "model", samples=X)
    assert exported.difference <= 1e-6
    loaded = tf.saved_model.load(str(exported.path))
    for x in (X, X[:1], np.concatenate([X, X])):  # any batch size
        np.testing.assert_allclose(loaded.serve(x), model(x), atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_exports_are_in_float32(tmp_path, policy):
    dense = keras.layers.Dense(8, activation=ka.PReLU(dtype=policy), dtype=policy)
    model = keras.Sequential([keras.Input((2, 2)), keras.layers.TimeDistributed(dense, dtype=policy)])
    x = X.reshape(5, 2, 2)
    exported = export(model, tmp_path / "model", samples=x)
    assert exported.difference <= 1e-6
    loaded = tf.saved_model.load(str(exported.path))
    graph = str(loaded.signatures["serving_default"].graph.as_graph_def())
    assert "DT_FLOAT" in graph
    assert not any(dtype in graph for dtype in ("DT_HALF", "DT_BFLOAT16", "DT_DOUBLE"))
    np.testing.assert_allclose(loaded.serve(x), keras.ops.cast(model.predict(x, verbose=0), "float32"), atol=0.02)


def test_several_inputs(tmp_path):
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, b], keras.layers.Dense(1)(keras.layers.Concatenate()([a, b])))
    assert export(model, tmp_path / "model").difference <= 1e-6


def test_what_is_there_is_only_replaced_if_it_is_a_savedmodel_and_asked_for(tmp_path):
    path = tmp_path / "a folder" / "größe"
    export(mlp(), path)
    before = (path / "saved_model.pb").read_bytes()
    with pytest.raises(ExportError, match="overwrite=True"):
        export(mlp("mish"), path)
    assert (path / "saved_model.pb").read_bytes() == before
    export(mlp("mish"), path, overwrite=True)
    assert (path / "saved_model.pb").read_bytes() != before
    (path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"files of yours.*\['notes.txt'\]"):
        export(mlp(), path, overwrite=True)
    other = tmp_path / "thesis"
    other.mkdir()
    with pytest.raises(ExportError, match="anything but a SavedModel"):
        export(mlp(), other, overwrite=True)
    assert sorted(p.name for p in path.parent.iterdir()) == ["größe"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a folder", "thesis"]


def test_a_failure_leaves_nothing_and_touches_nothing(tmp_path):
    path = tmp_path / "model"
    export(mlp(), path)
    before = sorted((p, p.stat().st_mtime_ns) for p in path.rglob("*"))

    def broken(difference):
        raise OSError("No space left on device")

    with pytest.raises(ExportError, match="No space left"):
        export(mlp(), path, overwrite=True, notes=broken)
    assert sorted((p, p.stat().st_mtime_ns) for p in path.rglob("*")) == before
    assert os.listdir(tmp_path) == ["model"]


def test_what_was_there_comes_back_if_the_last_step_fails(tmp_path, monkeypatch):
    path = tmp_path / "model"
    export(mlp(), path)
    before = (path / "saved_model.pb").read_bytes()
    rename = os.rename

    def fails(source, target):
        if str(source).endswith("export"):
            raise OSError("the network drive is gone")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(ExportError, match="network drive"):
        export(mlp("mish"), path, overwrite=True)
    assert (path / "saved_model.pb").read_bytes() == before
    assert os.listdir(tmp_path) == ["model"]


def test_an_export_that_differs_is_refused(tmp_path):
    @keras.saving.register_keras_serializable(package="test_export")
    class Moody(keras.layers.Layer):
        """Answers differently each time that it is traced."""

        traces = 0

        def call(self, x):
            Moody.traces += 1
            return x + 1e-3 * Moody.traces

    model = keras.Sequential([keras.Input((4,)), Moody()])
    with pytest.raises(ExportError, match="must agree"):
        export(model, tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_an_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="writable folder"):
        export(mlp(), tmp_path / "file" / "model")
