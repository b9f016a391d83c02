"""Append-only lines that are durable when `append` returns: the storage of a journal.

`LocalLedger` is one file, synced to disk and locked by one process. Object stores cannot append: `RemoteLedger` is a
folder of objects, and each run rewrites its own last object until that is full.
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
FULL = 256  # lines per object


class Ledger(Protocol):
    """The interface of both kinds; `name` is the file or folder."""

    name: str

    def lines(self) -> Iterator[str]:
        """Every line present when the ledger was opened, oldest first, without line ends."""
        ...

    def append(self, lines: Iterable[str]) -> None:
        """Add lines. Raises `FormatError` if they cannot be written."""
        ...

    def close(self) -> None:
        """Close the ledger."""
        ...


def open_ledger(folder: str) -> Ledger:
    """The ledger of an output folder. Raises `OptionError` if it cannot be opened or another run has locked it."""
    return RemoteLedger(folder) if remote.is_url(folder) else LocalLedger(Path(folder))


class LocalLedger:
    """Lines in a file of `folder`, which is created. An incomplete last line of a killed process is removed.

    A file without lines is removed when it is closed, and so is the folder if it was created for it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = path = folder / (NAME + SUFFIX)
        self.name = str(path)
        self._created = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b")
            if not _lock(self._file) or not path.exists():  # just removed by a run
                self._file.close()
                raise OptionError(
                    f"{folder}: another sed-run writes into this folder, expected one at a time"
                )
        except OSError as error:
            raise OptionError(f"{path}: cannot be written ({error.strerror or error})") from None
        self._drop_incomplete_line()

    def _drop_incomplete_line(self) -> None:
        """Truncate the file after its last line end: `append` never returned for anything later."""
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
                if self._created:
                    self._path.parent.rmdir()
        with contextlib.suppress(OSError):  # `append` has already raised for what it could not write
            self._file.close()


def _lock(file: IO[bytes]) -> bool:
    """Lock `file` until it is closed or the process ends; False if another process holds the lock."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs into one folder are not detected
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


class RemoteLedger:
    """Lines in objects below ``folder/.sed-journal/``, whose names sort by time. There is no lock between runs."""

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
