"""`Turns`: who speaks in which 20 ms frame. The common outcome of every way to find speech and speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Turns:
    """Speaker activity on the 50 Hz grid, over `frames` frames.

    `spans` has an array for each speaker, start and end (exclusive) of his turns in frames, ``(turns, 2)``, ascending
    and not touching; several people may speak in one frame. `names` are the speakers', in the order in which they
    first speak (``spk00``, ``spk01``, ...). Ten hours are so a few turns, where a mask of them has millions of frames.

    >>> turns = Turns.from_active(np.array([[0, 1], [1, 1], [1, 0]], bool), ("Ann", "Bob"))
    >>> [own.tolist() for own in turns.spans], turns.frames
    ([[[1, 3]], [[0, 2]]], 3)
    >>> turns.active.astype(int).tolist(), turns.overlapped.astype(int).tolist()
    ([[0, 1], [1, 1], [1, 0]], [0, 1, 0])
    """

    spans: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    frames: int

    @classmethod
    def from_active(cls, active: np.ndarray, names: Sequence[str]) -> Turns:
        """From a mask, ``(frames, speakers)`` bool."""
        return cls(tuple(runs(column) for column in active.T), tuple(names), len(active))

    @property
    def active(self) -> np.ndarray:
        """The mask, ``(frames, speakers)`` bool, made anew."""
        active = np.zeros((self.frames, len(self.spans)), bool)
        for column, own in enumerate(self.spans):
            for start, end in own:
                active[start:end, column] = True
        return active

    @property
    def overlapped(self) -> np.ndarray:
        """Where several people speak, ``(frames,)`` bool, made anew."""
        spoken, several = np.zeros(self.frames, bool), np.zeros(self.frames, bool)
        for own in self.spans:
            for start, end in own:
                several[start:end] |= spoken[start:end]
                spoken[start:end] = True
        return several


def runs(mask: np.ndarray) -> np.ndarray:
    """Start and end (exclusive) of every stretch of true values in ``(n,)``, as ``(stretches, 2)``.

    >>> runs(np.array([True, False, True, True])).tolist()
    [[0, 1], [2, 4]]
    """
    padded = np.zeros(len(mask) + 2, np.int8)
    padded[1:-1] = mask
    return np.flatnonzero(np.diff(padded)).reshape(-1, 2)


class SpeakerSession(Protocol):
    """Finds the speakers of one recording whose samples arrive in blocks, in bounded memory."""

    def push(self, samples: np.ndarray) -> None:
        """Take the next ``(n,)`` float32 samples at 16 kHz; `n` is arbitrary and changes nothing."""
        ...

    def close(self) -> Turns:
        """The turns of everything pushed; ``Turns.frames`` is ``sed.grid.frame_count(samples)``."""
        ...


class SpeakerDiarizer(Protocol):
    """A way to find speakers; holds the models, and may serve many recordings one after the other."""

    def begin(self) -> SpeakerSession:
        """Start on a new recording."""
        ...
