"""Reading whole files and writing them atomically; system errors become one sentence with the path."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from os import PathLike
from pathlib import Path, PurePath
from types import TracebackType
from typing import IO

from sed.errors import FormatError

PART = ".part"
"""The suffix of temporary files, after the id of the process."""


def part_stem(name: str) -> str:
    """`name` as part of the name of its temporary file: a digest if it is too long.

    >>> part_stem("a.txt"), len(part_stem("a" * 255))
    ('a.txt', 32)
    """
    data = os.fsencode(name)
    return name if len(data) <= 230 else hashlib.sha256(data).hexdigest()[:32]


def is_hidden(path: PurePath) -> bool:
    """Whether a part of a relative path starts with a dot."""
    return any(part.startswith(".") for part in path.parts)


def load_bytes(path: str | PathLike[str]) -> bytes:
    """The content of a file. Raises `FormatError` if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error})", path=str(path)) from None
    except ValueError:
        raise FormatError(f"{str(path)!r}: not a valid file name") from None


def load_text(path: str | PathLike[str]) -> str:
    """The text of a file: UTF-8 with or without a byte order mark, or UTF-16 with one (as Praat writes it).

    Line ends become ``\\n``. Raises `FormatError` if the file cannot be read or is not text.
    """
    return decode_text(load_bytes(path), path)


def decode_text(data: bytes, path: str | PathLike[str]) -> str:
    """The text of `data`, the content of the file `path`; raises as `load_text`."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: cannot be read (it is not UTF-8 text)") from None
    if "\0" in text:
        raise FormatError(f"{path}: cannot be read (it contains zero bytes, so it is not text)")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def to_bytes(text: str) -> bytes:
    """`text` in UTF-8; raises `FormatError` if it contains surrogates."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise FormatError("a name in this result is not valid Unicode, expected text") from None


@contextmanager
def atomic(path: str | PathLike[str], suffix: str = PART) -> Iterator[Path]:
    """A temporary path beside `path` that is renamed to `path` when the block ends without an exception.

    Links are kept, and an existing file keeps its permissions. Raises `OSError` as the system does; after any
    exception `path` is unchanged and the temporary file is removed. `suffix` ends the temporary name, for libraries
    that choose a format by it.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic(folder / "a.txt") as part:
    ...     _ = part.write_text("a")
    >>> [p.name for p in folder.iterdir()]
    ['a.txt']
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{part_stem(target.name)}.{os.getpid()}{suffix}")
    try:
        yield part
        if target.exists():
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def save_bytes(data: bytes, path: str | PathLike[str]) -> None:
    """Write `data` to a file atomically (see `atomic`).

    Special files (a pipe, ``/dev/stdout``) are written directly. Raises `FormatError` if writing fails.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        with atomic(target) as part:
            part.write_bytes(data)
    except OSError as error:
        text = f"{path}: cannot be written ({error.strerror or error})"
        raise FormatError(text, path=str(path)) from None


class NewFiles:
    """A context in which files are created with `open`; an exception removes the new files and their new folders.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> try:
    ...     with NewFiles() as new:
    ...         with new.open(folder / "new" / "a.txt") as file:
    ...             _ = file.write(b"a")
    ...         raise OSError("full")
    ... except OSError:
    ...     print(sorted(folder.iterdir()))
    []
    """

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._folders: list[Path] = []

    def __enter__(self) -> NewFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            return
        for path in self._files:
            path.unlink(missing_ok=True)
        for folder in reversed(self._folders):
            with suppress(OSError):  # another process has created a file in it
                folder.rmdir()

    def folder(self, path: Path) -> None:
        """Create a folder and its parents; raises `FormatError` if that fails."""
        missing = [p for p in (path, *path.parents) if not p.exists()]
        for folder in reversed(missing):
            try:
                folder.mkdir()
            except OSError as error:
                raise FormatError(f"{folder}: cannot be created ({error.strerror or error})") from None
            self._folders.append(folder)

    @contextmanager
    def open(self, path: Path) -> Iterator[IO[bytes]]:
        """A binary file, renamed to `path` when the block ends without an exception. Raises `FormatError`."""
        self.folder(path.parent)
        existed = path.exists()
        with ExitStack() as stack:
            part = stack.enter_context(atomic(path))
            try:
                file = stack.enter_context(part.open("wb"))
            except OSError as error:
                raise FormatError(f"{path}: cannot be written ({error.strerror or error})") from None
            yield file
        if not existed:
            self._files.append(path)


def described(path: Path) -> str:
    """The name of a file, and its kind if it is not a regular file."""
    kind = "" if path.is_file() else " (a folder)" if path.is_dir() else " (a link to nothing)"
    return path.name + kind
