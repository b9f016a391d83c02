"""Ratings of an utterance beyond its label: optional columns of a manifest in, `Ratings` out.

Columns: ``votes`` (labels with the number of raters, ``happy=3 neutral=1``), and ``arousal``, ``valence``,
``dominance`` (numbers; -1 to 1 by convention, but any scale works if a manifest uses only one). An empty cell
means that there is no rating.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sed.errors import FormatError
from sed.result import DIMENSIONS


@dataclass(frozen=True)
class Ratings:
    """`votes` is the number of raters by label; `dimensions` are arousal, valence and dominance, NaN if unknown."""

    votes: Mapping[str, float] = field(default_factory=dict)
    dimensions: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    def __bool__(self) -> bool:
        return bool(self.votes) or not all(math.isnan(value) for value in self.dimensions)

    def __hash__(self) -> int:
        return hash((tuple(self.votes.items()), self.dimensions))


def read_ratings(row: Mapping[str, str], where: str) -> Ratings | None:
    """The ratings in a row of a manifest, None if it has none.

    Raises `FormatError`, which starts with the location `where`, for an invalid cell.

    >>> read_ratings({"votes": "happy=3 neutral=1", "arousal": "0.5"}, "line 2").votes
    {'happy': 3.0, 'neutral': 1.0}
    >>> read_ratings({"emotion": "sad"}, "line 3") is None
    True
    """
    votes: dict[str, float] = {}
    for part in (row.get("votes") or "").split():
        label, _, count = part.partition("=")
        number = _number(count, where, "votes", "label=count pairs separated by blanks")
        if not label or number <= 0:
            raise FormatError(f"{where}: found vote {part!r}, expected label=count with a count above 0")
        votes[label] = votes.get(label, 0.0) + number
    cells = [(row.get(name) or "").strip() for name in DIMENSIONS]
    values = [
        _number(cell, where, name, "a number") if cell else math.nan
        for name, cell in zip(DIMENSIONS, cells, strict=True)
    ]
    ratings = Ratings(votes, (values[0], values[1], values[2]))
    return ratings if ratings else None


def _number(text: str, where: str, column: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise FormatError(f"{where}: found {text!r} in column {column}, expected {expected}")
    return value
