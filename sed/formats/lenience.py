"""Errors in a file that change no metric: the file is read, and one warning per file and kind of error is logged.

Such as an invalid value in a field that no metric uses (a confidence that is not a number), or a start slightly before
the recording. Any error that would change a metric is a `FormatError`, raised by the formats.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sed.formats.spelling import Spelling

logger = logging.getLogger("sed")

UNKNOWN = "<NA>"
"""The name of an unknown speaker or emotion in formats that cannot omit it."""

EARLY = 0.5
"""How many seconds before the recording a segment may start, such as by the padding of a detector."""


@dataclass
class FileWarnings:
    """Collects the warnings on one file: for each kind, the number and the first occurrence."""

    found: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, kind: str, first: str) -> None:
        """Count one of this kind; `first` states the position and what was found, and is kept the first time."""
        count, text = self.found.get(kind, (0, first))
        self.found[kind] = (count + 1, text)

    def span(self, start: float, end: float, where: str) -> tuple[float, float] | None:
        """The part of a span inside the recording if it starts up to `EARLY` seconds before it; None if it is empty.
        All other spans, valid or not, are returned unchanged."""
        if not -EARLY <= start < 0 or end < start:
            return start, end
        self.add("the part before 0 s is ignored", f"{where}: found start {start:g}")
        return (0.0, end) if end > 0 else None

    def confidence(self, value: Any, where: str) -> float | None:
        """A confidence; None if it is unknown or not a number, since no metric uses it."""
        if value is None or value == UNKNOWN:
            return None
        if (found := _finite(value)) is not None:
            return found
        self.add("read as unknown", f"{where}: found confidence {short(value)}, expected a number")
        return None

    def probabilities(self, value: Any, where: str, spelling: Spelling) -> dict[str, float]:
        """The probability of each label; empty if one is not a number, since no metric uses them."""
        return self._numbers(value, where, spelling, "probabilities", "label")

    def dimensions(self, value: Any, where: str, spelling: Spelling) -> dict[str, float]:
        """The value of each dimension; empty if one is not a number, since no metric uses them."""
        return self._numbers(value, where, spelling, "dimensions", "one")

    def _numbers(self, value: Any, where: str, spelling: Spelling, what: str, each: str) -> dict[str, float]:
        if not value:
            return {}
        if isinstance(value, Mapping):
            found = {spelling.read(label): _finite(share) for label, share in value.items()}
            if None not in found.values():
                return found  # type: ignore[return-value]
        self.add(
            "read as unknown",
            f"{where}: found {what} {short(value)}, expected a number for each {each}",
        )
        return {}


def _finite(value: Any) -> float | None:
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if not isinstance(value, bool) and math.isfinite(found := float(value)):
            return found
    return None


@contextlib.contextmanager
def file_warnings(path: Path) -> Iterator[FileWarnings]:
    """Collects warnings on the file `path`, which are logged when the block ends without an exception."""
    collected = FileWarnings()
    yield collected
    for kind, (count, first) in collected.found.items():
        logger.warning("%s: %s%s", first, kind, f" ({count} of them in {path.name})" if count > 1 else "")


def short(value: Any) -> str:
    """`repr(value)`, shortened for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
