"""Tracks: local speakers matched from window to window.

In: at each step the activity of the local speakers in the latest window. Consecutive windows overlap almost entirely,
so local speakers that are active in the same frames of both are the same speaker; this is more reliable than comparing
embeddings. Out: tracks, with their activity in the frames that are not final, averaged over all windows that contain
these frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from sed.grid import seconds_to_frames
from sed.speakers.evidence import Speaker, VoiceSample

MIN_AGREEMENT = 0.3  # minimum common activity of matching local speakers, as a share of the less active one
MIN_AGREEMENT_FRAMES = 3.0  # and in frames
ACTIVE_THRESHOLD = 0.5  # activity above this is speech
CONTEXT = 0.5  # seconds of audio after a frame from which its activity has full weight


@dataclass(eq=False)
class TrackRun:
    """Part of a track from frame `start` up to the next run, assumed to have a single speaker."""

    start: int
    sample: VoiceSample = field(default_factory=VoiceSample)
    full: bool = False  # the maximum duration has been embedded
    complete: bool = False  # what was embedded is all there is: the run had ended


@dataclass(eq=False)
class Track:
    """A local speaker across windows.

    `column` is the local speaker in the latest window, None once it has no match; `scores` is the weighted sum of its
    activity in the frames that are not final. `runs` divide the track: the segmentation network occasionally merges
    two speakers, so that a track is a good but not a certain indication of the speaker. `speaker` is that of the latest
    run that is final and no longer among them.
    """

    column: int | None
    scores: np.ndarray
    runs: list[TrackRun] = field(default_factory=list)
    speaker: Speaker | None = None


class Tracker:
    """Matches local speakers from step to step.

    >>> tracker = Tracker()
    >>> active = np.zeros((100, 2)); active[:60, 0] = active[60:, 1] = 1
    >>> tracker.step(active, 0); first = list(tracker.tracks)
    >>> swapped = np.concatenate([active, active[-1:].repeat(25, 0)])[:, ::-1]  # in another order
    >>> tracker.step(swapped, 0)
    >>> [track.column for track in first], [int(n) for n in (tracker.activity() > ACTIVE_THRESHOLD).sum(0)]
    ([1, 0], [60, 65])
    """

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.final = 0  # number of final frames
        self._weight = np.zeros(0)
        self._context = seconds_to_frames(CONTEXT)
        self._previous: tuple[np.ndarray, int] = (np.zeros((0, 0)), 0)  # the previous window, its first frame

    def step(self, activities: np.ndarray, start: int) -> None:
        """Process the latest window: activity ``(frames, local speakers)`` from frame `start`."""
        end = start + len(activities)
        columns = self._match(activities, start)
        for track in self.tracks:
            track.column = columns.pop(track.column, None) if track.column is not None else None
        active = np.any(activities > ACTIVE_THRESHOLD, axis=0)
        taken = {track.column for track in self.tracks}
        for column in np.flatnonzero(active).tolist():
            if column not in taken:
                self.tracks.append(Track(column, np.zeros(len(self._weight))))
        for track in self.tracks:
            if track.column is not None and not active[track.column]:
                track.column = None

        new_frames = end - self.final - len(self._weight)
        skip = max(self.final - start, 0)
        covered = slice(start + skip - self.final, None)
        weight = np.minimum((np.arange(len(activities))[::-1] + 0.5) / self._context, 1.0)[skip:]
        self._weight = np.pad(self._weight, (0, new_frames))
        self._weight[covered] += weight
        for track in self.tracks:
            track.scores = np.pad(track.scores, (0, new_frames))
            if track.column is not None:
                track.scores[covered] += weight * activities[skip:, track.column]
        self._previous = (activities, start)

    def _match(self, activities: np.ndarray, start: int) -> dict[int, int]:
        """The local speaker of this window for each local speaker of the previous one that has a match."""
        previous, first = self._previous
        old, new = previous[max(0, start - first) :], activities
        shared = min(len(old), len(new))
        old, new = old[:shared], new[max(0, first - start) :][:shared]
        agreement = old.T @ new
        if not agreement.size:
            return {}
        size = max(agreement.shape)
        square = np.zeros((size, size))
        square[: agreement.shape[0], : agreement.shape[1]] = agreement
        best = max(permutations(range(size)), key=lambda order: square[range(size), order].sum())
        smaller = np.minimum(old.sum(0)[:, None], new.sum(0)[None])
        return {
            i: j
            for i, j in enumerate(best)
            if i < agreement.shape[0]
            and j < agreement.shape[1]
            and agreement[i, j] >= max(MIN_AGREEMENT_FRAMES, MIN_AGREEMENT * smaller[i, j])
        }

    def activity(self) -> np.ndarray:
        """Activity ``(frames, tracks)`` of the frames that are not final, averaged over the windows so far."""
        scores = [track.scores for track in self.tracks]
        return np.stack(scores, 1) / self._weight[:, None] if scores else np.zeros((len(self._weight), 0))

    def finalise(self, frame: int) -> list[Track]:
        """Drop the frames before frame `frame`, which are final; returns the tracks that have ended."""
        dropped = frame - self.final
        self.final, self._weight = frame, self._weight[dropped:]
        for track in self.tracks:
            track.scores = track.scores[dropped:]
        ended = [track for track in self.tracks if track.column is None and not track.scores.any()]
        self.tracks = [track for track in self.tracks if track not in ended]
        return ended
