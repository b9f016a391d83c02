"""Rate-limits the log lines that clients can cause: one line per kind and interval, then the number suppressed."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

INTERVAL = 60.0  # seconds
LOGGERS = ("sed.server", "uvicorn.error", "asyncio")  # loggers whose lines a client can cause


@dataclass
class _Kind:
    """Log lines from one source line: time of the latest one emitted, and the number suppressed since then."""

    since: float
    level: int
    text: str
    suppressed: int = 0


class LogLimit(logging.Filter):
    """Passes one log line per source line in each `interval` of seconds and counts the others.

    `flush` logs the counts of elapsed intervals; the server calls it every second.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        super().__init__()
        self._interval = interval
        self._kinds: dict[tuple[str, str, int], _Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is emitted now."""
        if record.levelno < logging.WARNING or hasattr(record, "sed_suppressed"):
            return True
        if (
            record.name == "uvicorn.error"
            and record.exc_info
            and isinstance(record.exc_info[1], UnicodeError)
        ):
            record.exc_info = None  # text of a client that is not UTF-8: uvicorn's traceback is of no use
        key = (record.name, record.pathname, record.lineno)
        now = time.monotonic()
        kind = self._kinds.get(key)
        if kind is not None and now - kind.since < self._interval:
            kind.suppressed += 1
            return False
        if kind is not None:
            self._report(record.name, kind)
        self._kinds[key] = _Kind(now, record.levelno, record.getMessage().strip())
        return True

    def flush(self, force: bool = False) -> None:
        """Log the counts of suppressed lines of elapsed intervals, or of all of them."""
        now = time.monotonic()
        for key, kind in list(self._kinds.items()):
            if force or now - kind.since >= self._interval:
                del self._kinds[key]
                self._report(key[0], kind)

    def _report(self, name: str, kind: _Kind) -> None:
        if kind.suppressed:
            values = (kind.suppressed, time.monotonic() - kind.since, kind.text)
            extra = {"sed_suppressed": kind.suppressed}
            logging.getLogger(name).log(kind.level, "%d more of these in %.0f s: %s", *values, extra=extra)


@contextlib.contextmanager
def limited_logs(interval: float = INTERVAL) -> Iterator[LogLimit]:
    """Rate-limit the lines of `LOGGERS` within the block."""
    limit = LogLimit(interval)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.addFilter(limit)
    try:
        yield limit
    finally:
        limit.flush(force=True)
        for logger in loggers:
            logger.removeFilter(limit)
