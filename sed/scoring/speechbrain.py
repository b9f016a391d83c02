"""`compat="speechbrain"`: bit-identical to `speechbrain.utils.EDER.EDER`, for comparison with papers.

That function turns frames into segments, merges adjacent ones with one label, splits overlaps in the middle, and
returns 1 - (seconds in which the first letters of the labels agree) / duration. Its properties are kept: one
emotion per recording, first letters only (sad equals surprised), a negative value if the reference exceeds the
duration, and gaps from floating-point rounding.

It expects a label for each frame. `Frames`, which `frame_segments` makes from a list of letters, are used
unchanged: time without a frame, such as the tail that a 50 Hz encoder drops, agrees with no label. The gaps of any
other annotation are neutral, like those of a reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from sed.errors import OptionError
from sed.result import Segment
from sed.scoring.intervals import gaps, support
from sed.scoring.rates import SpeechBrainErrorRate
from sed.scoring.spans import Annotated, Spans


class Frames(list[Segment]):
    """The frames of a network as segments, in order; time without a frame has no label rather than neutral."""


def frame_segments(prediction: Sequence[str], window_length: float, stride: float) -> Frames:
    """One segment per frame: frame `i` starts at ``stride * i`` and lasts `window_length` seconds."""
    return Frames(
        Segment(stride * i, stride * i + window_length, emotion=label) for i, label in enumerate(prediction)
    )


def speechbrain_eder(
    reference: Annotated,
    hypothesis: Annotated,
    *,
    duration: float | None = None,
    labels: Mapping[str, str] | None = None,
    neutral: str = "neutral",
) -> SpeechBrainErrorRate:
    """EDER as SpeechBrain computes it.

    `duration` is the recording's length in seconds, by default the reference's. Raises `OptionError` if
    the reference does not have exactly one emotional segment, or without a duration, as SpeechBrain fails there.

    >>> frames = frame_segments("nnnaaa", 0.2, 0.2)
    >>> speechbrain_eder([Segment(0.39, 1.10, emotion="angry")], frames, duration=1.22).rate
    0.2704918032786885
    >>> reference = [Segment(1, 3, emotion="sad")]
    >>> [speechbrain_eder(reference, one, duration=5.0).rate for one in (reference, [])]
    [0.0, 0.4]
    """
    complete = isinstance(hypothesis, Frames)
    reference, hypothesis = Spans.of(reference), Spans.of(hypothesis)
    duration = reference.duration if duration is None else duration
    if not duration or duration < 0:
        raise OptionError(f"SpeechBrain's EDER of a recording of {duration} s: expected more than 0 s")
    emotional = [row for row in _rows(reference, labels) if row[2] not in ("", neutral)]
    if len(emotional) != 1:
        raise OptionError(f"SpeechBrain's EDER with {len(emotional)} emotions in a recording: expected one")
    rows = [(start, end, emotion[:1]) for start, end, emotion in _rows(hypothesis, labels)]
    if complete:
        claimed = _split_overlaps(_merge_adjacent(rows))
    else:
        rows = _merge_by_letter(rows)
        claimed = _split_overlaps(_merge_adjacent(rows))
        free = gaps(support([(start, end) for start, end, _ in rows]), 0.0, float(duration))
        claimed += [[start, end, neutral[0]] for start, end in free.tolist()]
    agreed: float = 0
    for start, end, letter in _reference_intervals(*emotional[0], neutral, float(duration)):
        for other_start, other_end, other in claimed:
            if other == letter:
                agreed += max(0, min(end, other_end) - max(start, other_start))
    return SpeechBrainErrorRate(correct=float(agreed), total=float(duration))


def _rows(spans: Spans, labels: Mapping[str, str] | None) -> list[tuple[float, float, str]]:
    names = spans.emotion_names(labels)
    return [(start, end, name or "") for (start, end), name in zip(spans.bounds.tolist(), names, strict=True)]


def _merge_by_letter(rows: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """The intervals of each letter over all speakers, sorted by time, without segments that have no emotion."""
    letters = dict.fromkeys(letter for _, _, letter in rows if letter)
    tracks = {letter: support([row[:2] for row in rows if row[2] == letter]) for letter in letters}
    return sorted((start, end, letter) for letter, track in tracks.items() for start, end in track.tolist())


def _reference_intervals(
    start: float, end: float, emotion: str, neutral: str, duration: float
) -> list[tuple[float, float, str]]:
    rows = [(start, end, emotion[0])]
    if start > 0:
        rows.insert(0, (0, start, neutral[0]))
    if end < duration:
        rows.append((end, duration, neutral[0]))
    return rows


def _merge_adjacent(rows: Sequence[tuple[float, float, str]]) -> list[list]:
    """Merge adjacent rows with the same label."""
    merged: list[list] = []
    for start, end, label in rows:
        if merged and merged[-1][2] == label and start <= merged[-1][1]:
            merged[-1][1] = end
        else:
            merged.append([start, end, label])
    return merged


def _split_overlaps(rows: list[list]) -> list[list]:
    """`rows` with each overlap of adjacent rows split in the middle."""
    for before, after in pairwise(rows):
        if after[0] <= before[1]:
            half = (before[1] - after[0]) / 2.0
            before[1] -= half
            after[0] += half
    return rows
