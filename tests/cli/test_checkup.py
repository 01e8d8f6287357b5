"""`keras-acts doctor` tells what is here, and advises only what is true here."""

import dataclasses
import json

import pytest

from keras_acts_cli import checkup
from tests.cli.test_cli import command

GIB = 2**30
MACHINE = checkup.Machine(
    device="CPU (2 cores)",
    gpus=(),
    backend="tensorflow",
    onednn=True,
    cores=2,
    load=0.5,
    free_ram=8 * GIB,
    free=8 * GIB,
)
VERSIONS = (checkup.Version("Python", "3.11.7", ">=3.11"), checkup.Version("keras_acts", "0.1.0"))


@pytest.fixture(autouse=True)
def no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(checkup, "_GPU_OF_NVIDIA", tmp_path / "nvidia0")


def test_what_is_fast_already_is_told_nothing():
    assert checkup.advice(MACHINE, VERSIONS) == ["nothing that we know of"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("differing", "said"),
    [
        ({"backend": "torch"}, "KERAS_BACKEND=tensorflow or jax: searches do not run on torch"),
        ({"onednn": False}, "TF_ENABLE_ONEDNN_OPTS=1"),
        ({"load": 9.0}, "fewer other processes"),
        ({"free": GIB}, "more free memory"),
        ({"may_have_lanes": True}, "TF_NUM_INTRAOP_THREADS=1 for small models"),
    ],
)
def test_only_what_is_true_here_is_advised(differing, said):
    (tip,) = checkup.advice(dataclasses.replace(MACHINE, **differing), VERSIONS)
    assert said in tip


@pytest.mark.once
def test_a_gpu_that_the_backend_does_not_see_is_told(tmp_path):
    (tmp_path / "nvidia0").touch()
    (tip,) = checkup.advice(MACHINE, VERSIONS)
    assert 'pip install "keras-acts[cuda]"' in tip
    seen = dataclasses.replace(
        MACHINE, gpus=("NVIDIA H100",), programs="programs", dtype_policy="mixed_bfloat16"
    )
    assert checkup.advice(seen, VERSIONS) == ["nothing that we know of"]


@pytest.mark.once
def test_on_a_gpu_compiled_programs_and_half_precision_are_advised():
    on_gpu = dataclasses.replace(MACHINE, gpus=("NVIDIA H100",), tf32=True)
    programs, precision = checkup.advice(on_gpu, VERSIONS)
    assert programs.startswith("KERAS_ACTS_PROGRAMS=FOLDER")
    assert "mixed_bfloat16" in precision
    text = "\n".join(checkup.lines(on_gpu, VERSIONS, None))
    assert "in TF32" in text
    assert "no compiled programs" in text


@pytest.mark.once
def test_what_is_set_by_hand_is_shown():
    machine = dataclasses.replace(MACHINE, programs="/a/folder", chosen={"convolutions": "loop"})
    text = "\n".join(checkup.lines(machine, VERSIONS, None))
    assert "chosen: convolutions  loop" in text
    assert "also what is compiled, in /a/folder" in text


@pytest.mark.once
def test_a_version_that_is_not_supported_is_told():
    newer = checkup.Version("keras", "3.99.0", "<3.16,>=3.12")
    assert not newer.fits
    text = "\n".join(checkup.lines(MACHINE, (*VERSIONS, newer), None))
    assert "keras       3.99.0, outside of what is supported (<3.16,>=3.12)" in text
    assert "keras <3.16,>=3.12: only these versions are tested" in text


def test_the_versions_are_those_that_are_imported():
    found = {one.name: one for one in checkup.versions()}
    assert list(found) == ["Python", "keras_acts", "tensorflow", "keras", "keras-tuner", "numpy"]
    assert all(one.fits and one.supported for one in found.values() if one.name != "keras_acts")
    import keras

    assert found["keras"].version == keras.__version__


def test_without_steps_there_is_no_line_of_them():
    text = "\n".join(checkup.lines(MACHINE, VERSIONS, None))
    assert "A training step" not in text
    steps = checkup.Steps(one=0.001, together=0.004)
    text = "\n".join(checkup.lines(MACHINE, VERSIONS, steps))
    assert "32 models  4 ms together, 0.12 ms each: 8.0 times as fast" in text


@pytest.mark.slow
def test_doctor_measures_real_models(tmp_path):
    done = command(tmp_path, "doctor", "--json")
    assert done.exit_code == 0, done.output
    plain = json.loads(done.stdout)
    steps = plain["steps"]
    assert steps["members"] == 32
    assert steps["one"] > 0
    assert steps["together"] > 0
    assert plain["machine"]["cores"] >= 1
    assert plain["faster"]
