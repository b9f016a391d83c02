"""Tests that measure times (marked `alone`) are not disturbed by the tests of other processes of pytest-xdist.

A process lowers its priority before its first ordinary test, and keeps it low. Until then its tests marked `alone` have
the processor whenever they need it, although ordinary tests of the other processes run meanwhile: such tests mostly
wait. `first` puts them at the start, where one process gets them. Any left for a process of low priority wait until no
other process runs a test. In both cases no two of them run at once.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

LOW_PRIORITY = 10  # gets about a tenth of a core that a process of normal priority wants


def is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def first(items: list[pytest.Item]) -> None:
    """Sort the tests marked `alone` to the start; xdist gives the start to one process, and none steals it."""
    items.sort(key=lambda item: not is_alone(item))


@contextmanager
def locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)  # given back when the file is closed, also if the process dies
        yield


class Turns:
    """The turns of the tests of one process; `run` is the name that all processes of this run share."""

    def __init__(self, run: str) -> None:
        self.folder = Path(tempfile.gettempdir()) / f"sed-tests-{os.getuid()}-{run}"
        self.folder.mkdir(exist_ok=True)
        self.low_priority = False

    @contextmanager
    def turn(self, alone: bool) -> Iterator[None]:
        """Hold the turn of one test. The gate is held by whoever waits, so that a test that wants to be the only
        one is the next one to start."""
        if not alone and not self.low_priority:
            os.nice(LOW_PRIORITY)
            self.low_priority = True
        with ExitStack() as held:
            if alone:
                held.enter_context(locked(self.folder / "alone", fcntl.LOCK_EX))
            with locked(self.folder / "gate", fcntl.LOCK_EX):
                kind = fcntl.LOCK_EX if alone and self.low_priority else fcntl.LOCK_SH
                held.enter_context(locked(self.folder / "turn", kind))
            yield
