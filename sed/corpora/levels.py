"""Speech frames and levels of an utterance: mono 16 kHz samples in; frame levels, trimmed or equalised samples out."""

from __future__ import annotations

import numpy as np

from sed.grid import HOP, frame_count

SPEECH_BELOW_PEAK = 35.0  # dB below the 95th percentile of frame levels down to which a frame is speech
MARGIN = 2 * HOP  # samples kept before the first and after the last speech frame, for soft onsets
TARGET_LEVEL = -26.0  # dB relative to full scale, the usual active speech level (ITU-T P.56)
PEAK = 0.99  # maximum amplitude of equalised speech


def frame_levels(wave: np.ndarray) -> np.ndarray:
    """The RMS level of each 20 ms frame in dB relative to full scale, ``(frames,)``; silence is -120."""
    frames = frame_count(len(wave))
    padded = np.zeros(frames * HOP, np.float64)
    padded[: len(wave)] = wave
    power = (padded.reshape(frames, HOP) ** 2).mean(axis=1)
    return 10 * np.log10(np.maximum(power, 1e-12))


def speech_frames(wave: np.ndarray, below_peak: float = SPEECH_BELOW_PEAK) -> np.ndarray:
    """Whether each 20 ms frame is within `below_peak` dB of the 95th percentile, ``(frames,)`` bool."""
    levels = frame_levels(wave)
    if len(levels) == 0 or levels.max() <= -100:
        return np.zeros(len(levels), bool)
    return levels > max(np.percentile(levels, 95) - below_peak, -100)


def trim_silence(wave: np.ndarray, below_peak: float = SPEECH_BELOW_PEAK, margin: int = MARGIN) -> np.ndarray:
    """`wave` from `margin` samples before its first speech frame to `margin` after its last.

    Returns an empty array if no frame is speech. Pauses between speech frames are kept.

    >>> tone = np.sin(np.arange(3200) / 5).astype(np.float32)
    >>> silence = np.zeros(16000, np.float32)
    >>> len(trim_silence(np.concatenate([silence, tone, silence]), margin=0))
    3200
    """
    speech = np.flatnonzero(speech_frames(wave, below_peak))
    if len(speech) == 0:
        return wave[:0]
    start = max(int(speech[0]) * HOP - margin, 0)
    return wave[start : min((int(speech[-1]) + 1) * HOP + margin, len(wave))]


def equalise_loudness(wave: np.ndarray, level: float = TARGET_LEVEL) -> np.ndarray:
    """`wave` scaled so that its speech frames have a level of `level` dB, or less to avoid clipping.

    >>> quiet = np.full(16000, 0.001, np.float32)
    >>> round(float(equalise_loudness(quiet, level=-20.0)[0]), 3)
    0.1
    """
    speech = speech_frames(wave)
    if not speech.any():
        return wave.astype(np.float32)
    power = np.mean(10 ** (frame_levels(wave)[speech] / 10))
    gain = min(10 ** (level / 20) / np.sqrt(power), PEAK / float(np.abs(wave).max()))
    return (wave * gain).astype(np.float32)
