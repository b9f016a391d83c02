"""Stitching of segmentation windows: what overlapping windows say about the same frames becomes one activity.

In: for each window, in order, the activity probability of its local speakers, whose order is arbitrary. Out:
`Section`s: the active tracks of consecutive frames. A track is a local speaker across windows.

Neighbouring windows see the same frames. Their local speakers are matched by the permutation with the largest common
activity there; a pair is accepted if most of the speech of the less active one is common to both. The probabilities of
all windows that see a frame are averaged, with less weight near the ends of a window, where the network lacks context.
The mean number of active speakers decides how many there are, and the tracks with the highest activity are chosen.
They are chosen for whole spans between the changes that some window sees: where windows disagree, the result does not
change at an arbitrary frame between their middles.

The network sometimes takes two speakers for one. Therefore `Section.cuts` marks all frames where any window sees a
local speaker start or stop: a track may change its speaker there, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from sed.grid import seconds_to_frames
from sed.speakers.turns import runs

MIN_AGREEMENT = 0.5  # minimum common activity of matching local speakers, as a share of the less active one
MIN_AGREEMENT_FRAMES = 10.0  # and in frames
ACTIVE_THRESHOLD = 0.5  # activity above this is speech
EDGE_WEIGHT = 0.1  # weight of a window at its ends; it rises to 1 in the middle
MIN_CUT_FRAMES = 10  # shorter activity of a local speaker does not mark a change
PAUSE = seconds_to_frames(0.5)  # silence of all speakers that ends a section
LONG_SECTION = seconds_to_frames(20)  # from here on a section also ends at a change of speakers
MAX_SECTION = seconds_to_frames(30)  # and here anywhere
_MAX_CANDIDATES = 6  # tracks that are compared with the local speakers of a window; bounds the permutations


@dataclass(frozen=True, eq=False)
class Section:
    """Consecutive frames: `active` ``(frames, tracks)`` bool from frame `start`, and the numbers of these `tracks`.

    `activity` ``(frames, tracks)`` is the mean activity in the windows, `cuts` ``(frames,)`` bool are the frames where
    some window sees a local speaker start or stop.
    """

    start: int
    active: np.ndarray
    tracks: tuple[int, ...]
    activity: np.ndarray
    cuts: np.ndarray


@dataclass(eq=False)
class _Track:
    """A local speaker across windows; `scores` are weighted sums of its activity in the frames not returned yet."""

    number: int
    scores: np.ndarray


class Stitcher:
    """Combines the windows of one recording.

    >>> stitcher = Stitcher()
    >>> first = np.zeros((500, 3)); first[:300, 0] = first[300:, 2] = 1
    >>> second = np.zeros((500, 3)); second[:50, 1] = second[50:350, 2] = 1  # 5 s later, in another order
    >>> stitcher.push(0, first); stitcher.push(250, second)
    >>> section = next(iter(stitcher.close(750)))
    >>> section.tracks, [runs(column).tolist() for column in section.active.T], np.flatnonzero(section.cuts).tolist()
    ((0, 1), [[[0, 300]], [[300, 600]]], [300, 600])
    """

    def __init__(self) -> None:
        self.first = 0  # first frame that has not been returned
        self._tracks: list[_Track] = []
        self._next_number = 0
        self._weight, self._total = np.zeros(0), np.zeros(0)
        self._changes, self._cuts = np.zeros(0, bool), np.zeros(0, bool)

    def push(self, start: int, activities: np.ndarray) -> None:
        """Add the window with the activity ``(frames, local speakers)`` from frame `start` on."""
        seen = max(0, self.first + len(self._weight) - start)  # frames that earlier windows also see
        self._extend(start + len(activities) - self.first)
        offset = start - self.first
        skip = max(0, -offset)  # frames that have been returned already
        here = slice(max(0, offset), offset + len(activities))
        columns = self._match(activities[skip:seen], here.start)
        active = activities > ACTIVE_THRESHOLD
        position = np.arange(len(activities)) + 0.5
        middle = len(activities) / 2
        weight = EDGE_WEIGHT + (1 - EDGE_WEIGHT) * (1 - np.abs(position - middle) / middle)
        self._weight[here] += weight[skip:]
        for column in np.flatnonzero(active.any(0)).tolist():
            track = columns.get(column) or self._new_track()
            weighted = (weight * activities[:, column])[skip:]
            track.scores[here] += weighted
            self._total[here] += weighted
        self._mark(active, skip, here.start)

    def final(self, frame: int) -> list[Section]:
        """Sections that end before `frame`, up to which no further window will see a frame."""
        found = []
        while (end := self._section_end(frame - self.first)) is not None:
            found.append(self._take(end))
        return found

    def close(self, frames: int) -> list[Section]:
        """The remaining sections of a recording of that many `frames`."""
        found = self.final(frames)
        if frames > self.first:
            self._extend(frames - self.first)
            found.append(self._take(frames - self.first))
        return found

    def _extend(self, frames: int) -> None:
        missing = max(0, frames - len(self._weight))
        self._weight, self._total = np.pad(self._weight, (0, missing)), np.pad(self._total, (0, missing))
        self._changes, self._cuts = np.pad(self._changes, (0, missing)), np.pad(self._cuts, (0, missing))
        for track in self._tracks:
            track.scores = np.pad(track.scores, (0, missing))

    def _new_track(self) -> _Track:
        track = _Track(self._next_number, np.zeros(len(self._weight)))
        self._next_number += 1
        self._tracks.append(track)
        return track

    def _match(self, new: np.ndarray, offset: int) -> dict[int, _Track]:
        """The track of each local speaker that has one; `new` are its activities ``(frames, n)`` seen before."""
        columns = np.flatnonzero(new.max(0, initial=0) > ACTIVE_THRESHOLD).tolist()
        if not columns or not self._tracks:
            return {}
        here = slice(offset, offset + len(new))
        old = np.stack([track.scores[here] for track in self._tracks], 1)
        old = old / np.maximum(self._weight[here, None], 1e-9)
        kept = np.sort(np.argsort(-old.sum(0), kind="stable")[:_MAX_CANDIDATES])
        old = old[:, kept]
        common = np.minimum(old[:, :, None], new[:, None, columns]).sum(0)
        smaller = np.minimum(old.sum(0)[:, None], new[:, columns].sum(0)[None])
        common[common < np.maximum(MIN_AGREEMENT_FRAMES, MIN_AGREEMENT * smaller)] = 0
        padded = np.pad(common, ((0, max(0, len(columns) - len(kept))), (0, 0)))
        every = np.arange(len(columns))
        best = max(
            permutations(range(len(padded)), len(columns)), key=lambda rows: padded[list(rows), every].sum()
        )
        return {
            column: self._tracks[kept[row]]
            for n, (column, row) in enumerate(zip(columns, best, strict=True))
            if padded[row, n] > 0
        }

    def _mark(self, active: np.ndarray, skip: int, offset: int) -> None:
        """Mark the changes that this window sees; its ends are none."""
        changes, cuts = np.zeros(len(active), bool), np.zeros(len(active), bool)
        changes[1:] = (active[1:] != active[:-1]).any(1)
        for column in active.T:
            for start, end in runs(column):
                if end - start >= MIN_CUT_FRAMES:
                    cuts[[frame for frame in (start, end) if 0 < frame < len(active)]] = True
        here = slice(offset, offset + len(active) - skip)
        self._changes[here] |= changes[skip:]
        self._cuts[here] |= cuts[skip:]

    def _counts(self, frames: int) -> np.ndarray:
        """Number of active speakers in the first `frames` frames."""
        mean = self._total[:frames] / np.maximum(self._weight[:frames], 1e-9)
        return np.floor(mean + 0.5).astype(np.int64)

    def _section_end(self, frames: int) -> int | None:
        """End of the next section within the first `frames` frames, which are final; None if it is not known yet."""
        if frames < PAUSE:
            return None
        silent = runs(self._counts(frames) == 0)
        pauses = silent[silent[:, 1] - silent[:, 0] >= PAUSE]
        if len(pauses) and pauses[0, 0] <= LONG_SECTION:
            start, end = pauses[0].tolist()
            return end if start == 0 else start + PAUSE
        later = np.flatnonzero(self._changes[LONG_SECTION:frames])
        if len(later):
            return LONG_SECTION + int(later[0])
        return MAX_SECTION if frames >= MAX_SECTION else None

    def _take(self, frames: int) -> Section:
        """Return and drop the first `frames` frames."""
        counts = self._counts(frames)
        changes = self._changes[:frames].copy()
        changes[1:] |= counts[1:] != counts[:-1]
        bounds = np.unique(np.concatenate([[0], np.flatnonzero(changes), [frames]]))
        weight = np.maximum(self._weight[:frames, None], 1e-9)
        scores = (
            np.stack([t.scores[:frames] for t in self._tracks], 1) if self._tracks else np.zeros((frames, 0))
        )
        activity = scores / weight
        sums = np.add.reduceat(activity, bounds[:-1], axis=0)
        active = np.zeros(scores.shape, bool)
        for start, end, row in zip(bounds[:-1], bounds[1:], sums, strict=True):
            chosen = np.argsort(-row, kind="stable")[: counts[start]]
            active[start:end, chosen[row[chosen] > 0]] = True
        used = np.flatnonzero(active.any(0))
        numbers = tuple(self._tracks[n].number for n in used)
        section = Section(self.first, active[:, used], numbers, activity[:, used], self._cuts[:frames].copy())
        self._drop(frames)
        return section

    def _drop(self, frames: int) -> None:
        self.first += frames
        self._weight, self._total = self._weight[frames:], self._total[frames:]
        self._changes, self._cuts = self._changes[frames:], self._cuts[frames:]
        for track in self._tracks:
            track.scores = track.scores[frames:]
        self._tracks = [track for track in self._tracks if track.scores.any()]
