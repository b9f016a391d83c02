"""Decoders: one per kind of source, all with the same face.

A `Decoder` tells `rate` (Hz), `channels` and `frames` (per channel; None where only reading tells), and `read`
gives the next ``(n, channels)`` float32 samples, full scale 1, and an empty array at the end.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import numpy as np

from sed.audio.headers import open_sound
from sed.errors import AudioError

logger = logging.getLogger("sed")


class Decoder(Protocol):
    """What every decoder offers; see the module's text."""

    rate: int
    channels: int
    frames: int | None

    def read(self, frames: int) -> np.ndarray:
        """Up to `frames` more samples of each channel."""
        ...

    def close(self) -> None:
        """Let go of files and processes."""
        ...


class ArrayDecoder:
    """Samples in memory: ``(n,)`` or ``(n, channels)``, floats at full scale 1 or integers at their own.

    Up to eight rows that are longer than there are of them look like ``(channels, n)`` and are refused, and so
    are 64-bit integers, whose full scale nobody means. Raises `AudioError`.
    """

    def __init__(self, samples: Any, rate: int) -> None:
        try:
            samples = np.asarray(samples)
        except (ValueError, TypeError):
            raise AudioError("an array of rows of different lengths: expected (samples, channels)") from None
        if samples.ndim == 1:
            samples = samples[:, None]
        turned = samples.ndim == 2 and 0 < samples.shape[0] < min(samples.shape[1], 9)
        if samples.ndim != 2 or turned or samples.shape[1] == 0:
            raise AudioError(f"array of shape {samples.shape}: expected (samples,) or (samples, channels)")
        if samples.dtype.kind not in "fiu" or (samples.dtype.kind != "f" and samples.dtype.itemsize > 4):
            raise AudioError(
                f"array of {samples.dtype}: expected floats at full scale 1, or 8 to 32-bit integers"
            )
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.number) or rate % 1 != 0:
            raise AudioError(f"sample rate {rate!r}: expected a whole number of Hz")
        self._samples = samples
        self._at = 0
        self.rate = int(rate)
        self.frames, self.channels = samples.shape

    def read(self, frames: int) -> np.ndarray:
        """The next samples as float32."""
        part = self._samples[self._at : self._at + frames]
        self._at += len(part)
        if part.dtype.kind == "f":
            return part.astype(np.float32)
        info = np.iinfo(part.dtype)
        middle = 0 if info.min < 0 else (info.max + 1) // 2
        return ((part.astype(np.float64) - middle) / (info.max - middle + 1)).astype(np.float32)

    def close(self) -> None:
        """Nothing to do."""


class SoundFileDecoder:
    """What libsndfile reads. Raises `soundfile.LibsndfileError` where the file is of no kind it knows."""

    def __init__(self, path: str, name: str) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        self._sound = open_sound(path, name)
        self._file = self._sound.file
        self._name = name
        self.goes_on = self._sound.goes_on
        self._read = 0
        self._warned = False
        self.rate = self._file.samplerate
        self.channels = self._file.channels
        self.frames: int | None = self._file.frames if self._sound.exact else None

    def read(self, frames: int) -> np.ndarray:
        """The next samples; a file that breaks off gives what there is, with a warning."""
        try:
            part = self._file.read(frames, dtype="float32", always_2d=True)
        except self._error as error:
            if self._read == 0:
                raise AudioError(f"{self._name}: damaged, nothing could be decoded ({error})") from None
            self._warn(str(error))
            part = np.zeros((0, self.channels), np.float32)
        self._read += len(part)
        if len(part) == 0 and self.frames and self._read < self.frames:
            self._warn(f"its header promises {self.frames / self.rate:.2f} s")
        return part

    def _warn(self, why: str) -> None:
        if not self._warned:  # an error, and then an end before the promised one, are the same damage
            seconds = self._read / self.rate
            logger.warning(
                "%s: breaks off; the %.2f s that are there are used (%s)", self._name, seconds, why
            )
        self._warned = True

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
