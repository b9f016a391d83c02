"""`ConfusionMatrix`: seconds of each reference label by hypothesis label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sed.palette import COLOURS


def label_order(labels: Iterable[str], neutral: str = "neutral") -> tuple[str, ...]:
    """Distinct `labels`: `neutral`, then those with a colour in palette order, then the others sorted.

    >>> label_order(["sad", "zeal", "happy", "sad"])
    ('neutral', 'happy', 'sad', 'zeal')
    """
    known = list(COLOURS)
    rank = {label: number for number, label in enumerate(known)}
    rest = sorted({*labels} - {neutral}, key=lambda label: (rank.get(label, len(known)), label))
    return (neutral, *rest)


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Seconds, rows by reference label, columns by hypothesis label.

    `seconds` is ``(labels + 1, labels + 1)`` float64. The last row holds hypothesis labels beyond those of the
    reference, the last column reference labels that the hypothesis lacks; both are 0 if each side has one emotion
    at a time. Matrices can be added; the sum has the union of their labels.

    >>> m = ConfusionMatrix(("neutral", "sad"), np.array([[4., 1, 0], [0, 5, 0], [0, 0, 0]]))
    >>> m["neutral", "sad"], (m + m)["sad", "sad"], m.reference("neutral"), m.hypothesis("sad")
    (1.0, 10.0, 5.0, 6.0)
    >>> [round(value, 3) for value in m.scores("sad").values()]
    [5.0, 6.0, 5.0, 0.833, 1.0, 0.909, 0.2]
    """

    labels: tuple[str, ...] = ()
    seconds: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))

    def __getitem__(self, pair: tuple[str | None, str | None]) -> float:
        """Seconds of reference label `pair[0]` with hypothesis label `pair[1]`; None means no label."""
        row, column = (len(self.labels) if name is None else self.labels.index(name) for name in pair)
        return float(self.seconds[row, column])

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def reference(self, label: str) -> float:
        """Seconds of `label` in the reference."""
        return float(self.seconds[self.labels.index(label)].sum())

    def hypothesis(self, label: str) -> float:
        """Seconds of `label` in the hypothesis."""
        return float(self.seconds[:, self.labels.index(label)].sum())

    def scores(self, label: str) -> dict[str, float]:
        """Seconds and time-weighted precision, recall, F1 and error rate of one label.

        The error rate is (missed or confused + falsely claimed) / seconds in the reference. Undefined quotients
        are nan.
        """
        truth, claimed, hit = self.reference(label), self.hypothesis(label), self[label, label]
        return {
            "reference": truth,
            "hypothesis": claimed,
            "correct": hit,
            "precision": hit / claimed if claimed else float("nan"),
            "recall": hit / truth if truth else float("nan"),
            "f1": 2 * hit / (truth + claimed) if truth + claimed else float("nan"),
            "error_rate": (truth + claimed - 2 * hit) / truth if truth else float("nan"),
        }

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if not isinstance(other, ConfusionMatrix):
            return NotImplemented
        if not self.labels or not other.labels:
            return other if other.labels else self
        labels = self.labels
        if labels != other.labels:
            labels = label_order((*self.labels, *other.labels), self.labels[0])
        seconds = np.zeros((len(labels) + 1, len(labels) + 1))
        for part in (self, other):
            place = [*(labels.index(label) for label in part.labels), len(labels)]
            seconds[np.ix_(place, place)] += part.seconds
        return ConfusionMatrix(labels, seconds)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``{"labels": [...], "seconds": [[...]]}``; the last row and column mean no label."""
        return {"labels": [*self.labels, None], "seconds": self.seconds.tolist()}
