"""Encoder weights from the files that others write: safetensors, torch's, with whatever prefix they have.

In: a folder or a file. Out: tensors by name, and an encoder that holds them. Nothing is unpickled but tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sed.errors import ModelError

NAMES = ("model.safetensors", "pytorch_model.bin")
OPTIONAL = ("masked_spec_embed",)  # pretraining's; nothing here needs it
_RENAMED = {
    ".weight_g": ".parametrizations.weight.original0",
    ".weight_v": ".parametrizations.weight.original1",
}


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors in the file at `path`, or in the first of `NAMES` in that folder.

    Raises `ModelError` where there is none, or it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        there = [path / name for name in NAMES if (path / name).is_file()]
        if not there:
            raise ModelError(f"found no weights in {path}, expected {' or '.join(NAMES)}")
        path = there[0]
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has exceptions of its own for a damaged file
        raise ModelError(
            f"cannot read weights from {path}: it is damaged or holds more than tensors ({type(error).__name__})"
        ) from error
    if not isinstance(stored, Mapping) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ModelError(f"{path}: found {type(stored).__name__}, expected tensors by name")
    return dict(stored)


def match_weights(encoder: nn.Module, stored: Mapping[str, Tensor], source: str) -> None:
    """Put `stored` into `encoder`, whatever prefix (``wavlm.``, ``model.``, ...) its names have.

    What the encoder has no place for is left out; `source` names the file in errors. Raises `ModelError`
    where a weight is missing or has another shape.
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
    fitting = {}
    for name, value in own.items():
        found = named.get(prefix + name)
        if found is None and name in OPTIONAL:
            continue
        if found is None or found.shape != value.shape:
            shape = "nothing" if found is None else f"shape {tuple(found.shape)}"
            raise ModelError(f"{source}: found {shape} for {name}, expected shape {tuple(value.shape)}")
        fitting[name] = found.to(value.dtype)
    encoder.load_state_dict(fitting, strict=False, assign=True)
