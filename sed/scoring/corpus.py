"""`score`: references and hypotheses of many recordings in, a `Report` with pooled and mean values and intervals out.

Every reference recording is scored. A recording without a hypothesis counts as an empty hypothesis, so omitting
difficult files is no advantage, and is listed in `Report.missing`; hypotheses of other recordings are listed in
`Report.extra`.

The scored time of a recording does not depend on the hypothesis: it is its regions in the UEM, or the recording up to
its end. Segments outside are removed first, so they cannot change any metric. Different spellings of an emotion are
read as one (`sed.scoring.spelling`), with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sed.errors import OptionError
from sed.result import Diarization
from sed.scoring.available import available
from sed.scoring.emotion import eder
from sed.scoring.events import boundary_score, event_score
from sed.scoring.intervals import EPSILON, Region, Track
from sed.scoring.report import MetricReport, Options, Report, Score
from sed.scoring.spans import OVERSHOOT, Spans, logger, scored_region
from sed.scoring.speakers import der, joint_error
from sed.scoring.spelling import Spelling, reconcile

__all__ = ["METRICS", "MetricReport", "Options", "Report", "by_uri", "score"]

METRICS = ("eder", "der", "joint", "events", "boundaries")
Corpus = Mapping[str, Diarization] | Iterable[Diarization]


def by_uri(corpus: Corpus) -> dict[str, Diarization]:
    """`corpus` by recording; raises `OptionError` on duplicate names."""
    if isinstance(corpus, Mapping):
        return dict(corpus)
    found: dict[str, Diarization] = {}
    for item in corpus:
        if item.uri in found:
            raise OptionError(f"two annotations of {item.uri}: expected one for each recording")
        found[item.uri] = item
    return found


def score(
    references: Corpus,
    hypotheses: Corpus,
    *,
    metrics: Sequence[str] | None = None,
    uem: Mapping[str, Region] | None = None,
    durations: Mapping[str, float] | None = None,
    groups: Mapping[str, str] | None = None,
    options: Options | None = None,
    system: str | None = None,
) -> Report:
    """Score `hypotheses` against `references`, matched by the name of the recording.

    `metrics` are among `METRICS`, by default all that the annotations allow. `uem` maps recordings to regions
    to score. A recording in the UEM without a reference counts as an empty reference; a reference that is not in the
    UEM is not scored, and listed in `Report.outside_uem`. `durations` are the durations, in seconds, of recordings
    whose reference does not state its own (default: the reference's `duration`, or the end of its last segment if
    that is later). `groups` maps recordings to groups, such as their speaker: intervals and tests then resample
    groups. `system` names the hypotheses in warnings.

    If no time is scored, values are nan, and `Report.not_computed` has the reason.

    Raises `OptionError` on an unknown metric, one that the annotations do not allow, and without references.

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
    unknown = () if uem is None else tuple(sorted(uem.keys() - truth.keys()))
    unscored: dict[str, str] = {}
    if uem is not None:
        if not uem:
            raise OptionError("the UEM names no recording: expected regions of at least one")
        if truth and not truth.keys() & uem.keys():
            unscored = dict.fromkeys(unknown, "the UEM names none of the recordings of the references")
            unknown = ()
        truth = {uri: truth.get(uri, Diarization(uri, 0.0, [])) for uri in sorted(uem)}
    if not truth:
        raise OptionError("no reference to score against: expected at least one recording")
    if groups is not None and (ungrouped := sorted(truth.keys() - groups.keys() - unscored.keys())):
        raise OptionError(f"no group of {', '.join(ungrouped[:5])}: expected one for each recording")
    sides: dict[str, tuple[Spans, Spans, float]] = {}
    regions: dict[str, Track] = {}
    late: list[str] = []
    for uri in sorted(truth.keys() - unscored.keys()):
        reference, hypothesis = Spans.of(truth[uri]), Spans.of(claimed.get(uri, ()))
        duration = max(_stated(uri, reference, durations) or 0.0, reference.end)
        if uem is None and hypothesis.end - duration > OVERSHOOT:
            late.append(uri)
        try:
            regions[uri] = scored_region(reference, hypothesis, duration, None if uem is None else uem[uri])
        except OptionError as error:
            raise OptionError(f"{uri}: {error}") from error
        if (regions[uri][:, 1] - regions[uri][:, 0]).sum() <= EPSILON:
            unscored[uri] = "the region is empty" if uem is not None else "the recording lasts 0 s"
        sides[uri] = reference, hypothesis.inside(regions[uri]), duration
    reasons = available(
        (reference for reference, _, _ in sides.values()),
        (side[1] for uri, side in sides.items() if uri in claimed),
    )
    chosen = list(metrics) if metrics is not None else [name for name in METRICS if name not in reasons]
    for name in chosen:
        if name not in METRICS:
            raise OptionError(f"metric {name!r}: expected one of {', '.join(METRICS)}")
        if name in reasons:
            raise OptionError(f"{name} cannot be computed: {reasons[name]}")
    if not chosen:
        raise OptionError(f"nothing to score: {reasons['eder']}, {reasons['der']}")
    spelling, labels = _labels(sides, regions, options)
    found: dict[str, dict[str, Score]] = {name: {} for name in chosen}
    for uri in sorted(sides.keys() - unscored.keys()):
        reference, hypothesis, duration = sides.pop(uri)
        known = _stated(uri, reference, durations) if options.compat else duration
        scope = {"duration": duration, "uem": None if uem is None else regions[uri].tolist()}
        try:
            for name in chosen:
                found[name][uri] = _score_one(name, reference, hypothesis, scope, known, labels, options)
        except OptionError as error:
            raise OptionError(f"{uri}: {error}") from error
    prefix = f"{system}: " if system else ""
    for line in spelling.warnings():
        logger.warning("%s%s", prefix, line)
    if late:
        text = "%shypotheses are not scored after the end of the recording: %s"
        logger.warning(text, prefix, ", ".join(late))
    return Report(
        {name: MetricReport(name, files, options, groups) for name, files in found.items()},
        options,
        missing=tuple(uri for uri in sorted(truth) if uri not in claimed and uri not in unscored),
        extra=tuple(uri for uri in sorted(claimed) if uri not in truth and uri not in outside),
        outside_uem=outside,
        skipped={} if metrics is not None else reasons,
        without_reference=unknown,
        unscored=unscored,
        regions={uri: tuple(map(tuple, region.tolist())) for uri, region in regions.items()},
        spelling=spelling,
    )


def _stated(uri: str, reference: Spans, durations: Mapping[str, float] | None) -> float | None:
    return reference.duration if durations is None else durations.get(uri, reference.duration)


def _labels(
    sides: Mapping[str, tuple[Spans, Spans, float]], regions: Mapping[str, Track], options: Options
) -> tuple[Spelling, dict[str, str]]:
    """The spellings of emotions in the scored time on both sides, and the resulting renaming."""
    given = options.labels or {}
    named: list[set[str]] = [set(), set()]
    for uri, (reference, hypothesis, _) in sides.items():
        for names, side in zip(named, (reference.inside(regions[uri]), hypothesis), strict=True):
            names |= {emotion for emotion in set(side.emotions) if emotion}
    fixed = {label for label, same in given.items() if label == same}
    mine, theirs = ({given.get(label, label) for label in names} for names in named)
    spelling = reconcile(mine, theirs, options.neutral, fixed)
    final = {
        label: spelling.renamed.get(new := given.get(label, label), new)
        for label in {*given, *named[0], *named[1]}
    }
    return spelling, {label: new for label, new in final.items() if label != new}


def _score_one(
    metric: str,
    reference: Spans,
    hypothesis: Spans,
    scope: Mapping[str, Any],
    known: float | None,
    labels: Mapping[str, str],
    options: Options,
) -> Score:
    emotions: dict[str, Any] = {"labels": labels, "neutral": options.neutral}
    compute: dict[str, Callable[[], Score]] = {
        "eder": lambda: eder(
            reference,
            hypothesis,
            duration=known,
            uem=scope["uem"],
            **emotions,
            collar=options.collar,
            compat=options.compat,
        ),
        "der": lambda: der(
            reference,
            hypothesis,
            **scope,
            collar=options.collar,
            skip_overlap=options.skip_overlap,
            engine=options.engine,
        ),
        "joint": lambda: joint_error(reference, hypothesis, **scope, collar=options.collar, labels=labels),
        "events": lambda: event_score(reference, hypothesis, **scope, **emotions),
        "boundaries": lambda: boundary_score(reference, hypothesis, **scope, **emotions),
    }
    return compute[metric]()
