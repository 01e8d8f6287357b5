"""Candidates and the space of them."""

import json
import math

import keras
import keras_tuner
import numpy as np
import pytest

import keras_acts as ka
from keras_acts.errors import ActivationError, KerasActsError, SearchError
from keras_acts.search.space.candidate import Candidate
from keras_acts.search.space.space import ActivationSpace, default_activations


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
        ("trelu(theta=0, alpha=0.2, mode='keras')", "leaky_relu(alpha=0.2)"),
        ("trelu(theta=0, alpha=0)", "relu"),
        ("trelu(theta=0.5, mode='keras')", "trelu(alpha=0.0, theta=0.5)"),
        ("trelu(theta=0.5, mode='continuous')", "trelu(alpha=0.0, theta=0.5, mode='continuous')"),
        ("prelu", "prelu"),
        ("prelu(alpha=0.1)", "prelu(alpha=0.1)"),
        ("prelu(alpha=0.25)", "prelu"),
        ("leaky_relu(alpha=trained)", "prelu(alpha=0.01)"),
        ("leaky_relu(alpha=trained(0.25))", "prelu"),
        ("trelu(theta=0, alpha=trained(0.1))", "prelu(alpha=0.1)"),
        ("trelu(theta=0.5, alpha=trained)", "trelu(alpha=trained(0.0), theta=0.5)"),
        ("elu(alpha=trained(2))", "elu(alpha=trained(2.0))"),
        ("gelu", "gelu"),
        ("swish", "silu"),
        (keras.activations.gelu, "gelu"),
        (squash, "test_space.squash"),
    ],
)
def test_candidates_have_one_canonical_form(identifier, expected):
    candidate = Candidate.of(identifier)
    assert str(candidate) == expected
    assert Candidate.of(str(candidate)) == candidate


@pytest.mark.parametrize(
    "written",
    [
        *("leaky_relu(alpha=0)", "elu(alpha=0)", "trelu(theta=0, alpha=0.2)", "swish"),
        *("trelu(theta=0, alpha=0.2, mode='continuous')", "trelu(theta=0.5, mode='keras')"),
        "trelu(theta=0, alpha=trained(0.1))",
    ],
)
def test_the_canonical_form_is_the_same_function(written):
    x = keras.ops.linspace(-3.0, 3.0, 101)
    name, _, trained = written.partition("trained(")
    plain = ka.get(f"{name}{trained.replace('))', ')')}")  # trained(0.1) starts as 0.1
    np.testing.assert_allclose(Candidate.of(written).activation()(x), plain(x), rtol=1e-6)


def test_a_candidate_makes_its_activation():
    assert Candidate.of("trelu(theta=0.5, alpha=0.1)").activation() == ka.TReLU(
        alpha=0.1, theta=0.5
    )
    assert Candidate.of("gelu").activation() is keras.activations.gelu
    assert Candidate.of(squash).activation() is squash
    first, second = (Candidate.of("prelu(alpha=0.1)").activation(channels=3) for _ in range(2))
    assert first is not second
    assert first.alpha.shape == (3,)
    assert float(keras.ops.max(first.alpha)) == pytest.approx(0.1)


def test_what_is_trained_is_said_parameter_by_parameter():
    layer = Candidate.of("trelu(alpha=trained(0.1), theta=0.5)").activation(channels=3, axis=1)
    assert [v.name for v in layer.trainable_variables] == ["alpha"]
    assert (layer.alpha.shape, layer.axis, layer.get_config()["theta"]) == ((3,), 1, 0.5)
    both = Candidate.of("trelu(alpha=trained, theta=trained(0.2))").activation()
    assert [v.name for v in both.trainable_variables] == ["alpha", "theta"]
    with pytest.raises(
        ActivationError, match=r"only \['alpha', 'theta'\].*Received: mode='trained'"
    ):
        Candidate.of("trelu(mode=trained)")
    with pytest.raises(ActivationError, match="must be a finite number"):
        Candidate.of("trelu(alpha=trained(nan))")


@pytest.mark.once
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
    hp.values["act"] = "mish"
    with pytest.raises(SearchError, match="Received: 'mish'"):
        space.choose(hp)


def test_ranges_can_be_overridden():
    hp = keras_tuner.HyperParameters()
    ActivationSpace(["leaky_relu"], ranges={"leaky_relu.alpha": (0.1, 0.2, "log")}).choose(hp)
    (alpha,) = (p for p in hp.space if p.name == "act.leaky_relu.alpha")
    assert (alpha.min_value, alpha.max_value, alpha.sampling) == (0.1, 0.2, "log")


@pytest.mark.once
def test_ranges_can_fix_or_train_or_search_what_the_spec_leaves_alone():
    def labels(activation, **ranges):
        return ActivationSpace(
            [activation], ranges={k.replace("__", "."): v for k, v in ranges.items()}
        ).labels

    assert labels("trelu", trelu__alpha="trained", trelu__theta=0.3) == (
        "trelu(alpha=trained(0.0), theta=0.3)",
    )
    assert labels("trelu", trelu__mode="keras") == ("trelu(mode='keras')",)
    space = ActivationSpace(["prelu"], ranges={"prelu.alpha": (0.1, 0.3, "linear")})
    assert [str(c) for c in space.grid(2)] == ["prelu(alpha=0.1)", "prelu(alpha=0.3)"]


@pytest.mark.once
def test_one_range_serves_all_entries_that_search_the_parameter():
    space = ActivationSpace(["trelu", "trelu(alpha=0.1)"], ranges={"trelu.theta": (0.1, 0.2)})
    thetas = {dict(c.parameters)["theta"] for c in space.grid(2)}
    assert thetas == {0.1, 0.2}


@pytest.mark.once
def test_the_baseline_is_always_there_and_first():
    assert ActivationSpace(["mish"]).with_baseline().labels == ("relu", "mish")
    assert ActivationSpace(["mish", "relu"]).with_baseline().labels == ("relu", "mish")
    assert ActivationSpace(["mish"]).with_baseline("tanh").labels == ("tanh", "mish")
    assert ActivationSpace(["mish"], per="layer").with_baseline("tanh").per == "layer"


@pytest.mark.once
def test_size_and_grid():
    finite = ActivationSpace(["relu", "mish", "leaky_relu(alpha=0.1)"])
    assert finite.size == 3
    assert [str(c) for c in finite.grid()] == ["relu", "mish", "leaky_relu(alpha=0.1)"]
    space = ActivationSpace(
        ["relu", "leaky_relu", "trelu"], ranges={"leaky_relu.alpha": (0.01, 1, "log")}
    )
    assert space.size == math.inf
    written = [str(c) for c in space.grid(3)]
    assert written[:4] == ["relu", *(f"leaky_relu(alpha={alpha})" for alpha in (0.01, 0.1, 1.0))]
    # trelu's nine, but for the one with alpha=0 and theta=0, which is relu
    assert len(written) == len(set(written)) == 4 + 8
    assert [str(c) for c in ActivationSpace(["elu"]).grid(1)] == ["elu(alpha=1.0)"]


@pytest.mark.once
def test_sampling_is_seeded_and_stays_in_range():
    space = ActivationSpace(["relu", "leaky_relu"], ranges={"leaky_relu.alpha": (0.001, 1, "log")})
    sampled = space.sample(400, seed=3)
    assert sampled == space.sample(400, seed=3) != space.sample(400, seed=4)
    alphas = [dict(c.parameters)["alpha"] for c in sampled if c.parameters]
    assert 150 < len(alphas) < 250
    assert 0.001 <= min(alphas) <= max(alphas) <= 1
    assert 0.2 < np.mean(np.array(alphas) < 0.01) < 0.47  # a third of the logarithmic scale


@pytest.mark.once
def test_neighbours_are_one_step_away():
    space = ActivationSpace(
        ["relu", "leaky_relu", "mish"], ranges={"leaky_relu.alpha": (0.01, 1, "log")}
    )
    assert [str(c) for c in space.neighbours("leaky_relu(alpha=0.1)", step=0.25)] == [
        *("leaky_relu(alpha=0.0316)", "leaky_relu(alpha=0.316)", "relu", "mish")
    ]
    assert [str(c) for c in space.neighbours("relu")] == ["leaky_relu(alpha=0.01)", "mish"]
    at_the_end = space.neighbours("leaky_relu(alpha=1)", step=0.5)
    assert [str(c) for c in at_the_end] == ["leaky_relu(alpha=0.1)", "relu", "mish"]
    with pytest.raises(SearchError, match=r"in the space.*Received: leaky_relu\(alpha=2.0\)"):
        space.neighbours("leaky_relu(alpha=2)")


def test_a_trained_parameter_is_in_no_range():
    space = ActivationSpace(["trelu"])
    trained = Candidate.of("trelu(alpha=trained)")
    assert space.hyperparameters(trained) == {"act": str(trained)}
    with pytest.raises(SearchError, match=r"in the space.*Received: trelu\(alpha=trained"):
        space.neighbours(trained)


@pytest.mark.parametrize(
    "per", ["layer", {"first": "conv.*", "gates": ["se.*", "lstm.recurrent_activation"]}]
)
def test_the_json_round_trip(per):
    space = ActivationSpace(
        ["relu", squash, "trelu(alpha=trained)", "elu"],
        ranges={"elu.alpha": (0.5, 1, "log")},
        per=per,
    )
    again = ActivationSpace.from_json(space.to_json())
    assert again == space
    assert hash(again) == hash(space)
    assert (again.labels, again.per, again.fingerprint) == (
        space.labels,
        space.per,
        space.fingerprint,
    )
    first, second = keras_tuner.HyperParameters(), keras_tuner.HyperParameters()
    assert space.choose(first) == again.choose(second)
    assert first.get_config() == second.get_config()
    other = ActivationSpace(
        ["relu", squash, "trelu(alpha=trained)", "elu"],
        ranges={"elu.alpha": (0.5, 1.1, "log")},
        per=per,
    )
    assert other.fingerprint != space.fingerprint


@pytest.mark.once
def test_a_changed_or_broken_space_is_refused():
    text = ActivationSpace(["relu", "elu"]).to_json()
    with pytest.raises(SearchError, match="was changed"):
        ActivationSpace.from_json(text.replace("2.0", "3.0"))
    for broken in ("", "[]", "{}", json.dumps({**json.loads(text), "activations": 3})):
        with pytest.raises(SearchError, match="to_json wrote"):
            ActivationSpace.from_json(broken)
    with pytest.raises(ActivationError, match="Unknown activation"):
        ActivationSpace.from_json(text.replace('"relu"', '"mine_from_elsewhere"'))


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activations": []}, "at least one"),
        ({"activations": "relu"}, "must be a list"),
        ({"activations": ["mish", "mish"]}, "'mish' twice"),
        (
            {"activations": ["relu", "leaky_relu(alpha=0)"]},
            r"'leaky_relu\(alpha=0.0\)' twice, first as 'relu'",
        ),
        ({"activations": ["silu", "swish"]}, "twice"),
        ({"activations": ["misch"]}, "Did you mean mish"),
        (
            {"activations": ["leaky_relu(alpha=nan)"]},
            "alpha must be a finite number. Received: alpha=nan",
        ),
        (
            {"activations": ["trelu(theta=inf)"]},
            "theta must be a finite number. Received: theta=inf",
        ),
        ({"activations": ["softmax"]}, "no hidden activation"),
        ({"activations": ["glu"]}, "no hidden activation"),
        ({"activations": [lambda x: x]}, "lambda"),
        (
            {"activations": ["relu"], "ranges": {"relu.alpha": (0, 1)}},
            r"ranges must name.*Received: \['relu.alpha'\]",
        ),
        (
            {"activations": ["trelu(theta=1)"], "ranges": {"trelu.theta": (0, 1)}},
            "not written already",
        ),
        ({"activations": ["elu"], "ranges": {"elu.alpha": (2, 1)}}, "low < high"),
        ({"activations": ["elu"], "ranges": {"elu.alpha": (0, 1, "log")}}, "0 < low"),
        ({"activations": ["elu"], "ranges": {"elu.alpha": (0, 1, "cubic")}}, "'cubic'"),
        ({"activations": ["elu"], "ranges": {"elu.alpha": (-1, 1)}}, ">= 0"),
        ({"activations": ["elu"], "ranges": {"elu.alpha": "often"}}, "Received: alpha='often'"),
        ({"activations": ["prelu"], "ranges": {"prelu.alpha": "trained"}}, r"only \[\]"),
        ({"activations": ["relu"], "per": "channel"}, "'model', 'block', 'layer'"),
        ({"activations": ["relu"], "per": {}}, "per="),
        ({"activations": ["relu"], "per": {"a": []}}, r"Received: per=\{'a': \[\]\}"),
        ({"activations": ["relu"], "per": {"a": "("}}, "regular expression must be valid"),
    ],
)
def test_bad_spaces_are_refused(arguments, message):
    with pytest.raises(KerasActsError, match=message):
        ActivationSpace(**arguments)


@pytest.mark.once
@pytest.mark.parametrize("points", [0, 1.5, True])
def test_a_bad_grid_is_refused(points):
    with pytest.raises(SearchError, match="points must be an integer >= 1"):
        ActivationSpace(["relu"]).grid(points)


def test_an_unregistered_function_is_refused():
    def unregistered(x):
        return x

    with pytest.raises(ActivationError, match="register_keras_serializable"):
        Candidate.of(unregistered)
