"""Decoded frames of one speaker -> labels under which every segment has the most probable one of its own posteriors.

A stream decides a frame's label before it has seen the whole segment, and what is decided stays. A decoder that looks
at the whole past would leave slivers behind: the first 0.2 s of an outburst under the label of the turn before, with a
probability of 3 %. Here its labels are brought in line before they become final:

- a new segment takes the label that is most probable under its own posteriors, and a running one ends before another
  label becomes the most probable;
- a segment shorter than `SHORTEST` within a turn joins its longer neighbour, or a change of label moves so far that
  none arises.

The first rule wins where both cannot be had. Judged are the frames that become final and those that hardly change any
more; what a later window still revises can leave a segment of about `SHORTEST` behind that keeps neither.

Only frames that the decoder counts are judged. Where other speakers are active, posteriors are those of the mixture,
and the speaker's own speech, of the same turn or else before, stands in for them (without any, the mixture itself).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sed.grid import seconds_to_frames
from sed.streaming.posteriors import CONTEXT

SHORTEST = 0.2  # seconds that a segment lasts at least, unless its whole turn is shorter
FILLER = 1e-6  # weight of a frame that does not count: it decides where there is no other, and adds nothing elsewhere
_EVEN = 1e-9  # sums of probabilities that differ by less are equal


@dataclass(frozen=True)
class _Running:
    """The segment that reaches the last final frame: `total` ``(labels,)`` sums its weighted posteriors."""

    end: int
    length: int
    label: int
    total: np.ndarray


class SegmentLabels:
    """Labels of one speaker's frames, step by step.

    `memory` is how many frames of silence the speaker's earlier speech may stand in for what does not count.

    >>> labels = SegmentLabels(memory=500)
    >>> p = np.array([[0.1, 0.9]] * 40)
    >>> late = np.array([0] * 15 + [1] * 25)  # a decoder that changes its mind late
    >>> found, _, _ = labels.step(np.arange(40), late, p, np.ones(40), final=15, end=40)
    >>> int(found.sum())
    40
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._running: _Running | None = None
        self._spoken: tuple[int, np.ndarray] | None = None  # end of the last final turn; mean of what counts

    def step(
        self,
        frames: np.ndarray,
        labels: np.ndarray,
        posteriors: np.ndarray,
        weights: np.ndarray,
        *,
        final: int,
        end: int,
        closing: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels ``(n,)`` of the frames number `frames` ``(n,)``, and what they are judged by: posteriors
        ``(n, labels)`` and weights ``(n,)``.

        `labels` are the decoder's, `posteriors` and `weights` what it decoded; frames before number `final` become
        final now, `end` is the first that has not come yet, and `closing` says that none comes any more.
        """
        out, rows, counted = labels.copy(), np.array(posteriors, np.float64), weights.astype(np.float64)
        ripe = end if closing else max(final, end - seconds_to_frames(CONTEXT))
        edges = np.flatnonzero(np.diff(frames) != 1) + 1
        for part in np.split(np.arange(len(frames)), edges):
            if len(part):
                own = slice(int(part[0]), int(part[-1]) + 1)
                turn = _Turn(frames[own], out[own], rows[own], counted[own], self._running)
                turn.fill(self._spoken, self._memory)
                turn.decide(ripe, growing=frames[own][-1] + 1 == end and not closing)
                self._running, self._spoken = turn.remember(final, self._running, self._spoken)
        return out, rows, counted


class _Turn:
    """A run of frames without a pause, all that is not final of it; `labels`, `rows` and `weights` are changed in
    place. `running` is the speaker's latest segment, which goes on here if it ends where the frames begin.
    """

    def __init__(
        self,
        frames: np.ndarray,
        labels: np.ndarray,
        rows: np.ndarray,
        weights: np.ndarray,
        running: _Running | None,
    ) -> None:
        self._frames, self._labels, self._rows, self._weights = frames, labels, rows, weights
        self._running = running if running and running.end == frames[0] else None
        self._counts = weights > 0
        self._lent: np.ndarray | None = None  # what stands in from an earlier turn
        self._shortest = seconds_to_frames(SHORTEST)

    def fill(self, spoken: tuple[int, np.ndarray] | None, memory: int) -> None:
        """Let the speaker's own speech stand in for the posteriors of frames that do not count."""
        counts = self._counts
        if counts.any():
            self._rows[~counts] = self._mean(counts)
        elif spoken and self._frames[0] - spoken[0] <= memory:
            self._rows[:] = self._lent = spoken[1]
        self._weights[~counts] = FILLER

    def decide(self, ripe: int, growing: bool) -> None:
        """Set the labels; frames before number `ripe` are judged, `growing`: more of the turn may come."""
        evidence = self._rows * self._weights[:, None]
        self._sums = np.concatenate([np.zeros((1, evidence.shape[1])), np.cumsum(evidence, 0)])
        self._judged, self._growing = self._before(ripe), growing
        start = 0
        if self._running:
            start = self._kept(self._running)
            self._labels[:start] = self._running.label
        if start < len(self._labels):
            self._settle(start)

    def remember(
        self, final: int, running: _Running | None, spoken: tuple[int, np.ndarray] | None
    ) -> tuple[_Running | None, tuple[int, np.ndarray] | None]:
        """The running segment and the last speech that counts, now that frames before number `final` are final."""
        count = self._before(final)
        if not count:
            return running, spoken
        label = int(self._labels[count - 1])
        others = np.flatnonzero(self._labels[:count] != label)
        start = int(others[-1]) + 1 if len(others) else 0
        total, length = self._sums[count] - self._sums[start], count - start
        if self._running and not start and self._running.label == label:
            total, length = total + self._running.total, length + self._running.length
        counts = self._counts & (np.arange(len(self._frames)) < count)
        end = int(self._frames[count - 1]) + 1
        if (mean := self._mean(counts) if counts.any() else self._lent) is not None:
            spoken = end, mean
        return _Running(end, length, label, total), spoken

    def _before(self, frame: int) -> int:
        return int(np.searchsorted(self._frames, frame))

    def _mean(self, which: np.ndarray) -> np.ndarray:
        return np.average(self._rows[which], axis=0, weights=self._weights[which])

    def _kept(self, running: _Running) -> int:
        """How many frames go on with the running segment: as many as the decoder says, or nearly so."""
        others = np.flatnonzero(self._labels != running.label)
        wanted = int(others[0]) if len(others) else len(self._labels)
        kept = np.arange(len(self._sums))
        rest = kept[-1] - kept
        totals = running.total + self._sums[np.minimum(kept, self._judged)]
        wrong = totals[:, running.label] < totals.max(1) - _EVEN
        whole = (rest == 0) | (rest >= self._shortest) | self._growing
        whole &= running.length + kept >= self._shortest
        distance = np.where(kept < wanted, len(kept), 0) + np.abs(kept - wanted)  # rather later than earlier
        return int(np.lexsort((distance, ~whole, wrong))[0])

    def _settle(self, start: int) -> None:
        """Relabel and merge the segments from `start` on until each has its own label and none is too short."""
        changes = np.flatnonzero(np.diff(self._labels[start:])) + 1 + start
        edges = np.array([start, *changes, len(self._labels)])
        while True:
            first, last = edges[:-1], edges[1:]
            judged = np.where(first < self._judged, np.maximum(self._judged, first + self._shortest), last)
            judged = np.minimum(judged, last)
            labels = (self._sums[judged] - self._sums[first]).argmax(1)
            alike = np.flatnonzero(np.diff(labels) == 0)
            gone = alike[0] + 1 if len(alike) else self._too_short(np.diff(edges))
            if gone is None:
                break
            edges = np.delete(edges, gone)
        self._labels[start:] = np.repeat(labels, np.diff(edges))

    def _too_short(self, lengths: np.ndarray) -> int | None:
        """The edge between the shortest segment that is too short and its longer neighbour; None: there is none."""
        closed = lengths[:-1] if self._growing else lengths
        if len(lengths) < 2 or closed.min() >= self._shortest:
            return None
        number = int(closed.argmin())
        before = lengths[number - 1] if number else 0
        after = lengths[number + 1] if number + 1 < len(lengths) else 0
        return number if before > after else number + 1
