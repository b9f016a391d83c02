"""`OnlineSmoother`: turns of a live stream with short pauses bridged and short turns absorbed or dropped.

In: at each step the activity of every speaker in the frames that are not final, on the 20 ms grid. Out: who speaks in
them. What is final stays, so a turn of which a part is final lasts its minimum, whatever a later window
reports; and where a turn would become final with less than that, it has to be clear enough to be believed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sed.speakers.smoothing import merge_spans
from sed.speakers.tracks import ACTIVE_THRESHOLD
from sed.speakers.turns import runs

MIN_DURATION_ON = 0.2  # seconds; a shorter turn identifies neither speaker nor emotion
CLEAR = 0.65  # mean activity of a turn whose first frames become final before its minimum is reached


def most_active(activity: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The `activity` ``(frames,)`` of each speaker, from 0 to 1, with as many above the threshold as speak at once.

    In: sums over the tracks of a speaker. As offline (`sed.speakers.stitching`), the rounded sum over all speakers is
    how many speak: where the windows agree that there is speech, but not whose, the most active speaker has it.

    >>> found = most_active({1: np.array([0.4, 0.9, 0.6]), 2: np.array([0.3, 0.8, 0.6])})
    >>> {key: (one > ACTIVE_THRESHOLD).astype(int).tolist() for key, one in found.items()}
    {1: [1, 1, 1], 2: [0, 1, 0]}
    """
    if not activity:
        return {}
    scores = np.minimum(np.stack(list(activity.values())), 1.0)
    count = np.floor(scores.sum(0) + 0.5)
    rank = np.argsort(np.argsort(-scores, axis=0, kind="stable"), axis=0)
    chosen = (rank < count) & (scores > 0)
    above = np.nextafter(ACTIVE_THRESHOLD, 1.0)
    limited = np.where(chosen, np.maximum(scores, above), np.minimum(scores, ACTIVE_THRESHOLD))
    return dict(zip(activity, limited, strict=True))


class OnlineSmoother:
    """Smooths the activity of the speakers of a live stream; durations in frames.

    Pauses of at most `min_duration_off` frames within a speaker's turn are bridged. A turn of less than
    `min_duration_on` frames goes to the speaker whose turn it touches (with such a pause at most; to the longer one of
    two), or is dropped where there is none. A turn that reaches the latest frame may still grow and stays. All this is
    decided by what is visible, so at least `min_duration_on` frames should follow those that become final.

    >>> smoother = OnlineSmoother(min_duration_off=2, min_duration_on=4)
    >>> ann = np.array([1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0])
    >>> {key: one.astype(int).tolist() for key, one in smoother.step({1: ann}, 12, 6).items()}
    {1: [0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]}
    >>> bob = np.array([0, 0, 0, 1, 1, 0, 0, 0])  # just after Ann, of whose turn two frames were final
    >>> {key: one.astype(int).tolist() for key, one in smoother.step({2: bob}, 8, 8, ends=True).items()}
    {1: [1, 1, 1, 1, 1, 0, 0, 0]}
    """

    def __init__(self, min_duration_off: int, min_duration_on: int) -> None:
        self._min_duration_off, self._min_duration_on = min_duration_off, min_duration_on
        self._open: dict[int, int] = {}  # final frames of the turns that reach the last final frame

    def step(
        self, activity: Mapping[int, np.ndarray], frames: int, final: int, ends: bool = False
    ) -> dict[int, np.ndarray]:
        """Who is active in the `frames` frames that were not final before: ``(frames,)`` bool by speaker.

        `activity` ``(frames,)`` from 0 to 1 is what the present windows report, by speaker (those who are left out
        are silent); the first `final` frames become final now; `ends`: no frame follows. Speakers without any
        activity are left out of the result.
        """
        out: dict[int, np.ndarray] = {}
        short: list[tuple[int, int, int]] = []
        for key in sorted({*self._open, *activity}):
            scores = activity.get(key, np.zeros(frames))
            out[key] = np.zeros(frames, bool)
            for start, end in self._spans(key, scores > ACTIVE_THRESHOLD):
                growing = end == frames and not ends
                if start >= 0 and end - start < self._min_duration_on and not growing:
                    short.append((key, start, end))
                    continue
                unsure = 0 < final - start < self._min_duration_on and start >= 0 and not ends
                if unsure and scores[start:end].mean() < CLEAR:
                    start = final
                out[key][max(start, 0) : end] = True
        for key, start, end in short:
            self._absorb(out, key, start, end)
        self._open = {key: count for key, one in out.items() if (count := self._reach(key, one[:final]))}
        return {key: one for key, one in out.items() if one.any()}

    def _spans(self, key: int, active: np.ndarray) -> list[list[int]]:
        """Start and end of the turns of a speaker; one that runs on from final frames starts before 0."""
        length = self._open.get(key, 0)
        known = np.concatenate([np.ones(length, bool), active])
        if length:
            known[: self._min_duration_on] = True
        spans: list[list[int]] = (merge_spans(runs(known), self._min_duration_off) - length).tolist()
        return spans

    def _absorb(self, out: dict[int, np.ndarray], key: int, start: int, end: int) -> None:
        """Give a short turn of speaker `key` to another whose turn it touches."""
        touching = [
            (high - low, other, low, high)
            for other, active in out.items()
            if other != key
            for low, high in self._spans(other, active)
            if low <= end + self._min_duration_off and start <= high + self._min_duration_off
        ]
        if touching:
            _, other, low, high = max(touching)
            out[other][max(0, min(start, high)) : max(end, low)] = True

    def _reach(self, key: int, decided: np.ndarray) -> int:
        """Frames of the turn that reaches the last of those that are final now; `min_duration_on` if there are more."""
        decided = np.concatenate([np.ones(self._open.get(key, 0), bool), decided])
        silent = np.flatnonzero(~decided)
        return min(len(decided) - (int(silent[-1]) + 1 if len(silent) else 0), self._min_duration_on)
