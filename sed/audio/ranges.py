"""A file assembled from ranges of another file: parts of it, or its samples after a corrected header."""

from __future__ import annotations

import bisect
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Ranges(io.RawIOBase):
    """A binary file whose content is `parts` in order: bytes, or ranges ``(start, stop)`` of the file `path`.

    It has no name, so that libsndfile cannot derive a format from a suffix.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"0123456789"), file.flush()
    ...     Ranges(file.name, [b"abc", (2, 4), (8, 10)]).read()
    b'abc2389'
    """

    def __init__(self, path: str, parts: Sequence[bytes | tuple[int, int]]) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115
        self._parts = [part for part in parts if not isinstance(part, tuple) or part[0] < part[1]]
        lengths = [len(p) if isinstance(p, bytes) else p[1] - p[0] for p in self._parts]
        self._starts = [0, *itertools.accumulate(lengths)]
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position; returns it."""
        self._position = max(offset + (0, self._position, self._starts[-1])[whence], 0)
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as possible; returns the number of bytes."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._position < self._starts[-1]:
            number = bisect.bisect_right(self._starts, self._position) - 1
            part, offset = self._parts[number], self._position - self._starts[number]
            wanted = view[done : done + self._starts[number + 1] - self._position]
            if isinstance(part, bytes):
                count = len(data := part[offset : offset + len(wanted)])
                wanted[:count] = data
            else:
                self._file.seek(part[0] + offset)
                count = self._file.readinto(wanted)
            if count == 0:  # the file was truncated meanwhile
                break
            done += count
            self._position += count
        return done

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
