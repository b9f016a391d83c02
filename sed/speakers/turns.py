"""`Turns`: who speaks in which 20 ms frame. The common outcome of every way to find speech and speakers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Turns:
    """Speaker activity on the 50 Hz grid.

    `active` is ``(frames, speakers)`` bool, so several people may speak in one frame; `names` names its
    columns, in the order in which the speakers first speak (``spk00``, ``spk01``, ...).
    """

    active: np.ndarray
    names: tuple[str, ...]


class SpeakerSession(Protocol):
    """Finds the speakers of one recording whose samples arrive in blocks, in bounded memory."""

    def push(self, samples: np.ndarray) -> None:
        """Take the next ``(n,)`` float32 samples at 16 kHz; `n` is arbitrary and changes nothing."""
        ...

    def close(self) -> Turns:
        """The turns of everything pushed; ``Turns.active`` has ``sed.grid.frame_count(samples)`` rows."""
        ...


class SpeakerDiarizer(Protocol):
    """A way to find speakers; holds the models, and may serve many recordings one after the other."""

    def begin(self) -> SpeakerSession:
        """Start on a new recording."""
        ...
