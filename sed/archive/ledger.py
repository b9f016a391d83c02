"""Lines that are only ever added, and are safe when `append` returns: the storage of a journal.

`LocalLedger` is one file, synced to disk, which one process holds at a time. Object stores cannot append, so there
`RemoteLedger` is a folder of objects, of which a run rewrites its own last one until that is full.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Protocol

from sed.archive import remote
from sed.errors import FormatError, OptionError

NAME = ".sed-journal"
SUFFIX = ".jsonl"
FULL = 256  # lines of an object


class Ledger(Protocol):
    """What both kinds offer; `name` is the file or folder."""

    name: str

    def lines(self) -> Iterator[str]:
        """Every line there was when it was opened, oldest first, without its end."""
        ...

    def append(self, lines: Iterable[str]) -> None:
        """Add lines. Raises `FormatError` where they cannot be kept."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def open_ledger(folder: str) -> Ledger:
    """The ledger in an output folder. Raises `OptionError` where it can't be opened or another run holds it."""
    return RemoteLedger(folder) if remote.is_url(folder) else LocalLedger(Path(folder))


class LocalLedger:
    """Lines in a file of `folder`, which is made. A line that a killed process left torn is cut off.

    A file without lines is removed when it is closed, and so is the folder if it was made for it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = path = folder / (NAME + SUFFIX)
        self.name = str(path)
        self._made = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b")
            if not _lock(self._file) or not path.exists():  # gone: a run that ended just now took it away
                self._file.close()
                raise OptionError(
                    f"{folder}: another sed-run writes into this folder, expected one at a time"
                )
        except OSError as error:
            raise OptionError(f"{path}: cannot be written ({error.strerror or error})") from None
        self._cut()

    def _cut(self) -> None:
        """Forget what stands behind the last end of a line: nobody was promised it."""
        end = self._file.seek(0, os.SEEK_END)
        whole = end
        while whole:
            start = max(0, whole - 4096)
            self._file.seek(start)
            if (at := self._file.read(whole - start).rfind(b"\n")) >= 0:
                whole = start + at + 1
                break
            whole = start
        if whole < end:
            self._file.truncate(whole)

    def lines(self) -> Iterator[str]:
        """Every line, oldest first."""
        self._file.seek(0)
        for line in self._file:
            yield line.decode("utf-8", errors="replace").rstrip("\r\n")

    def append(self, lines: Iterable[str]) -> None:
        """Add lines; they are on the disk when this returns."""
        try:
            self._file.write("".join(line + "\n" for line in lines).encode("utf-8", errors="replace"))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise FormatError(f"{self.name}: cannot be written ({error.strerror or error})") from None

    def close(self) -> None:
        """Close the file, and with it the lock."""
        with contextlib.suppress(OSError):
            if self._file.seek(0, os.SEEK_END) == 0:
                self._path.unlink()
                if self._made:
                    self._path.parent.rmdir()
        with contextlib.suppress(OSError):  # what `append` could not keep it has told of
            self._file.close()


def _lock(file: IO[bytes]) -> bool:
    """Hold `file` alone until it is closed or the process ends; False where another does."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs into one folder are not noticed
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


class RemoteLedger:
    """Lines in objects below ``folder/.sed-journal/``; their names sort by time. Two runs are not kept apart."""

    def __init__(self, folder: str) -> None:
        self.name = remote.join(folder, NAME)
        self._before = sorted(name for name in remote.names_below(self.name) if name.endswith(SUFFIX))
        self._run = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
        self._part = 0
        self._lines: list[str] = []

    def lines(self) -> Iterator[str]:
        """Every line of earlier runs, oldest first."""
        for name in self._before:
            text = remote.read_bytes(remote.join(self.name, name)).decode("utf-8", errors="replace")
            yield from text.splitlines()

    def append(self, lines: Iterable[str]) -> None:
        """Add lines; they are in the store when this returns."""
        self._lines += lines
        data = "".join(line + "\n" for line in self._lines).encode("utf-8", errors="replace")
        remote.save_bytes(data, remote.join(self.name, f"{self._run}-{self._part:06d}{SUFFIX}"))
        if len(self._lines) >= FULL:
            self._part += 1
            self._lines = []

    def close(self) -> None:
        """Nothing to do."""
