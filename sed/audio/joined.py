"""Reads recordings joined end to end in one file as if they were a single recording.

Each part is opened by libsndfile separately and converted to the highest rate and the most channels of all parts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sed.audio.resampling import RateConverter, check_layout

logger = logging.getLogger("sed")

Opener = Callable[[], Any]
"""Opens one part; returns an object with `file` (a `soundfile.SoundFile`), `exact` and `close`."""

_BLOCK = 4096  # samples read at once: damage in a block also loses the samples before it in that block


def error_reason(text: str) -> str:
    """The message of a `soundfile.LibsndfileError` without its prefix and full stop.

    >>> error_reason("Error : flac decoder lost sync.")
    'flac decoder lost sync'
    """
    return text.strip().removeprefix("Error : ").rstrip(".")


class JoinedFile:
    """The parts that `openers` open, with the part of the `soundfile.SoundFile` interface that is used.

    Parts that cannot be opened, and samples after damage in a part, are left out, with one warning that starts with
    `name`. Raises the error of the first part if none can be opened or none has a sample, and `AudioError` on too high
    a rate or too many channels.
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
        self._returned = 0
        self.has_reported = False
        self._number = -1
        self._part: Any = None
        self._converter: RateConverter | None = None  # of the open part
        self._pending = np.zeros((0, self.channels), np.float32)

    def read(self, frames: int, **_: Any) -> np.ndarray:
        """The next `frames` samples ``(n, channels)``, float32; fewer only at the end."""
        found = [self._pending]
        count = len(self._pending)
        while count < frames and (self._part is not None or self._open_next()):
            assert self._converter is not None
            samples = self._read_part(min(frames - count, _BLOCK))
            if len(samples):
                found.append(self._converter.push(self._in_all_channels(samples)))
            else:
                found.append(self._converter.close())
                self._part.close()
                self._part = None
            count += len(found[-1])
        joined = np.concatenate(found)
        self._pending = joined[frames:]
        self._returned += min(count, frames)
        if count == 0:
            self._end()
        return joined[:frames]

    def _read_part(self, frames: int) -> np.ndarray:
        try:
            return self._part.file.read(frames, dtype="float32", always_2d=True)
        except self._error as error:
            self._errors.append(error)
            return np.zeros((0, self.channels), np.float32)

    def _end(self) -> None:
        """Report the parts that could not be read."""
        errors, self._errors = self._errors, []
        if not errors:
            return
        if self._returned == 0:
            raise errors[0]
        self.has_reported = True
        text = "%s: %d recordings joined end to end, of which %d cannot be read to their end (%s)"
        reason = error_reason(str(getattr(errors[0], "error_string", errors[0])))
        logger.warning(text, self._name, self._count, len(errors), reason)

    def close(self) -> None:
        """Close the open part."""
        if self._part is not None:
            self._part.close()
        self._part = None
        self._number = len(self._openers)

    def _open_next(self) -> bool:
        """Open the next part; False if there is none."""
        self._number += 1
        if self._number >= len(self._openers):
            return False
        self._part = self._openers[self._number]()
        self._part.file.seekable = lambda: False  # as in `sed.audio.decoders.SoundFileDecoder`
        self._converter = RateConverter(self._part.file.samplerate, self.samplerate, self.channels)
        return True

    def _in_all_channels(self, samples: np.ndarray) -> np.ndarray:
        """The samples distributed to all channels such that their mean does not change."""
        channels = samples.shape[1]
        if channels == self.channels:
            return samples
        if self.channels % channels:
            samples, channels = samples.mean(1, dtype=np.float32, keepdims=True), 1
        return np.tile(samples, (1, self.channels // channels))
