"""Labelled frames of every speaker, step by step -> `Event`s about segments that keep their ids.

In: at each step the labels of every speaker's frames, final ones first, and the posteriors. Out: one event per segment
that is new, changed, final or removed. An open segment is kept as running sums, so its length costs no memory.
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
class SpeakerFrames:
    """One speaker's frames in a step: `emotions` ``(n,)`` of the frames number `frames` ``(n,)``, ascending.

    `key` identifies the speaker throughout the stream; `name` is final once the speaker has final frames. Segments are
    scored by `posteriors` ``(n, labels + dimensions)`` and `weights` ``(n,)``; None: the posteriors of the step, and
    equal weights.
    """

    key: int
    name: str
    frames: np.ndarray
    emotions: np.ndarray
    posteriors: np.ndarray | None = None
    weights: np.ndarray | None = None

    def evidence(self, posteriors: np.ndarray, settled: int) -> np.ndarray:
        """``(n, 1 + labels)`` float64: weight and weighted posteriors of each frame.

        `posteriors` are those of the step, whose first row is frame number `settled`.
        """
        rows = posteriors[self.frames - settled] if self.posteriors is None else self.posteriors
        weights = np.ones(len(self.frames)) if self.weights is None else self.weights
        return np.column_stack([weights, np.asarray(rows, np.float64) * weights[:, None]])


@dataclass
class _OpenSegment:
    """Consecutive frames of one speaker with one emotion.

    `total` ``(1 + labels,)`` is the sum of their evidence; `final_total` is that of the final frames among them.
    """

    start: int
    end: int
    emotion: int
    total: np.ndarray
    final_total: np.ndarray
    id: int = -1


@dataclass
class _SpeakerSegments:
    """The open segments of a speaker: one that reaches the last final frame, and provisional ones."""

    name: str
    running: _OpenSegment | None = None
    provisional: list[_OpenSegment] = field(default_factory=list)


class SegmentTracker:
    """Opens, extends and closes the segments of a stream.

    >>> tracker = SegmentTracker(("neutral", "angry"))
    >>> p = np.full((50, 2), [0.8, 0.2])
    >>> speaker = SpeakerFrames(0, "spk00", np.arange(10, 50), np.zeros(40, int))
    >>> event, = tracker.step([speaker], p, settled=0, final=25, end=50, time=1.0)
    >>> event.id, event.final, event.settled
    (0, False, 0.5)
    >>> event.segment
    Segment(start=0.2, end=1.0, speaker='spk00', emotion='neutral', confidence=0.8)
    """

    def __init__(self, labels: Sequence[str], dimensions: Sequence[str] = ()) -> None:
        self._labels, self._dimensions = tuple(labels), tuple(dimensions)
        self._speakers: dict[int, _SpeakerSegments] = {}
        self._reported: dict[int, Segment] = {}  # last reported form of each segment that is not final
        self._next_id = 0

    def step(
        self,
        speakers: Sequence[SpeakerFrames],
        posteriors: np.ndarray,
        *,
        settled: int,
        final: int,
        end: int,
        time: float,
        closing: bool = False,
    ) -> list[Event]:
        """The events of one step: removed segments, then final ones, then provisional ones, each in order.

        `posteriors` ``(end - settled, labels)`` belong to frames `settled` to `end`; those before `final` become
        final now. `time` is the duration of the audio so far in seconds; no segment ends after it. `closing`: no step
        follows.
        """
        frames_of = {speaker.key: speaker for speaker in speakers}
        finals: list[tuple[Segment, int]] = []
        current: list[tuple[Segment, int]] = []
        for key in sorted({*self._speakers, *frames_of}):
            frames = frames_of.get(key)
            speaker = self._speakers.setdefault(key, _SpeakerSegments(frames.name if frames else ""))
            speaker.name = frames.name if frames else speaker.name
            found = _segments(frames, frames.evidence(posteriors, settled), final) if frames else []
            ended: list[_OpenSegment] = []
            if (running := speaker.running) is not None:
                speaker.running = None
                if found and (found[0].start, found[0].emotion) == (running.end, running.emotion):
                    found[0].id, found[0].start = running.id, running.start
                    found[0].total = found[0].total + running.total
                    found[0].final_total = found[0].final_total + running.total
                else:
                    ended = [running]
            self._assign_ids(found, speaker.provisional)
            speaker.provisional = []
            for segment in ended + found:
                row = (self._segment(speaker.name, segment, time), segment.id)
                if closing or segment.end < final:
                    finals.append(row)
                    continue
                current.append(row)
                if segment.start >= final:
                    speaker.provisional.append(segment)
                else:
                    speaker.running = replace(segment, end=final, total=segment.final_total)
            if not speaker.running and not speaker.provisional:
                del self._speakers[key]
        return self._events(finals, current, time, time if closing else frames_to_seconds(final))

    def _assign_ids(self, found: Sequence[_OpenSegment], previous: Sequence[_OpenSegment]) -> None:
        """Give every segment the id of the previous provisional one that it overlaps most, or a new id."""
        unmatched = list(previous)
        for segment in found:
            if segment.id >= 0:
                continue
            overlaps = [min(segment.end, old.end) - max(segment.start, old.start) for old in unmatched]
            if overlaps and max(overlaps) > 0:
                segment.id = unmatched.pop(int(np.argmax(overlaps))).id
            else:
                segment.id, self._next_id = self._next_id, self._next_id + 1

    def _segment(self, name: str, segment: _OpenSegment, time: float) -> Segment:
        mean = segment.total[1:] / segment.total[0]
        start, end, emotion = segment.start, segment.end, segment.emotion
        return segment_of(mean, start, end, name, self._labels, emotion, time, self._dimensions)

    def _events(
        self,
        finals: list[tuple[Segment, int]],
        current: list[tuple[Segment, int]],
        time: float,
        settled: float,
    ) -> list[Event]:
        present = {number for _, number in finals + current}
        removed = sorted(number for number in self._reported if number not in present)
        events = [Event(number, None, False, time, settled) for number in removed]
        events += [Event(number, segment, True, time, settled) for segment, number in sorted(finals)]
        for segment, number in sorted(current):
            reported = self._reported.get(number)
            if reported is None or reported.to_dict() != segment.to_dict():
                events.append(Event(number, segment, False, time, settled))
        self._reported = {number: segment for segment, number in current}
        return events


def _segments(speaker: SpeakerFrames, evidence: np.ndarray, final: int) -> list[_OpenSegment]:
    """Split a speaker's frames at pauses and changes of emotion; frames before number `final` are final."""
    changes = np.flatnonzero((np.diff(speaker.emotions) != 0) | (np.diff(speaker.frames) != 1)) + 1
    count = int(np.searchsorted(speaker.frames, final))
    out = []
    for part in np.split(np.arange(len(speaker.frames)), changes):
        if len(part):
            first, last = int(part[0]), int(part[-1]) + 1
            start, end = int(speaker.frames[first]), int(speaker.frames[last - 1]) + 1
            total, final_total = evidence[first:last].sum(0), evidence[first : min(last, count)].sum(0)
            out.append(_OpenSegment(start, end, int(speaker.emotions[first]), total, final_total))
    return out
