"""`Timeline`: what a display shows of a live run: the segments of the last seconds, levels, and messages.

Events come in from the diarizing thread, `view` goes out to the display's; memory is that of the last
`span` seconds.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from sed.result import Segment
from sed.streaming.events import Event

LEVELS_A_SECOND = 10
MESSAGE_STAYS = 15.0  # seconds


@dataclass(frozen=True)
class Bar:
    """A segment as drawn."""

    segment: Segment
    final: bool


@dataclass(frozen=True)
class View:
    """What is visible, in seconds of the recording.

    `bars` by speaker; before `settled` everything is decided. `recent` final segments, the last one last.
    `levels`: peaks in dB, by number of the tenth of a second. `lost`: (start, end) of what was not analysed.
    `current`: the latest segment that is still running, None in silence. `messages`: the last few.
    """

    bars: Mapping[str, tuple[Bar, ...]]
    settled: float
    recent: tuple[Segment, ...]
    levels: Mapping[int, float]
    lost: tuple[tuple[float, float], ...]
    current: Segment | None
    messages: tuple[str, ...]


class Timeline:
    """Collects what happens; a listener of `LiveSession`. `span` is how many seconds are kept."""

    def __init__(self, span: float = 60.0) -> None:
        self._span = span
        self._lock = threading.Lock()
        self._bars: dict[int, Bar] = {}
        self._speakers: dict[str, None] = {}
        self._recent: deque[Segment] = deque(maxlen=100)
        self._levels: dict[int, float] = {}
        self._lost: deque[tuple[float, float]] = deque(maxlen=50)
        self._messages: deque[tuple[float, str]] = deque(maxlen=3)
        self._settled = 0.0

    def event(self, event: Event) -> None:
        """Take the news of one segment."""
        with self._lock:
            self._settled = max(self._settled, event.settled)
            if event.segment is None:
                self._bars.pop(event.id, None)
                return
            self._bars[event.id] = Bar(event.segment, event.final)
            if event.final:
                self._speakers.setdefault(event.segment.speaker or "?")
            horizon = event.time - self._span
            for number in [n for n, bar in self._bars.items() if bar.segment.end < horizon]:
                del self._bars[number]

    def final(self, segment: Segment) -> None:
        """Take a final segment for the list of the recent ones."""
        with self._lock:
            self._recent.append(segment)

    def lost(self, start: float, end: float) -> None:
        """Mark a piece that was not analysed."""
        with self._lock:
            self._lost.append((start, end))

    def level(self, seconds: float, peak: float) -> None:
        """The peak (dB) of the sound that ends at `seconds`."""
        slot = int(seconds * LEVELS_A_SECOND)
        with self._lock:
            self._levels[slot] = max(peak, self._levels.get(slot, peak))
            oldest = slot - int(self._span * LEVELS_A_SECOND)
            while (first := next(iter(self._levels))) < oldest:
                del self._levels[first]

    def say(self, message: str) -> None:
        """Show a message for a while; the last few stay."""
        with self._lock:
            self._messages.append((time.monotonic(), message))

    def view(self) -> View:
        """What is visible now."""
        with self._lock:
            lanes: dict[str, list[Bar]] = {name: [] for name in self._speakers}
            for bar in self._bars.values():
                lanes.setdefault(bar.segment.speaker or "?", []).append(bar)
            shown = {
                name: tuple(sorted(bars, key=lambda b: b.segment)) for name, bars in sorted(lanes.items())
            }
            latest = max(self._bars.values(), key=lambda b: (b.segment.end, b.segment), default=None)
            return View(
                shown,
                self._settled,
                tuple(self._recent),
                dict(self._levels),
                tuple(self._lost),
                latest.segment if latest and not latest.final else None,
                tuple(text for said, text in self._messages if time.monotonic() - said < MESSAGE_STAYS),
            )
