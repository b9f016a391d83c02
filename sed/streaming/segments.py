"""Labelled frames of every speaker, step by step -> `Event`s about segments that keep their identity.

In: at each step what every speaker's frames are labelled, final ones first, and the posteriors. Out: news
about segments, nothing where nothing has changed. Only running sums are kept of a running segment, so its
length costs no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sed.grid import frames_to_seconds
from sed.result import Segment
from sed.segmenting import segment_of
from sed.streaming.events import Event


@dataclass(frozen=True)
class Lane:
    """One speaker's part in a step: `emotions` ``(n,)`` of his frames number `frames` ``(n,)``, ascending.

    `key` tells speakers apart for good; `name` is final once the speaker has final frames. `posteriors`
    ``(n, labels)`` and `weights` ``(n,)`` are what the frames are judged by; None: those of the step, all alike.
    """

    key: int
    name: str
    frames: np.ndarray
    emotions: np.ndarray
    posteriors: np.ndarray | None = None
    weights: np.ndarray | None = None

    def evidence(self, posteriors: np.ndarray, settled: int) -> np.ndarray:
        """``(n, 1 + labels)`` float64: weight and weighted posteriors of each frame, given those of the step."""
        rows = posteriors[self.frames - settled] if self.posteriors is None else self.posteriors
        weights = np.ones(len(self.frames)) if self.weights is None else self.weights
        return np.column_stack([weights, np.asarray(rows, np.float64) * weights[:, None]])


@dataclass
class _Piece:
    """A run of one speaker's frames with one emotion.

    `total` ``(1 + labels,)`` sums their evidence; `final` is the part of it that belongs to final frames.
    """

    start: int
    end: int
    emotion: int
    total: np.ndarray
    final: np.ndarray
    id: int = -1


@dataclass
class _Book:
    """What a speaker has open: a segment that runs up to the last final frame, and provisional ones."""

    name: str
    running: _Piece | None = None
    provisional: list[_Piece] = field(default_factory=list)


class Ledger:
    """Keeps the books of a stream's segments.

    >>> ledger = Ledger(("neutral", "angry"))
    >>> p = np.full((50, 2), [0.8, 0.2])
    >>> lane = Lane(0, "spk00", np.arange(10, 50), np.zeros(40, int))
    >>> event, = ledger.step([lane], p, settled=0, final=25, end=50, time=1.0)
    >>> event.id, event.final, event.settled
    (0, False, 0.5)
    >>> event.segment
    Segment(start=0.2, end=1.0, speaker='spk00', emotion='neutral', confidence=0.8)
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._books: dict[int, _Book] = {}
        self._shown: dict[int, Segment] = {}  # what was last said about each segment that is not final
        self._next = 0

    def step(
        self,
        lanes: Sequence[Lane],
        posteriors: np.ndarray,
        *,
        settled: int,
        final: int,
        end: int,
        time: float,
        closing: bool = False,
    ) -> list[Event]:
        """The news of one step: finals in order, then provisional segments in order.

        `posteriors` ``(end - settled, labels)`` belong to frames `settled` to `end`; those before `final`
        become final now. `time` is the audio heard in seconds; no segment ends after it. `closing`: nothing
        follows.
        """
        lane_of = {lane.key: lane for lane in lanes}
        finals: list[tuple[Segment, int]] = []
        current: list[tuple[Segment, int]] = []
        for key in sorted({*self._books, *lane_of}):
            lane = lane_of.get(key)
            book = self._books.setdefault(key, _Book(lane.name if lane else ""))
            book.name = lane.name if lane else book.name
            pieces = _pieces(lane, lane.evidence(posteriors, settled), final) if lane else []
            kept: list[_Piece] = []
            if (running := book.running) is not None:
                book.running = None
                if pieces and (pieces[0].start, pieces[0].emotion) == (running.end, running.emotion):
                    pieces[0].id, pieces[0].start = running.id, running.start
                    pieces[0].total = pieces[0].total + running.total
                    pieces[0].final = pieces[0].final + running.total
                else:
                    kept = [running]
            self._number(pieces, book.provisional)
            book.provisional = []
            for piece in kept + pieces:
                row = (self._segment(book.name, piece, time), piece.id)
                if closing or piece.end < final:
                    finals.append(row)
                    continue
                current.append(row)
                if piece.start >= final:
                    book.provisional.append(piece)
                else:
                    book.running = replace(piece, end=final, total=piece.final)
            if not book.running and not book.provisional:
                del self._books[key]
        return self._news(finals, current, time, time if closing else frames_to_seconds(final))

    def _number(self, pieces: Sequence[_Piece], before: Sequence[_Piece]) -> None:
        """Give every piece the id of the provisional one before that it overlaps most, or a new one."""
        left = list(before)
        for piece in pieces:
            if piece.id >= 0:
                continue
            overlaps = [min(piece.end, old.end) - max(piece.start, old.start) for old in left]
            if overlaps and max(overlaps) > 0:
                piece.id = left.pop(int(np.argmax(overlaps))).id
            else:
                piece.id, self._next = self._next, self._next + 1

    def _segment(self, name: str, piece: _Piece, time: float) -> Segment:
        mean = piece.total[1:] / piece.total[0]
        return segment_of(mean, piece.start, piece.end, name, self._labels, piece.emotion, time)

    def _news(
        self,
        finals: list[tuple[Segment, int]],
        current: list[tuple[Segment, int]],
        time: float,
        settled: float,
    ) -> list[Event]:
        present = {number for _, number in finals + current}
        gone = sorted(number for number in self._shown if number not in present)
        events = [Event(number, None, False, time, settled) for number in gone]
        events += [Event(number, segment, True, time, settled) for segment, number in sorted(finals)]
        for segment, number in sorted(current):
            shown = self._shown.get(number)
            if shown != segment or shown.probabilities != segment.probabilities:
                events.append(Event(number, segment, False, time, settled))
        self._shown = {number: segment for segment, number in current}
        return events


def _pieces(lane: Lane, evidence: np.ndarray, final: int) -> list[_Piece]:
    changes = np.flatnonzero((np.diff(lane.emotions) != 0) | (np.diff(lane.frames) != 1)) + 1
    count = int(np.searchsorted(lane.frames, final))
    out = []
    for part in np.split(np.arange(len(lane.frames)), changes):
        if len(part):
            first, last = int(part[0]), int(part[-1]) + 1
            start, end = int(lane.frames[first]), int(lane.frames[last - 1]) + 1
            total, decided = evidence[first:last].sum(0), evidence[first : min(last, count)].sum(0)
            out.append(_Piece(start, end, int(lane.emotions[first]), total, decided))
    return out
