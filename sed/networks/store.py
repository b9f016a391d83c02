"""A trained tagger on disk: ``tagger.safetensors`` (weights) and ``tagger.json`` (card, kind and shape)."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sed.errors import ModelError
from sed.files import atomic

WEIGHTS, CARD = "tagger.safetensors", "tagger.json"
KINDS = {
    "compact": ("sed.networks.compact", "CompactTagger"),
    "encoder": ("sed.networks.pretrained", "EncoderTagger"),
    "emotion2vec": ("sed.networks.emotion2vec", "Emotion2vecTagger"),
    "logmel": ("sed.networks.logmel", "LogMelTagger"),
}


def save_tagger(model: Any, folder: str | Path, labels: Sequence[str], card: Mapping[str, Any]) -> None:
    """Write `model` (of a class in `KINDS`) to `folder`, atomically.

    `labels` are the emotions that it distinguishes in use, in the order of its posteriors; it may be trained on
    more. `card` is stored with it (name, licence, window, origin).
    """
    from safetensors.torch import save_file

    classes = {name: kind for kind, (_, name) in KINDS.items()}
    if type(model).__name__ not in classes:
        raise ModelError(f"a tagger of class {type(model).__name__}: expected {' or '.join(classes)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    description = {
        "kind": classes[type(model).__name__],
        "labels": list(labels),
        "trained_labels": list(model.labels),
        "settings": asdict(model.config),
        "card": dict(card),
    }
    with atomic(folder / CARD) as card_part, atomic(folder / WEIGHTS) as weights_part:
        card_part.write_text(json.dumps(description, indent=1), encoding="utf-8")
        save_file(weights, weights_part)
        weights_part.chmod(
            card_part.stat().st_mode
        )  # safetensors writes files that only their owner can read


def load_tagger(folder: str | Path) -> tuple[Any, dict[str, Any]]:
    """The model in evaluation mode, and its description: kind, labels, trained_labels, settings, card.

    A folder without a kind holds a compact tagger, the only kind of the first versions. Raises `ModelError`
    if a file is missing, damaged, or does not match the other.
    """
    import torch
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        description = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if not isinstance(description, dict) or not isinstance(description.get("card"), dict):
            raise ModelError(f"{folder / CARD}: found no card, expected labels, settings and a card by name")
        kind = description.setdefault("kind", "compact")
        if kind not in KINDS:
            raise ModelError(
                f"{folder / CARD}: found a tagger of kind {kind!r}, expected {' or '.join(KINDS)}"
            )
        module, name = KINDS[kind]
        build = getattr(importlib.import_module(module), name)
        with _without_initial_values(kind):
            model = build(description["trained_labels"], **description["settings"])
        model.load_state_dict(load_file(folder / WEIGHTS))
        missing = set(description["labels"]) - set(model.labels)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"no trained tagger in {folder}: {error}") from error
    except Exception as error:  # safetensors raises its own exception for damaged files
        raise ModelError(f"the weights in {folder / WEIGHTS} are damaged: {error}") from error
    if missing:
        raise ModelError(f"{folder / CARD}: labels {sorted(missing)} are not among its trained_labels")
    with torch.no_grad():
        return model.eval(), description


def tagger_folder(path: str | Path) -> Path:
    """The tagger's folder, from `path` to it or to the output folder of its run."""
    path = Path(path)
    return path / "tagger" if (path / "tagger").is_dir() else path


def _without_initial_values(kind: str) -> AbstractContextManager[None]:
    """Create large models without initial values, since the file replaces them."""
    if kind not in ("encoder", "emotion2vec"):
        return nullcontext()
    from sed.networks.backbones import without_initial_values

    return without_initial_values()
