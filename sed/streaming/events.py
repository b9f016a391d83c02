"""`Event`: one update of one segment of a live stream; and `Relabel`: one speaker is another one."""

from __future__ import annotations

from dataclasses import dataclass

from sed.result import Segment


@dataclass(frozen=True)
class Relabel:
    """Two speakers have turned out to be one: `old` is `new`, from `time` (seconds) on and before. Final segments keep
    their names; a display may show the new one instead."""

    old: str
    new: str
    time: float


@dataclass(frozen=True)
class Event:
    """One update of one segment.

    `id` is the number of the segment within the stream. `segment` is its current form, or None if a provisional segment
    was removed. A segment whose event is `final` never changes again. `time` is the duration of the audio processed so
    far, in seconds. Everything before `settled` seconds is final: later events change nothing there except the ends of
    segments that are still running. The emotion of a segment is the most probable of its `probabilities`; the exception
    are rare segments of about 0.2 s whose posteriors were revised after their emotion had become final.
    """

    id: int
    segment: Segment | None
    final: bool
    time: float
    settled: float
