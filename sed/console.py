"""What programs on a console share: silent C libraries, and signals handled for a while."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence what libraries themselves write to standard error; Python's own still gets there.

    PortAudio, ALSA and JACK complain about every device they try, and about a lost one; libmpg123, inside libsndfile,
    about frames of an MP3 that is all right. The user gets one sentence instead.
    """
    python, saved = sys.stderr, -1
    try:
        if python is not None and python.fileno() == 2:
            saved = os.dup(2)
    except (OSError, ValueError):  # not a real file: nothing to keep apart
        pass
    if saved < 0:
        yield
        return
    try:
        sys.stderr = open(saved, "w", 1, python.encoding, python.errors, closefd=False)  # noqa: SIM115
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = python
        os.dup2(saved, 2)
        os.close(saved)


@contextlib.contextmanager
def handled(names: Sequence[str], handler: Callable[[int, object], object]) -> Iterator[None]:
    """Within, `handler` is called on the signals of these `names` that this system has.

    What is ignored on purpose (nohup, background jobs of scripts) stays ignored.
    """
    known = [getattr(signal, name) for name in names if hasattr(signal, name)]
    wanted = [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in wanted}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
