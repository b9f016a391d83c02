"""Exact integer time: the only place that converts between samples, 20 ms frames and seconds.

Frame ``k`` covers samples ``[k * HOP, (k + 1) * HOP)``, so ``F`` frames cover ``F / FRAME_RATE`` seconds and
a recording of ``n`` samples has ``ceil(n / HOP)`` frames: no tail is lost. Every rate is derived from the
next by exact division; nothing here drifts.

>>> HOP, frame_count(16000), frame_count(16001)
(320, 50, 51)
>>> frames_to_seconds(3)
0.06
"""

from __future__ import annotations

import math

SAMPLE_RATE = 16_000  # samples a second of everything behind `sed.audio`
FRAME_RATE = 50  # emotion frames a second
HOP = SAMPLE_RATE // FRAME_RATE  # samples a frame: 320

assert HOP * FRAME_RATE == SAMPLE_RATE


def frame_count(samples: int) -> int:
    """Frames needed to cover `samples` samples; the last one may be partly past the end."""
    return -(-samples // HOP)


def frames_to_seconds(frames: int) -> float:
    """Seconds at the start of frame number `frames` (= the end of the one before)."""
    return int(frames) / FRAME_RATE


def samples_to_seconds(samples: int) -> float:
    """Seconds that `samples` samples last."""
    return int(samples) / SAMPLE_RATE


def seconds_to_samples(seconds: float) -> int:
    """Nearest whole number of samples."""
    return round(seconds * SAMPLE_RATE)


def seconds_to_frames(seconds: float) -> int:
    """Nearest whole number of frames."""
    return round(seconds * FRAME_RATE)


def frame_at(seconds: float) -> int:
    """The frame that contains the instant `seconds`.

    >>> frame_at(0.059), frame_at(0.06)
    (2, 3)
    """
    return math.floor(seconds * FRAME_RATE + 1e-6)
