"""`ProvisionalSegments`: segments of a recording that is still being analysed as a whole, until its result is there.

In: the speech runs that the diarizer has cut and embedded so far, and the posteriors of the same frames. Out: `Event`s,
none of them final. Each run is decoded once, with the speaker it seems to have then. The speakers are clustered anew
whenever the number of runs has grown by half, which renames segments already sent; in between a run joins the most
similar speaker. All of this together takes about a hundredth of the time of the analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from sed.emotion.decoding import DecoderOptions, Sliced
from sed.grid import frames_to_seconds, seconds_to_frames
from sed.result import Segment
from sed.segmenting import join
from sed.speakers.smoothing import merge_spans, speaker_names
from sed.speakers.speech_runs import SpeechRun
from sed.speakers.turns import Turns
from sed.streaming.events import Event

GROWTH = 1.5  # factor in the number of runs from clustering to clustering: bounds their cost by that of the last one
NO_SPEAKER = -1
MIN_DURATION = seconds_to_frames(
    0.1
)  # shorter pauses are bridged and shorter turns dropped, as by the diarizer


@runtime_checkable
class RunSession(Protocol):
    """A session of a diarizer that clusters runs of speech at the end (`sed.speakers.diarizer`)."""

    speech_runs: list[SpeechRun]
    """Grows while the audio is processed, perhaps in another thread."""

    def speakers_of(self, speech_runs: list[SpeechRun]) -> np.ndarray:
        """The speaker of each run ``(n,)``, or -1."""
        ...


class ProvisionalSegments:
    """The provisional segments of one recording.

    `session` finds the speakers; `labels` and `dimensions` are those of the tagger, `options` those of the decoder.
    """

    def __init__(
        self,
        session: RunSession,
        labels: Sequence[str],
        dimensions: Sequence[str] = (),
        options: DecoderOptions | None = None,
    ) -> None:
        self._session = session
        self._labels, self._dimensions = labels, dimensions
        self._options = options or DecoderOptions()
        self._seen = 0  # runs of the session that were taken over
        self._pending: list[SpeechRun] = []  # those whose posteriors are not there yet
        self._runs: list[SpeechRun] = []  # those that were decoded
        self._speakers = np.zeros(0, np.int64)  # of each
        self._clustered_from = 1  # number of runs from which on they are clustered again
        self._centroids = np.zeros((0, 0))
        self._shown: dict[int, tuple[Segment, int]] = {}  # by id: segment, index of its run
        self._next_id = 0

    def step(self, rows: Sliced) -> list[Event]:
        """What has changed; `rows` are the posteriors (and dimensions) so far, ``(frames, labels + dimensions)``."""
        fresh = self._session.speech_runs[self._seen :]
        self._seen += len(fresh)
        self._pending += fresh
        new = [run for run in self._pending if run.end <= len(rows)]
        if not new:
            return []
        self._pending = [run for run in self._pending if run.end > len(rows)]
        first = len(self._runs)
        self._runs += new
        time = frames_to_seconds(len(rows))
        changed = self._assign(new)
        for segment, run in self._decode(first, rows, time):
            self._shown[self._next_id] = segment, run
            changed[self._next_id] = segment
            self._next_id += 1
        return [Event(number, segment, False, time, 0.0) for number, segment in changed.items()]

    def _assign(self, new: list[SpeechRun]) -> dict[int, Segment | None]:
        """Find the speakers of the `new` runs; returns the segments shown before that are another speaker's now."""
        if len(self._runs) < self._clustered_from:
            self._speakers = np.append(self._speakers, [self._nearest(run) for run in new])
            return {}
        self._speakers = in_order_of_appearance(self._runs, self._session.speakers_of(self._runs))
        self._clustered_from = int(GROWTH * len(self._runs)) + 1
        self._centroids = _centroids(self._runs, self._speakers)
        changed: dict[int, Segment | None] = {}
        for number, (segment, run) in list(self._shown.items()):
            name = self._name(run)
            if name is None:
                changed[number] = None
                del self._shown[number]
            elif name != segment.speaker:
                changed[number] = renamed = replace(segment, speaker=name)
                self._shown[number] = renamed, run
        return changed

    def _nearest(self, run: SpeechRun) -> int:
        """The most similar speaker, or without an embedding that of the latest run of the same track."""
        if run.vector is not None and len(self._centroids):
            return int((self._centroids @ run.vector).argmax())
        pairs = zip(
            reversed(self._runs[: len(self._speakers)]), reversed(self._speakers.tolist()), strict=True
        )
        return next((speaker for other, speaker in pairs if other.track == run.track), NO_SPEAKER)

    def _name(self, run: int) -> str | None:
        speaker = int(self._speakers[run])
        return None if speaker == NO_SPEAKER else speaker_names(speaker + 1)[speaker]

    def _decode(self, first: int, rows: Sliced, duration: float) -> list[tuple[Segment, int]]:
        """The segments of the runs from index `first` on, each with the index of its run."""
        by_speaker: dict[str, list[int]] = {}
        for index in range(first, len(self._runs)):
            if (name := self._name(index)) is not None:
                by_speaker.setdefault(name, []).append(index)
        spans = tuple(
            merge_spans(np.concatenate([self._runs[n].spans for n in own]), MIN_DURATION, MIN_DURATION)
            for own in by_speaker.values()
        )
        turns = Turns(spans, tuple(by_speaker), len(rows))
        found = join(turns, rows, self._labels, duration, self._options, self._dimensions)
        return [(segment, self._run_of(segment, by_speaker)) for segment in found]

    def _run_of(self, segment: Segment, by_speaker: dict[str, list[int]]) -> int:
        """The index of the run in which a segment starts."""
        start = seconds_to_frames(segment.start)
        own = by_speaker[segment.speaker or ""]
        return max(own, key=lambda index: (self._runs[index].start <= start, self._runs[index].start))


def in_order_of_appearance(speech_runs: Sequence[SpeechRun], speakers: np.ndarray) -> np.ndarray:
    """`speakers` ``(n,)`` numbered in the order of their first runs, as in the result; -1 stays.

    >>> runs = [SpeechRun.from_active(start, np.ones(9, bool), 0, None, 0.0) for start in (20, 0, 10)]
    >>> in_order_of_appearance(runs, np.array([0, 1, 0])).tolist()
    [1, 0, 1]
    """
    numbers: dict[int, int] = {}
    for index in sorted(range(len(speech_runs)), key=lambda index: speech_runs[index].start):
        if speakers[index] != NO_SPEAKER:
            numbers.setdefault(int(speakers[index]), len(numbers))
    return np.array([numbers.get(speaker, NO_SPEAKER) for speaker in speakers.tolist()], np.int64)


def _centroids(speech_runs: Sequence[SpeechRun], speakers: np.ndarray) -> np.ndarray:
    """The mean direction of each speaker's embeddings, ``(speakers, dimension)``; zeros without clean speech."""
    count = int(speakers.max(initial=NO_SPEAKER)) + 1
    embedded = [
        (run, n) for run, n in zip(speech_runs, speakers.tolist(), strict=True) if run.vector is not None
    ]
    if not count or not embedded:
        return np.zeros((0, 0))
    sums = np.zeros((count, len(embedded[0][0].vector)))  # type: ignore[arg-type]
    for run, speaker in embedded:
        sums[speaker] += run.seconds * run.vector  # type: ignore[operator]
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
