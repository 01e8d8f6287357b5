"""What NVIDIA's driver says of a GPU: what is free beside other processes, and which one it is."""

import keras
import pytest

from keras_acts.search.runtime import choices, programs
from keras_acts.search.runtime.memory import Pool, free_beside_others

pytestmark = pytest.mark.once


@pytest.fixture
def answers(tmp_path, monkeypatch):
    """Have `nvidia-smi` be a program that answers so, and writes down what it was asked."""

    def say(answer):
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{answer}\n')
        program.chmod(0o755)
        return tmp_path / "asked"

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return say


def test_the_driver_tells_of_the_first_gpu_that_this_process_sees(answers, monkeypatch):
    asked = answers("echo 1024")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert free_beside_others() == 2**30
    assert asked.read_text().split() == [
        "--query-gpu=memory.free",
        "--format=csv,noheader,nounits",
        "--id=3",
    ]


def test_the_driver_tells_of_the_gpu_that_a_script_has_made_visible(answers, monkeypatch):
    asked = answers("echo 1024")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 1")
    free_beside_others(place=1)
    assert asked.read_text().split()[-1] == "--id=1"
    assert free_beside_others(place=2) is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    free_beside_others(place=2)
    assert asked.read_text().split()[-1] == "--id=2"


@pytest.mark.parametrize("answer", ["echo [N/A]", "echo", "exit 6"])
def test_a_driver_that_does_not_tell_is_no_number(answers, answer):
    answers(answer)
    assert free_beside_others() is None


def test_without_the_program_nobody_tells(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert free_beside_others() is None


POOL = Pool(limit=22 * 2**30, in_use=2**30, most_in_use=2 * 2**30)


@pytest.fixture
def variables(monkeypatch):
    """Set what the backend reads of how it takes a GPU's memory."""

    def say(growth):
        if keras.backend.backend() == "jax":
            preallocates = {"true": "false", "false": "true"}
            monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", preallocates[growth])
        else:
            monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", growth)

    monkeypatch.setattr(choices, "_asked_too_late", False)
    return say


def test_what_the_backend_has_taken_at_first_is_free_though_the_driver_says_it_is_not(
    answers, variables
):
    answers("echo 512")
    variables("false")
    assert POOL.free() == 21 * 2**30


def test_memory_that_grows_is_what_the_driver_and_the_idle_pool_have(answers, variables):
    answers("echo 512")
    variables("true")
    assert POOL.free() == 512 * 2**20 + 2**30
    answers("echo 99999")
    assert POOL.free() == 21 * 2**30
    answers("exit 6")
    assert POOL.free() == 21 * 2**30


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX is not asked")
def test_what_tensorflow_was_asked_too_late_it_has_not_heard(answers, monkeypatch):
    import tensorflow as tf  # may be missing beside JAX

    keras.Variable(1.0)  # TensorFlow has its devices
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    monkeypatch.setattr(choices, "_asked_too_late", False)
    choices.let_memory_grow()
    devices = tf.config.get_visible_devices("GPU")
    grow_by_script = any(map(tf.config.experimental.get_memory_growth, devices))
    assert choices.memory_grows() == grow_by_script
    if not grow_by_script:
        answers("echo 512")
        assert POOL.free() == 21 * 2**30


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX is not asked")
def test_what_the_user_said_stays_said(monkeypatch):
    monkeypatch.setattr(choices, "_asked_too_late", False)
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    choices.let_memory_grow()
    assert not choices.memory_grows()


@pytest.fixture
def folder_of(answers, monkeypatch, tmp_path):
    """Return where a process keeps its programs whose driver answers so."""
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path))

    def asked(answer):
        answers(answer)
        programs._what_compiles.cache_clear()
        return programs.kept_in()

    yield asked
    programs._what_compiles.cache_clear()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX tells them itself")
def test_programs_of_one_gpu_are_not_taken_for_those_of_another(folder_of, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    without = folder_of("exit 9")
    t4 = folder_of("echo Tesla T4, 550.54")
    assert folder_of("echo Tesla T4, 550.54; echo Tesla T4, 550.54") == t4
    newer_driver = folder_of("echo Tesla T4, 570.1")
    h200 = folder_of("echo NVIDIA H200, 550.54")
    both = "echo Tesla T4, 550.54; echo NVIDIA H200, 550.54"
    first = folder_of(both)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    second = folder_of(both)
    assert len({without, t4, newer_driver, h200, first, second}) == 6
