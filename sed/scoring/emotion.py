"""EDER, the emotion diarization error rate: two annotations in, seconds of each kind of error out.

Wang, Ravanelli, Nfissi, Yacoubi, *Speech Emotion Diarization: Which Emotion Appears When?* (2023), made exact
on intervals and extended to any number of emotions, simultaneous or in sequence. At every instant the reference
and the hypothesis each have a set of emotions: those of all their segments there, of any speaker. A side without
one (a gap, silence) has `neutral`, which is a label like the others. Labels are compared as whole words.

Labels on both sides are correct. The remaining ones are paired as far as possible, emotions with emotions first:
emotion with emotion is confusion (CF), neutral in the reference with an emotion is a false alarm (FA), an
emotion with neutral in the hypothesis is a missed emotion (ME). Unpaired labels of the hypothesis are overlap (OL),
those of the reference are missed (ME). EDER = (FA + ME + CF + OL) / total; the total is the scored time if the
reference has one emotion at a time. With gaps filled by neutral, this is exactly the IdentificationErrorRate of
pyannote.metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, overload

import numpy as np

from sed.errors import OptionError
from sed.scoring.confusion import ConfusionMatrix, label_order
from sed.scoring.intervals import Cells, Region, Track, around, cells, gaps, support
from sed.scoring.rates import EmotionErrorRate, SpeechBrainErrorRate
from sed.scoring.spans import Annotated, Spans, scored_region


@overload
def eder(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    duration: float | None = ...,
    uem: Region | None = ...,
    collar: float = ...,
    labels: Mapping[str, str] | None = ...,
    neutral: str = ...,
    compat: None = ...,
) -> EmotionErrorRate: ...


@overload
def eder(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    duration: float | None = ...,
    uem: Region | None = ...,
    collar: float = ...,
    labels: Mapping[str, str] | None = ...,
    neutral: str = ...,
    compat: Literal["speechbrain"],
) -> SpeechBrainErrorRate: ...


def eder(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    duration: float | None = None,
    uem: Region | None = None,
    collar: float = 0.0,
    labels: Mapping[str, str] | None = None,
    neutral: str = "neutral",
    compat: Literal["speechbrain"] | None = None,
) -> EmotionErrorRate | SpeechBrainErrorRate:
    """Emotion diarization error rate of `hypothesis` against `reference`.

    Both are a `Diarization` or segments; a reference of segments needs `duration` (seconds) or `uem`.
    `uem` is the regions to score, as (start, end) in seconds (default: the whole recording). `collar` excludes
    that many seconds on either side of every boundary of the reference, including those of neutral (the
    ``collar`` of pyannote is twice that). `labels` renames emotions on both sides, ``{"hap": "happy"}``.
    `compat="speechbrain"` computes what `speechbrain.utils.EDER.EDER` does (see `sed.scoring.speechbrain`).

    Raises `OptionError` on invalid options.

    >>> from sed.result import Segment as S
    >>> reference = [S(2, 8, emotion="happy")]
    >>> hypothesis = [S(0, 3, None, "neutral"), S(3, 7, None, "angry"), S(6, 9, None, "happy")]
    >>> e = eder(reference, hypothesis, duration=10)
    >>> e.false_alarm, e.missed_emotion, e.confusion, e.overlap, e.total, e.rate
    (1.0, 1.0, 3.0, 1.0, 10.0, 0.6)
    >>> e.matrix["happy", "angry"]
    3.0
    """
    if compat not in (None, "speechbrain"):
        raise OptionError(f"compat={compat!r}: expected None or 'speechbrain'")
    if compat is not None:
        if uem is not None or collar:
            raise OptionError("compat='speechbrain' cannot be combined with a collar or scored regions")
        from sed.scoring.speechbrain import speechbrain_eder

        return speechbrain_eder(reference, hypothesis, duration=duration, labels=labels, neutral=neutral)
    reference, hypothesis = Spans.of(reference), Spans.of(hypothesis)
    region = scored_region(reference, hypothesis, duration, uem)
    whole = reference.duration if duration is None else duration
    truth, claimed = reference.by_emotion(labels), hypothesis.by_emotion(labels)
    names = label_order([*truth, *claimed], neutral)
    nothing = np.empty((0, 2))
    truth_tracks = [truth.get(label, nothing) for label in names]
    ignored = around(_boundaries(truth_tracks, region, whole), collar) if collar else nothing
    scored = cells(truth_tracks, [claimed.get(label, nothing) for label in names], region, ignored)
    return from_matrix(ConfusionMatrix(names, confusion_seconds(fill_gaps(scored))))


def _boundaries(truth: list[Track], region: Track, duration: float | None) -> np.ndarray:
    """The starts and ends of reference labels after filling gaps with neutral, the first track."""
    everything = support(np.concatenate(truth))
    end = max(duration or 0.0, *(track[-1, 1] for track in (everything, region) if len(track)), 0.0)
    neutral = support(np.concatenate([truth[0], gaps(everything, 0.0, end)]))
    return np.concatenate([neutral, *truth[1:]]).ravel()


def fill_gaps(scored: Cells) -> Cells:
    """`scored` with the first label, neutral, in cells without a label."""
    reference, hypothesis = scored.reference.copy(), scored.hypothesis.copy()
    reference[:, 0] |= ~reference.any(1)
    hypothesis[:, 0] |= ~hypothesis.any(1)
    return Cells(scored.widths, reference, hypothesis)


def confusion_seconds(scored: Cells) -> np.ndarray:
    """Seconds of every (reference, hypothesis) pair of labels, ``(labels + 1, labels + 1)``.

    If labels can be paired in several ways, the time is divided evenly between them.
    """
    widths, truth, claimed = scored
    size = truth.shape[1]
    seconds = np.zeros((size + 1, size + 1))
    both = truth & claimed
    seconds[range(size), range(size)] = widths @ both
    wrong = np.flatnonzero((truth ^ claimed).any(1))
    widths, left, extra = widths[wrong], truth[wrong] & ~both[wrong], claimed[wrong] & ~both[wrong]
    left_emotions, extra_emotions = left[:, 1:].sum(1), extra[:, 1:].sum(1)
    left_neutral, extra_neutral = left[:, 0].astype(int), extra[:, 0].astype(int)

    def ratio(count: np.ndarray, total: np.ndarray) -> np.ndarray:
        return count / np.maximum(total, 1)

    confused = np.minimum(left_emotions, extra_emotions)
    pairs = widths * ratio(confused, left_emotions * extra_emotions)
    seconds[1:size, 1:size] += (left[:, 1:] * pairs[:, None]).T @ extra[:, 1:].astype(float)
    alarms = np.minimum(left_neutral, extra_emotions - confused)
    seconds[0, 1:size] = (widths * ratio(alarms, extra_emotions)) @ extra[:, 1:]
    missed = np.minimum(extra_neutral, left_emotions - confused)
    seconds[1:size, 0] = (widths * ratio(missed, left_emotions)) @ left[:, 1:]

    seconds[1:size, size] = (widths * ratio(left_emotions - confused - missed, left_emotions)) @ left[:, 1:]
    seconds[0, size] = widths @ (left_neutral - alarms)
    seconds[size, 1:size] = (widths * ratio(extra_emotions - confused - alarms, extra_emotions)) @ extra[
        :, 1:
    ]
    seconds[size, 0] = widths @ (extra_neutral - missed)
    return seconds


def from_matrix(matrix: ConfusionMatrix) -> EmotionErrorRate:
    """The error rate whose parts are sums over regions of `matrix`; the first label is neutral."""
    seconds = matrix.seconds
    paired = seconds[1:-1, 1:-1]
    return EmotionErrorRate(
        correct=float(np.trace(seconds[:-1, :-1])),
        total=float(seconds[:-1].sum()),
        false_alarm=float(seconds[0, 1:-1].sum()),
        missed_emotion=float(seconds[1:-1, 0].sum() + seconds[:-1, -1].sum()),
        confusion=max(0.0, float(paired.sum() - np.trace(paired))),  # rounding may leave -1e-16
        overlap=float(seconds[-1].sum()),
        matrix=matrix,
    )
