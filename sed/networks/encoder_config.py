"""The configuration of a pretrained encoder: a folder in, the configuration and how its input is scaled out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sed.errors import ModelError
from sed.hub import local

INPUTS = ("raw", "centred", "normalised", "standardised")
"""Scalings of an encoder's input; see `sed.networks.pretrained.EncoderTagger`."""


def read_config(encoder: Mapping[str, Any] | str | Path) -> tuple[dict[str, Any], str]:
    """An encoder's configuration, and the scaling of its input (one of `INPUTS`).

    `encoder` is the configuration itself, or a folder or a hub name with ``config.json`` and optionally
    ``preprocessor_config.json``. Raises `ModelError` if there is none.
    """
    if isinstance(encoder, Mapping):
        # Encoders with layer norm in the convolutions were pretrained on normalised waves, as a rule.
        return dict(encoder), "normalised" if encoder.get("feat_extract_norm") == "layer" else "raw"
    folder = local(encoder, [("config.json",)], ["preprocessor_config.json"])
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        inputs = read_config(config)[1]
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(
            f"found no encoder in {folder}, expected a folder with config.json: {error}"
        ) from error
    extractor = folder / "preprocessor_config.json"
    if extractor.is_file() and config.get("model_type") != "whisper":
        try:
            normalise = json.loads(extractor.read_text(encoding="utf-8")).get("do_normalize", True)
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(f"{extractor} is damaged: {error}") from error
        inputs = "normalised" if normalise else "raw"
    return config, inputs


def scaled(waves: Tensor, lengths: Tensor | None, kind: str) -> Tensor:
    """``(B, T)`` `waves` scaled as `kind` of `INPUTS` says, each by itself; `lengths` ``(B,)`` are samples without
    padding, which stays 0."""
    if kind == "raw":
        return waves
    if lengths is None:
        centred = waves - waves.mean(1, keepdim=True)
        spread = centred.square().mean(1, keepdim=True)
    else:
        exists = torch.arange(waves.shape[1], device=waves.device) < lengths[:, None]
        samples = lengths[:, None].to(waves.dtype)
        centred = (waves - (waves * exists).sum(1, keepdim=True) / samples) * exists
        spread = centred.square().sum(1, keepdim=True) / samples
    if kind == "centred":
        return centred
    return centred / (torch.sqrt(spread + 1e-5) if kind == "normalised" else spread.sqrt().clamp(min=1e-10))
