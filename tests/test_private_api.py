"""Private names of Keras, TensorFlow and KerasTuner.

In two files only, and there as we expect them.
"""

import ast
import contextlib
import functools
import gc
import inspect
import weakref
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from keras_acts import compat
from keras_acts.search.tuner import kerastuner
from tests.helpers.sources import FILES, ROOT, parsed

DOORS = [ROOT / "keras_acts" / "compat.py", Path(kerastuner.__file__)]
PRIVATE_MODULES = ("keras.src", "keras_tuner.src", "tensorflow.python")
OVERRIDDEN = {
    name
    for table in (compat.OVERRIDDEN, kerastuner.OVERRIDDEN)
    for names in table.values()
    for name in names
}


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined_in(tree):
    """The names that a file of ours defines.

    Functions, classes, variables, attributes of `self`.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and is_self(node.value)
        ):
            found.add(node.attr)
    return found


def is_self(node):
    """Whether it is `self`, `cls` or `super()`."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def read_by_name(tree):
    """The private attributes that a file reads or writes, each with whether it is one of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.attr, is_self(node.value)
        if isinstance(node, ast.keyword) and is_private(node.arg or ""):
            yield node.arg, False
        called = node.func if isinstance(node, ast.Call) else None
        if (
            isinstance(called, ast.Name)
            and called.id in ("getattr", "setattr", "hasattr")
            and len(node.args) > 1
        ):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)):
                yield name.value, is_self(node.args[0])


def modules_in(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@functools.cache
def ours():
    """The names that are defined outside the doors."""
    files = (file for file in FILES if file not in DOORS)
    return frozenset().union(*(defined_in(parsed(file)) for file in files))


@functools.cache
def theirs():
    """The names that the doors read."""
    return frozenset(name for file in DOORS for name, _ in read_by_name(parsed(file)))


@pytest.mark.once
@pytest.mark.parametrize(
    "file", [f for f in FILES if f not in DOORS], ids=lambda file: str(file.relative_to(ROOT))
)
def test_no_other_file_knows_a_private_name(file):
    modules = [name for name in modules_in(parsed(file)) if name.startswith(PRIVATE_MODULES)]
    assert modules == [], "import it from keras_acts.compat or kerastuner, under a name of ours"
    for name, of_self in read_by_name(parsed(file)):
        if of_self:
            assert name in ours() | OVERRIDDEN, f"{name} is inherited: list it in OVERRIDDEN"
        else:
            assert name in ours() - theirs(), (
                f"{name} is private in another library: give it a name of ours"
            )


@pytest.mark.once
def test_the_check_sees_what_it_is_for():
    lines = [
        "layer._flatten_layers()",
        "getattr(model, '_functional')",
        "self._mine",
        "changed(optimizer, _learning_rate=0)",
        "from keras.src import x",
    ]
    tree = ast.parse("\n".join(lines))
    assert dict(read_by_name(tree)) == {
        "_flatten_layers": False,
        "_functional": False,
        "_mine": True,
        "_learning_rate": False,
    }
    assert list(modules_in(tree)) == ["keras.src"]
    assert {"_flatten_layers", "_functional"} <= theirs()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for table in (compat.OVERRIDDEN, kerastuner.OVERRIDDEN)
        for kind, names in table.items()
        for name in names
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_is_overridden_exists(kind, name):
    # Keras sets some in the constructor
    assert (
        hasattr(kind, name)
        or f"self.{name} = " in inspect.getsource(kind)
        or name in SET_ELSEWHERE[kind]
    )


SET_ELSEWHERE = {
    keras.Model: ("_compile_loss", "_compile_metrics", "_loss_tracker")
}  # by `compile`


# what is called, with the arguments that we call it with
CALLED: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    (
        compat.rnn,
        ("step", "inputs", "states"),
        {"mask": None, "unroll": False, "time_major": False},
    ),
    (compat.squeeze_or_expand_to_same_rank, ("a", "b"), {}),
    (compat.reduce_to_samplewise_values, ("values", "weight", "reduce", "dtype"), {}),
    (compat.get_input_signature, ("model",), {}),
    (compat.to_snake_case, ("Name",), {}),
    (compat.convert_to_sliceable, ("arrays",), {"target_backend": "tensorflow"}),
    (compat.train_validation_split, ("arrays",), {"validation_split": 0.2}),
    (compat.can_convert_arrays, ("arrays",), {}),
    (compat.Functional._run_through_graph, ("self", "inputs"), {"operation_fn": "function"}),
    (compat.Functional._standardize_inputs, ("self", "inputs"), {}),
    (keras.layers.Layer._flatten_layers, ("self",), {}),
    (keras.optimizers.Optimizer._backend_apply_gradients, ("self", "gradients", "variables"), {}),
    (
        keras.optimizers.Optimizer._backend_update_step,
        ("self", "gradients", "variables", "rate"),
        {},
    ),
    (keras.optimizers.Optimizer._apply_weight_decay, ("self", "variables"), {}),
    (keras.optimizers.Optimizer._clip_gradients, ("self", "gradients"), {}),
    (keras.optimizers.Optimizer._clip_by_norm, ("self", "gradient"), {"axes": (0,)}),
    (keras.optimizers.Optimizer._use_weight_decay, ("self", "variable"), {}),
    (keras.optimizers.Optimizer._get_variable_index, ("self", "variable"), {}),
    (keras.optimizers.Optimizer.update_step, ("self", "gradient", "variable", "rate"), {}),
    (keras_tuner.Oracle._duplicate, ("self", "values"), {}),
    (keras_tuner.Oracle._get_oracle_fname, ("self",), {}),
    (keras_tuner.Oracle._get_trial_dir, ("self", "trial"), {}),
    (keras_tuner.Oracle._record_values, ("self", "trial"), {}),
    (keras_tuner.Oracle._save_trial, ("self", "trial"), {}),
    (keras_tuner.Tuner._get_tuner_fname, ("self",), {}),
    (keras_tuner.Tuner._get_checkpoint_fname, ("self", "trial"), {}),
    (keras_tuner.Tuner._get_build_config_fname, ("self", "trial"), {}),
    (keras_tuner.Tuner._deepcopy_callbacks, ("self", "callbacks"), {}),
    (keras_tuner.Tuner._configure_tensorboard_dir, ("self", "callbacks", "trial", 0), {}),
    (keras_tuner.Tuner._build_hypermodel, ("self", "hp"), {}),
    (keras_tuner.Tuner._try_build, ("self", "hp"), {}),
    (keras_tuner.Tuner._build_and_fit_model, ("self", "trial"), {"x": "x"}),
    (keras_tuner.Tuner._run_and_update_trial, ("self", "trial"), {"x": "x"}),
    (keras_tuner.Tuner._try_run_and_update_trial, ("self", "trial"), {"x": "x"}),
    (keras_tuner.oracles.HyperbandOracle._get_size, ("self", 0, 0), {}),
    (kerastuner.has_chief_oracle, (), {}),
    (kerastuner.save_json, ("path", {}), {}),
]


@pytest.mark.parametrize(
    ("function", "args", "options"), CALLED, ids=lambda value: getattr(value, "__qualname__", None)
)
def test_what_is_called_takes_our_arguments(function, args, options):
    inspect.signature(function).bind(*args, **options)


@pytest.fixture(scope="module")
def trained():
    """A nested model that has trained a step, with everything that is read of it."""
    inner = keras.Sequential(
        [keras.layers.Dense(3, "relu", name="inner"), keras.layers.BatchNormalization()]
    )
    x = keras.Input((4,), name="x")
    model = keras.Model(x, {"out": keras.layers.Dense(1, name="outer")(inner(x))})
    optimizer = keras.optimizers.Adam(0.01, weight_decay=0.1, use_ema=True)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(
        optimizer, {"out": "mse"}, metrics={"out": ["mae"]}, weighted_metrics={"out": ["mse"]}
    )
    model.fit(np.ones((2, 4)), {"out": np.ones((2, 1))}, verbose=0)
    return model


def test_models_tell_their_graph(trained):
    inner = trained.layers[1]
    functional = compat.functional_of(inner)
    assert isinstance(functional, compat.Functional)
    assert compat.functional_of(trained) is trained
    assert [
        layer.name for layer in compat.all_layers(trained) if isinstance(layer, keras.layers.Dense)
    ] == [
        "inner",
        "outer",
    ]
    assert inner.layers[0] in compat.layers_held_by(inner)
    assert [variable.name for variable in compat.own_variables(inner.layers[1])] == [
        *("gamma", "beta", "moving_mean", "moving_variance"),
    ]
    assert list(compat.outputs_struct(trained)) == ["out"]
    assert compat.inputs_struct(trained).name == "x"
    assert compat.has_outputs_struct(trained)
    assert not compat.has_outputs_struct(keras.Sequential([keras.layers.Dense(1)]))
    nodes = compat.nodes_by_depth(trained)
    assert nodes[max(nodes)][0].is_input
    assert len(compat.calls_of(inner)) == 1
    assert compat.operation_behind(compat.outputs_struct(trained)["out"]).name == "outer"
    assert compat.operation_behind("no tensor") is None
    seen = []

    def operation_fn(operation):
        def call(*args, **options):
            seen.append(operation.name)
            return args[0]

        return call

    compat.run_through_graph(trained, ["anything"], operation_fn)
    assert seen == [inner.name, "outer"]
    (standard,) = compat.standardize_inputs(trained, np.ones((2, 4), "float64"))
    assert keras.backend.standardize_dtype(standard.dtype) == "float32"


def test_what_is_compiled_is_told(trained):
    given = compat.compiled_with(trained)
    assert given["loss"] == {"out": "mse"}
    assert compat.compiled_with(keras.Sequential()) == {}
    assert trained.metrics[0] in compat.loss_metrics_of(trained)
    loss, metrics = compat.resolved_parts(trained)
    assert isinstance(loss, compat.CompileLoss)
    names = [[metric.name for metric in each.metrics] for each in compat.flat_metrics(metrics)]
    assert names == [["mae"], ["mse"]]
    metric = keras.metrics.MeanMetricWrapper(keras.losses.huber, delta=2.0)
    assert compat.wrapped_function(metric) is keras.losses.huber
    assert compat.function_arguments(metric) == {"delta": 2.0}
    assert compat.function_arguments(keras.losses.Huber(delta=3.0)) == {"delta": 3.0}
    assert compat.direction_attribute(keras.metrics.AUC()) == "up"
    assert compat.direction_attribute(keras.metrics.MeanSquaredError()) == "down"
    compat.copy_direction(metric, keras.metrics.AUC())
    assert compat.direction_attribute(metric) == "up"


def test_optimizers_tell_their_state(trained):
    optimizer = trained.optimizer
    variable = trained.trainable_variables[1]
    index = compat.index_in(optimizer, variable)
    assert index == 1
    momentum, velocity = compat.moments(optimizer, index)
    states = compat.states_by_attribute(optimizer)
    assert states["_momentums"][index] is momentum
    assert states["_velocities"][index] is velocity
    assert "_variables" not in states
    assert len(compat.moving_averages(optimizer)) == len(trained.trainable_variables)
    assert float(compat.given_learning_rate(optimizer)) == pytest.approx(0.01)
    assert int(compat.iterations_variable(optimizer)) == 1
    config = compat.config_without_rate(optimizer)
    assert config == {**optimizer.get_config(), "learning_rate": config["learning_rate"]}
    assert not compat.decays(optimizer, variable)  # a bias
    assert compat.decays(optimizer, trained.trainable_variables[0])
    variables, pattern = compat.excluded_from_decay(optimizer)
    assert not variables
    other = keras.optimizers.Adam(weight_decay=0.1)
    compat.exclude_names_from_decay(other, pattern)
    other.build(trained.trainable_variables)
    assert not compat.decays(other, variable)
    clipping = keras.optimizers.SGD(1.0, clipnorm=1.0)
    clipped = compat.clip_by_norm(clipping, keras.ops.convert_to_tensor([[3.0, 4.0]]), (1,))
    np.testing.assert_allclose(clipped, [[0.6, 0.8]], rtol=1e-6)


def test_optimizers_do_what_is_put_in_place():
    variable = keras.Variable([2.0, 2.0])
    gradient = keras.ops.convert_to_tensor([1.0, 3.0])
    optimizer = keras.optimizers.SGD(1.0, clipvalue=100.0, weight_decay=0.5)
    compat.replace_clipping(
        optimizer, lambda gradients, variables: [0 * found for found in gradients]
    )
    compat.replace_weight_decay(
        optimizer, lambda variables: [one.assign_add([1.0, 1.0]) for one in variables]
    )
    optimizer.apply([gradient], [variable])
    np.testing.assert_array_equal(variable, [3.0, 3.0])
    updated = []
    compat.replace_update_of_all(
        optimizer, lambda gradients, variables, rate: updated.append(float(rate))
    )
    optimizer.apply([gradient], [variable])
    assert updated == [1.0]
    np.testing.assert_array_equal(variable, [4.0, 4.0])
    compat.restore_update_of_all(optimizer)
    optimizer.apply([gradient], [variable])
    assert updated == [1.0]


def test_layers_and_tensors_tell_more():
    masked = keras.layers.Masking()(keras.Input((3, 2)))
    assert compat.mask_of(masked) is not None
    assert compat.mask_of(keras.Input((2,))) is None
    logits = tf.constant([2.0])
    probabilities = keras.activations.sigmoid(logits)
    assert compat.logits_of(probabilities) is logits
    assert compat.logits_of(logits) is None
    compat.attach_logits(logits, probabilities)
    assert compat.logits_of(logits) is probabilities
    assert compat.recorded_arguments(keras.layers.Dense(7))["units"] == 7
    text = keras.layers.TextVectorization(vocabulary=["a"])
    assert isinstance(compat.inner_lookup(text), keras.layers.StringLookup)
    assert compat.inner_lookup(logits) is logits
    assert compat.output_shape_argument(keras.layers.Lambda(lambda x: x, output_shape=(3,))) == (3,)
    with keras.RematScope(mode="full"):
        assert compat.recomputes(keras.layers.Dense(1))
    assert not compat.recomputes(keras.layers.Dense(1))


def test_an_archive_finds_tables_and_is_tracked():
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), keras.layers.StringLookup(vocabulary=["a"])]
    )
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", model.call, [tf.TensorSpec((None, 1), "string")])
    compat.track_resources(archive)
    tracked = compat.trackable_of(archive)
    assert hasattr(tracked, "serve")
    assert len(tracked._misc_assets) == 1  # the table


def test_keras_state_is_kept_under_its_names():
    compat.set_global("keras_acts_test", 3)
    assert compat.get_global("keras_acts_test") == 3
    compat.set_global("keras_acts_test", None)
    assert compat.get_global("keras_acts_test") is None
    assert compat.get_global("keras_acts_test", 4) == 4
    assert compat.shared_object(12345) is None
    keras.utils.set_random_seed(7)
    assert compat.get_global("global_random_seed") == 7


def test_tensorflow_tells_and_restores():
    tf.random.set_seed(3)
    tf.random.uniform(())
    restore = compat.tensorflow_random_state()
    expected = [float(tf.random.uniform(())) for _ in range(2)]
    tf.random.set_seed(4)
    restore()
    assert [float(tf.random.uniform(())) for _ in range(2)] == expected
    assert compat.onednn_is_on() in (True, False)
    assert compat.devices_are_in_use()
    if tf.config.get_visible_devices("GPU"):
        assert compat.gpu_memory_limit() > 0
    else:
        # it goes through the devices, with the settings of this process
        with pytest.raises(StopIteration):
            compat.gpu_memory_limit()
    seen = []

    def traced():
        seen.append(compat.in_xla_context(tf.compat.v1.get_default_graph()))
        return tf.constant(0)

    tf.function(traced)()
    tf.function(traced, jit_compile=True)()
    assert seen == [False, True]


def test_an_anonymous_variable_is_made_anew_in_each_call():
    @tf.function
    def count():
        name = compat.anonymous_variable()
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=(), shared_name=name)
        is_new = tf.logical_not(tf.raw_ops.VarIsInitializedOp(resource=handle))
        tf.raw_ops.AssignVariableOp(resource=handle, value=tf.constant(1.0))
        return is_new, tf.raw_ops.VarIsInitializedOp(resource=handle)

    assert [tuple(map(bool, count())) for _ in range(2)] == [(True, True)] * 2


def test_the_graph_of_a_training_step_is_let_go():
    """Keras' step is registered for ever; a gradient of the user's stays."""

    @tf.custom_gradient
    def twice(x):
        return 2 * x, lambda dy: 2 * dy

    @tf.function
    def of_the_user(x):
        return tf.gradients(twice(x), x)

    registered = tf.__internal__.FuncGraph  # what a step is traced in
    graphs = weakref.WeakSet()
    build = registered.__init__

    def noting(graph, *args, **options):
        build(graph, *args, **options)
        graphs.add(graph)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(registered, "__init__", noting)
        with compat.step_gradients_forgotten("keras_acts.search"):
            model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            model.fit(np.ones((4, 1)), np.ones((4, 1)), verbose=0)
            trained = [graph for graph in graphs if graph.name == "one_step_on_data"]
            assert trained
            of_the_user(tf.ones(2))
    del trained, model
    gc.collect()
    assert not [graph for graph in graphs if graph.name == "one_step_on_data"]
    assert of_the_user(tf.ones(3))[0].numpy().tolist() == [2, 2, 2]


def test_datasets_tell_and_restore_their_order():
    def order():
        return [int(number) for number in shuffled]

    shuffled = tf.data.Dataset.range(20).shuffle(20).map(lambda number: number)
    names = [type(dataset).__name__ for dataset in compat.datasets_in(shuffled)]
    assert "_ShuffleDataset" in names
    assert compat.datasets_in(np.zeros(3)) == []
    iterators = [iter(dataset) for dataset in compat.datasets_in(shuffled)]
    states = [compat.iterator_state(iterator) for iterator in iterators]
    first, second = order(), order()
    assert first != second
    for iterator, state in zip(iterators, states, strict=True):
        compat.restore_iterator(iterator, state)
    assert [order(), order()] == [first, second]


def test_kerastuner_finds_trials_by_a_pattern(tmp_path):
    oracle = keras_tuner.oracles.RandomSearchOracle(keras_tuner.Objective("loss", "min"))
    oracle._set_project_dir(tmp_path, "one[1]")
    trial = kerastuner.Trial(oracle.get_space(), trial_id="7")
    oracle._save_trial(trial)
    oracle.save()
    for found in ([], ["7"]):
        again = keras_tuner.oracles.RandomSearchOracle(keras_tuner.Objective("loss", "min"))
        again._set_project_dir(tmp_path, "one[1]")
        with kerastuner.folders_as_written() if found else contextlib.nullcontext():
            again.reload()
        assert list(again.trials) == found


def test_kerastuner_tells(tmp_path):
    oracle = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("loss", "min"), max_epochs=9, factor=3
    )
    tuner = keras_tuner.Tuner(
        oracle, lambda hp: keras.Sequential(), directory=tmp_path, project_name="one"
    )
    assert kerastuner.checkpoint_file(tuner, "00").endswith("checkpoint.weights.h5")
    assert kerastuner.build_config_file(tuner, "00").endswith("build_config.json")
    assert kerastuner.waiting_retries(oracle) == []
    (bracket,) = kerastuner.brackets_of(oracle)
    assert bracket == {"bracket_num": 2, "rounds": [[], [], []]}
    assert kerastuner.size_of_round(oracle, 2, 0) == 9
    callback = keras.callbacks.TensorBoard(str(tmp_path / "logs"))
    (copied,) = kerastuner.copies_of_callbacks(tuner, [callback])
    assert copied is not callback
    trial = kerastuner.Trial(oracle.get_space(), trial_id="7")
    kerastuner.set_tensorboard_folder(tuner, [copied], trial, 0)
    assert "7" in copied.log_dir
    assert kerastuner.TrialStatus.RUNNING != kerastuner.TrialStatus.COMPLETED
    assert kerastuner.oracle_file(oracle) == str(tmp_path / "one" / "oracle.json")
    assert kerastuner.tuner_file(tuner) == str(tmp_path / "one" / "tuner0.json")
    assert kerastuner.trial_folder(oracle, "7") == str(tmp_path / "one" / "trial_7")


def test_kerastuner_forgets_what_we_keep():
    objective = keras_tuner.Objective("loss", "min")
    grid = keras_tuner.oracles.GridSearchOracle(objective)
    for trial_id, before in [("a", None), ("c", "a"), ("b", "a")]:
        grid._ordered_ids.insert(trial_id, before)
    kept = kerastuner.forgotten_state(grid)
    assert kept == {"max_trials": None, "order": ["a", "b", "c"], "next": []}
    anew = keras_tuner.oracles.GridSearchOracle(objective)
    kerastuner.restore_forgotten_state(anew, kept)
    assert kerastuner.forgotten_state(anew) == kept
    assert "order" not in grid.get_state()
    bayesian = keras_tuner.oracles.BayesianOptimizationOracle(objective, seed=3)
    kept = kerastuner.forgotten_state(bayesian)
    drawn = bayesian._random_state.uniform()
    kerastuner.restore_forgotten_state(bayesian, kept)
    assert bayesian._random_state.uniform() == drawn
