"""Exact integer time: the only place that converts between samples, 20 ms frames and seconds.

Frame ``k`` covers samples ``[k * HOP, (k + 1) * HOP)``, so ``F`` frames cover ``F / FRAME_RATE`` seconds and
a recording of ``n`` samples has ``ceil(n / HOP)`` frames: the tail is never dropped. `HOP` is an exact quotient
of the two rates, so conversions do not drift.

>>> HOP, frame_count(16000), frame_count(16001)
(320, 50, 51)
>>> frames_to_seconds(3)
0.06
"""

from __future__ import annotations

import math

SAMPLE_RATE = 16_000  # Hz, of all audio that `sed.audio` returns
FRAME_RATE = 50  # frames per second
HOP = SAMPLE_RATE // FRAME_RATE  # samples per frame: 320

assert HOP * FRAME_RATE == SAMPLE_RATE


def frame_count(samples: int) -> int:
    """Number of frames that cover `samples` samples; the last one may extend past the end."""
    return -(-samples // HOP)


def frames_to_seconds(frames: int) -> float:
    """Duration of `frames` frames in seconds, which is also the start time of frame number `frames`."""
    return int(frames) / FRAME_RATE


def samples_to_seconds(samples: int) -> float:
    """Duration of `samples` samples in seconds."""
    return int(samples) / SAMPLE_RATE


def seconds_to_samples(seconds: float) -> int:
    """Nearest whole number of samples."""
    return round(seconds * SAMPLE_RATE)


def seconds_to_frames(seconds: float) -> int:
    """Nearest whole number of frames."""
    return round(seconds * FRAME_RATE)


def frame_at(seconds: float) -> int:
    """Number of the frame that contains the time `seconds`.

    >>> frame_at(0.059), frame_at(0.06)
    (2, 3)
    """
    return math.floor(seconds * FRAME_RATE + 1e-6)


def frame_range(start: float, end: float, rate: int = FRAME_RATE) -> tuple[int, int]:
    """The first frame that the time from `start` to `end` seconds touches, and the one after the last, at least one.

    >>> frame_range(0.06, 0.1), frame_range(0.059, 0.101), frame_range(1, 1)
    ((3, 5), (2, 6), (50, 51))
    """
    first = math.floor(start * rate + 1e-6)
    return first, max(first + 1, math.ceil(end * rate - 1e-6))
