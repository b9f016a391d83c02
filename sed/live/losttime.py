"""`LostTime`: maps times of a stream that skipped some audio to times of the recording.

In: the numbers of samples processed and skipped, in order; out: seconds of the recording. Without skipped audio, all
times stay the same.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from sed.result import Segment
from sed.streaming.events import Event


class LostTime:
    """Counts processed and skipped samples at a sample rate of `rate` Hz.

    >>> clock = LostTime(10)
    >>> clock.process(20); clock.skip(50); clock.process(20)
    (2.0, 7.0)
    >>> [(s.start, s.end) for s in clock.split(Segment(1.0, 3.0))]
    [(1.0, 2.0), (7.0, 8.0)]
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._gaps: list[tuple[int, int]] = []  # (samples processed before the gap, its length)
        self.processed = 0
        self.lost = 0

    def process(self, samples: int) -> None:
        """Count `samples` that the stream has processed."""
        self.processed += samples

    def skip(self, samples: int) -> tuple[float, float]:
        """Count `samples` that the stream has skipped; returns their start and end in seconds of the recording."""
        start = self.processed + self.lost
        self._gaps.append((self.processed, samples))
        self.lost += samples
        return start / self._rate, (start + samples) / self._rate

    def map_time(self, seconds: float, is_end: bool = False) -> float:
        """Map `seconds` of processed audio to seconds of the recording; `is_end`: for the end of a segment.

        At a gap, an end maps to the start of the gap, and a start to its end.
        """
        shift = 0
        for processed, length in self._gaps:
            position = processed / self._rate
            if position > seconds or (is_end and position == seconds):
                break
            shift += length
        return seconds + shift / self._rate if shift else seconds

    def map_segment(self, segment: Segment) -> Segment:
        """`segment` in times of the recording; it still contains the gaps inside it."""
        if not self._gaps:
            return segment
        end = self.map_time(segment.end, is_end=True)
        return replace(segment, start=self.map_time(segment.start), end=end)

    def map_event(self, event: Event) -> Event:
        """`event` in times of the recording."""
        if not self._gaps:
            return event
        return replace(
            event,
            segment=None if event.segment is None else self.map_segment(event.segment),
            time=self.map_time(event.time, is_end=True),
            settled=self.map_time(event.settled, is_end=True),
        )

    def split(self, segment: Segment) -> list[Segment]:
        """`segment` in times of the recording, split at the gaps inside it."""
        gaps = [processed / self._rate for processed, _ in self._gaps]
        cuts = [position for position in gaps if segment.start < position < segment.end]
        edges = list(dict.fromkeys([segment.start, *cuts, segment.end]))
        return [self.map_segment(replace(segment, start=a, end=b)) for a, b in pairwise(edges)]
