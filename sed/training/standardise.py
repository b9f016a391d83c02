"""Data-dependent initialisation of heads: a tagger and some batches in, the tagger's norms rescaled in place.

In the states of frozen encoders a few dimensions are large and nearly constant, and most of what distinguishes
emotions is small. `LayerNorm` preserves that, so a head needs many steps until it uses the small dimensions; until
then it fits its training corpora by the large ones and does not generalise to unseen speakers. Initialised with the
mean and standard deviation of each dimension over speech (compare Salimans & Kingma 2016) it uses all dimensions from
the first step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sed.errors import OptionError
from sed.networks.head import Head
from sed.training.data.clips import Batch

_MIN_DEVIATION = 0.02  # of a dimension, relative to that of all: constant dimensions are not amplified


def standardise(model: nn.Module, batches: Iterable[Batch]) -> None:
    """Set the gains and offsets of every `Head` in `model` so that each dimension has mean 0 and deviation 1 over
    `batches`.

    Nothing else in the model changes, and no random numbers are drawn. Raises `OptionError` if there is no `Head`.
    """
    norms = [module.norm for module in model.modules() if isinstance(module, Head)]
    if not norms:
        raise OptionError(f"a {type(model).__name__} has no head to standardise: expected standardise: 0")
    collected: dict[nn.Module, list[Tensor]] = {norm: [] for norm in norms}

    def collect(norm: nn.Module, _: Any, states: Tensor) -> None:
        collected[norm].append(states.flatten(0, 1).double())

    hooks = [norm.register_forward_hook(collect) for norm in norms]
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
        deviation, mean = torch.std_mean(torch.cat(collected[norm]), 0, correction=0)
        deviation = deviation.clamp(min=_MIN_DEVIATION * float(deviation.square().mean().sqrt()))
        with torch.no_grad():
            norm.weight.copy_(norm.weight / deviation)
            norm.bias.copy_((norm.bias - mean) / deviation)
