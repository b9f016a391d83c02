"""`SpooledArray` returns what was appended, in memory and on disk; on disk its memory is bounded."""

from __future__ import annotations

import errno
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.spooling import SpooledArray

SIZES = st.lists(st.integers(0, 23), max_size=8)


def filled(sizes, on_disk, block=80):
    """An array of two columns, filled in parts of `sizes` rows, and the expected content; 80 bytes are ten rows."""
    rows, parts = SpooledArray(2, on_disk, block), [np.zeros((0, 2), np.float32)]
    for number, size in enumerate(sizes):
        parts.append(np.arange(2 * size, dtype=np.float32).reshape(size, 2) + 100 * number)
        rows.append(parts[-1])
        parts[-1] = parts[-1].copy()
    return rows, np.concatenate(parts)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.booleans(), st.data())
def test_slices_and_take_all_return_what_was_appended(sizes, on_disk, data):
    rows, expected = filled(sizes, on_disk)
    assert rows.shape == expected.shape and len(rows) == len(expected)
    start = data.draw(st.integers(0, len(expected)))
    stop = data.draw(st.integers(0, len(expected) + 3))
    np.testing.assert_array_equal(rows[start:stop], expected[start:stop])
    assert rows[start:stop].dtype == np.float32
    more = np.full((7, 2), 9.0, np.float32)
    rows.append(more)  # appending still works after reading
    np.testing.assert_array_equal(rows.take_all(), np.concatenate([expected, more]))
    assert len(rows) == 0


def test_append_copies():
    rows, part = SpooledArray(2), np.ones((3, 2), np.float32)
    rows.append(part)
    part[:] = 5
    assert rows.take_all().tolist() == [[1.0, 1.0]] * 3


def test_on_disk_only_one_block_is_in_memory():
    assert filled([1000], on_disk=True)[0].bytes_in_memory == 80
    assert filled([1000], on_disk=False)[0].bytes_in_memory == 2 * 4 * 1000 + 80


@pytest.mark.parametrize("stored", [0, 1, 3])
def test_rows_stay_in_memory_if_the_disk_is_full(stored, monkeypatch, caplog):
    """The disk is full from the start or after some blocks: no rows are lost, and one warning is logged."""
    real = tempfile.TemporaryFile

    class Full:
        def __init__(self, **options):
            self._file, self._left = real(**options), stored

        def write(self, data):
            if not self._left:
                self._file.write(bytes(data)[:33])  # a partial write
                raise OSError(errno.ENOSPC, "No space left on device")
            self._left -= 1
            return self._file.write(data)

        def __getattr__(self, name):
            return getattr(self._file, name)

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    rows, expected = filled([3, 60, 4], on_disk=True)
    np.testing.assert_array_equal(rows[0:67], expected)
    np.testing.assert_array_equal(rows[4:21], expected[4:21])
    assert [r.getMessage() for r in caplog.records] == [
        "cannot write a temporary file (No space left on device): posteriors stay in memory"
    ]
    np.testing.assert_array_equal(rows.take_all(), expected)
