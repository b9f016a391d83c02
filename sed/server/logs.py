"""Limits the log lines that clients can cause: one line of a kind per interval, then how many more there were."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

INTERVAL = 60.0  # seconds
LOGGERS = ("sed.server", "uvicorn.error", "asyncio")  # whose lines a client can cause


@dataclass
class _Kind:
    """Lines from one place in the code: when the latest one was let through, and how many were not since."""

    since: float
    level: int
    text: str
    more: int = 0


class LogLimit(logging.Filter):
    """Lets one line per place in the code through in each `interval` of seconds and counts the others.

    `flush` reports the counts of intervals that are over; a server calls it every second.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        super().__init__()
        self._interval = interval
        self._kinds: dict[tuple[str, str, int], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is written now."""
        if record.levelno < logging.WARNING or hasattr(record, "sed_more"):
            return True
        if (
            record.name == "uvicorn.error"
            and record.exc_info
            and isinstance(record.exc_info[1], UnicodeError)
        ):
            record.exc_info = None  # a client's text that is not UTF-8: nothing to be found in uvicorn's code
        key = (record.name, record.pathname, record.lineno)
        now = time.monotonic()
        kind = self._kinds.get(key)
        if kind is not None and now - kind.since < self._interval:
            kind.more += 1
            return False
        if kind is not None:
            self._report(record.name, kind)
        self._kinds[key] = _Kind(now, record.levelno, record.getMessage().strip())
        return True

    def flush(self, all_of_them: bool = False) -> None:
        """Report what was held back in intervals that are over, or in all of them."""
        now = time.monotonic()
        for key, kind in list(self._kinds.items()):
            if all_of_them or now - kind.since >= self._interval:
                del self._kinds[key]
                self._report(key[0], kind)

    def _report(self, name: str, kind: _Kind) -> None:
        if kind.more:
            values = (kind.more, time.monotonic() - kind.since, kind.text)
            extra = {"sed_more": kind.more}
            logging.getLogger(name).log(kind.level, "%d more of these in %.0f s: %s", *values, extra=extra)


@contextlib.contextmanager
def limited_logs(interval: float = INTERVAL) -> Iterator[LogLimit]:
    """Limit the lines of `LOGGERS` within the block."""
    limit = LogLimit(interval)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.addFilter(limit)
    try:
        yield limit
    finally:
        limit.flush(all_of_them=True)
        for logger in loggers:
            logger.removeFilter(limit)
