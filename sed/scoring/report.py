"""The result of `sed.scoring.score`: scores of each recording in, pooled and mean values with intervals out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from sed.errors import OptionError
from sed.scoring.events import BoundaryScore, DetectionScore
from sed.scoring.rates import EmotionErrorRate, ErrorRate, JointErrorRate, SpeakerErrorRate
from sed.scoring.spelling import Spelling
from sed.scoring.uncertainty import Interval, Method, PairedTest, estimate, paired_test

Score = ErrorRate | DetectionScore | BoundaryScore
EMPTY: dict[str, Score] = {
    "eder": EmotionErrorRate(0.0, 0.0, scored=0.0),
    "der": SpeakerErrorRate(0.0, 0.0, scored=0.0),
    "joint": JointErrorRate(0.0, 0.0, scored=0.0),
    "events": DetectionScore(),
    "boundaries": BoundaryScore({}),
}
"""The score of an empty set of recordings."""
NO_SECOND = "no second is scored"
NO_SPEECH = "the references have no speech in the scored time"


@dataclass(frozen=True)
class Options:
    """Settings of `score`.

    `collar` is in seconds on either side of a boundary and applies to the error rates; `labels` renames
    emotions on both sides (a label mapped to itself keeps its spelling); `neutral` is the emotion of gaps;
    `compat` and `engine` are those of `eder` and `der`; `skip_overlap` excludes overlapping speech from DER.
    `samples`, `level` and `seed` are those of the bootstrap.
    """

    collar: float = 0.0
    labels: Mapping[str, str] | None = None
    neutral: str = "neutral"
    compat: Literal["speechbrain"] | None = None
    engine: Literal["sed", "pyannote"] = "sed"
    skip_overlap: bool = False
    samples: int = 1000
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class MetricReport:
    """One metric over a corpus: `files` maps each recording to its score, `groups` (or None) to its group."""

    name: str
    files: Mapping[str, Any]
    options: Options
    groups: Mapping[str, str] | None = None

    @cached_property
    def pooled(self) -> Any:
        """The sum of all scores: an error rate or score like those of the files."""
        return sum(self.files.values()) if self.files else EMPTY[self.name]

    @property
    def is_rate(self) -> bool:
        """Whether `value` is an error rate, which is defined even without recordings."""
        return isinstance(self.pooled, ErrorRate)

    @property
    def not_computed(self) -> str | None:
        """The reason why there is no value; None if there is one, or if there was nothing to measure."""
        if not self.files:
            return NO_SECOND
        if self.is_rate and self.pooled.total == 0:
            return f"{NO_SECOND}: the collar leaves none" if self.is_empty else NO_SPEECH
        return None

    @property
    def is_empty(self) -> bool:
        """Whether no time of any recording is scored."""
        return not self.files or (self.is_rate and self.pooled.total == 0 and not self.pooled.scored)

    @cached_property
    def quotients(self) -> tuple[np.ndarray, np.ndarray]:
        """Numerators and denominators per recording; the quotient of their sums is `value`.

        That is the error rate, F1 for events (0 to 1, higher is better), or the mean boundary error (s).
        """
        scores = list(self.files.values())
        if self.name == "events":
            pairs = [(2 * s.found, s.reference + s.hypothesis) for s in scores]
        elif self.name == "boundaries":
            pairs = [(s.offset, s.matched) for s in scores]
        else:
            pairs = [(s.errors, s.total) for s in scores]
        numerators, denominators = np.array(pairs, np.float64).reshape(-1, 2).T
        return numerators, denominators

    @cached_property
    def value(self) -> float:
        """The pooled value of the metric; nan if there is none."""
        if self.is_rate:
            return math.nan if self.not_computed else self.pooled.rate
        return self.pooled.f1 if self.name == "events" else self.pooled.mean_error

    @property
    def interval(self) -> Interval:
        """Confidence interval of `value` over recordings or groups."""
        return self._estimate[0]

    @property
    def interval_method(self) -> Method:
        """Method of `interval`: "bootstrap", "exact" (all recordings agree), or "none" (it is nan)."""
        return self._estimate[1]

    @cached_property
    def macro(self) -> float | None:
        """Mean of the rates of recordings; None if the metric is not a rate."""
        if not self.is_rate:
            return None
        return float(np.mean([*self._rates.values()])) if self._rates and not self.not_computed else math.nan

    @property
    def macro_interval(self) -> Interval | None:
        """Interval of `macro`."""
        return None if self._macro_estimate is None else self._macro_estimate[0]

    @property
    def macro_interval_method(self) -> Method | None:
        """Method of `macro_interval`."""
        return None if self._macro_estimate is None else self._macro_estimate[1]

    @property
    def units(self) -> int:
        """The number of recordings or groups that are resampled."""
        return len(self.files) if self.groups is None else len({self.groups[uri] for uri in self.files})

    @cached_property
    def _estimate(self) -> tuple[Interval, Method]:
        if self.not_computed:
            return Interval(math.nan, math.nan), "none"
        share = None if self.is_rate else self.name == "events"
        groups = None if self.groups is None else [self.groups[uri] for uri in self.files]
        return estimate(*self.quotients, **self._bootstrap, rates=self.is_rate, groups=groups, share=share)

    @cached_property
    def _macro_estimate(self) -> tuple[Interval, Method] | None:
        if not self.is_rate:
            return None
        if self.not_computed:
            return Interval(math.nan, math.nan), "none"
        groups = None if self.groups is None else [self.groups[uri] for uri in self._rates]
        rates = np.array([*self._rates.values()])
        return estimate(rates, np.ones(len(rates)), **self._bootstrap, groups=groups)

    @cached_property
    def _rates(self) -> dict[str, float]:
        """The rates of recordings that have one; a collar may exclude a short recording entirely."""
        return {uri: rate for uri, score in self.files.items() if not math.isnan(rate := score.rate)}

    @property
    def _bootstrap(self) -> dict[str, Any]:
        return {"samples": self.options.samples, "level": self.options.level, "seed": self.options.seed}


@dataclass(frozen=True)
class Report:
    """A `MetricReport` for each metric, and the recordings without a counterpart."""

    metrics: Mapping[str, MetricReport]
    options: Options
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    outside_uem: tuple[str, ...] = ()
    skipped: Mapping[str, str] | None = None
    """Metrics that could not be computed and were not requested by name, with the reason."""
    without_reference: tuple[str, ...] = ()
    """Recordings of the UEM without a reference, which count as empty references."""
    unscored: Mapping[str, str] = field(default_factory=dict)
    """Recordings without scored time, with the reason; they are excluded from all metrics."""
    regions: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    """The scored time of each recording in seconds, the same for all systems that are compared."""
    spelling: Spelling = field(default_factory=Spelling)
    """Labels that are read as others, and labels of one side only."""

    def __getitem__(self, metric: str) -> MetricReport:
        return self.metrics[metric]

    @property
    def not_computed(self) -> dict[str, str]:
        """Metrics without a value, with the reason."""
        found = {name: reason for name, metric in self.metrics.items() if (reason := metric.not_computed)}
        why = "; ".join(dict.fromkeys(self.unscored.values()))
        return {name: reason if self[name].files else f"{reason}: {why}" for name, reason in found.items()}

    def emotion(self, label: str | None) -> str | None:
        """The emotion as which `label` is scored, after renaming by options and spelling."""
        given = (self.options.labels or {}).get(label or "", label)
        return self.spelling.renamed.get(given or "", given)

    def shared(self, other: Report) -> list[str]:
        """The metrics that `other` also has: one of the systems may lack the names that a metric needs."""
        return [name for name in self.metrics if name in other.metrics]

    def compare(self, other: Report, metric: str) -> PairedTest:
        """A paired test of this system, the first, and `other` on one of the metrics.

        Raises `OptionError` if one of them lacks it, or if the scored recordings or times differ.
        """
        if metric not in self.shared(other):
            raise OptionError(f"{metric} is not in both reports: expected one of {self.shared(other)}")
        first, second = self[metric], other[metric]
        if list(first.files) != list(second.files):
            raise OptionError("the two reports score different recordings: expected the same references")
        if self.regions != other.regions:
            uri = next(uri for uri in self.regions if self.regions[uri] != other.regions.get(uri))
            raise OptionError(f"the two reports score different times of {uri}: expected the same durations")
        if first.not_computed or second.not_computed:
            nan = math.nan
            return PairedTest(nan, Interval(nan, nan), nan, len(first.files), False)
        options = self.options
        groups = None if first.groups is None else [first.groups[uri] for uri in first.files]
        return paired_test(
            first.quotients,
            second.quotients,
            level=options.level,
            seed=options.seed,
            rates=first.is_rate,
            groups=groups,
        )
