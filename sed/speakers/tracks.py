"""Local speakers of one window -> tracks: the same voice followed from window to window.

In: at each step the activity of the local speakers in the latest window. Windows overlap almost entirely, so
whoever is active in the same frames of both is the same person; that carries an identity on with certainty
that no comparison of voices has. Out: tracks, with their activity in the frames that are not yet final,
averaged over all windows that heard them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from sed.grid import seconds_to_frames
from sed.speakers.gallery import Voice

LEAST_AGREEMENT = 0.3  # of the shorter activity of two local speakers that are taken for one
LEAST_FRAMES = 3.0  # frames in which they agree
PRESENT = 0.5  # activity above this is speech
CONTEXT = 0.5  # seconds after a frame that give its activity full weight


@dataclass(eq=False)
class Stretch:
    """Part of a track, from frame `start` on (to the next stretch), in which one voice is supposed to speak."""

    start: int
    voice: Voice = field(default_factory=Voice)
    full: bool = False  # has as much speech as it takes


@dataclass(eq=False)
class Track:
    """One local speaker as far as he can be followed.

    `column` is his place in the latest window, None once he is lost; `scores` is his summed activity in the
    frames that are not final. `stretches` say whose voice it is when: the network takes two people for one
    now and then, so a track is a good guess of an identity and not more.
    """

    column: int | None
    scores: np.ndarray
    stretches: list[Stretch] = field(default_factory=list)


class Tracker:
    """Follows local speakers from step to step.

    >>> tracker = Tracker()
    >>> talk = np.zeros((100, 2)); talk[:60, 0] = talk[60:, 1] = 1
    >>> tracker.step(talk, 0); first = list(tracker.tracks)
    >>> swapped = np.concatenate([talk, talk[-1:].repeat(25, 0)])[:, ::-1]  # the network changes their order
    >>> tracker.step(swapped, 0)
    >>> [track.column for track in first], [int(n) for n in (tracker.activity() > PRESENT).sum(0)]
    ([1, 0], [60, 65])
    """

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.settled = 0  # frames before this are final
        self._weight = np.zeros(0)
        self._context = seconds_to_frames(CONTEXT)
        self._before: tuple[np.ndarray, int] = (np.zeros((0, 0)), 0)  # the window before and its first frame

    def step(self, activities: np.ndarray, start: int) -> None:
        """Take the latest window: ``(frames, local speakers)`` from frame number `start` to now."""
        end = start + len(activities)
        columns = self._match(activities, start)
        for track in self.tracks:
            track.column = columns.pop(track.column, None) if track.column is not None else None
        present = np.any(activities > PRESENT, axis=0)
        taken = {track.column for track in self.tracks}
        for column in np.flatnonzero(present).tolist():
            if column not in taken:
                self.tracks.append(Track(column, np.zeros(len(self._weight))))
        for track in self.tracks:
            if track.column is not None and not present[track.column]:
                track.column = None

        more = end - self.settled - len(self._weight)
        skip = max(self.settled - start, 0)
        reach = slice(start + skip - self.settled, None)
        weight = np.minimum((np.arange(len(activities))[::-1] + 0.5) / self._context, 1.0)[skip:]
        self._weight = np.pad(self._weight, (0, more))
        self._weight[reach] += weight
        for track in self.tracks:
            track.scores = np.pad(track.scores, (0, more))
            if track.column is not None:
                track.scores[reach] += weight * activities[skip:, track.column]
        self._before = (activities, start)

    def _match(self, activities: np.ndarray, start: int) -> dict[int, int]:
        """Which local speaker of the window before is which of this one."""
        before, first = self._before
        old, new = before[max(0, start - first) :], activities
        shared = min(len(old), len(new))
        old, new = old[:shared], new[max(0, first - start) :][:shared]
        agreement = old.T @ new
        if not agreement.size:
            return {}
        size = max(agreement.shape)
        square = np.zeros((size, size))
        square[: agreement.shape[0], : agreement.shape[1]] = agreement
        best = max(permutations(range(size)), key=lambda order: square[range(size), order].sum())
        either = np.minimum(old.sum(0)[:, None], new.sum(0)[None])
        return {
            i: j
            for i, j in enumerate(best)
            if i < agreement.shape[0]
            and j < agreement.shape[1]
            and agreement[i, j] >= max(LEAST_FRAMES, LEAST_AGREEMENT * either[i, j])
        }

    def activity(self) -> np.ndarray:
        """Mean activity ``(frames, tracks)`` of the frames that are not final, over the windows so far."""
        scores = [track.scores for track in self.tracks]
        return np.stack(scores, 1) / self._weight[:, None] if scores else np.zeros((len(self._weight), 0))

    def settle(self, frame: int) -> list[Track]:
        """Everything before frame number `frame` has become final; returns the tracks that have ended."""
        gone = frame - self.settled
        self.settled, self._weight = frame, self._weight[gone:]
        for track in self.tracks:
            track.scores = track.scores[gone:]
        ended = [track for track in self.tracks if track.column is None and not track.scores.any()]
        self.tracks = [track for track in self.tracks if track not in ended]
        return ended
