"""Incremental recording to disk: int16 mono blocks in, a WAV or FLAC file out that is valid at any time.

The WAV header is updated with every block, so a killed program leaves a valid file with all of its audio; beyond 4 GB
the file becomes RF64 in place. FLAC consists of frames of a few thousand samples; the length in its header is updated
every second, so a killed program loses at most the last second.
"""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sed.audio.headers import sound_path
from sed.errors import OptionError

SUFFIXES = (".wav", ".flac")
_DATA_START = 80  # bytes: RIFF, JUNK (room for ds64), fmt, and the head of data
_RIFF_LIMIT = 0xFFFFFFFF


class Recorder(Protocol):
    """A file that is written incrementally."""

    path: Path
    samples: int
    """Samples written so far."""

    def write(self, samples: np.ndarray) -> None:
        """Append ``(n,)`` samples, int16 or float32 of full scale 1. Raises `OSError`."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


def open_recorder(path: str | Path, rate: int, overwrite: bool = False) -> Recorder:
    """A recorder for `path`, whose suffix (.wav or .flac) selects the format; `rate` is the sample rate in Hz.

    Raises `OptionError` on another suffix, a missing folder, or an existing file (a recording cannot be repeated)
    unless `overwrite`.
    """
    path = Path(path)
    check_path(path, overwrite)
    kind = WavRecorder if path.suffix.lower() == ".wav" else FlacRecorder
    return kind(path, rate)


def check_path(path: Path, overwrite: bool = False) -> None:
    """Raise `OptionError` if `open_recorder` would, without touching any file."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"recording to {path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise OptionError(f"recording to {path}: expected the folder {path.parent} to exist")
    if not os.access(path.parent, os.W_OK):
        raise OptionError(f"recording to {path}: expected a writable folder {path.parent}")
    if path.exists() and not (overwrite and path.is_file()):
        raise OptionError(f"recording to {path}: the file exists; expected a new name, or --overwrite")


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Convert samples to int16; float32 of full scale 1 is rounded and clipped, so int16 / 32768 round-trips exactly.

    >>> to_int16(np.float32([-1, 0.5, 1])).tolist()
    [-32768, 16384, 32767]
    """
    if samples.dtype == np.int16:
        return samples
    return np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)


class WavRecorder:
    """16-bit mono WAV at `rate` Hz; RF64 beyond `limit` bytes. The first block opens the file."""

    def __init__(self, path: Path, rate: int, limit: int = _RIFF_LIMIT) -> None:
        self.path = path
        self.samples = 0
        self._rate = rate
        self._limit = limit
        self._file: io.FileIO | None = None

    def write(self, samples: np.ndarray) -> None:
        """Append ``(n,)`` samples and update the header."""
        if self._file is None:
            self._file = io.FileIO(self.path, "wb")
            self._write_header(self._file)
        data = memoryview(to_int16(samples).astype("<i2").tobytes())
        while data:  # an unbuffered file may write only a part
            data = data[self._file.write(data) :]
        self.samples += len(samples)
        self._write_header(self._file)

    def close(self) -> None:
        """Finish the file; may be called twice."""
        if self._file is not None:
            self._file.close()

    def _write_header(self, file: io.FileIO) -> None:
        data = 2 * self.samples
        riff = _DATA_START - 8 + data
        large = riff > self._limit
        extra = struct.pack("<QQQI", riff, data, self.samples, 0) if large else bytes(28)
        head = struct.pack("<4sI4s", b"RF64" if large else b"RIFF", _RIFF_LIMIT if large else riff, b"WAVE")
        head += struct.pack("<4sI", b"ds64" if large else b"JUNK", len(extra)) + extra
        head += struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, self._rate, 2 * self._rate, 2, 16)
        head += struct.pack("<4sI", b"data", _RIFF_LIMIT if large else data)
        file.seek(0)
        file.write(head)
        file.seek(0, os.SEEK_END)


class FlacRecorder:
    """16-bit mono FLAC at `rate` Hz. The first block opens the file."""

    def __init__(self, path: Path, rate: int) -> None:
        self.path = path
        self.samples = 0
        self._rate = rate
        self._flushed = 0
        self._file: Any = None

    def write(self, samples: np.ndarray) -> None:
        """Append ``(n,)`` samples; flushes once a second of audio."""
        import soundfile

        try:
            if self._file is None:
                self._file = soundfile.SoundFile(
                    sound_path(str(self.path)), "w", self._rate, 1, "PCM_16", format="FLAC"
                )
            self._file.write(to_int16(samples))
        except soundfile.LibsndfileError as error:
            raise OSError(str(error)) from error
        self.samples += len(samples)
        if self.samples - self._flushed >= self._rate:
            self._flushed = self.samples
            self._file.flush()
            self._write_length()

    def close(self) -> None:
        """Finish the file; may be called twice."""
        if self._file is not None:
            self._file.close()

    def _write_length(self) -> None:
        """Write the length of all complete frames into STREAMINFO; the encoder does so only when it is closed.

        Some readers interpret the 0 that it contains until then as no audio, or as endless audio.
        """
        with open(self.path, "r+b") as file:
            head = bytearray(file.read(26))
            frame = int.from_bytes(head[8:10], "big")  # samples per frame, except the last one
            length = max(0, self.samples - 1) // frame * frame  # the encoder buffers the current frame
            packed = int.from_bytes(head[18:26], "big") >> 36 << 36 | length  # a field of 36 bits
            file.seek(18)
            file.write(packed.to_bytes(8, "big"))
