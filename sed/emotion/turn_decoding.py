"""Emotions of turns that depend on each other: posteriors of each turn alone in, probabilities given all turns out.

A turn depends on the last one of the same speaker and on the last one of another speaker (`previous_turns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.emotion.decoding import FLOOR

BEAM = 128  # combinations of emotions that are followed at once; all of those of two speakers with up to 11 labels


def previous_turns(speakers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """For each turn the number of the last one of the same speaker, and of the last one of another; -1: none.

    >>> [numbers.tolist() for numbers in previous_turns(["a", "a", "b", "a"])]
    [[-1, 0, -1, 1], [-1, -1, 1, 2]]
    """
    own, other = np.full((2, len(speakers)), -1)
    last: dict[str, int] = {}
    different = -1  # the last turn of another speaker than that of the turn before
    for number, speaker in enumerate(speakers):
        if number and speakers[number - 1] != speaker:
            different = number - 1
        own[number], other[number] = last.get(speaker, -1), different
        last[speaker] = number
    return own, other


def turn_posteriors(speakers: Sequence[str], posteriors: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Probabilities ``(turns, labels)`` given all turns, from `posteriors` ``(turns, labels)`` of each turn alone and
    `factors` ``(labels + 1, labels + 1, labels)``: by how much the last emotion of the same speaker and that of the
    others (the last row and column: none) make each label more probable.

    The sum over all sequences of emotions (forward and backward), as long as there are at most `BEAM` combinations of
    the emotions that later turns depend on (the last ones of the speakers who speak again), and otherwise over those
    that are most probable so far. The most probable single sequence would be wrong in more turns: where evidence is
    weak it is one emotion throughout.
    """
    turns, size = len(speakers), factors.shape[2]
    own, other = previous_turns(speakers)
    evidence = np.maximum(posteriors, FLOOR)
    last_use = np.full(turns + 1, -1)
    np.maximum.at(last_use, own, np.arange(turns))
    np.maximum.at(last_use, other, np.arange(turns))
    live: list[int] = []  # turns that later ones depend on; a column of `states` each
    states, forward = np.zeros((1, 0), np.int8), np.ones(1)
    steps: list[_Step] = []
    for number in range(turns):
        before, answered = (
            states[:, live.index(turn)] if turn in live else np.full(len(states), size, np.int8)
            for turn in (int(own[number]), int(other[number]))
        )
        kept = [column for column, turn in enumerate(live) if last_use[turn] > number]
        live = [live[column] for column in kept]
        columns = [np.repeat(states[:, kept], size, 0)]
        if last_use[number] > number:
            live.append(number)
            columns.append(np.tile(np.arange(size, dtype=np.int8), len(states))[:, None])
        weights = forward[:, None] * factors[before, answered] * evidence[number]
        states, targets, forward = _merged(np.concatenate(columns, 1), weights.ravel())
        steps.append(
            _Step(before, answered, targets.reshape(-1, size).astype(np.int16), weights.astype(np.float32))
        )
    found, backward = np.empty((turns, size)), np.ones(len(forward) + 1)
    backward[-1] = 0.0  # of states that are not followed
    for number in range(turns - 1, -1, -1):
        step = steps.pop()
        onward = backward[step.targets]
        joint = (step.weights * onward).sum(0)
        found[number] = joint / joint.sum()
        backward = (factors[step.before, step.answered] * evidence[number] * onward).sum(1)
        backward = np.append(backward / backward.max(), 0.0)
    return found


@dataclass(frozen=True)
class _Step:
    """What the way back needs of a turn: of each state before it the label of the same speaker and of the others, the
    number of the state that each label leads to (-1: not followed), and the probability of both."""

    before: np.ndarray
    answered: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def _merged(states: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct rows of `states`, at most `BEAM` with the largest sums of `weights`; for each of `states` the number
    of its row there, or -1; and these sums, which are scaled to 1 in all."""
    rows, targets = np.unique(states, axis=0, return_inverse=True)
    targets = targets.reshape(-1)
    sums = np.bincount(targets, weights, len(rows))
    if len(rows) > BEAM:
        best = np.sort(np.argsort(-sums, kind="stable")[:BEAM])
        numbers = np.full(len(rows), -1)
        numbers[best] = np.arange(BEAM)
        rows, sums, targets = rows[best], sums[best], numbers[targets]
    return rows, targets, sums / sums.sum()
