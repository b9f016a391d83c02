"""What a `LiveSession` is made of: where sound comes from, what analyses it, who is told, how it stands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sed.live.blocks import BlockQueue
from sed.result import Segment
from sed.streaming.events import Event

FLOOR = -90.0  # dB full scale that stands for silence


class Source(Protocol):
    """Where blocks come from: `rate` samples a second, mono."""

    name: str
    rate: int

    def start(self, queue: BlockQueue) -> None:
        """Begin to put blocks into `queue`; ``queue.finish()`` at the end, if there is one."""
        ...

    def check(self) -> None:
        """Raise a `SedError` if the source has failed."""
        ...

    def patience(self) -> float:
        """Seconds that it can wait without losing anything."""
        ...

    def stop(self) -> None:
        """Deliver nothing more."""
        ...


class Stream(Protocol):
    """What the session needs of a `StreamingDiarizer`."""

    @property
    def current(self) -> Mapping[str, float]:
        """Posteriors of the latest moment by label."""
        ...

    def push(self, samples: np.ndarray) -> list[Event]:
        """Take the next ``(n,)`` float32 samples at 16 kHz."""
        ...

    def close(self) -> list[Event]:
        """The rest."""
        ...


class Listener(Protocol):
    """Is told what happens, in the diarizing thread; what it raises ends the run."""

    def event(self, event: Event) -> None:
        """News of the stream, on the recording's time."""
        ...

    def final(self, segment: Segment) -> None:
        """A final segment; where a part of it was not heard, one for each side."""
        ...

    def lost(self, start: float, end: float) -> None:
        """From `start` to `end` seconds nothing was analysed."""
        ...


@dataclass(frozen=True)
class Status:
    """How a run stands: for displays.

    `captured` and `analysed` are seconds of audio, `lost` seconds that were not analysed. `load` is the time
    of processing over that of the audio (1: just keeps up; nan before the first). `level` and `peak` are dB
    full scale of the last block, `probabilities` the posteriors of the latest moment by label.
    """

    captured: float = 0.0
    analysed: float = 0.0
    lost: float = 0.0
    load: float = math.nan
    level: float = FLOOR
    peak: float = FLOOR
    probabilities: Mapping[str, float] = field(default_factory=dict)

    @property
    def backlog(self) -> float:
        """Seconds of audio that wait to be analysed."""
        return max(0.0, self.captured - self.analysed - self.lost)
