"""The interfaces of a `LiveSession`: its source, stream and listeners, and its status."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sed.live.blocks import BlockQueue
from sed.result import Segment
from sed.streaming.events import Event, Relabel

FLOOR = -90.0  # dBFS that represents silence


class Source(Protocol):
    """A source of mono blocks at a sample rate of `rate` Hz."""

    name: str
    rate: int

    def start(self, queue: BlockQueue) -> None:
        """Start to put blocks into `queue`; call ``queue.finish()`` at the end, if there is one."""
        ...

    def check(self) -> None:
        """Raise a `SedError` if the source has failed."""
        ...

    def max_wait(self) -> float:
        """Seconds for which the source can be blocked without losing audio."""
        ...

    def stop(self) -> None:
        """Stop delivering blocks."""
        ...


class Stream(Protocol):
    """The interface of `StreamingDiarizer` that the session uses."""

    @property
    def current(self) -> Mapping[str, float]:
        """Posteriors of the latest frame by label."""
        ...

    def push(self, samples: np.ndarray) -> list[Event]:
        """Process the next ``(n,)`` float32 samples at 16 kHz."""
        ...

    def close(self) -> list[Event]:
        """Process the buffered rest."""
        ...

    def take_relabels(self) -> list[Relabel]:
        """The speakers since the last call that have turned out to be others."""
        ...


class Listener(Protocol):
    """Is notified in the diarizing thread; an exception that it raises ends the run."""

    def event(self, event: Event) -> None:
        """Handle an event of the stream, in times of the recording."""
        ...

    def final(self, segment: Segment) -> None:
        """Handle a final segment; a segment with a gap is split into one on each side."""
        ...

    def relabel(self, relabel: Relabel) -> None:
        """Handle a speaker who has turned out to be another one; only in a session with ``relabel=True``."""
        ...

    def lost(self, start: float, end: float) -> None:
        """Handle a gap: the audio from `start` to `end` seconds was not processed."""
        ...


@dataclass(frozen=True)
class Status:
    """The status of a run, for displays.

    `captured` and `analysed` are seconds of audio, `lost` seconds that were not processed. `load` is the real-time
    factor: processing time divided by audio time (NaN at the start). `level` and `peak` are dBFS of the last block,
    `probabilities` the posteriors of the latest frame by label.
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
        """Seconds of audio waiting to be processed."""
        return max(0.0, self.captured - self.analysed - self.lost)
