"""Low-rank adaptation (LoRA, Hu et al. 2021): a frozen linear layer plus a small trainable product of two matrices.

The names of the layer's own weights are unchanged, so pretrained files can be loaded before or after. `merge` adds
the product to the weights, which removes its cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import OptionError


class LowRankLinear(nn.Linear):
    """``x W' + b + (alpha / rank) x A' B'``, where only A ``(rank, in)`` and B ``(out, rank)`` are trained.

    B is initialised to zero, so the layer's output is unchanged at first.

    >>> layer = LowRankLinear(nn.Linear(8, 4), rank=2, alpha=4.0)
    >>> sorted(name for name, p in layer.named_parameters() if p.requires_grad)
    ['lora_a', 'lora_b']
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(base.in_features, base.out_features, base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.scale = alpha / rank
        self.lora_a = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.lora_b = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        self.weight.requires_grad_(False)
        if self.bias is not None:
            self.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., in)`` to ``(..., out)``."""
        change = functional.linear(functional.linear(x, self.lora_a), self.lora_b)
        return super().forward(x) + self.scale * change

    def merged(self) -> nn.Linear:
        """An equivalent plain layer."""
        plain = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        with torch.no_grad():
            plain.weight = nn.Parameter(self.weight + self.scale * self.lora_b @ self.lora_a)
        plain.bias = self.bias
        return plain


def add_low_rank(module: nn.Module, names: Sequence[str], rank: int, alpha: float) -> int:
    """Replace every `nn.Linear` below `module` whose own name is in `names`; returns how many there were.

    Raises `OptionError` if `rank` is not positive.
    """
    if rank < 1:
        raise OptionError(f"low-rank matrices of rank {rank}: expected 1 or more")
    found = [
        (parent, name)
        for parent in module.modules()
        for name, child in parent.named_children()
        if name in names and type(child) is nn.Linear
    ]
    for parent, name in found:
        setattr(parent, name, LowRankLinear(getattr(parent, name), rank, alpha))
    return len(found)


def merge(module: nn.Module) -> int:
    """Replace every `LowRankLinear` below `module` by a plain layer; returns how many there were."""
    found = [
        (parent, name)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, LowRankLinear)
    ]
    for parent, name in found:
        setattr(parent, name, getattr(parent, name).merged())
    return len(found)
