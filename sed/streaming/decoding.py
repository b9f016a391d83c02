"""Posteriors of one speaker -> one emotion a frame, step by step, with a look at what is still provisional.

In: at each step the speaker's own frames, those that become final first, then the provisional ones. Out:
their label numbers. The final ones are decided with everything heard so far, the provisional tail included;
what was decided before stays. One object per speaker; its memory does not grow.

Viterbi keeps the scores of all labels from the start of the stretch, so slow evidence accumulates although
the labels behind it are already out (fixed-lag decoding). The other decoders look back a fixed time.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sed.emotion.decoding import FLOOR, DecoderOptions, decode
from sed.grid import seconds_to_frames

HISTORY = 10.0  # seconds of a speaker's own speech that decoders without scores of their own look back


class _Stretch(Protocol):
    """A stretch of one speaker's speech without a long silence, decoded from its start on."""

    def extend(
        self, posteriors: np.ndarray, weights: np.ndarray, starts: np.ndarray, final: int, ends: bool
    ) -> np.ndarray:
        """Labels ``(n,)`` for the next frames, the first `final` of which are taken in for good.

        `starts` ``(n,)`` tells where turns begin, `ends` that the stretch is over with these frames.
        """
        ...


class OnlineDecoder:
    """Decodes the frames of one speaker as they come.

    >>> decoder = OnlineDecoder(DecoderOptions(minimum_duration=0))
    >>> p = np.array([[0.9, 0.1]] * 40 + [[0.1, 0.9]] * 20)
    >>> decoder.step(np.arange(40), p[:40], np.ones(40), final=30).tolist() == [0] * 40
    True
    >>> decoder.step(np.arange(30, 60), p[30:], np.ones(30), final=30).tolist() == [0] * 10 + [1] * 20
    True
    """

    def __init__(self, options: DecoderOptions | None = None) -> None:
        self._options = options or DecoderOptions()
        self._memory = seconds_to_frames(self._options.memory)
        self._stretch = self._fresh()
        self._last: int | None = None  # number of the last final frame
        self._heard = False  # whether any final frame of the stretch counts

    def _fresh(self) -> _Stretch:
        if self._options.method == "viterbi":
            return ViterbiStretch(self._options)
        return WindowStretch(self._options)

    def forgets(self, frame: int) -> bool:
        """Whether speech from frame number `frame` on would be decoded afresh."""
        return self._last is None or frame - self._last - 1 > self._memory

    def step(
        self,
        frames: np.ndarray,
        posteriors: np.ndarray,
        weights: np.ndarray,
        final: int,
        closing: bool = False,
    ) -> np.ndarray:
        """Label numbers ``(n,)`` of the speaker's frames number `frames` ``(n,)``, ascending.

        `posteriors` is ``(n, labels)``, `weights` ``(n,)``. The first `final` of them become final now and
        must not be given again; all others are. `closing`: nothing follows. As long as no frame of a stretch has any
        weight, they all have the same small one.
        """
        if not len(frames):
            return np.zeros(0, np.intp)
        gaps = np.diff(frames, prepend=frames[0] - 1 if self._last is None else self._last) - 1
        breaks = np.flatnonzero(gaps > self._memory)
        labels = []
        for start, end in zip([0, *breaks], [*breaks, len(frames)], strict=True):
            if start == end:
                continue
            fresh = start in breaks
            stretch = self._fresh() if fresh else self._stretch
            settled = min(max(final - start, 0), end - start)
            part = slice(start, end)
            before = self._heard and not fresh
            counts = weights[part]
            if not before and not counts.any():
                counts = np.full(end - start, self._options.weight_in_overlap(alone=False))
            ends = closing or end < len(frames)
            labels.append(stretch.extend(posteriors[part], counts, gaps[part] > 0, settled, ends))
            if settled:
                self._stretch, self._last = stretch, int(frames[start + settled - 1])
                self._heard = before or bool(weights[start : start + settled].any())
        return np.concatenate(labels)


class ViterbiStretch:
    """The Viterbi of `sed.emotion.decoding`, continued from step to step.

    With everything given at once it finds what `decode` finds. As long as the stretch may go on, the emotion at
    its end may still be shorter than the minimum: it has yet to show how long it lasts.
    """

    def __init__(self, options: DecoderOptions) -> None:
        self._shortest = max(1, seconds_to_frames(options.minimum_duration))
        self._cost = options.switch_cost
        self._discount = options.turn_discount
        self._lattice = _Lattice()
        self._length = 0  # final frames so far, where the lattice ends

    def extend(
        self, posteriors: np.ndarray, weights: np.ndarray, starts: np.ndarray, final: int, ends: bool
    ) -> np.ndarray:
        """As `_Stretch.extend`."""
        evidence = np.log(np.maximum(np.asarray(posteriors, np.float64), FLOOR)) * weights[:, None]
        n, labels = evidence.shape
        lattice = self._lattice.copy(labels)
        came = np.zeros((n + 1, labels), np.intp)  # length of the jump that led to each instant, or 0: stayed
        for i in range(n):
            now = self._length + i
            if starts[i] and now:
                self._end_turn(lattice, now, came[i])
                lattice.turn = now
            lattice.price.append(self._cost * (self._discount if starts[i] else 1.0) if now else 0.0)
            lattice.total.append(lattice.total[-1] + evidence[i])
            best = lattice.best + evidence[i]
            if now + 1 - self._shortest >= lattice.turn:
                jump = lattice.jumps(self._shortest)
                came[i + 1][jump > best] = self._shortest
                best = np.maximum(jump, best)
            lattice.add(best)
            if i == final - 1:
                self._lattice = lattice.copy(labels)
        out = self._best_path(lattice, came, self._length + n, ends)
        if final:
            self._lattice.trim(self._shortest + 1)
            self._length += final
        return out

    def _end_turn(self, lattice: _Lattice, now: int, came: np.ndarray) -> None:
        """A turn that ends at instant `now` and is shorter than the minimum may have an emotion of its own."""
        length = now - lattice.turn
        if length < self._shortest:
            jump = lattice.jumps(length)
            came[jump > lattice.best] = length
            lattice.replace(np.maximum(jump, lattice.best))

    def _best_path(self, lattice: _Lattice, came: np.ndarray, now: int, ends: bool) -> np.ndarray:
        """Labels of the latest frames, which end at instant `now`."""
        i = len(came) - 1
        out = np.empty(i, np.intp)
        if ends:
            self._end_turn(lattice, now, came[i])
        label = lattice.who[-1]
        if not ends:  # the latest change may lie within the minimum duration
            most = min(self._shortest - 1, now - lattice.turn)
            scores = np.array([lattice.jumps(length) for length in range(1, most + 1)])
            if scores.size and scores.max() > lattice.top[-1]:
                length, label = divmod(int(scores.argmax()), scores.shape[1])
                came[i][label] = length + 1
        while i > 0:
            if length := int(came[i][label]):
                out[max(0, i - length) : i] = label
                i -= length
                label = lattice.who[i - len(came)] if i > 0 else label
            else:
                i -= 1
                out[i] = label
        return out


class _Lattice:
    """What Viterbi remembers of the latest instants of a stretch, one entry of each list an instant.

    `total` sums the evidence before it by label; `top` is the best score of all labels there and `who` that
    label; `price` is that of a change there (missing for the last). `best` are the scores by label at the last
    instant; `turn` is the number of the instant at which the present turn began.
    """

    def __init__(self) -> None:
        self.total: list[np.ndarray] = []
        self.top: list[float] = [0.0]  # to begin with any emotion is free
        self.who: list[int] = [0]
        self.price: list[float] = []
        self.best = np.zeros(0)
        self.turn = 0

    def copy(self, labels: int) -> _Lattice:
        """Another one that goes on from here."""
        new = _Lattice()
        new.total = list(self.total) or [np.zeros(labels)]
        new.top, new.who, new.price = list(self.top), list(self.who), list(self.price)
        new.best = self.best if len(self.best) else np.full(labels, -np.inf)
        new.turn = self.turn
        return new

    def jumps(self, length: int) -> np.ndarray:
        """Scores by label of a change `length` frames ago that has lasted until now."""
        since = len(self.total) - 1 - length
        return self.top[since] - self.price[since] + self.total[-1] - self.total[since]

    def add(self, best: np.ndarray) -> None:
        """The next instant, whose scores by label are `best`."""
        self.top.append(0.0)
        self.who.append(0)
        self.replace(best)

    def replace(self, best: np.ndarray) -> None:
        """Other scores at the last instant."""
        self.best, self.who[-1] = best, int(best.argmax())
        self.top[-1] = float(best[self.who[-1]])

    def trim(self, entries: int) -> None:
        """Forget all but the latest entries; sums and scores become relative, so they stay small over days."""
        base, height = self.total[-entries:][0], self.top[-1] if np.isfinite(self.top[-1]) else 0.0
        self.total = [total - base for total in self.total[-entries:]]
        self.top = [top - height for top in self.top[-entries:]]
        self.who, self.price = self.who[-entries:], self.price[1 - entries :]
        self.best = self.best - height


class WindowStretch:
    """Any decoder, run over a window of fixed length that ends with the provisional frames."""

    def __init__(self, options: DecoderOptions) -> None:
        self._options = options
        self._most = seconds_to_frames(max(HISTORY, options.median_window))
        self._history: np.ndarray | None = None

    def extend(
        self, posteriors: np.ndarray, weights: np.ndarray, starts: np.ndarray, final: int, ends: bool
    ) -> np.ndarray:
        """As `_Stretch.extend`."""
        past = posteriors[:0] if self._history is None else self._history
        labels = decode(np.concatenate([past, posteriors]), self._options)[len(past) :]
        if final:
            self._history = np.concatenate([past, posteriors[:final]])[-self._most :]
        return labels
