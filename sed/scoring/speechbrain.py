"""`compat="speechbrain"`: what `speechbrain.utils.EDER.EDER` computes, bit for bit, to compare with papers.

That function turns frames into segments, joins neighbours with one label, splits what overlaps in the middle,
and returns 1 - (seconds during which the labels' first letters agree) / duration. Kept as they are: one
emotion a recording, first letters only (sad equals surprised), a value below 0 where the reference overruns
the duration, joints that floating point tears. It wants frames; here each segment of the hypothesis is one
(`frame_segments` makes them from a list of letters), and joined segments as SpeechBrain's own
``diarize_file`` prints them serve as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from sed.errors import OptionError
from sed.result import Segment
from sed.scoring.rates import SpeechBrainErrorRate
from sed.scoring.spans import Annotated, Spans


def frame_segments(prediction: Sequence[str], window_length: float, stride: float) -> list[Segment]:
    """One segment a frame: frame `i` lasts from ``stride * i`` for `window_length` seconds."""
    return [
        Segment(stride * i, stride * i + window_length, emotion=label) for i, label in enumerate(prediction)
    ]


def speechbrain_eder(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    duration: float | None = None,
    labels: Mapping[str, str] | None = None,
    neutral: str = "neutral",
) -> SpeechBrainErrorRate:
    """EDER as SpeechBrain computes it.

    `duration` is the recording's length in seconds, by default the reference's. Raises `OptionError` where
    that function fails: not exactly one emotional segment in the reference, an empty hypothesis, no duration.

    >>> frames = frame_segments("nnnaaa", 0.2, 0.2)
    >>> speechbrain_eder([Segment(0.39, 1.10, emotion="angry")], frames, duration=1.22).rate
    0.2704918032786885
    """
    reference, hypothesis = Spans.of(reference), Spans.of(hypothesis)
    duration = reference.duration if duration is None else duration
    if not duration or duration < 0:
        raise OptionError(f"SpeechBrain's EDER of a recording of {duration} s: expected more than 0 s")
    emotional = [row for row in _rows(reference, labels) if row[2] not in ("", neutral)]
    if len(emotional) != 1:
        raise OptionError(f"SpeechBrain's EDER with {len(emotional)} emotions in a recording: expected one")
    rows = [(start, end, emotion[:1]) for start, end, emotion in _rows(hypothesis, labels)]
    claimed = _share_overlap(_join(rows))
    if not claimed:
        raise OptionError("SpeechBrain's EDER of an empty hypothesis: expected at least one segment")
    agreed: float = 0
    for start, end, letter in _tiled(*emotional[0], neutral, float(duration)):
        for other_start, other_end, other in claimed:
            if other == letter:
                agreed += max(0, min(end, other_end) - max(start, other_start))
    return SpeechBrainErrorRate(correct=float(agreed), total=float(duration))


def _rows(spans: Spans, labels: Mapping[str, str] | None) -> list[tuple[float, float, str]]:
    names = spans.emotion_names(labels)
    return [(start, end, name or "") for (start, end), name in zip(spans.bounds.tolist(), names, strict=True)]


def _tiled(
    start: float, end: float, emotion: str, neutral: str, duration: float
) -> list[tuple[float, float, str]]:
    rows = [(start, end, emotion[0])]
    if start > 0:
        rows.insert(0, (0, start, neutral[0]))
    if end < duration:
        rows.append((end, duration, neutral[0]))
    return rows


def _join(rows: Sequence[tuple[float, float, str]]) -> list[list]:
    """Neighbours that touch and have one label, as one."""
    joined: list[list] = []
    for start, end, label in rows:
        if joined and joined[-1][2] == label and start <= joined[-1][1]:
            joined[-1][1] = end
        else:
            joined.append([start, end, label])
    return joined


def _share_overlap(rows: list[list]) -> list[list]:
    """`rows`, in which each overlap of neighbours is split in its middle."""
    for before, after in pairwise(rows):
        if after[0] <= before[1]:
            half = (before[1] - after[0]) / 2.0
            before[1] -= half
            after[0] += half
    return rows
