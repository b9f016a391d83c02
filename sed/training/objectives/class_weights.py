"""Weights of the labels in the loss: the keys ``class_weights`` and ``balanced`` in, one weight for each label out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sed.errors import OptionError
from sed.training.recipe.ranges import is_number
from sed.training.schedule import Batches

BATCHES = 20  # in which labels are counted
MOST = 10.0


def class_weights(
    named: Mapping[str, Any], balanced: bool, labels: Sequence[str], batches: Batches
) -> np.ndarray | None:
    """The weight of each of `labels` in the loss, float32; None if all are equal.

    named: weights by label; labels that it lacks have 1. balanced: instead in inverse proportion to how many frames a
    label has in the first batches, at most ten times the smallest, with mean 1 over the frames. Raises `OptionError`
    on an unknown label, a negative weight, and if both are given.
    """
    if named and balanced:
        raise OptionError("class_weights cannot be combined with balanced: True")
    if balanced:
        targets = [batches.batch(number).targets for number in range(BATCHES)]
        counts = np.sum([np.bincount(t[t >= 0], minlength=len(labels)) for t in targets], axis=0)
        weights = counts.max() / np.maximum(counts, counts.max() / MOST)
        return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
    if unknown := sorted(set(map(str, named)) - set(labels)):
        raise OptionError(f"class_weights: found {', '.join(unknown)}, expected some of {', '.join(labels)}")
    if wrong := [value for value in named.values() if not (is_number(value) and value >= 0)]:
        raise OptionError(f"class_weights: found {wrong[0]}, expected numbers of 0 or more")
    return np.array([float(named.get(label, 1.0)) for label in labels], np.float32) if named else None
