"""Weights of the labels in the loss: the key ``class_weights`` of a recipe in, one weight for each label out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sed.errors import OptionError
from sed.training.recipe.ranges import is_number
from sed.training.schedule import Batches

BATCHES = 20  # in which labels are counted
MOST = 10.0


def class_weights(option: Any, labels: Sequence[str], batches: Batches) -> np.ndarray | None:
    """The weight of each of `labels`, float32; None without any.

    option: None, a mapping (labels that it lacks have weight 1), or ``balanced``: in inverse proportion to how many
    frames a label has in the first batches, at most ten times the smallest, with mean 1 over the frames. Raises
    `OptionError` on anything else.
    """
    if option is None:
        return None
    if isinstance(option, Mapping):
        if unknown := sorted(set(map(str, option)) - set(labels)):
            raise OptionError(
                f"class_weights: found {', '.join(unknown)}, expected some of {', '.join(labels)}"
            )
        if wrong := [value for value in option.values() if not (is_number(value) and value >= 0)]:
            raise OptionError(f"class_weights: found {wrong[0]}, expected numbers of 0 or more")
        return np.array([float(option.get(label, 1.0)) for label in labels], np.float32)
    if option != "balanced":
        raise OptionError(f"class_weights: found {option!r}, expected null, balanced, or a weight by label")
    targets = [batches.batch(number).targets for number in range(BATCHES)]
    counts = np.sum([np.bincount(t[t >= 0], minlength=len(labels)) for t in targets], axis=0)
    weights = counts.max() / np.maximum(counts, counts.max() / MOST)
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
