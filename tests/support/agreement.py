"""Agreement of two lists of segments by time, for golden results that hold on any processor."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

FRAME = 0.02  # seconds


def agreement(one, other) -> float:
    """Time in which both contain the same speaker with the same emotion, over the time in which either has a segment.

    Overlapping speakers count once each. Computed on frames of 20 ms; 1.0 for two empty lists.
    """
    first, second = _labelled_frames(one), _labelled_frames(other)
    shared = sum(len(first[key] & second[key]) for key in first)
    total = sum(len(first[key] | second[key]) for key in {*first, *second})
    return shared / total if total else 1.0


def _labelled_frames(segments) -> dict[tuple[str, str], set[int]]:
    """Frame numbers by speaker and emotion."""
    frames: dict[tuple[str, str], set[int]] = defaultdict(set)
    for segment in segments:
        span = range(round(segment.start / FRAME), round(segment.end / FRAME))
        frames[segment.speaker, segment.emotion].update(span)
    return frames


def confidence(segments) -> float:
    """Mean confidence, weighted by duration."""
    return float(np.average([s.confidence for s in segments], weights=[s.duration for s in segments]))
