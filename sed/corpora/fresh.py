"""New files that appear whole, and vanish again if what they belong to fails.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> try:
...     with Fresh() as fresh:
...         with fresh.open(folder / "new" / "a.txt") as file:
...             _ = file.write(b"a")
...         raise OSError("full")
... except OSError:
...     print(sorted(folder.iterdir()))
[]
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from sed.errors import FormatError


class Fresh:
    """A block in which files are made with `open`; an exception in it removes those that were not there before,
    and the folders made for them."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._folders: list[Path] = []

    def __enter__(self) -> Fresh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            return
        for path in self._files:
            path.unlink(missing_ok=True)
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):  # somebody else has put something there
                folder.rmdir()

    def folder(self, path: Path) -> None:
        """Make a folder and those above it; raises `FormatError` where that cannot be."""
        missing = [p for p in (path, *path.parents) if not p.exists()]
        for folder in reversed(missing):
            try:
                folder.mkdir()
            except OSError as error:
                raise FormatError(f"{folder}: cannot be made ({error.strerror or error})") from None
            self._folders.append(folder)

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[IO[bytes]]:
        """A binary file that gets its name when the block ends well. Raises `FormatError` where it cannot be made."""
        self.folder(path.parent)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.touch()
        except OSError as error:
            raise FormatError(f"{path}: cannot be written ({error.strerror or error})") from None
        try:
            with part.open("wb") as file:
                yield file
            existed = path.exists()
            os.replace(part, path)
            if not existed:
                self._files.append(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
