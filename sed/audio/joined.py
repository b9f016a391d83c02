"""Recordings that were joined end to end in one file, read one after another as if they were one.

Each part is opened by libsndfile alone, and brought to one form: the highest rate and the most channels of all parts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sed.audio.resampling import check_layout

logger = logging.getLogger("sed")

Opener = Callable[[], Any]
"""Opens one part; returns what has `file`, a `soundfile.SoundFile`, `exact`, and `close`."""

_PIECE = (
    4096  # samples of a part that are read at once, of which damage takes what comes before it in the piece
)


class JoinedFile:
    """The parts that `openers` open, with what is used of the face of `soundfile.SoundFile`.

    Parts that cannot be opened, and what follows damage in a part, are left out, with one warning that begins with
    `name`. Raises what the first part raised where none can be opened, or none has a sample, and `AudioError` on too
    high a rate or too many channels.
    """

    format = "JOINED"

    def __init__(self, openers: Sequence[Opener], name: str) -> None:
        import soundfile

        self._openers: list[Opener] = []
        self.exact = True
        self._name = name
        self._error = soundfile.LibsndfileError
        self._errors: list[Exception] = []
        layouts = []
        for opener in openers:
            try:
                part = opener()
            except self._error as error:
                self._errors.append(error)
                continue
            self._openers.append(opener)
            self.exact = self.exact and part.exact
            layouts.append((part.file.samplerate, part.file.channels, part.file.frames))
            part.close()
        if not layouts:
            raise self._errors[0]
        self.samplerate = max(rate for rate, _, _ in layouts)
        self.channels = max(channels for _, channels, _ in layouts)
        check_layout(self.samplerate, self.channels)
        self.frames = sum(round(frames * self.samplerate / rate) for rate, _, frames in layouts)
        self._count = len(openers)
        self._given = 0
        self.has_reported = False
        self._number = -1
        self._part: Any = None
        self._convert: Callable[[np.ndarray, bool], np.ndarray] = _as_it_is
        self._waiting = np.zeros((0, self.channels), np.float32)

    def read(self, frames: int, **_: Any) -> np.ndarray:
        """Up to `frames` more samples ``(n, channels)``, float32; fewer at the end only."""
        found = [self._waiting]
        count = len(self._waiting)
        while count < frames and (self._part is not None or self._next()):
            samples = self._read_part(min(frames - count, _PIECE))
            found.append(self._convert(self._in_all_channels(samples), len(samples) == 0))
            count += len(found[-1])
            if len(samples) == 0:
                self._part.close()
                self._part = None
        everything = np.concatenate(found)
        self._waiting = everything[frames:]
        self._given += min(count, frames)
        if count == 0:
            self._end()
        return everything[:frames]

    def _read_part(self, frames: int) -> np.ndarray:
        try:
            return self._part.file.read(frames, dtype="float32", always_2d=True)
        except self._error as error:
            self._errors.append(error)
            return np.zeros((0, self.channels), np.float32)

    def _end(self) -> None:
        """Report what could not be read."""
        errors, self._errors = self._errors, []
        if not errors:
            return
        if self._given == 0:
            raise errors[0]
        self.has_reported = True
        text = "%s: %d recordings joined end to end, of which %d cannot be read to their end (%s)"
        why = str(getattr(errors[0], "error_string", errors[0])).strip().removeprefix("Error : ").rstrip(".")
        logger.warning(text, self._name, self._count, len(errors), why)

    def close(self) -> None:
        """Close the part that is open."""
        if self._part is not None:
            self._part.close()
        self._part = None
        self._number = len(self._openers)

    def _next(self) -> bool:
        """Open the next part; False where there is none."""
        self._number += 1
        if self._number >= len(self._openers):
            return False
        self._part = self._openers[self._number]()
        self._part.file.seekable = lambda: False  # as in `sed.audio.decoders.SoundFileDecoder`
        rate = self._part.file.samplerate
        self._convert = (
            _as_it_is if rate == self.samplerate else _to_rate(rate, self.samplerate, self.channels)
        )
        return True

    def _in_all_channels(self, samples: np.ndarray) -> np.ndarray:
        """The samples in all channels, such that their mean stays what it is."""
        channels = samples.shape[1]
        if channels == self.channels:
            return samples
        if self.channels % channels:
            samples, channels = samples.mean(1, dtype=np.float32, keepdims=True), 1
        return np.tile(samples, (1, self.channels // channels))


def _as_it_is(samples: np.ndarray, last: bool) -> np.ndarray:
    return samples


def _to_rate(rate: int, other: int, channels: int) -> Callable[[np.ndarray, bool], np.ndarray]:
    import soxr

    stream = soxr.ResampleStream(rate, other, channels, dtype="float32", quality="HQ")
    taken = given = 0

    def convert(samples: np.ndarray, last: bool) -> np.ndarray:
        nonlocal taken, given
        taken += len(samples)
        out = stream.resample_chunk(np.ascontiguousarray(samples), last=last).reshape(-1, channels)
        if last:
            due = round(taken * other / rate) - given
            return np.pad(out[:due], ((0, max(due - len(out), 0)), (0, 0)))
        given += len(out)
        return out

    return convert
