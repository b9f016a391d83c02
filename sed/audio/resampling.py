"""Any sample rate -> 16 kHz, block by block: no shift in time, no drift, and an exact length."""

from __future__ import annotations

import numpy as np

from sed.errors import AudioError
from sed.grid import SAMPLE_RATE

SLOWEST, FASTEST = 1_000, 384_000  # sample rates that make sense, in Hz
MOST_CHANNELS = 32  # of a recording; a small file may claim any number, and every one takes memory


def check_layout(rate: int, channels: int) -> None:
    """Raises `AudioError` on a sample rate (Hz) or a number of channels out of bounds."""
    if not SLOWEST <= rate <= FASTEST:
        raise AudioError(f"sample rate {rate} Hz: expected {SLOWEST} to {FASTEST} Hz")
    if channels > MOST_CHANNELS:
        raise AudioError(f"found {channels} channels, expected at most {MOST_CHANNELS}")


class Resampler:
    """Resamples a stream of ``(n, channels)`` float32 blocks at `rate` Hz to 16 kHz.

    All together, ``n`` samples in give ``round(n * 16000 / rate)`` out. Input is regrouped into blocks of one
    size before it is filtered, so the output does not depend on how it was cut. Raises `AudioError` on rates
    outside 1 to 384 kHz, and on more than 32 channels.

    >>> resampler = Resampler(48_000)
    >>> sum(len(part) for part in (resampler.push(np.zeros((4801, 1), np.float32)), resampler.close()))
    1600
    """

    def __init__(self, rate: int, channels: int = 1) -> None:
        check_layout(rate, channels)
        self._rate = rate
        self._channels = channels
        self._taken = self._given = 0
        self._soxr = None
        self._waiting = np.zeros((0, channels), np.float32)
        self._block = max(rate // 10, 1)
        if rate != SAMPLE_RATE:
            import soxr

            self._soxr = soxr.ResampleStream(rate, SAMPLE_RATE, channels, dtype="float32", quality="HQ")

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The next ``(n, channels)`` samples in; those that have become ready, at 16 kHz, out."""
        self._taken += len(samples)
        if self._soxr is None:
            return samples
        waiting = np.concatenate([self._waiting, samples])
        whole = len(waiting) // self._block * self._block
        self._waiting = waiting[whole:]
        parts = [
            self._soxr.resample_chunk(np.ascontiguousarray(waiting[i : i + self._block]))
            for i in range(0, whole, self._block)
        ]
        out = np.concatenate([p.reshape(-1, self._channels) for p in parts]) if parts else self._waiting[:0]
        self._given += len(out)
        return out

    def close(self) -> np.ndarray:
        """The rest, so that the total has its exact length."""
        if self._soxr is None:
            return np.zeros((0, self._channels), np.float32)
        due = round(self._taken * SAMPLE_RATE / self._rate) - self._given
        tail = self._soxr.resample_chunk(np.ascontiguousarray(self._waiting), last=True)
        tail = tail.reshape(-1, self._channels)[: max(due, 0)]
        return np.pad(tail, ((0, max(due - len(tail), 0)), (0, 0)))
