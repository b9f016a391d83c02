"""A trained compact tagger on disk: ``tagger.safetensors`` (weights) and ``tagger.json`` (card and shape)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sed.errors import ModelError

WEIGHTS, CARD = "tagger.safetensors", "tagger.json"


def save_tagger(model: Any, folder: str | Path, labels: Sequence[str], card: Mapping[str, Any]) -> None:
    """Write `model` (a `sed.training.model.CompactTagger`) to `folder`, whole or not at all.

    `labels` are the emotions that it tells apart in use, in the order of its posteriors; those it learnt may
    be more. `card` goes along (name, licence, window, origin).
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / (WEIGHTS + ".part"))
    description = {
        "labels": list(labels),
        "trained_labels": list(model.labels),
        "settings": model.settings,
        "card": dict(card),
    }
    (folder / (CARD + ".part")).write_text(json.dumps(description, indent=1), encoding="utf-8")
    for name in (WEIGHTS, CARD):
        os.replace(folder / (name + ".part"), folder / name)


def load_tagger(folder: str | Path) -> tuple[Any, dict[str, Any]]:
    """The model in evaluation mode, and its description: labels, trained_labels, settings, card.

    Raises `ModelError` where a file is missing, damaged, or does not fit the other.
    """
    import torch
    from safetensors.torch import load_file

    from sed.training.model import CompactTagger

    folder = Path(folder)
    try:
        description = json.loads((folder / CARD).read_text(encoding="utf-8"))
        model = CompactTagger(description["trained_labels"], **description["settings"])
        model.load_state_dict(load_file(folder / WEIGHTS))
        missing = set(description["labels"]) - set(model.labels)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"no trained tagger in {folder}: {error}") from error
    except Exception as error:  # safetensors has an exception of its own for damaged files
        raise ModelError(f"the weights in {folder / WEIGHTS} are damaged: {error}") from error
    if missing:
        raise ModelError(f"{folder / CARD}: labels {sorted(missing)} are not among those that it learnt")
    with torch.no_grad():
        return model.eval(), description
