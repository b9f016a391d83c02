"""`Timeline`: the state of a live run that a display shows: recent segments, levels and messages.

Events come from the diarizing thread, `view` is called by the display's thread; memory is bounded by `span` seconds.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sed.result import Segment
from sed.streaming.events import Event, Relabel

LEVELS_PER_SECOND = 10
MESSAGE_SECONDS = 15.0  # for which a message is shown


@dataclass(frozen=True)
class Bar:
    """A segment as drawn."""

    segment: Segment
    final: bool


@dataclass(frozen=True)
class View:
    """A snapshot for the display, in seconds of the recording.

    `bars` by speaker; labels before `settled` are final. `recent`: final segments in order. `levels`: peaks in dB, by
    index of the tenth of a second. `lost`: (start, end) of audio that was not processed. `current`: the latest
    segment that is still open, None in silence. `messages`: the latest ones.
    """

    bars: Mapping[str, tuple[Bar, ...]]
    settled: float
    recent: tuple[Segment, ...]
    levels: Mapping[int, float]
    lost: tuple[tuple[float, float], ...]
    current: Segment | None
    messages: tuple[str, ...]


class Timeline:
    """A listener of `LiveSession` that keeps the last `span` seconds."""

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
        self._renamed: dict[str, str] = {}  # names that are shown instead of others

    def event(self, event: Event) -> None:
        """Update one segment."""
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
        """Append to the list of recent final segments."""
        with self._lock:
            self._recent.append(segment)

    def relabel(self, relabel: Relabel) -> None:
        """Show a speaker, before and from now on, under the name of another one, and state it."""
        with self._lock:
            self._renamed = {
                old: relabel.new if new == relabel.old else new for old, new in self._renamed.items()
            }
            self._renamed[relabel.old] = relabel.new
        self.add_message(f"{relabel.old} is {relabel.new}")

    def lost(self, start: float, end: float) -> None:
        """Mark audio that was not processed."""
        with self._lock:
            self._lost.append((start, end))

    def level(self, seconds: float, peak: float) -> None:
        """Record the peak (dB) of the block that ends at `seconds`."""
        slot = int(seconds * LEVELS_PER_SECOND)
        with self._lock:
            self._levels[slot] = max(peak, self._levels.get(slot, peak))
            oldest = slot - int(self._span * LEVELS_PER_SECOND)
            while (first := next(iter(self._levels))) < oldest:
                del self._levels[first]

    def add_message(self, message: str) -> None:
        """Show a message for `MESSAGE_SECONDS`; only the latest ones are kept."""
        with self._lock:
            self._messages.append((time.monotonic(), message))

    def view(self) -> View:
        """The current snapshot."""
        with self._lock:
            by_speaker: dict[str, list[Bar]] = {self._shown(name): [] for name in self._speakers}
            for bar in self._bars.values():
                by_speaker.setdefault(self._shown(bar.segment.speaker or "?"), []).append(bar)
            shown = {
                name: tuple(sorted(bars, key=lambda b: b.segment))
                for name, bars in sorted(by_speaker.items())
            }
            latest = max(self._bars.values(), key=lambda b: (b.segment.end, b.segment), default=None)
            return View(
                shown,
                self._settled,
                tuple(self._under_shown_name(segment) for segment in self._recent),
                dict(self._levels),
                tuple(self._lost),
                self._under_shown_name(latest.segment) if latest and not latest.final else None,
                tuple(
                    text for shown_at, text in self._messages if time.monotonic() - shown_at < MESSAGE_SECONDS
                ),
            )

    def _shown(self, name: str) -> str:
        return self._renamed.get(name, name)

    def _under_shown_name(self, segment: Segment) -> Segment:
        name = segment.speaker
        return (
            segment
            if name is None or name not in self._renamed
            else replace(segment, speaker=self._shown(name))
        )
