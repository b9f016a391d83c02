"""Gradient checkpointing: layers whose inner states are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class _Recomputed:
    """The forward pass of a layer, checkpointed while gradients are needed."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.forward(*args, **kwargs)
        return checkpoint(self.forward, *args, use_reentrant=False, **kwargs)


def recompute(layers: Iterable[nn.Module]) -> None:
    """Make `layers` keep only their inputs for the backward pass, in place; results and gradients are unchanged.

    Only `forward` is wrapped, so that hooks on a layer run once. (Those of transformers would run inside.)
    """
    for layer in layers:
        layer.forward = _Recomputed(layer.forward)
