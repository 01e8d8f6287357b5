"""Arrays in a file are those that were written, or the file is told to be damaged."""

import numpy as np
import pytest
import tensorflow as tf

from keras_acts.search.runtime.kept_arrays import UNREADABLE, Arrays, ReadArrays, why_not_kept


@pytest.mark.parametrize(
    "bit", [0, *(pytest.param(bit, marks=pytest.mark.slow) for bit in range(1, 8))]
)
def test_no_bit_of_a_file_is_another_unseen(tmp_path, bit):
    file = tmp_path / "arrays.npz"
    values = np.arange(6, dtype="float32").reshape(2, 3)
    arrays = Arrays()
    numbers = arrays.add([values])
    arrays.write(file, {"values": numbers})
    content = file.read_bytes()
    told = 0
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << bit
        file.write_bytes(changed)
        try:
            read = ReadArrays(file)
            (array,) = read.of(read.meta["values"])
        except UNREADABLE:
            told += 1
            continue
        # the bit is one that nobody reads, such as of a time
        assert array.dtype == values.dtype
        np.testing.assert_array_equal(array, values)
    assert told > 100


def test_nothing_is_left_of_a_file_that_memory_is_too_small_for(tmp_path, monkeypatch):
    def fails(file, **arrays):
        file.write(b"half of it")
        raise MemoryError

    file = tmp_path / "arrays.npz"
    Arrays().write(file, {"version": 1})
    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(MemoryError):
        Arrays().write(file, {"version": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["arrays.npz"]
    assert ReadArrays(file).meta == {"version": 1}


def test_why_arrays_are_not_kept():
    assert "memory" in why_not_kept(MemoryError())
    assert "memory" in why_not_kept(tf.errors.ResourceExhaustedError(None, None, "OOM"))
    assert why_not_kept(PermissionError(13, "Permission denied"))
    assert why_not_kept(OSError(28, "No space left on device"))
    assert not why_not_kept(ValueError("a mistake of ours"))
