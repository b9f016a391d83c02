"""`SpooledArray`: a two-dimensional array that grows by rows, in memory or in a temporary file.

In: blocks ``(n, columns)`` float32. Out: any slice of the rows appended so far, or all of them as one array.
"""

from __future__ import annotations

import logging
import tempfile
from typing import IO, Any

import numpy as np

logger = logging.getLogger("sed")

BLOCK = 4 << 20  # bytes buffered in memory before they are written: 87 minutes of frames with four columns


class SpooledArray:
    """Rows of `columns` float32 numbers.

    With `on_disk`, at most `block` bytes stay in memory: full blocks go to an unnamed temporary file, which is deleted
    with the object or when the process ends. If the file cannot be written, a warning is logged and the rows stay in
    memory.

    >>> rows = SpooledArray(2, on_disk=True, block=48)
    >>> for number in range(10): rows.append(np.full((2, 2), number))
    >>> rows.shape, rows[5:9][:, 0].tolist(), rows.bytes_in_memory
    ((20, 2), [2.0, 3.0, 3.0, 4.0], 48)
    """

    def __init__(self, columns: int, on_disk: bool = False, block: int = BLOCK) -> None:
        self._columns = columns
        self._on_disk = on_disk
        self._block_rows = max(1, block // (4 * columns))
        self._file: IO[bytes] | None = None
        self._stored = 0  # number of blocks in the file
        self._blocks: list[np.ndarray] = []  # full blocks in memory, after those in the file
        self._last = np.empty((self._block_rows, columns), np.float32)
        self._filled = 0  # rows in the last block

    def append(self, rows: np.ndarray) -> None:
        """Append a copy of `rows` ``(n, columns)``."""
        while len(rows):
            part = rows[: self._block_rows - self._filled]
            self._last[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            rows = rows[len(part) :]
            if self._filled == self._block_rows:
                self._filled = 0
                if not (self._on_disk and self._store()):
                    self._blocks.append(self._last)
                    self._last = np.empty_like(self._last)

    def _store(self) -> bool:
        """Write the last block to the file; returns whether that succeeded."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="sed-")  # noqa: SIM115
            self._file.seek(self._stored * self._last.nbytes)
            self._file.write(self._last.data)
            self._file.flush()
        except OSError as error:
            logger.warning(
                "cannot write a temporary file (%s): posteriors stay in memory", error.strerror or error
            )
            self._on_disk = False
            return False
        self._stored += 1
        return True

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return (self._stored + len(self._blocks)) * self._block_rows + self._filled, self._columns

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def bytes_in_memory(self) -> int:
        """Bytes allocated in memory, including the last block, which may not be full."""
        return sum(block.nbytes for block in (*self._blocks, self._last))

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The rows of a slice without a step, as an array that must not be written to."""
        start, stop, _ = rows.indices(len(self))
        parts = [np.empty((0, self._columns), np.float32)]
        while start < stop:
            number, first = divmod(start, self._block_rows)
            last = min(self._block_rows, first + stop - start)
            parts.append(self._block_slice(number, first, last))
            start += last - first
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def _block_slice(self, number: int, first: int, last: int) -> np.ndarray:
        """Rows `first` to `last` (exclusive) of block `number`."""
        if number >= self._stored:
            index = number - self._stored
            return (self._blocks[index] if index < len(self._blocks) else self._last)[first:last]
        part = np.empty((last - first, self._columns), np.float32)
        file: Any = self._file
        file.seek(number * self._last.nbytes + first * part.strides[0])
        if file.readinto(part.data.cast("B")) != part.nbytes:
            raise OSError(f"a temporary file is truncated: expected {part.nbytes} bytes of block {number}")
        return part

    def take_all(self) -> np.ndarray:
        """All rows as one array ``(rows, columns)``; the object is empty afterwards."""
        whole = np.empty(self.shape, np.float32)
        offset = 0
        for number in range(self._stored):
            whole[offset : offset + self._block_rows] = self._block_slice(number, 0, self._block_rows)
            offset += self._block_rows
        while self._blocks:  # freed one by one, so that no more than one block is held twice
            whole[offset : offset + self._block_rows] = self._blocks.pop(0)
            offset += self._block_rows
        whole[offset:] = self._last[: self._filled]
        self._stored = self._filled = 0
        return whole
