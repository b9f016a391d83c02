"""Helpers for console programs: silencing C libraries, and handling signals within a block."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Suppress what C libraries write to file descriptor 2; Python's `sys.stderr` still works.

    PortAudio, ALSA and JACK print messages about every device they probe, and about a lost one; libmpg123, used by
    libsndfile, prints messages about frames of valid MP3 files. The commands report errors in one sentence instead.
    """
    python, saved = sys.stderr, -1
    try:
        if python is not None and python.fileno() == 2:
            saved = os.dup(2)
    except (OSError, ValueError):  # not a real file: nothing to separate
        pass
    if saved < 0:
        yield
        return
    try:
        sys.stderr = open(saved, "w", 1, python.encoding, python.errors, closefd=False)  # noqa: SIM115
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = python
        os.dup2(saved, 2)
        os.close(saved)


@contextlib.contextmanager
def handled(names: Sequence[str], handler: Callable[[int, object], object]) -> Iterator[None]:
    """Within the block, call `handler` on the signals of these `names` that this system has.

    Signals that are ignored on purpose (nohup, background jobs of scripts) stay ignored.
    """
    available = [getattr(signal, name) for name in names if hasattr(signal, name)]
    handled_signals = [number for number in available if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in handled_signals}
    try:
        yield
    finally:
        for number, previous_handler in previous.items():
            signal.signal(number, previous_handler)
