"""The frames by which a segment is scored: those without overlap."""

from __future__ import annotations

import math

import numpy as np


def own_frames(result, segment) -> np.ndarray:
    """Numbers of the frames of `segment` in which no other speaker of `result` is active."""
    active = np.zeros(math.ceil(result.duration * 50 - 1e-6), int)
    for other in result:
        active[_span(other)] += 1
    frames = np.arange(len(active))[_span(segment)]
    return frames[active[frames] == 1]


def _span(segment) -> slice:
    # The end may lie inside a frame.
    return slice(round(segment.start * 50), math.ceil(segment.end * 50 - 1e-6))
