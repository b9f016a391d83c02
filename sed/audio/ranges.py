"""A file made of ranges of another one: parts of it, or its samples behind a header that is right."""

from __future__ import annotations

import bisect
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Ranges(io.RawIOBase):
    """A binary file that reads as `pieces`, one after another: bytes, or ranges ``(start, stop)`` of the file `path`.

    It has no name, so that nobody derives anything from a suffix.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"0123456789"), file.flush()
    ...     Ranges(file.name, [b"abc", (2, 4), (8, 10)]).read()
    b'abc2389'
    """

    def __init__(self, path: str, pieces: Sequence[bytes | tuple[int, int]]) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115
        self._pieces = [piece for piece in pieces if not isinstance(piece, tuple) or piece[0] < piece[1]]
        lengths = [len(p) if isinstance(p, bytes) else p[1] - p[0] for p in self._pieces]
        self._starts = [0, *itertools.accumulate(lengths)]
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to another place."""
        self._at = max(offset + (0, self._at, self._starts[-1])[whence], 0)
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as there is something; returns the bytes."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._at < self._starts[-1]:
            number = bisect.bisect_right(self._starts, self._at) - 1
            piece, within = self._pieces[number], self._at - self._starts[number]
            wanted = view[done : done + self._starts[number + 1] - self._at]
            if isinstance(piece, bytes):
                count = len(part := piece[within : within + len(wanted)])
                wanted[:count] = part
            else:
                self._file.seek(piece[0] + within)
                count = self._file.readinto(wanted)
            if count == 0:  # the file has become shorter
                break
            done += count
            self._at += count
        return done

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
