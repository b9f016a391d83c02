"""Runs a tagger on audio of any length: windows on an absolute grid, and one more across joints that they disagree on.

In: ``(n,)`` float32 blocks at 16 kHz. Out: ``(frames, labels)`` float32 posteriors, 50 per second, and beside them the
dimensions of a tagger that estimates some, ``(frames, labels + dimensions)`` (`sed.emotion.tagger.frame_rows`). Window
``k`` starts at sample ``k * window``, and windows are processed in fixed batches, so the rows do not depend on the
sizes of the blocks. Memory is one batch of windows.

A frame near the edge of a window lacks context: in conversations 60 % of the frames in the last half second of a window
are correct, 68 % in its middle. So where the two windows beside a joint name different labels, another one is centred
on the joint, and its rows are faded in: wholly at the joint, not at all half a window away. Where they agree there is
nothing to decide. So each second of phone calls goes through the tagger 1.15 times, of emotional conversations 1.5
times. `benchmarks.tuning.windows` has figures.
"""

from __future__ import annotations

import itertools

import numpy as np

from sed.emotion.tagger import Tagger, dimensions_of, frame_rows
from sed.grid import HOP, frame_count


class PosteriorStream:
    """Runs a tagger over a recording that arrives in blocks.

    `batch` is the number of windows per call of the tagger (None: its attribute `batch`, or 4). `push` and `close`
    return the completed frames in order.

    >>> from sed.grid import frame_count
    >>> class Flat:
    ...     labels, frame_rate, window = ("neutral", "angry"), 50, 16000
    ...     def posteriors(self, waves):
    ...         return np.full((len(waves), frame_count(waves.shape[1]), 2), 0.5, np.float32)
    >>> stream = PosteriorStream(Flat())
    >>> len(stream.push(np.zeros(20_000, np.float32))) + len(stream.close())
    63
    """

    def __init__(self, tagger: Tagger, batch: int | None = None) -> None:
        self._tagger = tagger
        self._columns = len(tagger.labels) + len(dimensions_of(tagger))
        self._window = tagger.window
        self._half = max(1, tagger.window // HOP // 2)  # frames
        self._batch: int = getattr(tagger, "batch", 4) if batch is None else batch
        self._audio = np.zeros(0, np.float32)  # from the start of the latest window
        self._latest: np.ndarray | None = None  # rows of that window, mixed up to its middle

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Process the next samples; returns the rows of the frames completed by them."""
        self._audio = np.concatenate([self._audio, samples])
        parts = []
        # Another sample is certain to follow.
        while len(self._audio) > self._processed + self._batch * self._window:
            parts.append(self._run(self._batch))
        return self._concatenate(parts)

    def close(self) -> np.ndarray:
        """The remaining rows; in total there are ``sed.grid.frame_count(samples)``."""
        parts = []
        rest = len(self._audio) - self._processed
        if full := max(0, (rest - 1) // self._window):  # all full windows but the last one
            parts.append(self._run(full))
        if len(self._audio) > self._processed:
            parts.append(self._run_last())
        self._audio, self._latest = self._audio[:0], None
        return self._concatenate(parts)

    @property
    def _processed(self) -> int:
        """Samples at the start of the audio that are those of the latest window."""
        return 0 if self._latest is None else self._window

    def _run(self, windows: int) -> np.ndarray:
        """The rows completed by the next `windows` full windows: those up to the middle of the last one."""
        starts = [self._processed + number * self._window for number in range(windows)]
        found = [rows.astype(np.float32) for rows in self._rows_at(starts)]
        if self._latest is not None:
            starts, found = [0, *starts], [self._latest, *found]
        joints = [n for n, (a, b) in enumerate(itertools.pairwise(found)) if self._disagree(a, b)]
        middles = [starts[number] + self._half * HOP for number in joints]
        for number, rows in zip(joints, self._rows_at(middles), strict=True):
            self._fade_in(rows, found[number], found[number + 1])
        returned = 0 if self._latest is None else self._half
        self._latest, self._audio = found[-1], self._audio[starts[-1] :]
        return np.concatenate([*found[:-1], found[-1][: self._half]])[returned:]

    def _run_last(self) -> np.ndarray:
        """The rows from the middle of the latest window to the end, with a full window at the end if possible."""
        start = max(0, frame_count(len(self._audio) - self._window))  # frame at which the last window starts
        last = frame_rows(self._tagger, self._audio[None, start * HOP :])[0].astype(np.float32)
        if self._latest is None:
            return last
        rows = np.concatenate([self._latest, last[len(self._latest) - start :]])
        first, end = max(start, self._half), len(self._latest)
        rise = ((np.arange(end - first, dtype=np.float32) + 0.5) / max(end - first, 1))[:, None]
        rows[first:end] += rise * (last[first - start : end - start] - rows[first:end])
        return rows[self._half :]

    def _rows_at(self, starts: list[int]) -> np.ndarray:
        """The rows ``(windows, frames, columns)`` of the windows that start at these samples of the audio."""
        if not starts:
            return np.zeros((0, 0, self._columns), np.float32)
        return frame_rows(
            self._tagger, np.stack([self._audio[start : start + self._window] for start in starts])
        )

    def _disagree(self, before: np.ndarray, after: np.ndarray) -> bool:
        """Whether the halves of two windows beside their joint name different labels; without labels always."""
        labels = len(self._tagger.labels)
        if not labels:
            return True
        halves = before[-self._half :, :labels], after[: self._half, :labels]
        left, right = (half.mean(0, dtype=np.float64).argmax() for half in halves)
        return bool(left != right)

    def _fade_in(self, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Mix `rows` of the window across their joint into `before` and `after`, in place."""
        left = len(before) - self._half
        rise = ((np.arange(left, dtype=np.float32) + 0.5) / max(left, 1))[:, None]
        before[self._half :] += rise * (rows[:left] - before[self._half :])
        fall = ((np.arange(self._half, dtype=np.float32)[::-1] + 0.5) / max(self._half, 1))[:, None]
        after[: self._half] += fall * (rows[left:] - after[: self._half])

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
