"""Keeps the error stream of a command for its own messages: what libraries print there by themselves goes nowhere.

libmpg123, inside libsndfile, writes notes about an MP3 straight to the process's error stream, a page of them even
where nothing is wrong, and has no switch that libsndfile would pass on. In a program that others import that is
theirs to judge; a command promises one sentence an error. Errors that matter come as exceptions.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_voice() -> Iterator[None]:
    """Python's ``sys.stderr`` goes on to where it went; file number 2, which libraries write to, goes nowhere.

    Crashes are still told, by `faulthandler`. Without an error stream there is nothing to do.
    """
    try:
        here = os.dup(2)
    except OSError:
        yield
        return
    before, nowhere = sys.stderr, os.open(os.devnull, os.O_WRONLY)
    own = None
    if _writes_to_2(before):
        own = os.fdopen(os.dup(here), "w", buffering=1, encoding=before.encoding, errors="backslashreplace")
        sys.stderr = own
        faulthandler.enable(own)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(here, 2)
        os.close(here)
        sys.stderr = before
        if own is not None:
            faulthandler.disable()
            if not own.closed:
                own.close()


def _writes_to_2(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):  # a test's stand-in, or closed
        return False
