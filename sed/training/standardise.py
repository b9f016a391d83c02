"""Heads that begin with states on one scale: a tagger and some batches in, the same tagger with other gains out.

Frozen encoders give states of which a few dimensions are loud and nearly constant, and most of what tells emotions
apart is quiet. `LayerNorm` keeps that, and a head on it needs many steps until it hears the quiet ones: until then it
knows its own corpora by the loud ones, and unheard voices not at all. Started from the mean and deviation of each
dimension over speech (as Salimans & Kingma 2016 start all layers from data) it hears them from the first step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sed.errors import OptionError
from sed.networks.head import Head
from sed.training.data.clips import Batch

_LEAST = 0.02  # deviation of a dimension, as share of that of all: what never moves is not blown up


def standardise(model: nn.Module, batches: Iterable[Batch]) -> None:
    """Set the gains and offsets of every `Head` in `model` so that each dimension has mean 0 and deviation 1 over
    `batches`.

    The model is left as it was but for those gains and offsets, and nothing is drawn at random. Raises `OptionError`
    where there is no `Head`.
    """
    norms = [module.norm for module in model.modules() if isinstance(module, Head)]
    if not norms:
        raise OptionError(f"a {type(model).__name__} has no head to standardise: expected standardise: 0")
    heard: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}

    def hear(norm: nn.Module, _: Any, states: Tensor) -> None:
        heard[norm].append(states.flatten(0, 1).double())

    hooks = [norm.register_forward_hook(hear) for norm in norms]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                model(torch.from_numpy(batch.waves).to(next(model.parameters()).device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    for norm in norms:
        deviation, mean = torch.std_mean(torch.cat(heard[norm]), 0, correction=0)
        deviation = deviation.clamp(min=_LEAST * float(deviation.square().mean().sqrt()))
        with torch.no_grad():
            norm.weight.copy_(norm.weight / deviation)
            norm.bias.copy_((norm.bias - mean) / deviation)
