"""Decoders: one per kind of source, all with the same face.

A `Decoder` tells `rate` (Hz), `channels` and `frames` (per channel; None where only reading tells), and `read`
gives the next ``(n, channels)`` float32 samples, full scale 1, and an empty array at the end.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any, Protocol

import numpy as np

from sed.audio.ffmpeg import FfmpegDecoder, is_installed
from sed.audio.headers import open_sound
from sed.audio.programs import Waiting
from sed.errors import AudioError

logger = logging.getLogger("sed")

PIECE = 4096  # samples asked of libsndfile at once: what it decoded of a damaged piece is lost
SLACK = 0.05  # seconds by which a header may be wrong, as those of lossy codecs in a WAV are


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
        except (ValueError, TypeError, RuntimeError) as error:
            if isinstance(samples, list | tuple):
                text = "an array of rows of different lengths: expected (samples, channels)"
            else:  # a tensor on a GPU, or with a gradient
                why = str(error).partition("\n")[0]
                text = f"{type(samples).__name__}: expected what numpy can take ({why})"
            raise AudioError(text) from None
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
        if rate < 1:
            raise AudioError(f"sample rate {rate} Hz: expected more than 0")
        self._samples = samples
        self._at = 0
        self.rate = int(rate)
        self.frames, self.channels = samples.shape

    def read(self, frames: int) -> np.ndarray:
        """The next samples as float32."""
        part = self._samples[self._at : self._at + frames]
        self._at += len(part)
        if part.dtype.kind == "f":
            with np.errstate(over="ignore"):  # who reads this refuses what is not finite
                return part.astype(np.float32)
        info = np.iinfo(part.dtype)
        middle = 0 if info.min < 0 else (info.max + 1) // 2
        return ((part.astype(np.float64) - middle) / (info.max - middle + 1)).astype(np.float32)

    def close(self) -> None:
        """Nothing to do."""


class SoundFileDecoder:
    """What libsndfile reads. Raises `soundfile.LibsndfileError` where the file is of no kind it knows.

    libsndfile ends at the first damage of a FLAC or MP3. Where ffmpeg is installed, it decodes what follows;
    `waiting` is called while it is waited for.
    """

    def __init__(self, path: str, name: str, waiting: Waiting | None = None) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        self._path = path
        self._waiting = waiting
        self._rest: FfmpegDecoder | None = None
        self._sound = open_sound(path, name)
        self._file = self._sound.file
        # soundfile seeks to where it is after every read. In an MP3 that loses the bits which the next frame borrows
        # from those before: a gap at every read. Told that it cannot seek, it does not.
        self._file.seekable = lambda: False
        self._name = name
        self.goes_on = self._sound.goes_on
        self._read = 0
        self._warned = False
        self.rate = self._file.samplerate
        self.channels = self._file.channels
        self.frames: int | None = self._file.frames if self._sound.exact else None

    def read(self, frames: int) -> np.ndarray:
        """The next samples; a file that breaks off gives what there is, with a warning."""
        parts = [np.zeros((0, self.channels), np.float32)]
        while frames > 0 and len(part := self._piece(min(frames, PIECE))):
            parts.append(part)
            frames -= len(part)
            self._read += len(part)
        found = np.concatenate(parts)
        short = self.frames is not None and self._read < self.frames - SLACK * self.rate
        if len(found) == 0 and short and self._rest is None:
            self._warn(f"its header promises {(self.frames or 0) / self.rate:.2f} s")
        return found

    def _piece(self, frames: int) -> np.ndarray:
        if self._rest is not None:
            return self._rest.read(frames)
        try:
            return self._file.read(frames, dtype="float32", always_2d=True)
        except self._error as error:
            why = str(error).strip().removeprefix("Error : ").rstrip(".")
        if is_installed():
            with contextlib.suppress(AudioError):  # so it can't either
                self._rest = FfmpegDecoder(self._path, self._name, self._read, why, self._waiting)
                return self._rest.read(frames)
        if self._read == 0:
            raise AudioError(f"{self._name}: damaged, nothing could be decoded ({why})")
        self._warn(why)
        return np.zeros((0, self.channels), np.float32)

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
        if self._rest is not None:
            self._rest.close()
