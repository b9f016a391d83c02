"""Resampling block by block: no shift in time, no drift, and an exact length.

`Resampler` converts any supported sample rate to 16 kHz, `RateConverter` any rate to any other.
"""

from __future__ import annotations

import numpy as np

from sed.errors import AudioError
from sed.grid import SAMPLE_RATE

MIN_RATE, MAX_RATE = 1_000, 384_000  # supported sample rates, in Hz
MAX_CHANNELS = 32  # of a recording: a small file can claim any number, and each channel takes memory


def check_layout(rate: int, channels: int) -> None:
    """Raise `AudioError` if the sample rate (Hz) or the number of channels is out of bounds."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(f"sample rate {rate} Hz: expected {MIN_RATE} to {MAX_RATE} Hz")
    if channels > MAX_CHANNELS:
        raise AudioError(f"found {channels} channels, expected at most {MAX_CHANNELS}")


class RateConverter:
    """Resamples a stream of ``(n, channels)`` float32 blocks from `rate` to `target` Hz.

    In total, ``n`` input samples give ``round(n * target / rate)`` output samples.
    """

    def __init__(self, rate: int, target: int, channels: int = 1) -> None:
        self._rate = rate
        self._target = target
        self._channels = channels
        self._received = self._returned = 0
        self._soxr = None
        if rate != target:
            import soxr

            self._soxr = soxr.ResampleStream(rate, target, channels, dtype="float32", quality="HQ")

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next ``(n, channels)`` samples; return the output that is ready."""
        self._received += len(samples)
        out = self._filter(samples)
        self._returned += len(out)
        return out

    def close(self) -> np.ndarray:
        """The remaining output, so that the total has its exact length."""
        return self._finish(np.zeros((0, self._channels), np.float32))

    def _finish(self, samples: np.ndarray) -> np.ndarray:
        """Take the last samples; return the remaining output."""
        self._received += len(samples)
        missing = round(self._received * self._target / self._rate) - self._returned
        tail = self._filter(samples, last=True)[: max(missing, 0)]
        return np.pad(tail, ((0, max(missing - len(tail), 0)), (0, 0)))

    def _filter(self, samples: np.ndarray, last: bool = False) -> np.ndarray:
        if self._soxr is None:
            return samples
        out = self._soxr.resample_chunk(np.ascontiguousarray(samples), last=last)
        return out.reshape(-1, self._channels)


class Resampler(RateConverter):
    """Resamples a stream of ``(n, channels)`` float32 blocks from `rate` Hz to 16 kHz.

    The input is regrouped into blocks of 0.1 s before it is filtered, so the output does not depend on how it was
    divided. Raises `AudioError` on rates outside 1 to 384 kHz, and on more than 32 channels.

    >>> resampler = Resampler(48_000)
    >>> sum(len(part) for part in (resampler.push(np.zeros((4801, 1), np.float32)), resampler.close()))
    1600
    """

    def __init__(self, rate: int, channels: int = 1) -> None:
        check_layout(rate, channels)
        super().__init__(rate, SAMPLE_RATE, channels)
        self._pending = np.zeros((0, channels), np.float32)
        self._block = max(rate // 10, 1)

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next ``(n, channels)`` samples; return the output that is ready."""
        if self._rate == SAMPLE_RATE:
            return super().push(samples)
        pending = np.concatenate([self._pending, samples])
        complete = len(pending) // self._block * self._block
        self._pending = pending[complete:]
        parts = [
            super(Resampler, self).push(pending[i : i + self._block]) for i in range(0, complete, self._block)
        ]
        return np.concatenate(parts) if parts else self._pending[:0]

    def close(self) -> np.ndarray:
        """The remaining output, so that the total has its exact length."""
        rest, self._pending = self._pending, self._pending[:0]
        return self._finish(rest)
