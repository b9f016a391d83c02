"""Viterbi with a minimum duration and cheaper changes at turn starts: forward pass and backtrace.

In: weighted log-posteriors of one run of speech, ``(frames, labels)`` float64. Out: label numbers. Offline decoding
(`sed.emotion.decoding`) and live decoding (`sed.streaming.decoding`) share this code.

A change into label ``c`` at frame ``s`` pays its cost and commits to ``c`` for the minimum duration at once; the score
of such a jump comes from cumulative sums, so the cost is that of a plain Viterbi. A turn shorter than the minimum may
have a separate emotion. No change is made so late in a turn that its duration would extend into the next one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np


class ViterbiState:
    """Scores of all labels after `time` frames; `extend` adds frames. Instant t lies between frames t - 1 and t.

    `min_frames` is the minimum duration of an emotion, `switch_cost` the cost of a change, in nats, and `turn_discount`
    the factor on it at the start of a turn. `start_costs` ``(labels,)`` are those of each label as the first one.
    """

    def __init__(
        self,
        labels: int,
        min_frames: int,
        switch_cost: float,
        turn_discount: float,
        start_costs: np.ndarray | float = 0.0,
    ) -> None:
        self.min_frames = min_frames
        self.time = 0  # frames so far
        self.turn = 0  # the instant at which the current turn started
        self.best = np.full(labels, -np.inf)  # best score by last label, which has lasted the minimum
        self._start_costs = start_costs
        self._cost, self._turn_cost = float(switch_cost), switch_cost * turn_discount
        self._totals = np.zeros((1, labels))  # sums of the evidence before each of the latest instants
        self._top = [0.0]  # the best score of all labels at each of them

    def backpointers(self, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Room for the `jumps` ``(frames + 1, labels)`` and `labels` ``(frames + 1,)`` that `extend` fills."""
        jumps = np.zeros((frames + 1, len(self.best)), np.min_scalar_type(self.min_frames))
        return jumps, np.zeros(frames + 1, np.int16)

    def copy(self) -> ViterbiState:
        """An independent state with the same scores."""
        new = copy.copy(self)
        new._top = list(self._top)
        return new

    def extend(
        self, evidence: np.ndarray, starts: Iterable[int], jumps: np.ndarray, labels: np.ndarray
    ) -> None:
        """Add the frames `evidence` ``(n, labels)``; turns start at its rows `starts`, ascending.

        Fills `jumps` ``(n + 1, labels)``, the length of the jump that led to each label at each instant or 0 if it
        stayed, and `labels` ``(n + 1,)``, the best label. Row 0 is the present instant, already filled.
        """
        sums = np.cumsum(np.concatenate([self._totals[-1:], evidence]), 0)
        self._totals = np.concatenate([self._totals, sums[1:]])
        offset = self.time + 1 - len(self._top)
        first = 0
        for start in (*starts, len(evidence)):
            self._add(evidence[first:start], offset, jumps[first + 1 :], labels[first + 1 :])
            if start < len(evidence) and self.time:
                self.end_turn(jumps[start], labels[start : start + 1])
                self.turn = self.time
            first = start
        self._totals, self._top = self._totals[-self.min_frames - 1 :], self._top[-self.min_frames - 1 :]

    def _add(self, evidence: np.ndarray, offset: int, jumps: np.ndarray, labels: np.ndarray) -> None:
        """Add frames of one turn; `offset` is the instant of the first entry of `_top`."""
        best, top, totals, t = self.best, self._top, self._totals, self.time
        min_frames, turn, cost = self.min_frames, self.turn, self._cost
        for i, row in enumerate(evidence):
            t += 1
            best = best + row
            s = t - min_frames
            if s >= turn:
                price = cost if s > turn else self._price(s)
                jump = top[s - offset] - price + totals[t - offset] - totals[s - offset]
                better = jump > best
                if better.any():
                    jumps[i, better] = min_frames
                    best = np.where(better, jump, best)
            label = int(best.argmax())
            labels[i] = label
            top.append(float(best[label]))
        self.best, self.time = best, t

    def end_turn(self, jumps: np.ndarray, labels: np.ndarray) -> None:
        """The current turn ends here: if it is shorter than the minimum, it may have a separate emotion.

        Updates the present row of `jumps` ``(labels,)`` and `labels` ``(1,)``.
        """
        length = self.time - self.turn
        if not 0 < length < self.min_frames:
            return
        jump = self.jump_scores(length)
        better = jump > self.best
        jumps[better] = length
        self.best = np.where(better, jump, self.best)
        labels[0] = label = int(self.best.argmax())
        self._top[-1] = float(self.best[label])

    def jump_scores(self, length: int) -> np.ndarray:
        """Scores ``(labels,)`` of a change `length` frames ago, within the current turn, that lasted until now."""
        now = len(self._top) - 1  # `_totals` may already go on beyond the present instant
        since = now - length
        price = self._price(self.time - length)
        return self._top[since] - price + self._totals[now] - self._totals[since]

    def _price(self, instant: int) -> float | np.ndarray:
        if instant == 0:
            return self._start_costs
        return self._cost if instant > self.turn else self._turn_cost

    @property
    def top(self) -> float:
        """The best score of all labels."""
        return self._top[-1]

    def rebase(self) -> None:
        """Make sums and scores relative, so that they stay small over days."""
        height = self.top if np.isfinite(self.top) else 0.0
        self._totals = self._totals - self._totals[0]
        self._top = [top - height for top in self._top]
        self.best = self.best - height


def backtrace(jumps: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Label numbers ``(n,)`` int16 of the best path to the last instant, from what `ViterbiState.extend` filled."""
    t = len(jumps) - 1
    out = np.empty(t, np.int16)
    label = int(labels[t])
    while t > 0:
        if length := int(jumps[t, label]):
            out[max(0, t - length) : t] = label
            t -= length
            label = int(labels[t]) if t > 0 else label
        else:
            t -= 1
            out[t] = label
    return out
