"""What is chosen by the device can be set, by a script and from outside."""

import os
import subprocess
import sys

import keras
import pytest

from keras_acts.errors import SearchError
from keras_acts.search.population.model import PopulationModel
from keras_acts.search.rewrite.compiling import compile_arguments
from keras_acts.search.runtime import choices, costs
from tests.helpers.populations import check, cnn, data, settings, two_slots
from tests.helpers.processes import ROOT


def test_a_choice_holds_inside_the_scope_only():
    before = choices.now()
    by_device = choices.convolves_by(9, 4, 1)  # JAX on a CPU takes another than TensorFlow
    assert by_device != "loop"
    with choices.using(convolutions="loop", most_members=4):
        assert choices.convolves_by(9, 4, 1) == "loop"
        assert choices.most_members() == 4
        with choices.using(convolutions=None):
            assert choices.convolves_by(9, 4, 1) == by_device
            assert choices.most_members() == 4
    assert choices.now() == before
    assert choices.most_members() == costs.RACE_MOST_MEMBERS


@pytest.mark.once
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("convolution=loop", "Received: 'convolution=loop'"),
        ("convolutions=fast", "must be one of grouped, patches, loop"),
        ("xla_steps=true", "xla_steps must be yes or no. Received: xla_steps='true'"),
        ("most_members=many", "must be a whole number"),
        ("most_members=0", "must be at least 1"),
    ],
)
def test_what_is_no_choice_is_refused(text, said):
    with pytest.raises(SearchError, match="Received") as refused:
        choices.parsed(text)
    assert said in str(refused.value)


@pytest.mark.once
def test_a_text_sets_several():
    chosen = choices.parsed(" xla_steps=no, products = separate,")
    assert chosen == choices.Choices(xla_steps=False, products="separate")
    assert choices.parsed("") == choices.Choices()


def test_xla_compiles_what_is_set():
    with choices.using(xla_steps=True):
        assert choices.compiles_step(steps=1, members=1, faster=False)
    with choices.using(xla_steps=False, xla_updates=False):
        assert not choices.compiles_step(steps=1e9, members=128, faster=True)
        assert not choices.compiles_update(steps=1e9, members=128)
    assert choices.compiles_step(steps=1e9, members=128, faster=True)
    assert choices.compiles_update(steps=1e9, members=128)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX compiles all")
@pytest.mark.parametrize("jit_compile", ["auto", False, True])
def test_what_is_set_wins_over_what_the_model_of_a_search_is_compiled_with(jit_compile):
    model = two_slots()
    model.compile("rmsprop", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    population = PopulationModel(model, ["relu", "tanh"])
    # as every way to search compiles it: of "auto" Keras has made yes or no
    population.compile(**compile_arguments(model))
    step = population.training_step
    compiled = step.decided.whole
    assert compiled in (False, True)
    step.expect(population, 1)
    assert step.decided == (1, compiled, False)
    with choices.using(xla_steps=True, xla_updates=True):
        step.expect(population, 1)
    assert step.decided == (2, True, False)
    with choices.using(xla_steps=False, xla_updates=True):
        step.expect(population, 1)
    assert step.decided == (3, False, True)
    with choices.using(xla_steps=False, xla_updates=False):
        step.expect(population, 1)
    assert step.decided == (4, False, False)


@pytest.mark.once
@pytest.mark.slow
def test_the_environment_sets_what_a_whole_process_chooses():
    code = "from keras_acts.search.runtime import choices; print(choices.now().convolutions)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_ACTS_CHOICES": "convolutions=loop"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "loop"


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has its own")
@pytest.mark.parametrize("way", ["patches", "loop"])
def test_members_convolve_as_their_ordinary_models_in_each_way(way):
    x, y = data((7, 6, 2))
    candidates = ["leaky_relu(alpha=0.2)", "leaky_relu(alpha=0.05)", "relu"]
    fitted = {"x": x, "y": y, "epochs": 1}
    with choices.using(convolutions=way):
        check(cnn(), candidates, settings("sgd"), fitted, members=(1,), rtol=2e-4)
