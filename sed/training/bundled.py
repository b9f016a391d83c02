"""The trainable form of the bundled emotion model: its ONNX file in, a `CompactTagger` with the same logits out.

The file has most weights in 8 bits. They are read back as floats, so the network differs from the one that was
exported by rounding only. The calibration is part of the last layer, and the auxiliary labels are gone.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sed.emotion.bundled import bundled_path
from sed.emotion.onnx import OnnxTagger
from sed.errors import ModelError
from sed.grid import HOP
from sed.networks.compact import CompactTagger

SHAPE: dict[str, Any] = {
    "layers": 4,
    "head_width": 192,
    "dilations": (1, 3, 9),
    "reaches": (25, 75),
    "positions": 500,
    "halve_after": 1,
    "voice": True,
    "fusion": 2,
    "encoder_head": False,
    "voice_halved": True,
}
"""As in ``hparams/emotion.yaml``, which the file was made with."""
_UNUSED = ("layer_weights",)  # of a head that it does not have
_PREFIX = "model."


def load_bundled(path: Path | None = None) -> tuple[CompactTagger, dict[str, Any]]:
    """The bundled model, ready to be trained, and its description, as of `sed.networks.store.load_tagger`.

    Raises `ModelError` if the file at `path` (default: the package's) is another network than `SHAPE`.
    """
    path = path or bundled_path()
    card = OnnxTagger(path).card
    labels = list(card["labels"])
    model = CompactTagger(labels, head_dropout=0.1, spec_augment=0, frozen_layers=SHAPE["layers"], **SHAPE)
    model.load_state_dict(_weights(model, path))
    description = {
        "kind": "compact",
        "labels": labels,
        "trained_labels": labels,
        "settings": asdict(model.config),
        "card": {key: card[key] for key in ("name", "licence", "origin", "window", "prior") if key in card},
    }
    return model.eval(), description


def _weights(model: CompactTagger, path: Path) -> dict[str, Tensor]:
    """The weights of the file by the names of `model`."""
    named, products = _read(path)
    order = _linear_layers(model)
    if len(order) != len(products):
        raise ModelError(f"{path}: found {len(products)} matrix products, expected {len(order)}")
    named |= {f"{name}.weight": product.T for name, product in zip(order, products, strict=True)}
    state = {}
    for name, value in model.state_dict().items():
        found = named.get(name)
        if name in _UNUSED:
            state[name] = value
            continue
        if found is None or found.shape != value.shape:
            shape = "nothing" if found is None else f"shape {found.shape}"
            raise ModelError(f"{path}: found {shape} for {name}, expected shape {tuple(value.shape)}")
        state[name] = torch.from_numpy(np.array(found, np.float32, order="C"))
    return state


def _read(path: Path) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Weights with names, and those of the matrix products, which have numbers only, in the order of the network.

    Of a quantised tensor there are ``_quantized``, ``_scale`` and ``_zero_point``, one value per channel: the first
    axis of a convolution, the last one of a product.
    """
    import onnx
    from onnx import numpy_helper

    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(str(path)).graph.initializer}
    named = {n.removeprefix(_PREFIX): v for n, v in stored.items() if n.startswith(_PREFIX)}
    products: dict[int, np.ndarray] = {}
    for name, values in stored.items():
        if not name.endswith("_quantized"):
            continue
        base = name.removesuffix("_quantized")
        scale = stored.get(f"{base}_scale", stored.get(f"{name}_scale"))
        zero = stored.get(f"{base}_zero_point", stored.get(f"{name}_zero_point"))
        assert scale is not None and zero is not None
        product = re.fullmatch(r"val_(\d+)", base)
        shape = (1, -1) if product else (-1, *[1] * (values.ndim - 1))
        floats = (values.astype(np.float64) - zero.reshape(shape)) * scale.reshape(shape)
        if product:
            products[int(product[1])] = floats
        else:
            named[base.removeprefix(_PREFIX)] = floats
    return named, [products[number] for number in sorted(products)]


def _linear_layers(model: nn.Module) -> list[str]:
    """The names of the linear layers of `model` in the order in which it applies them."""
    order: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: order.append(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 50 * HOP))
    for hook in hooks:
        hook.remove()
    return order
