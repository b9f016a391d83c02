"""How far two lists of segments say the same, by time: for golden results that hold on any processor."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

FRAME = 0.02  # seconds


def agreement(one, other) -> float:
    """Time for which both say the same speaker feels the same, over the time for which either says anything.

    Two people who speak at once count twice. Frames of 20 ms; 1.0 for two empty lists.
    """
    first, second = _spoken(one), _spoken(other)
    shared = sum(len(first[key] & second[key]) for key in first)
    told = sum(len(first[key] | second[key]) for key in {*first, *second})
    return shared / told if told else 1.0


def _spoken(segments) -> dict[tuple[str, str], set[int]]:
    """Numbers of the frames in which each speaker feels each emotion."""
    frames: dict[tuple[str, str], set[int]] = defaultdict(set)
    for segment in segments:
        span = range(round(segment.start / FRAME), round(segment.end / FRAME))
        frames[segment.speaker, segment.emotion].update(span)
    return frames


def confidence(segments) -> float:
    """Mean confidence, by time."""
    return float(np.average([s.confidence for s in segments], weights=[s.duration for s in segments]))
