"""`Event`: one piece of news from a live stream, about one segment."""

from __future__ import annotations

from dataclasses import dataclass

from sed.result import Segment


@dataclass(frozen=True)
class Event:
    """News about one segment.

    `id` numbers the segments of a stream. `segment` is its present form, or None if a provisional segment has
    vanished. `final` says that it will never change again. `time` is how much audio the stream had heard, in
    seconds; everything before `settled` seconds is decided: later events change nothing there but the ends
    of segments that are still running. The emotion of a segment is the most probable of its `probabilities`, but
    for a segment of about 0.2 s now and then whose posteriors were revised after its emotion was decided.
    """

    id: int
    segment: Segment | None
    final: bool
    time: float
    settled: float
