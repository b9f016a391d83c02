"""Kaldi's log-mel filter bank: 16 kHz float32 audio in, features ``(frames, 80)`` at 100 frames per second out.

25 ms frames every 10 ms, pre-emphasis 0.97, Povey window, 80 mel bands from 20 Hz to 8 kHz, no dither: the features
that speaker networks are trained on.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from sed.grid import FRAME_RATE, SAMPLE_RATE

FEATURE_RATE = 100  # feature frames per second
FEATURE_HOP = SAMPLE_RATE // FEATURE_RATE  # samples between feature frames: 160
FEATURE_WINDOW = 400  # samples in a feature frame: 25 ms
FEATURES_PER_FRAME = FEATURE_RATE // FRAME_RATE  # feature frames that start in one 20 ms frame: 2
MEL_BANDS = 80
ENERGY_FLOOR = float(np.finfo(np.float32).eps)  # Kaldi's, under the logarithm

_FFT = 512
# Feature frames per product with the mel filters. OpenBLAS splits larger products (above 2 ** 18 multiplications)
# across threads that spin while they wait: half of a run's processor time, for nothing.
_ROWS = 12
_PREEMPHASIS = 0.97
_MIN_FREQUENCY = 20.0


@cache
def kaldi_tables() -> tuple[np.ndarray, np.ndarray, float]:
    """The window ``(400,)``, the mel filters ``(257, 80)`` and the pre-emphasis of `filter_bank`."""
    angle = 2 * np.pi * np.arange(FEATURE_WINDOW) / (FEATURE_WINDOW - 1)
    povey = (0.5 - 0.5 * np.cos(angle)) ** 0.85

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0)

    edges = np.linspace(mel(_MIN_FREQUENCY), mel(SAMPLE_RATE / 2), MEL_BANDS + 2)
    bins = mel(np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    filters = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clip(0)
    filters[-1] = 0  # Kaldi's filters omit the Nyquist bin
    return povey.astype(np.float32), filters.astype(np.float32), _PREEMPHASIS


def filter_bank(samples: np.ndarray) -> np.ndarray:
    """Kaldi log-mel features ``(frames, 80)`` float32 of ``(n,)`` samples, without mean subtraction.

    Frame ``i`` covers samples ``[160 i, 160 i + 400)``; fewer than 400 samples give no frame.

    >>> filter_bank(np.zeros(16_000, np.float32)).shape
    (98, 80)
    """
    samples = np.asarray(samples, np.float32)
    if len(samples) < FEATURE_WINDOW:
        return np.zeros((0, MEL_BANDS), np.float32)
    window, filters, preemphasis = kaldi_tables()
    frames = np.lib.stride_tricks.sliding_window_view(samples, FEATURE_WINDOW)[::FEATURE_HOP]
    frames = frames - frames.mean(1, keepdims=True)
    emphasised = np.empty_like(frames)
    emphasised[:, 1:] = frames[:, 1:] - preemphasis * frames[:, :-1]
    emphasised[:, 0] = (1 - preemphasis) * frames[:, 0]
    spectrum = np.fft.rfft(emphasised * window, _FFT)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
    parts = [power[row : row + _ROWS] @ filters for row in range(0, len(power), _ROWS)]
    return np.log(np.maximum(np.concatenate(parts), ENERGY_FLOOR))
