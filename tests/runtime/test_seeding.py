"""A seeded scope leaves the process as it was."""

import itertools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator
from tensorflow.python.eager import context
from tensorflow.python.framework import config

from keras_acts.search.runtime.seeding import Stream, derive, isolated_seed, sequence
from tests.helpers.models import mlp


def draw():
    return [
        random.random(),
        float(np.random.random()),
        float(tf.random.uniform(())),
        mlp().get_weights()[0].tolist(),
    ]


def test_the_users_streams_go_on_as_if_nothing_had_been():
    keras.utils.set_random_seed(5)
    draw()
    undisturbed = draw()
    keras.utils.set_random_seed(5)
    draw()
    with isolated_seed(1):
        draw()
    assert draw() == undisturbed


def test_a_scope_of_the_users_own_seed_takes_nothing_from_the_user():
    keras.utils.set_random_seed(5)
    undisturbed = draw()
    keras.utils.set_random_seed(5)
    with isolated_seed(5):
        assert draw() == undisturbed
    assert draw() == undisturbed


def test_programs_that_were_traced_in_a_scope_are_kept_after_it(monkeypatch):
    """TensorFlow lets go of them as it takes a seed: once where a scope begins, not where it ends."""
    taken = []
    take = context.Context._set_global_seed

    def taking(state, seed):
        taken.append(seed)
        take(state, seed)

    monkeypatch.setattr(context.Context, "_set_global_seed", taking)
    with isolated_seed(3):
        assert taken == [3]
    assert taken == [3]


def test_the_global_generator_of_keras_goes_on():
    keras.random.uniform(())
    generator = global_seed_generator()
    state = keras.ops.convert_to_numpy(generator.state)
    with isolated_seed(1):
        first = float(keras.random.uniform(()))
    with isolated_seed(1):
        assert float(keras.random.uniform(())) == first
    assert global_seed_generator() is generator
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(generator.state), state)


def test_the_scope_repeats():
    def inside():
        with isolated_seed(3):
            return draw()

    first = inside()
    assert inside() == first
    with isolated_seed(4):
        assert draw() != first


def test_a_process_without_a_seed_stays_without():
    # what a fresh process is like: no TensorFlow seed
    tf.random.set_seed(None)
    with isolated_seed(1):
        pass
    assert tf.compat.v1.random.get_seed(1)[0] == 87654321  # TensorFlow's value for "no global seed"


@pytest.mark.parametrize("enabled", [True, False])
def test_determinism_is_left_as_it_was(enabled):
    (config.enable_op_determinism if enabled else config.disable_op_determinism)()
    try:
        with isolated_seed(1):
            draw()
        assert config.is_op_determinism_enabled() is enabled
    finally:
        config.disable_op_determinism()


def test_an_error_restores_too():
    state = random.getstate()
    with pytest.raises(KeyError), isolated_seed(1):
        raise KeyError
    assert random.getstate() == state


@pytest.mark.once
def test_derived_seeds_differ_and_repeat():
    seeds = [
        derive(seed, Stream.EXECUTIONS, execution) for seed in range(20) for execution in range(20)
    ]
    assert len(set(seeds)) == 400
    assert derive(0, Stream.VERDICT, 1) == derive(0, Stream.VERDICT, 1)
    assert all(0 <= seed < 2**31 - 1 for seed in seeds)


@pytest.mark.once
def test_no_stream_is_another():
    streams = list(itertools.product(Stream, [(), (0,), (1,), (0, 0)]))
    states = set()
    for seed in range(1000):
        for stream, path in streams:
            states.add(sequence(seed, stream, *path).generate_state(4).tobytes())
    assert len(states) == 1000 * len(streams)
    # A seed is 31 bits of that: enough for what one would ever look at together. Among 44,000 two
    # are equal by chance
    for first in range(0, 1000, 20):
        derived = []
        for seed in range(first, first + 20):
            derived += [derive(seed, stream, *path) for stream, path in streams]
        assert len(set(derived)) == len(derived) == 20 * len(streams)


@pytest.mark.once
def test_streams_have_numbers_of_their_own():
    assert list(Stream.__members__) == [
        stream.name for stream in Stream
    ]  # a number given twice would be an alias
    with pytest.raises(ValueError, match="non-negative"):
        derive(-1, Stream.VERDICT)
