"""States of frames: a trained tagger or a pretrained encoder in, a function from waves to the states of frames out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sed.errors import OptionError
from sed.grid import FRAME_RATE, HOP, frame_count
from sed.networks.encoder_config import scaled
from sed.networks.pretrained import EncoderTagger
from sed.training.objectives.base import FeatureTap
from sed.training.start import open_start

States = Callable[[np.ndarray], np.ndarray]
"""From a ``(T,)`` wave to ``(ceil(T / 320), width)`` float32 states."""
_PART = 20 * FRAME_RATE * HOP  # samples that a network sees at once


def tagger_states(name: str | Path, device: str = "cpu") -> States:
    """The states that the last layer of a tagger sees; `name` as for `sed.training.start.open_start`."""
    tagger, _ = open_start(name)
    tagger.to(device).eval()
    tap = FeatureTap(tagger)

    def states(wave: Tensor) -> Tensor:
        tagger(wave.to(device))
        return tap.take()

    return _in_parts(states, tagger.max_samples)


def encoder_states(model: EncoderTagger, layer: int, device: str = "cpu") -> States:
    """The states of transformer layer `layer` of `model`. Raises `OptionError` if there is no such layer."""
    if not 0 <= layer <= len(model.layers):
        raise OptionError(f"layer: found {layer}, expected 0 to {len(model.layers)}")
    model.to(device).eval()
    return _in_parts(lambda wave: layer_states(model, wave.to(device), layer), model.max_samples)


def layer_states(model: EncoderTagger, waves: Tensor, layer: int) -> Tensor:
    """The states ``(B, F, width)`` of transformer layer `layer` (0: the input of the first) for ``(B, T)`` `waves`."""
    found: list[Tensor] = []

    def keep(number: int, states: Tensor) -> None:
        if number == layer:
            found.append(states)

    model.backbone(scaled(waves, None, model.config.inputs), None, keep, lambda features: features)
    return found[0]


def _in_parts(states: Callable[[Tensor], Tensor], max_samples: int | None) -> States:
    """`states` for a whole wave, in parts of bounded length; a frame that a network lacks is that before it."""
    part = min(_PART, (max_samples or _PART) // HOP * HOP)

    def whole(wave: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(wave), part):
            piece = torch.from_numpy(np.ascontiguousarray(wave[start : start + part], np.float32))
            with torch.inference_mode():
                rows = states(piece[None])[0].float().cpu().numpy()
            frames = frame_count(len(piece))
            found.append(rows[np.minimum(np.arange(frames), len(rows) - 1)])
        return np.concatenate(found)

    return whole
