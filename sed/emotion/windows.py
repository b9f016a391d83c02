"""Audio blocks of any size -> frame posteriors, through overlapping windows on an absolute grid.

In: ``(n,)`` float32 blocks at 16 kHz. Out: ``(frames, labels)`` float32 posteriors, 50 a second. Window ``k``
starts at sample ``k * hop`` whatever the cuts, and windows go to the tagger in groups of fixed membership,
so the posteriors do not depend on how the audio arrives. Neighbouring windows are cross-faded where they
overlap. Memory is one group of windows.
"""

from __future__ import annotations

import numpy as np

from sed.emotion.tagger import Tagger
from sed.grid import HOP


class PosteriorStream:
    """Runs a tagger over a recording that arrives in blocks.

    `overlap` is the part of a window (0 to 0.5) that it shares with the next; `batch` the windows given to
    the tagger at once, None for what the tagger asks for (its attribute `batch`, else 4). `push` and `close`
    return the frames that have become complete, in order.

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
        self._window = tagger.window
        self._fade = round(overlap * tagger.window / HOP)  # frames that two windows share
        self._hop = tagger.window - self._fade * HOP
        self._batch: int = getattr(tagger, "batch", 4) if batch is None else batch
        self._audio = np.zeros(0, np.float32)  # from the start of the next window on
        self._faded: np.ndarray | None = None  # weighted frames that wait for the next window

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples; returns the ``(frames, labels)`` posteriors that are now complete."""
        self._audio = np.concatenate([self._audio, samples])
        done = []
        group = self._window + (self._batch - 1) * self._hop
        while len(self._audio) > group:  # strictly more: then a further window certainly follows
            done += self._hear(self._batch)
        return self._join(done)

    def close(self) -> np.ndarray:
        """The remaining posteriors; all together there are ``sed.grid.frame_count(samples)``."""
        done = []
        if (beyond := len(self._audio) - self._window) > 0:  # full windows with something behind them
            done += self._hear(-(-beyond // self._hop))
        if len(self._audio):
            done.append(self._blend(self._tagger.posteriors(self._audio[None])[0], last=True))
            self._audio = self._audio[:0]
        return self._join(done)

    def _hear(self, windows: int) -> list[np.ndarray]:
        """Posteriors that are complete once the next so many full windows have been heard."""
        audio = self._audio[: self._window + (windows - 1) * self._hop]
        waves = np.lib.stride_tricks.sliding_window_view(audio, self._window)[:: self._hop]
        self._audio = self._audio[windows * self._hop :]
        return [self._blend(p, last=False) for p in self._tagger.posteriors(np.ascontiguousarray(waves))]

    def _blend(self, posteriors: np.ndarray, last: bool) -> np.ndarray:
        fade = min(self._fade, len(posteriors))
        rise = ((np.arange(fade, dtype=np.float32) + 0.5) / max(fade, 1))[:, None]
        out = posteriors.astype(np.float32, copy=True)
        if self._faded is not None:
            out[:fade] = out[:fade] * rise + self._faded[:fade]
        if last:
            self._faded = None
            return out
        keep = len(out) - self._fade
        self._faded = out[keep:] * (1 - rise)
        return out[:keep]

    def _join(self, parts: list[np.ndarray]) -> np.ndarray:
        if not parts:
            return np.zeros((0, len(self._tagger.labels)), np.float32)
        return np.concatenate(parts)


def posteriors_of(tagger: Tagger, samples: np.ndarray) -> np.ndarray:
    """Posteriors ``(frames, labels)`` of a whole piece of audio ``(n,)`` at 16 kHz."""
    stream = PosteriorStream(tagger)
    return np.concatenate([stream.push(samples), stream.close()])
