"""Decoded frames of one speaker -> labels under which every segment has its most probable emotion.

A stream decides the label of a frame before it has received the whole segment, and a final label never changes. A
decoder that considers the whole past would leave short remainders: the first 0.2 s of an outburst labelled with the
emotion of the previous turn, at a probability of 3 %. This stage corrects the decoder's labels before they become
final:

- A new segment gets the label that is most probable under its posteriors, and a running segment ends before another
  label becomes the most probable.
- A segment shorter than `MIN_DURATION` within a turn is merged into its longer neighbour, or a change of label is moved
  so that no such segment arises.

If the two rules conflict, the first one wins. The rules consider the frames that become final and those whose
posteriors hardly change any more; posteriors that a later window still revises can leave a segment of about
`MIN_DURATION` that satisfies neither.

Only frames with a weight above 0 are considered. Where other speakers are active, the posteriors are those of the
mixture; they are replaced by the mean of the speaker's frames without overlap, from the same turn or else from an
earlier one. If there are none, the mixture is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sed.grid import seconds_to_frames
from sed.streaming.posteriors import CONTEXT

MIN_DURATION = 0.2  # minimum duration of a segment in seconds, unless its whole turn is shorter
FILLER_WEIGHT = 1e-6  # replaces a weight of 0: decisive only if all weights are 0, negligible otherwise
_TOLERANCE = 1e-9  # sums of probabilities that differ by less are considered equal


@dataclass(frozen=True)
class _Running:
    """The segment that reaches the last final frame; `total` ``(labels,)`` is the sum of its weighted posteriors."""

    end: int
    length: int
    label: int
    total: np.ndarray


class SegmentLabels:
    """Corrects the labels of one speaker's frames, step by step.

    Frames of weight 0 are scored by the speaker's earlier speech, unless a silence of more than `memory` frames lies
    between them. `columns` is the number of labels, if further columns follow the posteriors, which do not decide.

    >>> labels = SegmentLabels(memory=500)
    >>> p = np.array([[0.1, 0.9]] * 40)
    >>> late = np.array([0] * 15 + [1] * 25)  # a decoder that detects the change late
    >>> found, _, _ = labels.step(np.arange(40), late, p, np.ones(40), final=15, end=40)
    >>> int(found.sum())
    40
    """

    def __init__(self, memory: int, columns: int | None = None) -> None:
        self._memory, self._columns = memory, columns
        self._running: _Running | None = None
        self._last_speech: tuple[int, np.ndarray] | None = None  # end and mean of the last final turn

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
        """Corrected labels ``(n,)`` of the frames number `frames` ``(n,)``, and what they are scored by: posteriors
        ``(n, labels)`` and weights ``(n,)``.

        `labels` are the output of the decoder, `posteriors` and `weights` its input. Frames before number `final`
        become final now, `end` is the number of the first frame that has not arrived yet. `closing`: no frames
        follow.
        """
        out, rows = labels.copy(), np.array(posteriors, np.float64)
        scored_weights = weights.astype(np.float64)
        stable = end if closing else max(final, end - seconds_to_frames(CONTEXT))
        edges = np.flatnonzero(np.diff(frames) != 1) + 1
        for part in np.split(np.arange(len(frames)), edges):
            if len(part):
                own = slice(int(part[0]), int(part[-1]) + 1)
                turn = _Turn(
                    frames[own], out[own], rows[own], scored_weights[own], self._running, self._columns
                )
                turn.replace_unweighted(self._last_speech, self._memory)
                turn.decide(stable, growing=frames[own][-1] + 1 == end and not closing)
                self._running, self._last_speech = turn.state_after(final, self._running, self._last_speech)
        return out, rows, scored_weights


class _Turn:
    """The frames of a turn that are not final; `labels`, `rows` (posteriors) and `weights` are changed in place.

    `running` is the speaker's latest segment, which continues here if it ends where the frames start.
    """

    def __init__(
        self,
        frames: np.ndarray,
        labels: np.ndarray,
        rows: np.ndarray,
        weights: np.ndarray,
        running: _Running | None,
        columns: int | None,
    ) -> None:
        self._frames, self._labels, self._rows, self._weights = frames, labels, rows, weights
        self._columns = slice(columns)
        self._running = running if running and running.end == frames[0] else None
        self._weighted = weights > 0
        self._substitute: np.ndarray | None = None  # mean posterior of an earlier turn
        self._min_frames = seconds_to_frames(MIN_DURATION)

    def replace_unweighted(self, last_speech: tuple[int, np.ndarray] | None, memory: int) -> None:
        """Replace the posteriors of frames of weight 0 by the mean of the speaker's other frames."""
        weighted = self._weighted
        if weighted.any():
            self._rows[~weighted] = self._mean(weighted)
        elif last_speech and self._frames[0] - last_speech[0] <= memory:
            self._rows[:] = self._substitute = last_speech[1]
        self._weights[~weighted] = FILLER_WEIGHT

    def decide(self, stable: int, growing: bool) -> None:
        """Set the labels; frames before number `stable` are considered. `growing`: the turn may continue."""
        evidence = self._rows * self._weights[:, None]
        self._sums = np.concatenate([np.zeros((1, evidence.shape[1])), np.cumsum(evidence, 0)])
        self._considered, self._growing = self._count_before(stable), growing
        start = 0
        if self._running:
            start = self._continued(self._running)
            self._labels[:start] = self._running.label
        if start < len(self._labels):
            self._relabel(start)

    def state_after(
        self, final: int, running: _Running | None, last_speech: tuple[int, np.ndarray] | None
    ) -> tuple[_Running | None, tuple[int, np.ndarray] | None]:
        """The running segment and the last speech, once the frames before number `final` are final."""
        count = self._count_before(final)
        if not count:
            return running, last_speech
        label = int(self._labels[count - 1])
        others = np.flatnonzero(self._labels[:count] != label)
        start = int(others[-1]) + 1 if len(others) else 0
        total, length = self._sums[count] - self._sums[start], count - start
        if self._running and not start and self._running.label == label:
            total, length = total + self._running.total, length + self._running.length
        weighted = self._weighted & (np.arange(len(self._frames)) < count)
        end = int(self._frames[count - 1]) + 1
        if (mean := self._mean(weighted) if weighted.any() else self._substitute) is not None:
            last_speech = end, mean
        return _Running(end, length, label, total), last_speech

    def _count_before(self, frame: int) -> int:
        return int(np.searchsorted(self._frames, frame))

    def _mean(self, which: np.ndarray) -> np.ndarray:
        return np.average(self._rows[which], axis=0, weights=self._weights[which])

    def _continued(self, running: _Running) -> int:
        """How many frames continue the running segment: as many as the decoder decided, or a number close to it."""
        others = np.flatnonzero(self._labels != running.label)
        wanted = int(others[0]) if len(others) else len(self._labels)
        count = np.arange(len(self._sums))
        rest = count[-1] - count
        totals = (running.total + self._sums[np.minimum(count, self._considered)])[:, self._columns]
        wrong = totals[:, running.label] < totals.max(1) - _TOLERANCE
        long_enough = (rest == 0) | (rest >= self._min_frames) | self._growing
        long_enough &= running.length + count >= self._min_frames
        distance = np.where(count < wanted, len(count), 0) + np.abs(count - wanted)  # prefer later
        return int(np.lexsort((distance, ~long_enough, wrong))[0])

    def _relabel(self, start: int) -> None:
        """Relabel and merge segments from `start` on until each has its most probable label and none is too short."""
        changes = np.flatnonzero(np.diff(self._labels[start:])) + 1 + start
        edges = np.array([start, *changes, len(self._labels)])
        while True:
            first, last = edges[:-1], edges[1:]
            considered = np.maximum(self._considered, first + self._min_frames)
            considered = np.minimum(np.where(first < self._considered, considered, last), last)
            labels = (self._sums[considered] - self._sums[first])[:, self._columns].argmax(1)
            equal = np.flatnonzero(np.diff(labels) == 0)
            edge = equal[0] + 1 if len(equal) else self._edge_to_remove(np.diff(edges))
            if edge is None:
                break
            edges = np.delete(edges, edge)
        self._labels[start:] = np.repeat(labels, np.diff(edges))

    def _edge_to_remove(self, lengths: np.ndarray) -> int | None:
        """The edge between the shortest segment and its longer neighbour; None if no segment is too short."""
        closed = lengths[:-1] if self._growing else lengths
        if len(lengths) < 2 or closed.min() >= self._min_frames:
            return None
        number = int(closed.argmin())
        before = lengths[number - 1] if number else 0
        after = lengths[number + 1] if number + 1 < len(lengths) else 0
        return number if before > after else number + 1
