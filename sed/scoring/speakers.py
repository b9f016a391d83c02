"""DER and the joint speaker and emotion error: two annotations in, seconds of each kind of error out.

DER counts, at every instant, the speakers that are missed, falsely detected or confused, under the one-to-one
mapping of names with the longest agreement in the scored time (as in pyannote.metrics; md-eval maps before it
excludes collars, which may give a worse mapping). The joint
error (sTEER: Wu, Zhang, Woodland, *Integrating Emotion Recognition with Speech Recognition and Speaker
Diarisation for Conversations*, 2023) does the same with (speaker, emotion) as the label, after that mapping,
and separates errors of detection, speaker and emotion. Overlapping segments of one speaker count once.

`engine="pyannote"` computes DER with pyannote.metrics (extra ``score``); the default engine gives the same
numbers with numpy alone, a few hundred times as fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from sed.errors import MissingDependencyError, OptionError, install_hint
from sed.scoring.assignment import best_pairs
from sed.scoring.intervals import EPSILON, Cells, Region, Track, around, cells, support, sweep
from sed.scoring.rates import JointErrorRate, SpeakerErrorRate
from sed.scoring.spans import Annotated, Spans, scored_region

TIE_BREAK = (
    1e-10  # weight of emotion agreement relative to speaker agreement: decides only between equal mappings
)


def der(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    duration: float | None = None,
    uem: Region | None = None,
    collar: float = 0.0,
    skip_overlap: bool = False,
    engine: Literal["sed", "pyannote"] = "sed",
) -> SpeakerErrorRate:
    """Diarization error rate of the speakers of `hypothesis` against those of `reference`.

    `duration` and `uem` are as for `sed.scoring.eder`. `collar` excludes that many seconds on either side
    of the start and end of every segment of the reference, including adjacent segments of one speaker: NIST's
    convention (pyannote's ``collar`` is twice that). `skip_overlap` excludes the time in which several speakers
    are active in the reference.

    Raises `OptionError` on segments without a speaker, `MissingDependencyError` without pyannote.metrics.

    >>> from sed.result import Segment as S
    >>> reference = [S(0, 10, "A"), S(12, 20, "B"), S(24, 27, "A"), S(30, 40, "C")]
    >>> hypothesis = [S(2, 13, "a"), S(13, 14, "d"), S(14, 20, "b"), S(22, 38, "c"), S(38, 40, "d")]
    >>> der(reference, hypothesis, duration=40)
    SpeakerErrorRate(correct=22.0, total=31.0, false_alarm=7.0, missed_detection=2.0, confusion=7.0)
    """
    reference, hypothesis = Spans.of(reference), Spans.of(hypothesis)
    region = scored_region(reference, hypothesis, duration, uem)
    truth = reference.by_speaker(-EPSILON)  # keeps the boundary between adjacent turns
    claimed = hypothesis.by_speaker()
    if engine == "pyannote":
        return _pyannote_der(truth, claimed, region, collar, skip_overlap)
    if engine != "sed":
        raise OptionError(f"engine={engine!r}: expected 'sed' or 'pyannote'")
    ignored = [around(_edges(truth), collar)]
    if skip_overlap and truth:
        edges, active = sweep(list(truth.values()))
        several = active.sum(1) > 1
        ignored.append(np.stack([edges[:-1][several], edges[1:][several]], 1))
    scored = cells([*truth.values()], [*claimed.values()], region, support(np.concatenate(ignored)))
    widths, here, there = scored
    agreement = here.astype(float).T @ (widths[:, None] * there)
    right = sum(agreement[pair] for pair in best_pairs(agreement))
    speakers, claims = here.sum(1), there.sum(1)
    matched = float(widths @ np.minimum(speakers, claims))
    return SpeakerErrorRate(
        correct=float(right),
        total=float(widths @ speakers),
        false_alarm=float(widths @ np.maximum(claims - speakers, 0)),
        missed_detection=float(widths @ np.maximum(speakers - claims, 0)),
        confusion=max(0.0, matched - float(right)),
        scored=float(widths.sum()),
    )


def joint_error(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    duration: float | None = None,
    uem: Region | None = None,
    collar: float = 0.0,
    labels: Mapping[str, str] | None = None,
) -> JointErrorRate:
    """Error rate with (speaker, emotion) as the label, after the optimal mapping of speakers.

    Options are as for `sed.scoring.der`, with the boundaries of (speaker, emotion); `labels` renames emotions
    on both sides. Without a collar, and if each speaker has one emotion at a time, the rate is DER plus
    `emotion_rate`. If several mappings of speakers are equally good, the agreement of emotions decides.

    Raises `OptionError` on segments without a speaker or an emotion.

    >>> from sed.result import Segment as S
    >>> reference = [S(0, 4, "A", "happy"), S(4, 8, "B", "sad"), S(8, 10, "A", "neutral")]
    >>> hypothesis = [S(0, 3, "x", "happy"), S(3, 4, "x", "sad"), S(4, 7, "y", "sad")]
    >>> hypothesis += [S(7, 9, "x", "neutral")]
    >>> e = joint_error(reference, hypothesis, duration=10)
    >>> e.missed_detection, e.speaker_confusion, e.emotion_confusion, e.rate
    (1.0, 1.0, 1.0, 0.3)
    """
    reference, hypothesis = Spans.of(reference), Spans.of(hypothesis)
    region = scored_region(reference, hypothesis, duration, uem)
    truth, claimed = reference.by_both(labels), hypothesis.by_both(labels)
    ignored = around(_edges(truth), collar)
    scored = cells([*truth.values()], [*claimed.values()], region, ignored)
    return _joint(scored, list(truth), list(claimed))


def _joint(scored: Cells, truth: list[tuple[str, str]], claimed: list[tuple[str, str]]) -> JointErrorRate:
    """The joint error of `scored`, whose columns are the (speaker, emotion) pairs `truth` and `claimed`."""
    widths, here, there = scored
    who, who_claimed = (list(dict.fromkeys(speaker for speaker, _ in pairs)) for pairs in (truth, claimed))
    member = _same([speaker for speaker, _ in truth], who)
    member_claimed = _same([speaker for speaker, _ in claimed], who_claimed)
    speakers, speakers_claimed = here @ member, there @ member_claimed
    weights = speakers.astype(float).T @ (widths[:, None] * speakers_claimed)
    same_emotion = _same([emotion for _, emotion in truth], [emotion for _, emotion in claimed])
    agreement = (here.astype(float).T @ (widths[:, None] * there)) * same_emotion
    mapping = best_pairs(weights + TIE_BREAK * (member.T.astype(float) @ agreement @ member_claimed))

    both = speaker_right = np.zeros(len(widths), int)
    for mine, theirs in mapping:
        of_mine = [number for number, (speaker, _) in enumerate(truth) if speaker == who[mine]]
        of_theirs = {claimed[n][1]: n for n in range(len(claimed)) if claimed[n][0] == who_claimed[theirs]}
        speaker_right = speaker_right + np.minimum(
            here[:, of_mine].sum(1), there[:, list(of_theirs.values())].sum(1)
        )
        for number in of_mine:
            if (other := of_theirs.get(truth[number][1])) is not None:
                both = both + (here[:, number] & there[:, other])
    count, claims = here.sum(1), there.sum(1)
    matched = np.minimum(count, claims)
    return JointErrorRate(
        correct=float(widths @ both),
        total=float(widths @ count),
        false_alarm=float(widths @ (claims - matched)),
        missed_detection=float(widths @ (count - matched)),
        speaker_confusion=float(widths @ (matched - speaker_right)),
        emotion_confusion=float(widths @ (speaker_right - both)),
        scored=float(widths.sum()),
    )


def _same(left: Sequence[str], right: Sequence[str]) -> np.ndarray:
    """Equality of each pair of `left` and `right`, ``(left, right)`` bool."""
    return np.array([a == b for a in left for b in right], bool).reshape(len(left), len(right))


def _edges(truth: Mapping[Any, Track]) -> np.ndarray:
    return np.concatenate([track.ravel() for track in truth.values()] or [np.empty(0)])


def _pyannote_der(
    truth: Mapping[str, Track], claimed: Mapping[str, Track], region: Track, collar: float, skip_overlap: bool
) -> SpeakerErrorRate:
    import os

    os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")  # telemetry is on by default
    try:
        from pyannote.core import Annotation, Timeline
        from pyannote.core import Segment as Interval
        from pyannote.metrics.diarization import DiarizationErrorRate
    except ImportError as error:
        raise MissingDependencyError(
            f"engine='pyannote' needs pyannote.metrics: {install_hint('score')}"
        ) from error

    def annotation(rows: Iterable[tuple[str, Track]]) -> Annotation:
        result = Annotation()
        for label, track in rows:
            for start, end in track:
                result[Interval(start, end), label] = label
        return result

    metric = DiarizationErrorRate(collar=2 * collar, skip_overlap=skip_overlap)
    uem = Timeline([Interval(start, end) for start, end in region])
    parts = metric.compute_components(annotation(truth.items()), annotation(claimed.items()), uem=uem)
    return SpeakerErrorRate(
        correct=parts["correct"],
        total=parts["total"],
        false_alarm=parts["false alarm"],
        missed_detection=parts["missed detection"],
        confusion=parts["confusion"],
        scored=float(np.diff(region).sum()),
    )
