"""`Turns`: the active speakers of every 20 ms frame, which is the result of every diarizer; and their protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sed.result import SpeakerProfile


@dataclass(frozen=True, eq=False)
class Turns:
    """Speaker activity on the 50 Hz grid, over `frames` frames.

    `spans` has one array ``(turns, 2)`` for each speaker: start and end (exclusive) of the turns in frames, ascending,
    with gaps between them. Turns of different speakers may overlap. `names` are the speakers' names, in order of first
    appearance (``spk00``, ``spk01``, ...). `profiles` has the profile of each speaker with clean speech by name; None
    if the diarizer computes none. Spans need far less memory than a mask: ten hours are 1.8 million frames.

    >>> turns = Turns.from_active(np.array([[0, 1], [1, 1], [1, 0]], bool), ("Ann", "Bob"))
    >>> [spans.tolist() for spans in turns.spans], turns.frames
    ([[[1, 3]], [[0, 2]]], 3)
    >>> turns.active.astype(int).tolist(), turns.overlapped.astype(int).tolist()
    ([[0, 1], [1, 1], [1, 0]], [0, 1, 0])
    """

    spans: tuple[np.ndarray, ...]
    names: tuple[str, ...]
    frames: int
    profiles: Mapping[str, SpeakerProfile] | None = None

    @classmethod
    def from_active(cls, active: np.ndarray, names: Sequence[str]) -> Turns:
        """From a mask ``(frames, speakers)`` bool."""
        return cls(tuple(runs(column) for column in active.T), tuple(names), len(active))

    @property
    def active(self) -> np.ndarray:
        """The mask ``(frames, speakers)`` bool, computed on each access."""
        active = np.zeros((self.frames, len(self.spans)), bool)
        for column, spans in enumerate(self.spans):
            for start, end in spans:
                active[start:end, column] = True
        return active

    @property
    def overlapped(self) -> np.ndarray:
        """Frames with two or more active speakers, ``(frames,)`` bool, computed on each access."""
        speech, overlap = np.zeros(self.frames, bool), np.zeros(self.frames, bool)
        for spans in self.spans:
            for start, end in spans:
                overlap[start:end] |= speech[start:end]
                speech[start:end] = True
        return overlap


def runs(mask: np.ndarray) -> np.ndarray:
    """Start and end (exclusive) of every maximal run of true values in a mask ``(n,)``, as ``(runs, 2)``.

    >>> runs(np.array([True, False, True, True])).tolist()
    [[0, 1], [2, 4]]
    """
    padded = np.zeros(len(mask) + 2, np.int8)
    padded[1:-1] = mask
    return np.flatnonzero(np.diff(padded)).reshape(-1, 2)


class SpeakerSession(Protocol):
    """Finds the speakers of one recording that arrives in blocks, in bounded memory."""

    def push(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` float32 samples at 16 kHz; the result does not depend on the block sizes."""
        ...

    def close(self) -> Turns:
        """The turns of the whole recording; ``Turns.frames`` is ``sed.grid.frame_count(samples)``."""
        ...


class SpeakerDiarizer(Protocol):
    """A speaker diarizer; holds the models and may process several recordings one after another."""

    def begin(self) -> SpeakerSession:
        """Start a new recording."""
        ...
