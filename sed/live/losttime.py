"""`LostTime`: from the time that a stream has heard to the time of the recording, where pieces are missing.

In: how many samples were heard and lost, in order; out: seconds of the recording. Without losses nothing is
changed at all.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from sed.result import Segment
from sed.streaming.events import Event


class LostTime:
    """Counts what was heard and what was lost, at `rate` samples a second.

    >>> clock = LostTime(10)
    >>> clock.hear(20); clock.lose(50); clock.hear(20)
    (2.0, 7.0)
    >>> [(s.start, s.end) for s in clock.split(Segment(1.0, 3.0))]
    [(1.0, 2.0), (7.0, 8.0)]
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._gaps: list[tuple[int, int]] = []  # (samples heard before the gap, its length)
        self.heard = 0
        self.lost = 0

    def hear(self, samples: int) -> None:
        """The stream heard `samples` more."""
        self.heard += samples

    def lose(self, samples: int) -> tuple[float, float]:
        """It did not hear the next `samples`; returns their start and end in seconds of the recording."""
        start = self.heard + self.lost
        self._gaps.append((self.heard, samples))
        self.lost += samples
        return start / self._rate, (start + samples) / self._rate

    def at(self, seconds: float, ending: bool = False) -> float:
        """Seconds of the recording at `seconds` of what was heard; `ending`: something ends there.

        The instant of a gap is both its start, for what ends there, and its end, for what begins there.
        """
        shift = 0
        for heard, length in self._gaps:
            place = heard / self._rate
            if place > seconds or (ending and place == seconds):
                break
            shift += length
        return seconds + shift / self._rate if shift else seconds

    def segment(self, segment: Segment) -> Segment:
        """`segment` on the recording's time; a gap inside it is still inside it."""
        if not self._gaps:
            return segment
        return replace(segment, start=self.at(segment.start), end=self.at(segment.end, ending=True))

    def place(self, event: Event) -> Event:
        """`event` on the recording's time."""
        if not self._gaps:
            return event
        return replace(
            event,
            segment=None if event.segment is None else self.segment(event.segment),
            time=self.at(event.time, ending=True),
            settled=self.at(event.settled, ending=True),
        )

    def split(self, segment: Segment) -> list[Segment]:
        """`segment` on the recording's time, in as many parts as gaps have made of it."""
        cuts = [
            heard / self._rate for heard, _ in self._gaps if segment.start < heard / self._rate < segment.end
        ]
        edges = list(dict.fromkeys([segment.start, *cuts, segment.end]))
        return [self.segment(replace(segment, start=a, end=b)) for a, b in pairwise(edges)]
