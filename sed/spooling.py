"""`SpooledArray`: an array that grows with a recording, in memory, or on disk where a long one would take much of it.

In: pieces ``(n, columns)`` float32. Out: any rows of what has been put in so far, or all of them as one array.
"""

from __future__ import annotations

import logging
import tempfile
from typing import IO, Any

import numpy as np

logger = logging.getLogger("sed")

BLOCK = (
    4 << 20
)  # bytes that are gathered in memory before they move on: of four columns, 87 minutes of frames


class SpooledArray:
    """SpooledArray of `columns` float32 numbers.

    With `on_disk` no more than `block` bytes of them stay in memory: the others go to a temporary file without a name,
    which ends with the object or the process. Where there is no room for one they stay, and the log says so.

    >>> rows = SpooledArray(2, on_disk=True, block=48)
    >>> for number in range(10): rows.append(np.full((2, 2), number))
    >>> rows.shape, rows[5:9][:, 0].tolist(), rows.kept
    ((20, 2), [2.0, 3.0, 3.0, 4.0], 48)
    """

    def __init__(self, columns: int, on_disk: bool = False, block: int = BLOCK) -> None:
        self._columns = columns
        self._on_disk = on_disk
        self._size = max(1, block // (4 * columns))  # rows of a block
        self._file: IO[bytes] | None = None
        self._stored = 0  # blocks in the file
        self._blocks: list[np.ndarray] = []  # full ones that follow those
        self._last = np.empty((self._size, columns), np.float32)
        self._filled = 0  # rows of the last block

    def append(self, rows: np.ndarray) -> None:
        """Take the next ``(n, columns)``; they are copied."""
        while len(rows):
            part = rows[: self._size - self._filled]
            self._last[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            rows = rows[len(part) :]
            if self._filled == self._size:
                self._filled = 0
                if not (self._on_disk and self._store()):
                    self._blocks.append(self._last)
                    self._last = np.empty_like(self._last)

    def _store(self) -> bool:
        """Put the last block into the file; says whether there was room."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="sed-")  # noqa: SIM115
            self._file.seek(self._stored * self._last.nbytes)
            self._file.write(self._last.data)
            self._file.flush()
        except OSError as error:
            logger.warning("no temporary file (%s): posteriors stay in memory", error.strerror or error)
            self._on_disk = False
            return False
        self._stored += 1
        return True

    @property
    def shape(self) -> tuple[int, int]:
        """As an array's."""
        return (self._stored + len(self._blocks)) * self._size + self._filled, self._columns

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def kept(self) -> int:
        """Bytes in memory, when the last block is full."""
        return sum(block.nbytes for block in (*self._blocks, self._last))

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The rows from `start` to `stop`, as an array that is not to be written to."""
        start, stop, _ = rows.indices(len(self))
        parts = [np.empty((0, self._columns), np.float32)]
        while start < stop:
            number, first = divmod(start, self._size)
            last = min(self._size, first + stop - start)
            parts.append(self._part(number, first, last))
            start += last - first
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def _part(self, number: int, first: int, last: int) -> np.ndarray:
        """SpooledArray `first` to `last` of block `number`."""
        if number >= self._stored:
            held = number - self._stored
            return (self._blocks[held] if held < len(self._blocks) else self._last)[first:last]
        part = np.empty((last - first, self._columns), np.float32)
        file: Any = self._file
        file.seek(number * self._last.nbytes + first * part.strides[0])
        if file.readinto(part.data.cast("B")) != part.nbytes:
            raise OSError(f"a temporary file has lost {part.nbytes} bytes that were written to it")
        return part

    def take_all(self) -> np.ndarray:
        """All rows as one array ``(rows, columns)``; none stay behind."""
        whole = np.empty(self.shape, np.float32)
        at = 0
        for number in range(self._stored):
            whole[at : at + self._size] = self._part(number, 0, self._size)
            at += self._size
        while self._blocks:  # freed one by one, so that there are never two of everything
            whole[at : at + self._size] = self._blocks.pop(0)
            at += self._size
        whole[at:] = self._last[: self._filled]
        self._stored = self._filled = 0
        return whole
