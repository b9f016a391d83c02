"""Runs a tagger on audio of any length, in overlapping windows on an absolute grid.

In: ``(n,)`` float32 blocks at 16 kHz. Out: ``(frames, labels)`` float32 posteriors, 50 per second, and beside them the
dimensions of a tagger that estimates some, ``(frames, labels + dimensions)`` (`sed.emotion.tagger.frame_rows`). Window
``k`` starts at sample ``k * hop``, and windows are processed in fixed batches, so the rows do not depend on the block
sizes. Adjacent windows are cross-faded where they overlap. Memory is one batch of windows.
"""

from __future__ import annotations

import numpy as np

from sed.emotion.tagger import Tagger, dimensions_of, frame_rows
from sed.grid import HOP


class PosteriorStream:
    """Runs a tagger over a recording that arrives in blocks.

    `overlap` is the fraction of a window (0 to 0.5) shared with the next one; `batch` the number of windows per call of
    the tagger (None: its attribute `batch`, or 4). `push` and `close` return the completed frames in order.

    >>> from sed.grid import frame_count
    >>> class Flat:
    ...     labels, frame_rate, window = ("neutral", "angry"), 50, 16000
    ...     def posteriors(self, waves):
    ...         return np.full((len(waves), frame_count(waves.shape[1]), 2), 0.5, np.float32)
    >>> stream = PosteriorStream(Flat())
    >>> len(stream.push(np.zeros(20_000, np.float32))) + len(stream.close())
    63
    """

    def __init__(self, tagger: Tagger, overlap: float = 0.2, batch: int | None = None) -> None:
        self._tagger = tagger
        self._columns = len(tagger.labels) + len(dimensions_of(tagger))
        self._window = tagger.window
        self._fade = round(overlap * tagger.window / HOP)  # overlap of adjacent windows in frames
        self._hop = tagger.window - self._fade * HOP
        self._batch: int = getattr(tagger, "batch", 4) if batch is None else batch
        self._audio = np.zeros(0, np.float32)  # from the start of the next window
        self._faded: np.ndarray | None = None  # weighted posteriors of the overlap with the next window

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Process the next samples; returns the rows of the frames completed by them."""
        self._audio = np.concatenate([self._audio, samples])
        parts = []
        length = self._window + (self._batch - 1) * self._hop
        while len(self._audio) > length:  # not >=, so that another window is certain to follow
            parts += self._run(self._batch)
        return self._concatenate(parts)

    def close(self) -> np.ndarray:
        """The remaining rows; in total there are ``sed.grid.frame_count(samples)``."""
        parts = []
        if (beyond := len(self._audio) - self._window) > 0:  # full windows that are not the last one
            parts += self._run(-(-beyond // self._hop))
        if len(self._audio):
            parts.append(self._cross_fade(frame_rows(self._tagger, self._audio[None])[0], last=True))
            self._audio = self._audio[:0]
        return self._concatenate(parts)

    def _run(self, windows: int) -> list[np.ndarray]:
        """The posteriors completed by the next `windows` full windows."""
        audio = self._audio[: self._window + (windows - 1) * self._hop]
        waves = np.lib.stride_tricks.sliding_window_view(audio, self._window)[:: self._hop]
        self._audio = self._audio[windows * self._hop :]
        return [
            self._cross_fade(p, last=False) for p in frame_rows(self._tagger, np.ascontiguousarray(waves))
        ]

    def _cross_fade(self, posteriors: np.ndarray, last: bool) -> np.ndarray:
        fade = min(self._fade, len(posteriors))
        rise = ((np.arange(fade, dtype=np.float32) + 0.5) / max(fade, 1))[:, None]
        mixed = posteriors.astype(np.float32, copy=True)
        if self._faded is not None:
            mixed[:fade] = mixed[:fade] * rise + self._faded[:fade]
        if last:
            self._faded = None
            return mixed
        complete = len(mixed) - self._fade
        self._faded = mixed[complete:] * (1 - rise)
        return mixed[:complete]

    def _concatenate(self, parts: list[np.ndarray]) -> np.ndarray:
        if not parts:
            return np.zeros((0, self._columns), np.float32)
        return np.concatenate(parts)


def rows_of(tagger: Tagger, samples: np.ndarray) -> np.ndarray:
    """Posteriors and dimensions ``(frames, labels + dimensions)`` of a whole recording ``(n,)`` at 16 kHz."""
    stream = PosteriorStream(tagger)
    return np.concatenate([stream.push(samples), stream.close()])


def posteriors_of(tagger: Tagger, samples: np.ndarray) -> np.ndarray:
    """Posteriors ``(frames, labels)`` of a whole recording ``(n,)`` at 16 kHz."""
    return rows_of(tagger, samples)[:, : len(tagger.labels)]
