"""What is wrong in a file and changes no figure: it is read all the same, and one warning states it for the file.

A field that no metric uses (a confidence that is no number), a start that is a hair before the recording. Whatever
would change a figure is a `FormatError`; that is up to the formats.
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
"""How an unknown speaker or emotion is written where a format has no way to leave it out."""

EARLY = 0.5
"""Seconds: how far before the recording a segment may start, such as by the padding of a detector."""


@dataclass
class Remarks:
    """Collects what is remarked on one file: by sort, how often and where first."""

    found: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, sort: str, first: str) -> None:
        """Count one of that sort; `first` states the place and what was found, and is kept the first time."""
        count, text = self.found.get(sort, (0, first))
        self.found[sort] = (count + 1, text)

    def span(self, start: float, end: float, where: str) -> tuple[float, float] | None:
        """The part of a span that is inside the recording, where it starts up to `EARLY` seconds before; None if
        nothing is. All other spans, right or wrong, come back as they are."""
        if not -EARLY <= start < 0 or end < start:
            return start, end
        self.add("what is before 0 s is left out", f"{where}: found start {start:g}")
        return (0.0, end) if end > 0 else None

    def confidence(self, value: Any, where: str) -> float | None:
        """A confidence, None where it is unknown or no number: no metric uses it."""
        if value is None or value == UNKNOWN:
            return None
        if (found := _finite(value)) is not None:
            return found
        self.add("read as unknown", f"{where}: found confidence {short(value)}, expected a number")
        return None

    def probabilities(self, value: Any, where: str, spelling: Spelling) -> dict[str, float]:
        """A probability for each label; none where one of them is no number, since no metric uses them."""
        if not value:
            return {}
        if isinstance(value, Mapping):
            found = {spelling.read(label): _finite(share) for label, share in value.items()}
            if None not in found.values():
                return found  # type: ignore[return-value]
        self.add(
            "read as unknown",
            f"{where}: found probabilities {short(value)}, expected a number for each label",
        )
        return {}


def _finite(value: Any) -> float | None:
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if not isinstance(value, bool) and math.isfinite(found := float(value)):
            return found
    return None


@contextlib.contextmanager
def remarks(path: Path) -> Iterator[Remarks]:
    """Remarks on the file `path`, which are logged at the end, one warning for each sort."""
    own = Remarks()
    yield own
    for sort, (count, first) in own.found.items():
        logger.warning("%s: %s%s", first, sort, f" ({count} of them in {path.name})" if count > 1 else "")


def short(value: Any) -> str:
    """How `value` looks, in a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
