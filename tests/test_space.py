"""Candidates and the space of them."""

import keras
import keras_tuner
import pytest

import keras_acts as ka
from keras_acts.errors import ActivationError, KerasActsError
from keras_acts.search.space import ActivationSpace, Candidate, default_activations


@keras.saving.register_keras_serializable(package="test_space")
def squash(x):
    return x / (1 + keras.ops.abs(x))


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("mish", "mish"),
        (ka.Mish(), "mish"),
        ("trelu(theta=0.5)", "trelu(alpha=0.0, theta=0.5)"),
        ("leaky_relu(alpha=0)", "relu"),
        ("elu(alpha=0)", "relu"),
        ("trelu(theta=0, alpha=0.2)", "leaky_relu(alpha=0.2)"),
        ("trelu(theta=0, alpha=0)", "relu"),
        ("prelu", "prelu"),
        ("prelu(alpha=0.1)", "prelu(alpha=0.1)"),
        ("gelu", "gelu"),
        (keras.activations.gelu, "gelu"),
        (squash, "test_space.squash"),
    ],
)
def test_candidates_have_one_canonical_form(identifier, expected):
    candidate = Candidate.of(identifier)
    assert str(candidate) == expected
    assert Candidate.of(str(candidate)) == candidate


def test_a_candidate_makes_its_activation():
    assert Candidate.of("trelu(theta=0.5, alpha=0.1)").activation() == ka.TReLU(alpha=0.1, theta=0.5)
    assert Candidate.of("gelu").activation() is keras.activations.gelu
    assert Candidate.of(squash).activation() is squash
    first, second = (Candidate.of("prelu(alpha=0.1)").activation(channels=3) for _ in range(2))
    assert first is not second
    assert first.alpha.shape == (3,)
    assert float(keras.ops.max(first.alpha)) == pytest.approx(0.1)


def test_the_default_space_holds_what_suits_a_hidden_layer():
    assert set(default_activations()) == {
        *("relu", "leaky_relu", "prelu", "elu", "trelu", "tanh", "mish"),
        *("gelu", "silu"),
    }


def test_parameters_are_conditional_hyperparameters():
    hp = keras_tuner.HyperParameters()
    space = ActivationSpace(["relu", "leaky_relu", "trelu(theta=0.5)"])
    assert space.choose(hp) == Candidate.of("relu")
    assert hp.values == {"act": "relu"}  # the parameters of the others are not active
    hp.values["act"] = "trelu(theta=0.5)"
    hp.ensure_active_values()
    hp.values["act.trelu.alpha"] = 0.25
    assert str(space.choose(hp)) == "trelu(alpha=0.25, theta=0.5)"
    assert [p.name for p in hp.space] == ["act", "act.leaky_relu.alpha", "act.trelu.alpha"]
    assert [p.conditions[0].values for p in hp.space[1:]] == [["leaky_relu"], ["trelu(theta=0.5)"]]


def test_ranges_can_be_overridden():
    hp = keras_tuner.HyperParameters()
    ActivationSpace(["leaky_relu"], ranges={"leaky_relu.alpha": (0.1, 0.2, "log")}).choose(hp)
    (alpha,) = (p for p in hp.space if p.name == "act.leaky_relu.alpha")
    assert (alpha.min_value, alpha.max_value, alpha.sampling) == (0.1, 0.2, "log")


def test_the_baseline_is_always_there_and_first():
    assert ActivationSpace(["mish"]).with_baseline().labels == ("relu", "mish")
    assert ActivationSpace(["mish", "relu"]).with_baseline().labels == ("relu", "mish")
    assert ActivationSpace(["mish"]).with_baseline("tanh").labels == ("tanh", "mish")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activations": []}, "at least one"),
        ({"activations": "relu"}, "must be a list"),
        ({"activations": ["mish", "mish"]}, "'mish' twice"),
        ({"activations": ["misch"]}, "Did you mean mish"),
        ({"activations": ["leaky_relu(alpha=nan)"]}, "alpha must be a finite number. Received: alpha=nan"),
        ({"activations": ["trelu(theta=inf)"]}, "theta must be a finite number. Received: theta=inf"),
        ({"activations": ["softmax"]}, "no hidden activation"),
        ({"activations": [lambda x: x]}, "lambda"),
        ({"activations": ["relu"], "ranges": {"relu.alpha": (0, 1)}}, "searched parameters"),
        ({"activations": ["elu"], "ranges": {"elu.alpha": (2, 1)}}, "low < high"),
        ({"activations": ["elu"], "ranges": {"elu.alpha": (0, 1, "log")}}, "0 < low"),
        ({"activations": ["elu"], "ranges": {"elu.alpha": (-1, 1)}}, ">= 0"),
    ],
)
def test_bad_spaces_are_refused(arguments, message):
    with pytest.raises(KerasActsError, match=message):
        ActivationSpace(**arguments)


def test_an_unregistered_function_is_refused():
    def unregistered(x):
        return x

    with pytest.raises(ActivationError, match="register_keras_serializable"):
        Candidate.of(unregistered)
