"""Speech pieces and speech level of a clean studio utterance, and cuts and fades of it.

In: ``(n,)`` float32 at 16 kHz, full scale 1, one speaker with at most steady noise (acted corpora). Out: sample
positions, dB relative to full scale, faded copies. An energy threshold is sufficient and needs no model, so the
references of the simulator do not depend on the detectors that they evaluate.
"""

from __future__ import annotations

import math

import numpy as np

from sed.corpora.levels import frame_levels, speech_frames
from sed.grid import HOP, SAMPLE_RATE
from sed.speakers.smoothing import runs

FRAME = SAMPLE_RATE // 100  # 10 ms: the margin around speech, and half the window of `quietest_cut`
SPEECH_RANGE = (20.0, 30.0)  # minimum and maximum dB from the loud frames down to the quietest speech
ABOVE_BACKGROUND = 10.0  # minimum dB of speech above the background
ABOVE_NOISE = 5.0  # likewise where the background is so loud that the minimum range would reach it
MIN_RANGE = 8.0  # dB, of noisy utterances


def speech_pieces(
    samples: np.ndarray, *, min_silence: float = 0.3, min_speech: float = 0.04
) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each speech piece in `samples`, in samples.

    A 20 ms frame is speech if it is within 30 dB of the loud frames (95th percentile) and 10 dB above the background
    (5th percentile). If that leaves less than 20 dB, because the speech is soft (EMO-DB) or noisy (half of CREMA-D has
    its background 13 to 23 dB below the loud frames), 5 dB above the background are enough. Speech shorter than
    `min_speech` seconds is a click and is dropped; silences shorter than `min_silence` seconds are closed (the NIST
    rule for diarization references). Each piece is extended by 10 ms on both sides for weak onsets and releases.
    Digital silence has no pieces.

    >>> tone = np.sin(np.arange(16000) / 5).astype(np.float32)
    >>> silence = np.zeros(8000, np.float32)
    >>> speech_pieces(np.concatenate([silence, tone, silence, tone, silence]))
    [(7840, 24160), (31840, 48160)]
    """
    pieces: list[tuple[int, int]] = []
    for start, end in (runs(_is_speech(samples)) * HOP).tolist():
        if end - start < min_speech * SAMPLE_RATE:
            continue
        if pieces and start - pieces[-1][1] < min_silence * SAMPLE_RATE:
            pieces[-1] = (pieces[-1][0], end)
        else:
            pieces.append((start, end))
    return [(max(0, start - FRAME), min(len(samples), end + FRAME)) for start, end in pieces]


def speech_level(samples: np.ndarray) -> float:
    """The mean power of the speech frames in dB relative to full scale; minus infinity for silence.

    >>> round(speech_level(np.full(16000, 0.1, np.float32)), 3)
    -20.0
    """
    is_speech = _is_speech(samples)
    if not is_speech.any():
        return -math.inf
    return 10 * math.log10(float(np.mean(10 ** (frame_levels(samples)[is_speech] / 10))))


def _is_speech(samples: np.ndarray) -> np.ndarray:
    """Whether each 20 ms frame is speech, ``(frames,)`` bool."""
    levels = frame_levels(samples)
    if len(levels) == 0:
        return np.zeros(0, bool)
    background, loud = np.percentile(levels, [5, 95])
    shortest, longest = SPEECH_RANGE
    shortest = min(shortest, max(MIN_RANGE, loud - background - ABOVE_NOISE))
    return speech_frames(samples, float(np.clip(loud - background - ABOVE_BACKGROUND, shortest, longest)))


def quietest_cut(samples: np.ndarray, target: int, max_shift: int) -> int:
    """The quietest position to cut within `max_shift` samples of `target`: the centre of a 20 ms window.

    Returns `target`, limited to the length, if the range is shorter than the window.

    >>> samples = np.ones(16000, np.float32); samples[9000:9600] = 0
    >>> 9000 <= quietest_cut(samples, 8000, 3200) <= 9600
    True
    """
    low, high = max(0, target - max_shift), min(len(samples), target + max_shift)
    if high - low < 2 * FRAME:
        return min(target, len(samples))
    power = np.concatenate([[0.0], np.cumsum(samples[low:high].astype(np.float64) ** 2)])
    return low + FRAME + int(np.argmin(power[2 * FRAME :] - power[: -2 * FRAME]))


def fade_ends(samples: np.ndarray, seconds: float = 0.01) -> np.ndarray:
    """A float32 copy with raised-cosine fades of `seconds` at both ends, which prevents clicks.

    >>> fade_ends(np.ones(1600, np.float32))[[0, 800, 1599]].round(2).tolist()
    [0.0, 1.0, 0.0]
    """
    faded = np.array(samples, np.float32)
    length = min(round(seconds * SAMPLE_RATE), len(faded) // 2)
    if length:
        ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)
        faded[:length] *= ramp
        faded[-length:] *= ramp[::-1]
    return faded
