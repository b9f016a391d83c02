"""Tests that measure times run while no other process of pytest-xdist runs a test.

`turn` is taken around each test: tests marked `alone` take it exclusively, the others together. The gate is
held by whoever waits, so that a test that wants to be alone is the next one to start.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)  # given back when the file is closed, also if the process dies
        yield


@contextmanager
def turn(run: str, alone: bool) -> Iterator[None]:
    """Hold the turn of one test; `run` is the name that all processes of this run share."""
    folder = Path(tempfile.gettempdir()) / f"sed-tests-{os.getuid()}-{run}"
    folder.mkdir(exist_ok=True)
    with ExitStack() as held:
        with locked(folder / "gate", fcntl.LOCK_EX):
            held.enter_context(locked(folder / "turn", fcntl.LOCK_EX if alone else fcntl.LOCK_SH))
        yield
