"""`compare_activations`.

What is trained is what ordinary models would be, and bad input gets clear words.
"""

import itertools
import random

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from keras_acts.errors import KerasActsError, ModelError, SearchError
from keras_acts.search import (
    Candidate,
    SearchCallback,
    TensorBoardLogger,
    compare_activations,
    with_activations,
)
from keras_acts.search.population.trainers import (
    OneByOneTrainer,
    PopulationTrainer,
    steps_per_execution,
)
from keras_acts.search.runtime.seeding import isolated_seed
from keras_acts.search.space.rated import Rated
from keras_acts.search.strategy.progress import Progress
from keras_acts.search.verdict.compare import checked_candidates
from keras_acts.search.verdict.judge import judge
from keras_acts.search.verdict.replicates import Replicates
from keras_acts.search.verdict.retrain import retrain_leaders
from keras_acts.search.verdict.timing import inference_seconds
from tests.helpers.followers import Notes
from tests.helpers.models import blobs, eager, mlp

X, Y = blobs(150)
DATA = {"validation_data": (X[60:90], Y[60:90]), "test_data": (X[90:], Y[90:])}
TRAIN = X[:60], Y[:60]
FAST = {"epochs": 2, "seeds": 3, "looks": 1, "batch_size": 20, "verbose": 0}
FIT = {
    "x": X[:60],
    "y": Y[:60],
    "validation_data": DATA["validation_data"],
    "epochs": 2,
    "batch_size": 20,
}


class Away(SearchCallback):
    def on_verdict(self, verdict):
        raise OSError("the server is away")


# what the comparison of the fixture told
HEARD = Notes()


def plain(loss="sparse_categorical_crossentropy", **options):
    model = mlp()
    model.compile(keras.optimizers.SGD(0.1, **options), loss, metrics=["accuracy"])
    return model


def draws():
    return random.random(), float(tf.random.uniform(()))


@pytest.fixture(scope="module")
def compared():
    """A verdict, and the user's own random numbers.

    Those that would be drawn without it, and those drawn after it.
    """
    model = mlp()
    keras.utils.set_random_seed(11)
    undisturbed = draws()
    keras.utils.set_random_seed(11)
    found = compare_activations(
        model,
        *TRAIN,
        ["mish", "relu"],
        **DATA,
        **FAST,
        learning_rates=None,
        seed=np.int64(0),
        search_callbacks=[Away(), HEARD],
    )
    return found, undisturbed, draws()


@pytest.fixture(scope="module")
def verdict(compared):
    return compared[0]


def test_who_follows_a_comparison_hears_all_of_it(verdict, tmp_path):
    assert [name for name, _ in HEARD.heard] == ["begin", "verdict", "end"]
    (record,) = HEARD.of("begin")
    assert (record.strategy, record.baseline, record.trials) == ("comparison", "relu", 2)
    assert (record.objective, record.direction, record.epochs) == ("val_accuracy", "max", 2)
    (judged,) = HEARD.of("verdict")
    assert judged == verdict
    assert HEARD.of("end") == [judged]
    # another one failed, which costs nobody anything
    assert verdict.errors == {"search callback Away": "OSError: the server is away"}
    logger = TensorBoardLogger(tmp_path)
    logger.on_search_begin(record)
    logger.on_verdict(judged)
    logger.on_search_end(judged)
    for activation in ("mish", "relu"):
        trained = sorted(path.name for path in (tmp_path / "verdict" / activation).iterdir())
        assert trained == sorted(f"seed-{seed}" for seed in verdict.runs.seeds)


@pytest.mark.slow
def test_every_run_is_that_of_an_ordinary_model(verdict):
    base, runs = eager(mlp()), verdict.runs
    for s, seed in enumerate(runs.seeds):
        for k, name in enumerate(runs.activations):
            with isolated_seed(seed):
                model = with_activations(base, name)
                history = model.fit(**FIT, verbose=0).history
            for metric, values in history.items():
                np.testing.assert_allclose(
                    runs.history[metric][s, :, k], values, rtol=1e-4, atol=1e-6
                )
            tested = model.evaluate(*DATA["test_data"], verbose=0, return_dict=True)
            for metric, value in tested.items():
                assert runs.test[metric][s, k] == pytest.approx(value, rel=1e-4)


def test_the_verdict_keeps_everything(verdict):
    assert (verdict.baseline, verdict.metric, verdict.maximize, verdict.part) == (
        "relu",
        "accuracy",
        True,
        "test",
    )
    assert (verdict.seeds, len(set(verdict.runs.seeds))) == (3, 3)
    table = verdict.to_pandas()
    assert len(table) == 2 * 3 * 2
    assert list(table.groupby(["seed", "activation", "epoch"]).size().unique()) == [1]
    tested = table.dropna(subset="test_accuracy").groupby("activation").test_accuracy.mean()
    assert {s.activation: s.mean for s in verdict.candidates} == pytest.approx(dict(tested))
    assert all(s.seconds > 0 for s in verdict.candidates)
    text = str(verdict)
    assert text.startswith("Answer: Use ")
    assert f"Verdict: {verdict.sentence}." in verdict.summary()
    assert "other data may say something else" in "\n".join(verdict.summary())


@pytest.mark.slow
def test_one_by_one_is_the_same():
    candidates = [Candidate.of(name) for name in ("relu", "mish", "prelu")]
    model = plain()
    together = PopulationTrainer(model, candidates)
    single = eager(plain())
    alone = OneByOneTrainer([lambda c=c: with_activations(single, c) for c in candidates])
    found = []
    for trainer in (together, alone):
        with Replicates(trainer, list(map(str, candidates)), FIT) as replicates:
            assert list(replicates.train([5, 6], at_once=2)) == [5, 6]
            assert list(replicates.train([7])) == [7]
            replicates.test(DATA["test_data"])
            found.append(replicates.runs)
    for name, values in found[1].history.items():
        np.testing.assert_allclose(found[0].history[name], values, rtol=1e-3, atol=1e-5)
    for name, values in found[1].test.items():
        np.testing.assert_allclose(found[0].test[name], values, rtol=1e-3, atol=1e-5)


def test_only_callbacks_that_watch_batches_forbid_many_steps_in_a_call():
    def many(*callbacks):
        return steps_per_execution(plain(), {**FIT, "callbacks": list(callbacks) or None}).get(
            "steps_per_execution", 1
        )

    assert many() == many(keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)) == 3
    assert many(keras.callbacks.LambdaCallback(on_epoch_end=print)) == 3
    assert many(keras.callbacks.LambdaCallback(on_train_batch_end=print)) == 1
    assert many(keras.callbacks.TerminateOnNaN()) == 1


def test_a_number_of_steps_is_kept():
    """Keras asks how many steps an epoch has between calls only.

    One call of many steps takes all of the data.
    """
    counted = {**FIT, "batch_size": 10, "steps_per_epoch": 2, "validation_steps": 1}
    model, relu = plain(), Candidate.of("relu")
    (trained,) = PopulationTrainer(model, [relu]).train([5], counted)
    with isolated_seed(5):
        alone = eager(with_activations(model, relu)).fit(**counted, verbose=0).history
    for name, values in alone.items():
        np.testing.assert_allclose(trained.history[name][:, 0], values, rtol=1e-4, err_msg=name)
    steps_alone = steps_per_execution(plain(), {**FIT, "validation_steps": 1})
    assert steps_alone == steps_per_execution(plain(), {**FIT, "steps_per_epoch": 2}) == {}


@pytest.mark.slow
def test_early_stopping_ends_each_model_by_itself():
    """As one model, all would end by the mean of their losses, and go back to its best epoch."""
    model = mlp()
    model.compile(
        keras.optimizers.Adam(0.3),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=True,
    )
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
    options = {**FAST, "seeds": 2, "epochs": 6, "batch_size": 60, "callbacks": [stop]}
    found = compare_activations(
        model, *TRAIN, ["tanh", "relu"], **DATA, **options, learning_rates=None
    ).runs
    lengths = []
    for (s, seed), (k, name) in itertools.product(
        enumerate(found.seeds), enumerate(found.activations)
    ):
        with isolated_seed(seed):
            alone = with_activations(model, name)
            history = alone.fit(
                **{**FIT, "epochs": 6, "batch_size": 60}, callbacks=[stop], verbose=0
            ).history["val_loss"]
        # a learning rate of 0.3 makes more of what the order of sums leaves
        np.testing.assert_allclose(
            found.history["val_loss"][s, : len(history), k], history, rtol=1e-3
        )
        tested = alone.evaluate(*DATA["test_data"], verbose=0, return_dict=True)["loss"]
        assert found.test["loss"][s, k] == pytest.approx(tested, rel=1e-3)
        lengths.append(len(history))
    assert len(set(lengths)) > 1
    assert max(lengths) == found.history["val_loss"].shape[1]


@pytest.mark.parametrize("averages", [False, True])
def test_what_is_validated_is_the_model_that_a_training_ends_with(averages):
    """Without test data the scores were those of a last epoch whose weights were not kept."""
    model = mlp()
    model.compile(
        keras.optimizers.SGD(1.0, use_ema=averages),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=True,
    )

    def callbacks():
        if averages:
            return None
        # a new one each time: that of Keras 3.12 remembers the best of its last training
        return [keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)]

    options = {**FAST, "seeds": 2, "epochs": 3, "batch_size": 60, "callbacks": callbacks()}
    found = compare_activations(
        model,
        *TRAIN,
        ["tanh", "relu"],
        validation_data=DATA["validation_data"],
        objective="val_loss",
        **options,
        learning_rates=None,
    )
    means = {scored.activation: scored.mean for scored in found.candidates}
    for name in ("tanh", "relu"):
        losses = []
        for seed in found.runs.seeds:
            with isolated_seed(seed):
                alone = with_activations(model, name)
                fit = {**FIT, "epochs": 3, "batch_size": 60}
                alone.fit(**fit, callbacks=callbacks(), verbose=0)
            losses.append(alone.evaluate(*DATA["validation_data"], verbose=0)[0])
        assert means[name] == pytest.approx(np.mean(losses), rel=1e-3)
    last = found.runs.scores("loss", "validation").mean(axis=0)
    assert abs(last - [means[name] for name in found.runs.activations]).max() > 1e-2
    assert not found.errors


@pytest.mark.parametrize("restores", [False, True])
def test_weights_that_are_perhaps_put_back_are_no_failure(restores):
    """A logger made a verdict say that its validation had failed, and named the wrong argument."""
    callback = keras.callbacks.LambdaCallback()
    if restores:
        callback = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    options = {**FAST, "seeds": 2, "epochs": 1, "batch_size": 60, "learning_rates": None}
    found = compare_activations(
        eager(mlp()),
        *TRAIN,
        ["tanh", "relu"],
        validation_data=DATA["validation_data"],
        validation_steps=1,
        callbacks=[callback],
        **options,
    )
    text = str(found)
    if restores:
        assert found.errors["validation"].endswith("Received: validation_steps=1")
        assert not found.caveat
    else:
        assert not found.errors
        assert found.to_dict()["caveat"] == found.caveat
        assert found.caveat.startswith("LambdaCallback may have put other weights back")
        assert "with validation_steps=1 none" in text
        assert found.caveat in text
        assert found.caveat in found.to_markdown()


def test_no_training_is_handed_over_whose_scores_are_of_other_weights():
    model = mlp()
    optimizer = keras.optimizers.SGD(0.1, use_ema=True)
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    handed = []
    found = retrain_leaders(
        model,
        [Rated(Candidate.of("tanh")), Rated(Candidate.of("relu"))],
        lambda rated: lambda: with_activations(model, rated.choice),
        "relu",
        {**FIT, "epochs": 1, "batch_size": 60},
        keras_tuner.Objective("val_loss", "min"),
        seeds=2,
        seed=0,
        test_data=None,
        progress=Progress(2, 0, "seed"),
        hand_over=lambda *judged: handed.append(judged),
    )
    assert (found.seeds, handed) == (2, [])


def test_a_seed_leaves_nothing_for_the_next():
    candidates = [Candidate.of("relu"), Candidate.of("leaky_relu(alpha=1e38)")]
    trainer = PopulationTrainer(mlp(), candidates)
    first, _, again = trainer.train([5, 6, 5], FIT)
    assert list(first.diverged) == [False, True]
    for name in first[0]:
        np.testing.assert_array_equal(first[0][name], again[0][name])
    for before, after in zip(first[2], again[2], strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_what_no_population_trains_is_trained_one_by_one(verdict):
    model = plain(clipnorm=1.0)
    found = compare_activations(
        model, *TRAIN, ["mish", "relu"], **DATA, **{**FAST, "seeds": 2}, learning_rates=None
    )
    assert found.seeds == 2
    with isolated_seed(found.runs.seeds[1]):
        model = with_activations(model, "mish")
        history = model.fit(**FIT, verbose=0).history
    np.testing.assert_allclose(found.runs.history["loss"][1, :, 0], history["loss"], rtol=1e-5)


@pytest.mark.once
def test_a_clear_difference_ends_at_the_first_look():
    found = compare_activations(
        *(plain(), *TRAIN, ["elu"]),
        baseline="sigmoid",
        objective="val_loss",
        **DATA,
        **{**FAST, "epochs": 4, "seeds": 12, "looks": 3},
        learning_rates=None,
    )
    assert [(look.seeds, look.decision) for look in found.looks] == [(6, "clear")]
    assert found.winner == "elu(alpha=1.0)"
    assert found.sentence.startswith("elu(alpha=1.0) beats sigmoid by ")
    assert found.sentence.endswith("of loss (6 seeds, p < 0.001)")
    assert (
        "Looked at the validation scores after 6 seeds; the leader was clear."
        in found.to_markdown()
    )


@pytest.mark.slow
def test_without_test_data_no_look_is_taken():
    found = compare_activations(mlp(), X, Y, ["mish", "relu"], **FAST, learning_rates=None)
    assert (found.part, found.looks, found.seeds) == ("validation", (), 3)
    assert "Give test data" in str(found)
    assert not found.runs.test


@pytest.mark.once
def test_the_baseline_is_relu_or_the_models_own():
    def names(*arguments):
        base, candidates = checked_candidates(mlp("tanh"), *arguments)
        return str(base), [str(candidate) for candidate in candidates]

    assert names(["mish"], None) == ("tanh", ["mish", "tanh"])
    assert names(["mish", "relu"], None) == ("relu", ["mish", "relu"])
    assert names(["mish"], "elu") == ("elu(alpha=1.0)", ["mish", "elu(alpha=1.0)"])
    with pytest.raises(SearchError, match="another one than the baseline tanh"):
        names(["tanh"], None)


@pytest.mark.slow
def test_a_dataset_trains_too():
    data = tf.data.Dataset.from_tensor_slices(TRAIN).batch(20)
    options = {**FAST, "seeds": 2, "batch_size": None}
    parts = {"validation_data": data, "test_data": data}
    found = compare_activations(
        mlp(), data, None, ["mish", "relu"], shuffle=False, **parts, **options, learning_rates=None
    )
    assert found.part == "test"
    assert all(np.isnan(s.seconds) for s in found.candidates)


def test_the_users_seed_is_left_alone(compared):
    _, undisturbed, drawn = compared
    assert drawn == undisturbed


@pytest.mark.once
def test_what_diverges_gets_no_numbers():
    options = {**DATA, **FAST, "seeds": 2, "epochs": 1}
    others = compare_activations(
        mlp(), *TRAIN, ["leaky_relu(alpha=1e38)"], **options, learning_rates=None
    )
    assert (
        others.sentence
        == "keep relu: all others diverged (leaky_relu(alpha=1e+38) on 2 of 2 seeds)"
    )
    assert "±" not in str(others)


@pytest.mark.once
def test_what_never_varies_or_diverges_gets_no_numbers():
    same = judge({"mish": [0.5, 0.5], "relu": [0.5, 0.5]})
    assert same.sentence.startswith(
        "no verdict: relu and mish have the same accuracy on every seed"
    )
    broken = ["leaky_relu(alpha=1e+38)", "leaky_relu(alpha=1e+37)"]
    all_of_them = judge({name: [np.nan, np.nan] for name in broken}, baseline=broken[0])
    assert all_of_them.sentence.startswith("no verdict: every candidate diverged, on both seeds")
    assert "±" not in str(same) + str(all_of_them)


@pytest.mark.slow
def test_an_interrupt_keeps_the_seeds_so_far():
    left = []

    class Interrupt(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            if not left:
                raise KeyboardInterrupt
            left.pop()

    for seeds, sentence in (
        (1, "no verdict: one seed says nothing about the noise between seeds"),
        (0, "no verdict: no seed was trained to its end"),
    ):
        left[:] = 2 * seeds * ["a training"]
        found = compare_activations(
            mlp(),
            *TRAIN,
            ["mish", "relu"],
            callbacks=[Interrupt()],
            **DATA,
            **FAST,
            learning_rates=None,
        )
        assert (found.seeds, found.sentence) == (seeds, sentence)
        assert len(found.to_pandas()) == seeds * 2 * 2
        assert f"{sentence[:1].upper()}{sentence[1:]}." in str(found)


@pytest.mark.once
def test_what_fails_after_the_training_costs_no_more_than_itself(monkeypatch):
    def injected(*arguments):
        raise OSError("the disk is gone")

    monkeypatch.setattr(Replicates, "test", injected)
    monkeypatch.setattr("keras_acts.search.verdict.decide.best_guess", injected)
    options = {**FAST, "seeds": 2, "epochs": 1}
    found = compare_activations(
        mlp(), *TRAIN, ["mish", "relu"], **DATA, **options, learning_rates=None
    )
    told = "OSError: the disk is gone"
    assert found.errors == {"test": told, "guess": told}
    assert all(scored.seconds > 0 for scored in found.candidates)
    assert found.sentence == f"no verdict: the test data could not be scored, {told}"
    assert f"What failed besides: guess: {told}." in str(found)
    assert found.to_dict()["errors"] == found.errors
    assert len(found.to_pandas()) == 2 * 2


@pytest.mark.once
def test_a_folder_that_cannot_be_removed_costs_no_verdict(monkeypatch):
    def stuck(*arguments, **options):
        raise OSError("the folder is in use")

    with monkeypatch.context() as patched, Replicates(OneByOneTrainer([]), [], {}) as replicates:
        patched.setattr("os.rmdir", stuck)
        replicates.__exit__()


@pytest.mark.slow
def test_what_is_no_share_is_said_in_its_own_unit():
    x, y = TRAIN[0], TRAIN[0].sum(axis=1, keepdims=True)
    model = mlp(classes=1)
    model.layers[-1].activation = keras.activations.linear
    model.compile("adam", "mse", metrics=["r2_score"])
    found = compare_activations(
        model,
        x,
        y,
        ["mish", "relu"],
        objective="val_r2_score",
        **{**FAST, "seeds": 2},
        learning_rates=None,
    )
    assert found.metric == "r2_score"
    assert not found.share


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError("the disk is gone"), ModelError("the disk is gone")]
)
def test_an_interrupt_or_a_failure_keeps_the_populations_so_far(monkeypatch, error):
    train, waves = PopulationTrainer._wave, []

    def interrupted(trainer, seeds, fit):
        waves.append(len(seeds))
        if len(waves) == 2:
            raise error
        return train(trainer, seeds, fit)

    monkeypatch.setattr(PopulationTrainer, "_wave", interrupted)
    found = compare_activations(
        mlp(),
        *TRAIN,
        ["mish", "relu"],
        **DATA,
        **{**FAST, "seeds": 8, "looks": 3},
        learning_rates=None,
    )
    assert (waves, found.seeds) == ([4, 4], 4)
    failed = (
        {}
        if isinstance(error, KeyboardInterrupt)
        else {"training": f"{type(error).__name__}: the disk is gone"}
    )
    assert found.errors == failed
    assert [look.seeds for look in found.looks] == [4]
    assert len(found.to_pandas()) == 4 * 2 * 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": 1}, r"at least 2: one seed says nothing.*Received: seeds=1"),
        ({"seeds": 2.5}, r"seeds must be an integer >= 1\. Received: seeds=2.5"),
        ({"looks": 0}, "looks must be an integer >= 1"),
        ({"epochs": 0}, "epochs must be"),
        ({"initial_epoch": 1}, r"initial_epoch must be 0.*Received: initial_epoch=1"),
        ({"sample_weight": np.where(TRAIN[1] > 1, np.nan, 1.0)}, "sample_weight must be finite"),
        ({"activations": "mish"}, "list of activations. Received: activations='mish'"),
        ({"activations": ["relu"]}, r"another one than the baseline relu. Received: \['relu'\]"),
        ({"activations": ["swish", "silu"]}, "silu more than once"),
        ({"activations": ["misch"]}, "Did you mean mish"),
        ({"activations": ["softmax"]}, "each element by itself"),
        ({"model": keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])}, "compiled"),
        (
            {"test_data": (X[:2], Y[:2])},
            "as many as the classes. Received: 2 samples for 3 classes",
        ),
        ({"test_data": (X, Y[:3])}, "150 inputs and 3 labels"),
        ({"y": Y[:5]}, "60 inputs and 5 labels"),
        ({"validation_data": None, "validation_split": 0}, "validation_split must lie in"),
        (
            {"objective": "val_foo"},
            r"one of \['val_loss', 'val_accuracy'\].*Received: objective='val_foo'",
        ),
        ({"objective": ["val_loss", "val_accuracy"]}, "one metric"),
        (
            {"objective": keras_tuner.Objective("val_auc", "max")},
            r"one of \['val_accuracy', 'val_loss'\].*'val_auc'",
        ),
    ],
)
def test_bad_input_gets_clear_words(changed, message):
    arguments = {
        "model": mlp(),
        "x": TRAIN[0],
        "y": TRAIN[1],
        "activations": ["mish", "relu"],
        **DATA,
        **FAST,
        **changed,
    }
    with pytest.raises(KerasActsError, match=message):
        compare_activations(**arguments)


@pytest.mark.once
def test_a_model_of_two_activations_needs_a_baseline():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            *(keras.layers.Dense(4, activation=a) for a in ("tanh", "elu", "softmax")),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(SearchError, match=r"baseline must be given .*elu.*tanh"):
        compare_activations(model, *TRAIN, ["mish"], **DATA, **FAST, learning_rates=None)


def test_inference_is_timed_on_arrays_only():
    models = {"small": mlp(), "large": mlp()}
    found = inference_seconds(models, X)
    assert set(found) == set(models)
    assert all(0 < value < 10 for value in found.values())
    assert inference_seconds(models, tf.data.Dataset.from_tensors(X)) == {}


@pytest.mark.slow
def test_a_training_that_a_callback_ends_early_keeps_its_last_epoch():
    class After(keras.callbacks.Callback):
        """Ends each training one epoch later than the one before."""

        trained = 0

        def on_train_end(self, logs=None):
            type(self).trained += 1

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch >= self.trained

    options = {**FAST, "epochs": 7, "callbacks": [After()]}
    model = eager(mlp())
    history = compare_activations(
        model, *TRAIN, ["mish", "relu"], **DATA, **options, learning_rates=None
    ).runs.history["val_loss"]
    assert history.shape == (3, 6, 2)
    np.testing.assert_array_equal(history[0, 1, 0], history[0, 0, 0])
    assert len(set(history[2, :, 1])) == history.shape[1]
