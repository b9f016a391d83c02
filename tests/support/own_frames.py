"""Which frames of a result a segment is judged by: those in which its speaker speaks alone."""

from __future__ import annotations

import math

import numpy as np


def own_frames(result, segment) -> np.ndarray:
    """Numbers of the frames of `segment` in which no other speaker of `result` is active."""
    several = np.zeros(math.ceil(result.duration * 50 - 1e-6), int)
    for other in result:
        several[_span(other)] += 1
    frames = np.arange(len(several))[_span(segment)]
    return frames[several[frames] == 1]


def _span(segment) -> slice:
    return slice(round(segment.start * 50), math.ceil(segment.end * 50 - 1e-6))  # the end may cut a frame
