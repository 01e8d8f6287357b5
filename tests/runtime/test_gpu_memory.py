"""What is free on a GPU beside other processes is what its driver says."""

import pytest

from keras_acts.search.runtime.memory import free_beside_others

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
    assert "--id=3 --query-gpu=memory.free" in asked.read_text()


@pytest.mark.parametrize("answer", ["echo [N/A]", "echo", "exit 6"])
def test_a_driver_that_does_not_tell_is_no_number(answers, answer):
    answers(answer)
    assert free_beside_others() is None


def test_without_the_program_nobody_tells(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert free_beside_others() is None
