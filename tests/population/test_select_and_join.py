"""Members are taken out of populations, put together, and may have a choice for each layer."""

import functools

import numpy as np
import pytest

import keras_acts as ka
from keras_acts.errors import ModelError
from keras_acts.search import Assignment, with_activations
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.runtime.seeding import isolated_seed
from tests.helpers.populations import (
    MODELS,
    SLOW,
    check,
    data,
    mlp,
    settings,
    small,
)

CHOICES = {
    # the same function for neighbours, for others, for none; trained and fixed parameters; what is
    # for all slots
    "two_slots": [
        Assignment.of({"first": "leaky_relu(alpha=0.2)", "second": "prelu"}),
        Assignment.of({"first": "prelu", "second": "tanh"}),
        "relu",
        Assignment.of({"first": "leaky_relu(alpha=0.4)", "second": "tanh"}),
        Assignment.of({"second": "leaky_relu(alpha=0.1)", "first": "tanh"}),
    ],
    "without_rules": [
        Assignment.of(
            {
                "conv": "prelu",
                "lstm": "leaky_relu(alpha=0.2)",
                "lstm.recurrent_activation": "sigmoid",
            }
        ),
        Assignment.of(
            {
                "conv": "leaky_relu(alpha=0.2)",
                "lstm": "prelu",
                "lstm.recurrent_activation": "hard_sigmoid",
            }
        ),
        Assignment.of(
            {
                "conv": "leaky_relu(alpha=0.4)",
                "lstm": "leaky_relu(alpha=0.4)",
                "lstm.recurrent_activation": "hard_sigmoid",
            }
        ),
    ],
}


@pytest.mark.parametrize("name", [SLOW.get(name, name) for name in sorted(CHOICES)])
def test_each_layer_may_have_a_choice_of_its_own(name, float64):
    make, shape = MODELS[name]
    x, y = data(shape)
    population = check(make(), CHOICES[name], settings(), {"x": x, "y": y})
    part = population.select([1, 0])
    for one in (population, part) if name == "two_slots" else ():
        one.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        part.predict(x, verbose=0), population.predict(x, verbose=0)[[1, 0]], rtol=1e-8
    )


def test_choices_for_layers_are_for_the_same_ones():
    with pytest.raises(
        ModelError,
        match=r"must be for the same slots, \['first', 'second'\]. Received: \['first'\]",
    ):
        PopulationModel(mlp(), [CHOICES["two_slots"][0], Assignment.of({"first": "relu"})])


@pytest.mark.slow
def test_a_selection_trains_on_as_its_members_would_have(float64):
    x, y = data()
    candidates = [
        "relu",
        "prelu",
        "leaky_relu(alpha=0.2)",
        "prelu(alpha=0.1)",
        "leaky_relu(alpha=0.4)",
    ]

    def train(population):
        population.fit(x, y, batch_size=8, shuffle=False, verbose=0)

    whole = PopulationModel(mlp(), candidates, seeds=2)
    whole.compile("nadam", "sparse_categorical_crossentropy")
    train(whole)
    part = whole.select([8, 3, 7, 0])
    assert part.members == tuple(whole.members[member] for member in (8, 3, 7, 0))
    single = whole.model(3)
    train(whole), train(part), train(single)
    np.testing.assert_allclose(
        part.predict(x, verbose=0), whole.predict(x, verbose=0)[[8, 3, 7, 0]], rtol=1e-8
    )
    np.testing.assert_allclose(
        single.predict(x, verbose=0), whole.predict(x, verbose=0)[3], rtol=1e-8
    )


def test_populations_of_one_model_join_as_they_are(float64):
    x, y = data()
    model = small()

    def trained(candidates, times=1, rates=None):
        made = PopulationModel(model, candidates)
        made.compile("adam", "sparse_categorical_crossentropy")
        if rates:
            made.set_learning_rates(rates)
        for _ in range(times):
            made.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        return made

    def predicted(population):
        return population.predict(x, verbose=0)

    whole = trained(["relu", "prelu", "mish", "prelu(alpha=0.1)"], times=2)
    one, other = trained(["relu", "prelu"]), trained(["mish", "prelu(alpha=0.1)"])
    other.random.state.assign([7, 9])
    joined = PopulationModel.join([(other, [1, 0]), (one, [1])])
    assert list(np.asarray(joined.random.state)) == [
        7,
        9,
    ]  # noise goes on, and does not begin again
    assert [str(m.candidate) for m in joined.members] == ["prelu(alpha=0.1)", "mish", "prelu"]
    np.testing.assert_allclose(
        predicted(joined), [*predicted(other)[::-1], predicted(one)[1]], rtol=1e-8
    )
    joined.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(predicted(joined), predicted(whole)[[3, 2, 1]], rtol=1e-8)
    rated = trained(["relu"], times=0, rates=[0.1])
    rated.optimizer.build(rated.trainable_variables)
    rated.optimizer.iterations.assign(one.optimizer.iterations)
    for parts in ([], [(one, [0]), (whole, [0])], [(one, [0]), (rated, [0])]):
        with pytest.raises(
            ModelError, match=f"Populations join if .* Received: {len(parts)} populations"
        ):
            PopulationModel.join(parts)


def test_a_compiled_model_makes_a_compiled_population_in_public_order():
    model = mlp()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    population = PopulationModel(model, ["mish", "relu", "mish"], seeds=[4, 9])
    x, y = data()
    logs = population.evaluate(x, y, verbose=0, return_dict=True)
    predicted = population.predict(x, verbose=0)
    np.testing.assert_allclose(predicted, population(x), rtol=1e-5)
    np.testing.assert_allclose(predicted, population.predict_on_batch(x), rtol=1e-5)

    @functools.cache
    def evaluated(member):
        with isolated_seed(member.seed):
            alone = with_activations(model, member.candidate)
        alone.run_eagerly = True  # it is evaluated once
        return alone.evaluate(x, y, verbose=0, return_dict=True), np.asarray(alone(x))

    for p, member in enumerate(population.members):
        expected, outputs = evaluated(member)
        np.testing.assert_allclose(
            [logs["members/loss"][p], logs["members/accuracy"][p]],
            [expected["loss"], expected["accuracy"]],
            rtol=1e-5,
        )
        np.testing.assert_allclose(predicted[p], outputs, rtol=1e-4, atol=1e-6)
    assert [m.seed for m in population.members] == [4, 9, 4, 9, 4, 9]
    assert model.compiled
    assert not population.blueprint.made(
        population.members[0].candidate
    ).compiled  # which takes time
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_population_that_is_not_compiled_gives_its_models():
    population = PopulationModel(mlp(), ["relu", "mish"])
    model = population.model(1)
    assert not population.compiled
    assert not model.compiled
    np.testing.assert_allclose(model(data()[0]), population(data()[0])[1], rtol=1e-5, atol=1e-6)


def test_members_read_as_they_are_written():
    population = PopulationModel(mlp(), [ka.Mish(), "trelu(theta=0.5)"], seeds=[7])
    assert [(str(m.candidate), m.seed) for m in population.members] == [
        ("mish", 7),
        ("trelu(alpha=0.0, theta=0.5)", 7),
    ]
