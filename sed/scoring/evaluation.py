"""Evaluation of a recogniser of utterances: one `Prediction` per utterance in, an `Evaluation` with intervals out.

The decision for an utterance is the label with the largest mean posterior. Intervals resample speakers, since the
utterances of one speaker are not independent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sed.errors import OptionError
from sed.result import DIMENSIONS
from sed.scoring import counts
from sed.scoring.uncertainty import NO_INTERVAL, Interval

MEASURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "uar": counts.mean_recall,
    "accuracy": counts.accuracy,
    "macro_f1": counts.macro_f1,
    "weighted_f1": counts.weighted_f1,
}
CALIBRATION = "ece"
GROUPS = ("corpus", "language", "gender", "speaker", "fold")
UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a recogniser makes of one utterance.

    `emotion` is the reference; `posterior` ``(labels,)`` the mean posterior. `ratings` and `dimensions` are arousal,
    valence and dominance from 0 to 1 of the reference and the recogniser, NaN if unknown. `groups` has the values of
    `GROUPS` that are known.
    """

    id: str
    emotion: str
    posterior: np.ndarray
    speaker: str
    groups: Mapping[str, str] = field(default_factory=dict)
    ratings: tuple[float, ...] = (math.nan,) * 3
    dimensions: tuple[float, ...] = (math.nan,) * 3


@dataclass(frozen=True)
class EvaluationOptions:
    """Number of samples, confidence level and seed of the bootstrap."""

    samples: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 1 or not 0 < self.level < 1 or self.seed < 0:
            raise OptionError(
                f"{self.samples} samples at level {self.level} with seed {self.seed}: expected 1 sample or more, a "
                "level between 0 and 1, and a seed of 0 or more"
            )


@dataclass(frozen=True)
class Estimate:
    """A value from 0 to 1 (CCC: -1 to 1) with its interval; both nan if undefined."""

    value: float
    interval: Interval = NO_INTERVAL

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with null for nan."""
        low, high = self.interval
        return {
            "value": None if math.isnan(self.value) else self.value,
            "interval": None if math.isnan(low) else [low, high],
        }


@dataclass(frozen=True, eq=False)
class Figures:
    """The measures of a set of utterances.

    `measures` has the `MEASURES`, ``ece`` and ``ccc_arousal``, ``ccc_valence``, ``ccc_dominance`` where both sides have
    them. `confusion` ``(labels, labels)`` counts utterances, rows by reference; `reliability` is ``(bins, 3)``:
    utterances, sum of confidence, correct ones.
    """

    labels: tuple[str, ...]
    utterances: int
    speakers: int
    measures: Mapping[str, Estimate]
    confusion: np.ndarray
    reliability: np.ndarray

    def recall(self) -> dict[str, float]:
        """Recall of each label that the reference has."""
        values = counts.recalls(self.confusion)
        return {
            label: float(value)
            for label, value in zip(self.labels, values, strict=True)
            if not math.isnan(value)
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        columns = zip(("utterances", "confidence", "correct"), self.reliability.T.tolist(), strict=True)
        return {
            "utterances": self.utterances,
            "speakers": self.speakers,
            **{name: estimate.to_dict() for name, estimate in self.measures.items()},
            "recall": self.recall(),
            "confusion": self.confusion.tolist(),
            "reliability": dict(columns),
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """`Figures` of all utterances, and by group: ``groups["corpus"]["ravdess"]``. `left_out` counts utterances of
    labels that the recogniser lacks, which were not evaluated."""

    labels: tuple[str, ...]
    overall: Figures
    groups: Mapping[str, Mapping[str, Figures]]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def over(self, group: str, measure: str) -> tuple[float, float]:
        """Mean and standard deviation (n - 1) of a measure over the values of `group`, such as the folds."""
        found = [figures.measures[measure].value for figures in self.groups[group].values()]
        values = np.array([value for value in found if not math.isnan(value)])
        if not len(values):
            return math.nan, math.nan
        return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        result: dict[str, Any] = {
            "labels": list(self.labels),
            "overall": self.overall.to_dict(),
            "by": {
                group: {name: figures.to_dict() for name, figures in values.items()}
                for group, values in self.groups.items()
            },
            "left_out": dict(self.left_out),
        }
        if "fold" in self.groups:
            pairs = {name: self.over("fold", name) for name in self.overall.measures}
            result["over_folds"] = {
                name: {key: None if math.isnan(v) else v for key, v in zip(("mean", "sd"), pair, strict=True)}
                for name, pair in pairs.items()
            }
        return result


def evaluate(
    predictions: Sequence[Prediction],
    labels: Sequence[str],
    *,
    by: Iterable[str] = (),
    every_label: bool = False,
    options: EvaluationOptions | None = None,
) -> Evaluation:
    """Measure `predictions`, whose posteriors are those of `labels`, overall and for each value of the groups `by`.

    Utterances of other emotions than `labels` are left out and counted; with `every_label` they count as errors, and
    their emotions follow `labels` in the confusion. Raises `OptionError` if no utterance remains.

    >>> rows = [Prediction(str(n), "sad", np.array([0.2, 0.8]), f"s{n % 3}") for n in range(6)]
    >>> found = evaluate(rows, ("happy", "sad"))
    >>> found.overall.measures["uar"].value, round(found.overall.measures["ece"].value, 3)
    (1.0, 0.2)
    """
    options = options or EvaluationOptions()
    others = Counter(row.emotion for row in predictions if row.emotion not in labels)
    known = (*labels, *sorted(others)) if every_label else tuple(labels)
    kept = [row for row in predictions if row.emotion in known]
    if not kept:
        found = ", ".join(sorted(others)) or "no utterance"
        raise OptionError(f"nothing to evaluate: found {found}, expected some of {', '.join(labels)}")
    groups: dict[str, dict[str, Figures]] = {}
    for group in by:
        values: dict[str, list[Prediction]] = {}
        for row in kept:
            values.setdefault(row.groups.get(group) or UNKNOWN, []).append(row)
        groups[group] = {name: _figures(values[name], known, options) for name in sorted(values)}
    left_out = {} if every_label else dict(sorted(others.items()))
    return Evaluation(known, _figures(kept, known, options), groups, left_out)


def _figures(rows: Sequence[Prediction], labels: tuple[str, ...], options: EvaluationOptions) -> Figures:
    true = np.array([labels.index(row.emotion) for row in rows])
    posteriors = np.stack([row.posterior for row in rows])
    predicted, confidence = posteriors.argmax(1), np.minimum(posteriors.max(1), 1.0)
    units = counts.units_of([row.speaker for row in rows], len(rows))
    sizes = np.array([len(own) for own in units], float)

    def estimate(sums: Callable[[np.ndarray], np.ndarray], measure: counts.Measure, share: bool) -> Estimate:
        parts = np.stack([sums(own) for own in units])
        interval = counts.bootstrap_sums(
            parts,
            measure,
            samples=options.samples,
            level=options.level,
            seed=options.seed,
            weights=sizes if share else None,
        )
        return Estimate(float(measure(parts.sum(0))), interval)

    def confusion(own: np.ndarray) -> np.ndarray:
        return counts.confusion_counts(true[own], predicted[own], len(labels))

    def reliability(own: np.ndarray) -> np.ndarray:
        return counts.reliability_sums(confidence[own], true[own] == predicted[own])

    measures = {name: estimate(confusion, measure, True) for name, measure in MEASURES.items()}
    measures[CALIBRATION] = estimate(reliability, counts.calibration_error, False)
    every = np.arange(len(rows))
    for column, name in enumerate(DIMENSIONS):
        a, b = (
            np.array([getattr(row, side)[column] for row in rows], float)
            for side in ("ratings", "dimensions")
        )
        rated = ~np.isnan(a) & ~np.isnan(b)
        if rated.sum() > 1:

            def sums(
                own: np.ndarray, a: np.ndarray = a, b: np.ndarray = b, rated: np.ndarray = rated
            ) -> np.ndarray:
                mine = own[rated[own]]
                return counts.moments(a[mine], b[mine])

            measures[f"ccc_{name}"] = estimate(sums, counts.concordance_of, False)
    return Figures(labels, len(rows), len(units), measures, confusion(every), reliability(every))
