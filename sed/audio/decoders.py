"""Decoders: one per kind of source, all with the same interface.

A `Decoder` has `rate` (Hz), `channels` and `frames` (per channel; None if unknown before the end). `read` returns the
next ``(n, channels)`` float32 samples, full scale 1, and an empty array at the end.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any, Protocol

import numpy as np

from sed.audio.ffmpeg import FfmpegDecoder, is_installed
from sed.audio.headers import open_sound
from sed.audio.joined import error_reason
from sed.audio.programs import WaitCallback
from sed.errors import AudioError

logger = logging.getLogger("sed")

BLOCK = 4096  # samples requested from libsndfile at once: those it decoded of a damaged block are lost
LENGTH_TOLERANCE = 0.05  # seconds by which a header may be wrong, as with lossy codecs in a WAV


class Decoder(Protocol):
    """The interface of every decoder; see the module docstring."""

    rate: int
    channels: int
    frames: int | None

    def read(self, frames: int) -> np.ndarray:
        """Up to `frames` more samples of each channel."""
        ...

    def close(self) -> None:
        """Close files and end processes."""
        ...


class ArrayDecoder:
    """Samples in memory: ``(n,)`` or ``(n, channels)``, floats of full scale 1 or integers of their type's full scale.

    An array of up to eight rows that has more columns than rows is refused, as it looks like ``(channels, n)``; so are
    64-bit integers, whose full scale is never used. Raises `AudioError`.
    """

    def __init__(self, samples: Any, rate: int) -> None:
        try:
            samples = np.asarray(samples)
        except (ValueError, TypeError, RuntimeError) as error:
            if isinstance(samples, list | tuple):
                text = "an array of rows of different lengths: expected (samples, channels)"
            else:  # a tensor on a GPU, or with a gradient
                reason = str(error).partition("\n")[0]
                text = f"{type(samples).__name__}: expected an array that numpy can convert ({reason})"
            raise AudioError(text) from None
        if samples.ndim == 1:
            samples = samples[:, None]
        transposed = samples.ndim == 2 and 0 < samples.shape[0] < min(samples.shape[1], 9)
        if samples.ndim != 2 or transposed or samples.shape[1] == 0:
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
        self._position = 0
        self.rate = int(rate)
        self.frames, self.channels = samples.shape

    def read(self, frames: int) -> np.ndarray:
        """The next samples as float32."""
        part = self._samples[self._position : self._position + frames]
        self._position += len(part)
        if part.dtype.kind == "f":
            with np.errstate(over="ignore"):  # the reader refuses values that are not finite
                return part.astype(np.float32)
        info = np.iinfo(part.dtype)
        zero = 0 if info.min < 0 else (info.max + 1) // 2
        return ((part.astype(np.float64) - zero) / (info.max - zero + 1)).astype(np.float32)

    def close(self) -> None:
        """Do nothing: there are no files or processes."""


class SoundFileDecoder:
    """Decodes with libsndfile. Raises `soundfile.LibsndfileError` if it does not know the format.

    libsndfile stops at the first damage of a FLAC or MP3. If ffmpeg is installed, it decodes the rest; `on_wait` is
    called while waiting for it.
    """

    def __init__(self, path: str, name: str, on_wait: WaitCallback | None = None) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        self._path = path
        self._on_wait = on_wait
        self._rest: FfmpegDecoder | None = None
        self._sound = open_sound(path, name)
        self._file = self._sound.file
        # soundfile seeks to the current position after every read. In an MP3 that loses the bits which the next frame
        # borrows from earlier frames: a gap at every read. It does not seek in a file that reports it cannot.
        self._file.seekable = lambda: False
        self._name = name
        self._samples_read = 0
        self._warned = False
        self.rate = self._file.samplerate
        self.channels = self._file.channels
        self.frames: int | None = self._file.frames if self._sound.exact else None

    def read(self, frames: int) -> np.ndarray:
        """The next samples; a truncated file gives what is available, with a warning."""
        parts = [np.zeros((0, self.channels), np.float32)]
        while frames > 0 and len(part := self._read_block(min(frames, BLOCK))):
            parts.append(part)
            frames -= len(part)
            self._samples_read += len(part)
        found = np.concatenate(parts)
        short = self.frames is not None and self._samples_read < self.frames - LENGTH_TOLERANCE * self.rate
        if len(found) == 0 and short and self._rest is None and not self._sound.has_reported:
            self._warn(f"its header states {(self.frames or 0) / self.rate:.2f} s")
        return found

    def _read_block(self, frames: int) -> np.ndarray:
        if self._rest is not None:
            return self._rest.read(frames)
        try:
            return self._file.read(frames, dtype="float32", always_2d=True)
        except self._error as error:
            reason = error_reason(str(error))
        if is_installed():
            with contextlib.suppress(AudioError):  # ffmpeg cannot decode it either
                self._rest = FfmpegDecoder(self._path, self._name, self._samples_read, reason, self._on_wait)
                return self._rest.read(frames)
        if self._samples_read == 0:
            raise AudioError(f"{self._name}: damaged, nothing could be decoded ({reason})")
        self._warn(reason)
        return np.zeros((0, self.channels), np.float32)

    def _warn(self, reason: str) -> None:
        if not self._warned:  # an error followed by an early end is the same damage
            seconds = self._samples_read / self.rate
            logger.warning(
                "%s: truncated; the %.2f s that could be decoded are used (%s)", self._name, seconds, reason
            )
        self._warned = True

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        if self._rest is not None:
            self._rest.close()
