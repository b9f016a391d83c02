"""`score`: references and hypotheses of many recordings in, a `Report` out: pooled, macro, with intervals.

Every recording of the references is scored. One that the system says nothing about counts as an empty
hypothesis, so leaving out hard files gains nothing, and is named in `Report.missing`; hypotheses of other
recordings are named in `Report.extra`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from sed.errors import OptionError
from sed.result import Diarization
from sed.scoring.available import available
from sed.scoring.emotion import eder
from sed.scoring.events import BoundaryScore, DetectionScore, boundary_score, event_score
from sed.scoring.intervals import Region
from sed.scoring.rates import ErrorRate
from sed.scoring.spans import OVERSHOOT, Spans, logger
from sed.scoring.speakers import der, joint_error
from sed.scoring.uncertainty import Interval, PairedTest, bootstrap, paired_test

METRICS = ("eder", "der", "joint", "events", "boundaries")
Score = ErrorRate | DetectionScore | BoundaryScore


@dataclass(frozen=True)
class Options:
    """What `score` can be told.

    `collar` is in seconds on either side of a boundary and applies to the error rates; `labels` renames
    emotions on both sides; `neutral` is the emotion of gaps; `compat` and `engine` are those of `eder` and
    `der`; `skip_overlap` leaves overlapping speech out of DER. `extent` says where a recording without a UEM
    ends: "reference" trusts the reference's duration, "union" takes the later of both durations, for
    references from formats that state none. `samples`, `level` and `seed` are the bootstrap's.
    """

    collar: float = 0.0
    labels: Mapping[str, str] | None = None
    neutral: str = "neutral"
    compat: Literal["speechbrain"] | None = None
    engine: Literal["sed", "pyannote"] = "sed"
    skip_overlap: bool = False
    extent: Literal["reference", "union"] = "reference"
    samples: int = 1000
    level: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class MetricReport:
    """One metric over a corpus: `files` maps each recording to its score."""

    name: str
    files: Mapping[str, Any]
    options: Options

    @cached_property
    def pooled(self) -> Any:
        """The sum of all: an error rate or score like those of the files."""
        return sum(self.files.values())

    @property
    def is_rate(self) -> bool:
        """Whether the headline figure is an error rate, which has a value for a score of nothing, too."""
        return isinstance(self.pooled, ErrorRate)

    @cached_property
    def quotients(self) -> tuple[np.ndarray, np.ndarray]:
        """Numerators and denominators, a recording each, whose sums' quotient is the headline figure.

        That is the error rate, or for events F1 (0 to 1, more is better), or the mean boundary error (s).
        """
        scores = list(self.files.values())
        if self.name == "events":
            pairs = [(2 * s.found, s.reference + s.hypothesis) for s in scores]
        elif self.name == "boundaries":
            pairs = [(s.offset, s.matched) for s in scores]
        else:
            pairs = [(s.errors, s.total) for s in scores]
        numerators, denominators = zip(*pairs, strict=True)
        return np.array(numerators, np.float64), np.array(denominators, np.float64)

    @cached_property
    def value(self) -> float:
        """The headline figure, pooled; nan for a score of nothing."""
        if self.is_rate:
            return self.pooled.rate
        return self.pooled.f1 if self.name == "events" else self.pooled.mean_error

    @cached_property
    def interval(self) -> Interval:
        """Bootstrap interval of `value`, over recordings."""
        return bootstrap(*self.quotients, **self._bootstrap, rates=self.is_rate)

    @cached_property
    def macro(self) -> float | None:
        """Mean over recordings of their rates, as papers average; None where that means nothing."""
        rates = self._rates
        return None if rates is None else float(rates.mean())

    @cached_property
    def macro_interval(self) -> Interval | None:
        """Bootstrap interval of `macro`."""
        rates = self._rates
        return None if rates is None else bootstrap(rates, np.ones(len(rates)), **self._bootstrap)

    @property
    def _rates(self) -> np.ndarray | None:
        if not self.is_rate:
            return None
        return np.array([score.rate for score in self.files.values()])

    @property
    def _bootstrap(self) -> dict[str, Any]:
        return {"samples": self.options.samples, "level": self.options.level, "seed": self.options.seed}


@dataclass(frozen=True)
class Report:
    """What `score` returns: a `MetricReport` for each metric, and which recordings lack a partner."""

    metrics: Mapping[str, MetricReport]
    options: Options
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    outside_uem: tuple[str, ...] = ()
    skipped: Mapping[str, str] | None = None
    """Metrics that could not be computed although nobody asked for them by name, with the reason."""

    def __getitem__(self, metric: str) -> MetricReport:
        return self.metrics[metric]

    def shared(self, other: Report) -> list[str]:
        """The metrics that `other` has, too: one of the systems may lack the names that another needs."""
        return [name for name in self.metrics if name in other.metrics]

    def compare(self, other: Report, metric: str) -> PairedTest:
        """A paired test of this system, the first, and `other` on one of the metrics.

        Raises `OptionError` where one of the two lacks it, or did not score the same recordings.
        """
        if metric not in self.shared(other):
            raise OptionError(f"{metric} is not in both reports: expected one of {self.shared(other)}")
        first, second = self[metric], other[metric]
        if list(first.files) != list(second.files):
            raise OptionError("the two reports score different recordings: expected the same references")
        options = self.options
        return paired_test(
            first.quotients, second.quotients, level=options.level, seed=options.seed, rates=first.is_rate
        )


Corpus = Mapping[str, Diarization] | Iterable[Diarization]


def by_uri(corpus: Corpus) -> dict[str, Diarization]:
    """`corpus` by recording; raises `OptionError` on two of one name."""
    if isinstance(corpus, Mapping):
        return dict(corpus)
    found: dict[str, Diarization] = {}
    for item in corpus:
        if item.uri in found:
            raise OptionError(f"two annotations of {item.uri}: expected one of each recording")
        found[item.uri] = item
    return found


def score(
    references: Corpus,
    hypotheses: Corpus,
    *,
    metrics: Sequence[str] | None = None,
    uem: Mapping[str, Region] | None = None,
    options: Options | None = None,
) -> Report:
    """Score `hypotheses` against `references`, matched by the name of the recording.

    `metrics` are among `METRICS`, by default all that the annotations allow. `uem` maps recordings to regions
    to score. A recording in it that has no reference counts as one in which nothing happens; one with a
    reference that is not in it is not scored, and named in `Report.outside_uem`.

    Raises `OptionError` on an unknown metric, one that the annotations do not allow, and on no references.

    >>> from sed.result import Segment
    >>> reference = Diarization("call", 10.0, [Segment(2, 8, "ann", "happy")])
    >>> hypothesis = Diarization("call", 10.0, [Segment(2, 7, "spk00", "happy")])
    >>> report = score([reference], [hypothesis])
    >>> report["eder"].pooled.rate, report["der"].pooled.missed_detection, report.missing
    (0.1, 1.0, ())
    """
    options = options or Options()
    truth, claimed = by_uri(references), by_uri(hypotheses)
    outside = () if uem is None else tuple(sorted(truth.keys() - uem.keys()))
    if uem is not None:
        if not uem:
            raise OptionError("the UEM names no recording: expected regions of at least one")
        truth = {uri: truth.get(uri, Diarization(uri, 0.0, [])) for uri in sorted(uem)}
    if not truth:
        raise OptionError("no reference to score against: expected at least one recording")
    reasons = available(truth.values(), (claimed[uri] for uri in truth if uri in claimed))
    chosen = list(metrics) if metrics is not None else [name for name in METRICS if name not in reasons]
    for name in chosen:
        if name not in METRICS:
            raise OptionError(f"metric {name!r}: expected one of {', '.join(METRICS)}")
        if name in reasons:
            raise OptionError(f"{name} cannot be computed: {reasons[name]}")
    if not chosen:
        raise OptionError(f"nothing to score: {reasons['eder']}, {reasons['der']}")
    found: dict[str, dict[str, Score]] = {name: {} for name in chosen}
    late: list[str] = []
    for uri in sorted(truth):
        reference = Spans.of(truth[uri])
        hypothesis = Spans.of(claimed.get(uri, ()))
        duration = _duration(reference, hypothesis, options)
        if uem is None and hypothesis.end - duration > OVERSHOOT:
            late.append(uri)
        regions = None if uem is None else list(uem[uri])
        try:
            for name in chosen:
                found[name][uri] = _score_one(name, reference, hypothesis, duration, regions, options)
        except OptionError as error:
            raise OptionError(f"{uri}: {error}") from error
    if late:
        logger.warning("what hypotheses say about the time after the end is not scored: %s", ", ".join(late))
    return Report(
        {name: MetricReport(name, files, options) for name, files in found.items()},
        options,
        missing=tuple(uri for uri in sorted(truth) if uri not in claimed),
        extra=tuple(uri for uri in sorted(claimed) if uri not in truth and uri not in outside),
        outside_uem=outside,
        skipped={} if metrics is not None else reasons,
    )


def _duration(reference: Spans, hypothesis: Spans, options: Options) -> float:
    """Where the recording ends, in seconds."""
    known = max(reference.duration or 0.0, reference.end)
    return max(known, hypothesis.duration or 0.0, hypothesis.end) if options.extent == "union" else known


def _score_one(
    metric: str,
    reference: Spans,
    hypothesis: Spans,
    duration: float,
    uem: Region | None,
    options: Options,
) -> Score:
    where: dict[str, Any] = {"duration": duration, "uem": uem}
    emotions: dict[str, Any] = {"labels": options.labels, "neutral": options.neutral}
    compute: dict[str, Callable[[], Score]] = {
        "eder": lambda: eder(
            reference,
            hypothesis,
            duration=reference.duration if options.compat else duration,
            uem=uem,
            **emotions,
            collar=options.collar,
            compat=options.compat,
        ),
        "der": lambda: der(
            reference,
            hypothesis,
            **where,
            collar=options.collar,
            skip_overlap=options.skip_overlap,
            engine=options.engine,
        ),
        "joint": lambda: joint_error(
            reference, hypothesis, **where, collar=options.collar, labels=options.labels
        ),
        "events": lambda: event_score(reference, hypothesis, **where, **emotions),
        "boundaries": lambda: boundary_score(reference, hypothesis, **where, **emotions),
    }
    return compute[metric]()
