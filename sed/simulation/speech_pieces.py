"""Where the speech is inside a clean studio utterance, how loud it is, and how to shorten it at a pause.

In: ``(n,)`` float32 at 16 kHz, full scale 1, recorded without noise (acted corpora). Out: sample positions,
decibels relative to full scale, and cut copies. An energy threshold is enough here and needs no model, so
the references that the simulator builds do not depend on the detectors that they will judge.
"""

from __future__ import annotations

import math

import numpy as np

from sed.corpora.levels import frame_levels, speech_frames
from sed.grid import HOP, SAMPLE_RATE
from sed.speakers.smoothing import runs

FRAME = SAMPLE_RATE // 100  # 10 ms: half a cut's stretch, and the margin around speech
BELOW_LOUD = (20.0, 30.0)  # dB from the loud frames to the quietest speech: at least, at most
ABOVE_FLOOR = 10.0  # dB that speech keeps from the recording's own background


def speech_pieces(
    samples: np.ndarray, *, pause: float = 0.3, shortest: float = 0.04
) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each stretch of speech in `samples`, in samples.

    A 20 ms frame is speech when it is within 30 dB of the loud ones (95th percentile) and 10 dB above the
    background (5th percentile), or within 20 dB in any case: the sad utterances of EMO-DB are soft, and their
    background is only 30 dB down. Bursts under `shortest` seconds are clicks and are dropped; silences under
    `pause` seconds belong to the speech around them (the NIST rule for diarization references). Each stretch
    gets 10 ms more on both sides: weak onsets and releases. Digital silence has none.

    >>> tone = np.sin(np.arange(16000) / 5).astype(np.float32)
    >>> silence = np.zeros(8000, np.float32)
    >>> speech_pieces(np.concatenate([silence, tone, silence, tone, silence]))
    [(7840, 24160), (31840, 48160)]
    """
    joined: list[tuple[int, int]] = []
    for first, last in (runs(_speech(samples)) * HOP).tolist():
        if last - first < shortest * SAMPLE_RATE:
            continue
        if joined and first - joined[-1][1] < pause * SAMPLE_RATE:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return [(max(0, start - FRAME), min(len(samples), end + FRAME)) for start, end in joined]


def speech_level(samples: np.ndarray) -> float:
    """Level of the speech alone in dB full scale: the mean power of its frames; minus infinity for silence.

    >>> round(speech_level(np.full(16000, 0.1, np.float32)), 3)
    -20.0
    """
    speech = _speech(samples)
    if not speech.any():
        return -math.inf
    return 10 * math.log10(float(np.mean(10 ** (frame_levels(samples)[speech] / 10))))


def _speech(samples: np.ndarray) -> np.ndarray:
    """Which 20 ms frames are speech, ``(frames,)`` bool."""
    levels = frame_levels(samples)
    if len(levels) == 0:
        return np.zeros(0, bool)
    background, loud = np.percentile(levels, [5, 95])
    return speech_frames(samples, float(np.clip(loud - background - ABOVE_FLOOR, *BELOW_LOUD)))


def quietest_cut(samples: np.ndarray, target: int, reach: int) -> int:
    """The quietest place to cut within `reach` samples of `target`: the middle of a 20 ms stretch.

    Returns `target`, limited to the length, where there is nothing to choose from.

    >>> samples = np.ones(16000, np.float32); samples[9000:9600] = 0
    >>> 9000 <= quietest_cut(samples, 8000, 3200) <= 9600
    True
    """
    low, high = max(0, target - reach), min(len(samples), target + reach)
    if high - low < 2 * FRAME:
        return min(target, len(samples))
    power = np.concatenate([[0.0], np.cumsum(samples[low:high].astype(np.float64) ** 2)])
    return low + FRAME + int(np.argmin(power[2 * FRAME :] - power[: -2 * FRAME]))


def faded(samples: np.ndarray, seconds: float = 0.01) -> np.ndarray:
    """A float32 copy whose ends rise from and fall to zero over `seconds` (raised cosine): no click at joins.

    >>> faded(np.ones(1600, np.float32))[[0, 800, 1599]].round(2).tolist()
    [0.0, 1.0, 0.0]
    """
    out = np.array(samples, np.float32)
    length = min(round(seconds * SAMPLE_RATE), len(out) // 2)
    if length:
        ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)
        out[:length] *= ramp
        out[-length:] *= ramp[::-1]
    return out
