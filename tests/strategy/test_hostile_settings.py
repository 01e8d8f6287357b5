"""Whatever a setting is, it makes sense or is refused with an error of ours, before any work."""

import importlib

import keras_tuner
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_acts.errors import ExportError, KerasActsError, SearchError
from keras_acts.search import (
    ActivationTuner,
    PopulationModel,
    RacingOracle,
    compare_activations,
    export,
    search_activations,
    with_activations,
)
from keras_acts.search.request import Limits
from tests.helpers import hostile
from tests.helpers.models import blobs, contents, mlp

# what is refused before any work
pytestmark = pytest.mark.once

MODEL = mlp()
X, Y = blobs(12)
LIMITS = {
    "trials": 2,
    "epochs": 1,
    "executions_per_trial": 1,
    "strategy": "auto",
    "max_epochs": None,
    "max_seconds": None,
    "verdict": 0,
    "population": "auto",
    "seed": 0,
    "directory": None,
    "project_name": "activations",
    "overwrite": False,
    "verbose": 0,
}


class _Reached(Exception):
    """All settings were found right: the work would begin here."""


def made(function, *arguments, **options):
    """What a function makes; None where it refuses with one of our errors."""
    try:
        return function(*arguments, **options)
    except (KerasActsError, _Reached) as error:
        if isinstance(error, KerasActsError):
            text = str(error)
            assert "eceived" in text
            assert len(text) < 4000
        return None


@hostile.examples
@given(st.sampled_from(sorted(LIMITS)), hostile.values)
def test_limits(name, value):
    made(Limits(**{**LIMITS, name: value}).check)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("overwrite", "False"),  # it would be true, and delete
        ("overwrite", 0.0),
        ("overwrite", None),
        *(("seed", value) for value in (-1, 1.0, "0", True, None)),
        *(("max_seconds", value) for value in ("60", 0, -1, True, float("nan"), [1])),
        *(("directory", value) for value in (5, True, b"x", ["x"])),
        ("strategy", ["race"]),
        ("population", np.zeros(2)),
        ("verdict", True),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path, name, value):
    before = contents(tmp_path)
    options = {"trials": 1, "epochs": 1, "verbose": 0, "directory": tmp_path, name: value}
    with pytest.raises(SearchError, match=rf"^{name} must be .*Received: {name}="):
        search_activations(MODEL, X, Y, **options)
    assert contents(tmp_path) == before


def test_a_word_overwrites_nothing(tmp_path):
    before = contents(tmp_path)
    place = {"directory": tmp_path, "activations": ["relu"]}
    with pytest.raises(SearchError, match=r"overwrite must be True or False"):
        ActivationTuner(MODEL, overwrite="False", **place)
    with pytest.raises(ExportError, match=r"overwrite must be True or False"):
        export(MODEL, tmp_path / "model", overwrite="False")
    assert contents(tmp_path) == before


def test_settings_of_other_kinds_that_make_sense(tmp_path):
    for name, value in (
        ("seed", np.int64(3)),
        ("overwrite", np.True_),
        ("directory", str(tmp_path)),
        ("directory", tmp_path),
        ("max_seconds", np.float32(2)),
        ("max_seconds", float("inf")),
    ):
        Limits(**{**LIMITS, name: value}).check()


@hostile.examples
@given(
    st.dictionaries(
        st.sampled_from(["objective", "trials", "max_epochs", "seed"]), hostile.values, max_size=2
    )
)
def test_a_racing_oracle(options):
    oracle = made(RacingOracle, **options)
    assert oracle is None or isinstance(oracle, keras_tuner.Oracle)


@hostile.examples
@given(
    st.dictionaries(
        st.sampled_from(["max_trials", "seed", "population"]), hostile.values, min_size=1
    )
)
def test_a_tuner(tmp_path_factory, options):
    place = {"directory": tmp_path_factory.mktemp("tuner"), "activations": ["relu"]}
    made(ActivationTuner, MODEL, **place, **options)


@hostile.examples
@given(
    st.one_of(hostile.values, st.lists(hostile.written(), max_size=3)),
    st.one_of(hostile.values, st.lists(hostile.leaves, max_size=3)),
)
def test_members_of_a_population(candidates, seeds):
    members = importlib.import_module("keras_acts.search.population.members")
    made(members.members, candidates, seeds)


@pytest.mark.parametrize(
    ("candidates", "seeds"),
    [([], 1), (["relu"], 0), (["relu"], []), ("relu", 1), (5, 1), (None, 1), (["relu"], 10**9)],
)
def test_a_population_of_nothing(candidates, seeds):
    with pytest.raises(KerasActsError, match=r"Received: "):
        PopulationModel(MODEL, candidates, seeds)


@hostile.examples
@given(
    st.one_of(
        hostile.values,
        hostile.written(),
        st.dictionaries(
            st.sampled_from(["first", "second", "output", "nothing"]), hostile.values, max_size=2
        ),
    )
)
def test_activations_of_a_model(monkeypatch_module, activation):
    made(with_activations, MODEL, activation)


def test_an_array_is_no_activation_of_a_slot():
    with pytest.raises(KerasActsError, match=r"Received: "):
        with_activations(MODEL, {"first": np.zeros(3)})


@pytest.fixture(scope="module")
def monkeypatch_module():
    """Stops `with_activations` where it would begin to copy the model."""
    clone = importlib.import_module("keras_acts.search.rewrite.clone")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clone, "ModelCloner", _reached)
        yield


def _reached(*arguments, **options):
    raise _Reached


@hostile.examples
@given(
    st.dictionaries(
        st.sampled_from(["class_names", "threshold", "formats", "card", "overwrite", "versioned"]),
        st.one_of(hostile.values, st.lists(st.text(max_size=3), min_size=3, max_size=3)),
        max_size=2,
    )
)
def test_an_export(no_exports, tmp_path_factory, options):
    folder = tmp_path_factory.mktemp("export")
    made(export, MODEL, folder / "model", **options)
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def no_exports():
    """Stops an export where it would begin to predict."""
    module = importlib.import_module("keras_acts.search.exporting.export")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_in_float32", _reached)
        yield


@hostile.examples
@given(
    st.dictionaries(
        st.sampled_from(["seeds", "looks", "epochs", "seed", "learning_rates", "rescale_init"]),
        hostile.values,
        min_size=1,
        max_size=2,
    )
)
def test_a_comparison(no_comparison, options):
    made(compare_activations, MODEL, X, Y, ["relu", "mish"], verbose=0, **options)


@pytest.fixture(scope="module")
def no_comparison():
    """Stops a comparison where it would begin to train."""
    module = importlib.import_module("keras_acts.search.verdict.compare")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "rehearse", _reached)
        yield
