"""The mean of several trained taggers' weights: one tagger, with the cost of one.

Fine-tuned from the same weights, with any batches and augmentation, they are connected by low loss (Wortsman et al.
2022, *Model soups*): the mean is about as good as the mean of two compact taggers' posteriors, and as each of them
(`docs/training.md`). Heads drawn from different seeds are not connected: start the runs from the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sed.errors import ModelError, OptionError
from sed.networks.store import load_tagger, tagger_folder


def _open(folder: str | Path) -> tuple[Any, dict[str, Any]]:
    return load_tagger(tagger_folder(folder))


def load_mean(
    folders: Sequence[str | Path], open_one: Callable[[str | Path], tuple[Any, dict[str, Any]]] = _open
) -> tuple[Any, dict[str, Any]]:
    """As `sed.networks.store.load_tagger`, with the mean of the weights in `folders` (a tagger's own or a run's) and
    the description of the first. Raises `OptionError` if there are none, `ModelError` if one cannot be read or
    has another kind, labels or shape than the first. `open_one` opens each of them.

    ``model, description = load_mean(["results/seed3", "results/seed4"])``
    """
    import torch

    if not folders:
        raise OptionError("no taggers to average: expected at least one folder")
    model, description = open_one(folders[0])
    mean = model.state_dict()  # the model's own tensors, updated in place
    for number, folder in enumerate(folders[1:], 2):
        other, found = open_one(folder)
        first, shape = _shape(description), _shape(found)
        for key in [*first, *shape]:
            if first.get(key, "nothing") != shape.get(key, "nothing"):
                raise ModelError(
                    f"{folder}: found {key} {shape.get(key, 'nothing')}, expected {first.get(key, 'nothing')} as in"
                    f" {folders[0]}"
                )
        for name, value in other.state_dict().items():
            if torch.is_floating_point(value):
                mean[name] += (value - mean[name]) / number
    return model, description


def _shape(description: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that taggers must have in common for averaging, by dotted name."""
    flat: dict[str, Any] = {}

    def add(key: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                add(f"{key}.{name}", inner)
        else:
            flat[key] = value

    for key in ("kind", "labels", "trained_labels", "settings"):
        add(key, description[key])
    return flat
