"""Posteriors of one speaker -> one emotion per frame, step by step, with labels for the provisional frames too.

In: at each step the speaker's frames, those that become final first, then the provisional ones. Out: their label
numbers. Final frames are decided from everything received so far, the provisional frames included; a final label never
changes. One `OnlineDecoder` per speaker; its memory does not grow.

A run is the speech of one speaker without a silence longer than the decoder's `memory`. Viterbi keeps the scores of all
labels from the start of the run, so slow evidence accumulates although earlier labels are already out (fixed-lag
decoding). The other decoders look back a fixed time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from sed.emotion.decoding import FLOOR, DecoderOptions, decode
from sed.emotion.viterbi import ViterbiState, backtrace
from sed.grid import seconds_to_frames

HISTORY = 10.0  # seconds of a speaker's speech that decoders without running scores look back


class _Run(Protocol):
    """A run of one speaker's speech, decoded from its start."""

    def extend(
        self, posteriors: np.ndarray, weights: np.ndarray, starts: np.ndarray, final: int, ends: bool
    ) -> np.ndarray:
        """Labels ``(n,)`` of the next frames, the first `final` of which become final.

        `starts` ``(n,)`` is true where a turn starts; `ends` is true if the run ends with these frames.
        """
        ...


class OnlineDecoder:
    """Decodes the frames of one speaker as they arrive; `labels` are names, which `DecoderOptions.start_cost` needs.

    >>> decoder = OnlineDecoder(DecoderOptions(minimum_duration=0))
    >>> p = np.array([[0.9, 0.1]] * 40 + [[0.05, 0.95]] * 20)
    >>> decoder.step(np.arange(40), p[:40], np.ones(40), final=30).tolist() == [0] * 40
    True
    >>> decoder.step(np.arange(30, 60), p[30:], np.ones(30), final=30).tolist() == [0] * 10 + [1] * 20
    True
    """

    def __init__(self, options: DecoderOptions | None = None, labels: Sequence[str] = ()) -> None:
        self._options, self._labels = options or DecoderOptions(), labels
        self._memory = seconds_to_frames(self._options.memory)
        self._run = self._new_run()
        self._last: int | None = None  # number of the last final frame
        self._weighted = False  # whether any final frame of the run has a weight above 0

    def _new_run(self) -> _Run:
        if self._options.method == "viterbi":
            return ViterbiRun(self._options, self._labels)
        return WindowRun(self._options)

    def resets_at(self, frame: int) -> bool:
        """Whether speech that starts at frame number `frame` would start a new run."""
        return self._last is None or frame - self._last - 1 > self._memory

    def step(
        self,
        frames: np.ndarray,
        posteriors: np.ndarray,
        weights: np.ndarray,
        final: int,
        closing: bool = False,
    ) -> np.ndarray:
        """Label numbers ``(n,)`` of the speaker's frames with the numbers `frames` ``(n,)``, ascending.

        `posteriors` is ``(n, labels)``, `weights` ``(n,)``. The first `final` frames become final and must not be
        passed again; all others must be. `closing`: no frames follow. As long as every frame of a run has weight 0,
        all get the same small weight.
        """
        if not len(frames):
            return np.zeros(0, np.intp)
        gaps = np.diff(frames, prepend=frames[0] - 1 if self._last is None else self._last) - 1
        breaks = np.flatnonzero(gaps > self._memory)
        labels = []
        for start, end in zip([0, *breaks], [*breaks, len(frames)], strict=True):
            if start == end:
                continue
            is_new = start in breaks
            run = self._new_run() if is_new else self._run
            count = min(max(final - start, 0), end - start)  # frames of this run that become final
            part = slice(start, end)
            was_weighted = self._weighted and not is_new
            run_weights = weights[part]
            if not was_weighted and not run_weights.any():
                run_weights = np.full(end - start, self._options.weight_in_overlap(alone=False))
            ends = closing or end < len(frames)
            labels.append(run.extend(posteriors[part], run_weights, gaps[part] > 0, count, ends))
            if count:
                self._run, self._last = run, int(frames[start + count - 1])
                self._weighted = was_weighted or bool(weights[start : start + count].any())
        return np.concatenate(labels)


class ViterbiRun:
    """The Viterbi of `sed.emotion.viterbi`, continued from step to step.

    If all frames are passed at once, the labels are those of `decode`. While the run may still continue, the emotion at
    its end may be shorter than the minimum duration, because the rest of it may not have arrived yet.
    """

    def __init__(self, options: DecoderOptions, labels: Sequence[str] = ()) -> None:
        self._options = options
        self._start_costs = options.start_costs(labels)
        self._state: ViterbiState | None = None  # after the last final frame

    def extend(
        self, posteriors: np.ndarray, weights: np.ndarray, starts: np.ndarray, final: int, ends: bool
    ) -> np.ndarray:
        """As `_Run.extend`."""
        evidence = np.log(np.maximum(np.asarray(posteriors, np.float64), FLOOR)) * weights[:, None]
        state = self._state.copy() if self._state else self._new_state(evidence.shape[1])
        jumps, labels = state.backpointers(len(evidence))
        state.extend(evidence[:final], np.flatnonzero(starts[:final]), jumps, labels)
        if final:
            self._state = state.copy()
            self._state.rebase()
        state.extend(evidence[final:], np.flatnonzero(starts[final:]), jumps[final:], labels[final:])
        if ends:
            state.end_turn(jumps[-1], labels[-1:])
        else:
            self._allow_short_end(state, jumps[-1], labels[-1:])
        return backtrace(jumps, labels).astype(np.intp)

    def _new_state(self, labels: int) -> ViterbiState:
        options = self._options
        min_frames = max(1, seconds_to_frames(options.minimum_duration))
        costs = options.switch_cost, options.turn_discount, self._start_costs
        return ViterbiState(labels, min_frames, *costs)

    def _allow_short_end(self, state: ViterbiState, jumps: np.ndarray, labels: np.ndarray) -> None:
        """Let the last emotion be shorter than the minimum, if that scores higher; as `ViterbiState.end_turn`."""
        longest = min(state.min_frames - 1, state.time - state.turn)
        scores = np.array([state.jump_scores(length) for length in range(1, longest + 1)])
        if scores.size and scores.max() > state.top:
            length, label = divmod(int(scores.argmax()), scores.shape[1])
            labels[0], jumps[label] = label, length + 1


class WindowRun:
    """Any decoder, run over a window of fixed length that ends with the provisional frames."""

    def __init__(self, options: DecoderOptions) -> None:
        self._options = options
        self._max_frames = seconds_to_frames(max(HISTORY, options.median_window))
        self._history: np.ndarray | None = None

    def extend(
        self, posteriors: np.ndarray, weights: np.ndarray, starts: np.ndarray, final: int, ends: bool
    ) -> np.ndarray:
        """As `_Run.extend`."""
        past = posteriors[:0] if self._history is None else self._history
        labels = decode(np.concatenate([past, posteriors]), self._options)[len(past) :]
        if final:
            self._history = np.concatenate([past, posteriors[:final]])[-self._max_frames :]
        return labels
