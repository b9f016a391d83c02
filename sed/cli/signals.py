"""Signals that a command answers in its own way: their names and a handler in, the handlers of before at the end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence


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
