"""Bytes and text to and from files: whole files only, UTF-8, and errors of the system in one sentence with the path."""

from __future__ import annotations

import hashlib
import os
import stat
from os import PathLike
from pathlib import Path, PurePath

from sed.errors import FormatError

PART = ".part"
"""How the name of a file ends that is being written; before it stands the number of the process."""


def part_stem(name: str) -> str:
    """What stands for `name` in the name of the file that it is written to first: a digest where it is too long."""
    data = os.fsencode(name)
    return name if len(data) <= 230 else hashlib.sha256(data).hexdigest()[:32]


def is_hidden(path: PurePath) -> bool:
    """Whether a part of a relative path begins with a dot."""
    return any(part.startswith(".") for part in path.parts)


def load_bytes(path: str | PathLike[str]) -> bytes:
    """The content of a file. Raises `FormatError` where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error})", path=str(path)) from None
    except ValueError:
        raise FormatError(f"{str(path)!r}: no name of a file") from None


def load_text(path: str | PathLike[str]) -> str:
    """The text of a file: UTF-8 with or without a mark, or UTF-16 with one (Praat writes it).

    Lines end in ``\\n`` whatever the system. Raises `FormatError` where there is no text to be read.
    """
    return decode_text(load_bytes(path), path)


def decode_text(data: bytes, path: str | PathLike[str]) -> str:
    """The text that `data`, the content of the file `path`, are; as `load_text`."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: cannot be read (it is not UTF-8 text)") from None
    if "\0" in text:
        raise FormatError(f"{path}: cannot be read (it holds zero bytes, which no text does)")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def to_bytes(text: str) -> bytes:
    """`text` in UTF-8; raises `FormatError` where it holds half a character."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise FormatError("a name in this result is not valid Unicode, expected text") from None


def save_bytes(data: bytes, path: str | PathLike[str]) -> None:
    """Put `data` into a file that appears, or is replaced, when it is complete.

    A link stays a link, and a file keeps its permissions; what is no file (a pipe, ``/dev/stdout``) is written
    to. Raises `FormatError` where that fails; then the file is as it was.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{part_stem(target.name)}.{os.getpid()}{PART}")
    try:
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            target.write_bytes(data)
            return
        try:
            part.write_bytes(data)
            if mode is not None:
                part.chmod(stat.S_IMODE(mode))
            os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        text = f"{path}: cannot be written ({error.strerror or error})"
        raise FormatError(text, path=str(path)) from None
