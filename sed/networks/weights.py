"""Loading of encoder weights from safetensors and torch files, with any prefix of their names.

In: a folder or a file. Out: tensors by name, and an encoder with these weights. Only tensors are unpickled.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sed.errors import ModelError
from sed.hub import local

NAMES = ("model.safetensors", "pytorch_model.bin")
OPTIONAL = ("masked_spec_embed",)  # used in pretraining only
_NESTED = (
    "state_dict",
    "model_state_dict",
    "model",
)  # under which checkpoints of training have their weights
_LAYER = re.compile(r"(?:encoder\.)?layers\.(\d+)\.")
_RENAMED = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors in the file at `path`, or in the first of `NAMES` in that folder; `path` may be a name on the Hugging
    Face hub, as for `sed.hub.local`.

    Raises `ModelError` if there is none, or it cannot be read.
    """
    path = local(path, [(name,) for name in NAMES])
    if path.is_dir():
        present = [path / name for name in NAMES if (path / name).is_file()]
        if not present:
            raise ModelError(f"found no weights in {path}, expected {' or '.join(NAMES)}")
        path = present[0]
    if not path.is_file():
        raise ModelError(
            f"found no weights at {path}, expected a file, a folder, or a name on the Hugging Face hub"
        )
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's guesses about files of another format
            stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has its own exceptions for damaged files
        raise ModelError(
            f"cannot read weights from {path}: it is damaged or holds more than tensors ({type(error).__name__})"
        ) from error
    while isinstance(stored, Mapping) and (nested := next((key for key in _NESTED if key in stored), None)):
        stored = stored[nested]
    if not isinstance(stored, Mapping) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ModelError(f"{path}: found {type(stored).__name__}, expected tensors by name")
    return dict(stored)


def match_weights(
    encoder: nn.Module, stored: Mapping[str, Tensor], source: str, lowest_only: bool = False
) -> None:
    """Load `stored` into `encoder`, whatever the prefix of its names (``wavlm.``, ``model.``, ...).

    Weights that the encoder does not have are ignored, additional layers only with `lowest_only`; `source` names the
    file in errors. Raises `ModelError` if a weight is missing or has another shape, or if there are more layers.
    """
    named = {}
    for name, value in stored.items():
        for old, new in _RENAMED.items():
            if name.endswith(old):
                name = name[: -len(old)] + new
        named[name] = value
    own = {name: value for name, value in encoder.state_dict().items() if ".lora_" not in name}
    probe = max((name for name in own if name not in OPTIONAL), key=len)
    prefixes = [name[: -len(probe)] for name in named if name.endswith(probe)]
    prefix = max(prefixes, key=lambda p: sum(p + name in named for name in own), default="")
    layers = _layers(name[len(prefix) :] for name in named if name.startswith(prefix))
    if not lowest_only and layers > _layers(own):
        raise ModelError(
            f"{source}: found {layers} layers, expected {_layers(own)} as the encoder's configuration says"
        )
    matched = {}
    for name, value in own.items():
        found = named.get(prefix + name)
        if found is None and name in OPTIONAL:
            continue
        if found is None or found.shape != value.shape:
            shape = "nothing" if found is None else f"shape {tuple(found.shape)}"
            raise ModelError(f"{source}: found {shape} for {name}, expected shape {tuple(value.shape)}")
        matched[name] = found.to(value.dtype)
    encoder.load_state_dict(matched, strict=False, assign=True)


def _layers(names: Iterable[str]) -> int:
    """The number of transformer layers in an encoder with parameters of these `names`."""
    return max((int(found[1]) + 1 for name in names if (found := _LAYER.match(name))), default=0)
