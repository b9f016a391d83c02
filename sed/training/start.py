"""What training starts from: ``bundled``, a folder, or a name on the Hugging Face hub in, a trainable tagger out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sed.emotion.bundled import is_bundled
from sed.emotion.folders import LAYOUTS, OPTIONAL, read_network, trained_folder
from sed.errors import ModelError
from sed.hub import fetch, is_hub_name
from sed.networks.averaging import load_mean
from sed.networks.store import KINDS, load_tagger
from sed.training.recipe.stored_run import differences


def open_start(name: str | Path) -> tuple[Any, dict[str, Any]]:
    """The tagger `name`, ready to be trained, and its description (kind, labels, trained_labels, card).

    `name` is ``bundled``, the folder of a tagger or of a run, a folder in the layout of SpeechBrain or Hugging Face, or
    the name of such a model on the hub (``owner/name`` or ``owner/name@revision``).

    Raises `ModelError` if there is none, or if it has a head that cannot be trained here (of those of Hugging Face,
    only linear ones can).
    """
    if is_bundled(name):
        from sed.training.bundled import load_bundled

        return load_bundled()
    folder, hub = Path(name), False
    if not folder.exists() and is_hub_name(str(name)):
        folder, hub = fetch(str(name), LAYOUTS, OPTIONAL), True
    if not folder.is_dir():
        raise ModelError(
            f"start {str(name)!r}: found {'a file' if folder.exists() else 'nothing'}, expected bundled, the folder"
            " of a tagger, or the name of a model on the Hugging Face hub (owner/name)"
        )
    if (trained := trained_folder(folder)) is not None:
        return load_tagger(trained)
    network = read_network(folder, hub)
    kinds = {cls: kind for kind, (_, cls) in KINDS.items()}
    if type(network.model).__name__ not in kinds:
        raise ModelError(
            f"start {str(name)!r}: found a {type(network.model).__name__}, expected a model with a linear layer after a"
            " mean over time"
        )
    return network.model.eval(), {
        "kind": kinds[type(network.model).__name__],
        "labels": list(network.labels),
        "trained_labels": list(network.model.labels),
        "settings": asdict(network.model.config),
        "card": {**network.card, "window": network.window},
    }


def start_from(model: Any, names: str | Path | Sequence[str | Path]) -> None:
    """Give `model` the weights of a trained tagger, named as for `open_start`, or the mean of those of several.

    Raises `ModelError` if there is none, or if it has other labels or another shape; the message names what differs.
    """
    names = [names] if isinstance(names, (str, Path)) else list(names)
    trained, _ = load_mean(names, open_start)
    source = ", ".join(map(str, names))
    if type(trained) is not type(model) or trained.labels != model.labels:
        raise ModelError(
            f"{source}: found a {type(trained).__name__} of labels {' '.join(trained.labels)}, expected a"
            f" {type(model).__name__} of labels {' '.join(model.labels)} (trained_labels)"
        )
    try:
        model.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        shapes = list(differences(asdict(trained.config), asdict(model.config)))
        found = ", ".join(f"{key} {value}" for key, value, _ in shapes)
        expected = ", ".join(f"{key} {value}" for key, _, value in shapes)
        raise ModelError(
            f"{source}: found a tagger with {found or 'other weights'}, expected {expected or 'those of this model'}"
            " (keys of tagger in the recipe)"
        ) from error
