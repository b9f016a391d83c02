"""Block expansion (ExHuBERT: Amiriparian et al., Interspeech 2024): copies of layers inserted into a frozen encoder.

In: the transformer layers of an encoder. Out: the same layers, some of which are followed by a copy of themselves whose
output goes through a linear layer initialised to zero and is added to its input. So the network is unchanged at first,
whether its layers normalise before or after, and only the copies are trained.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from sed.errors import OptionError


class InsertedBlock(nn.Module):
    """``x + W layer(x) + b``, with a copy of `layer` and ``W`` and ``b`` of zeros.

    `layer` maps ``(B, F, width)`` states, and whatever else its encoder gives it, to states or to a tuple that starts
    with them.
    """

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer = copy.deepcopy(layer).requires_grad_(True)
        self.output = nn.Linear(width, width)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """``(B, F, width)`` to the same shape."""
        found = self.layer(states, *args, **kwargs)
        changed: Tensor = self.output(found[0] if isinstance(found, tuple) else found)
        return states + changed


class _Expanded:
    """The forward pass of a layer followed by that of a block."""

    def __init__(self, forward: Callable[..., Any], block: InsertedBlock) -> None:
        self.forward, self.block = forward, block

    def __call__(self, states: Tensor, *args: Any, **kwargs: Any) -> Any:
        found = self.forward(states, *args, **kwargs)
        if isinstance(found, tuple):
            return (self.block(found[0], *args, **kwargs), *found[1:])
        return self.block(found, *args, **kwargs)


class Expansion(nn.ModuleList):
    """`count` blocks inserted after some of `layers`, in place, spread evenly; the last layer always has one.

    The names of the layers' own weights are unchanged, so that pretrained files can be loaded; `copy_layers` then gives
    the blocks the weights of the layers before them. Raises `OptionError` for more blocks than layers.
    """

    def __init__(self, layers: nn.ModuleList, width: int, count: int) -> None:
        if not 0 <= count <= len(layers):
            raise OptionError(f"{count} added layers: expected 0 to {len(layers)}, the layers of the encoder")
        self.places = [-(-number * len(layers) // count) - 1 for number in range(1, count + 1)]
        super().__init__(InsertedBlock(layers[place], width) for place in self.places)
        for place, block in zip(self.places, self, strict=True):
            layers[place].forward = _Expanded(layers[place].forward, block)  # type: ignore[arg-type]

    def copy_layers(self, layers: nn.ModuleList) -> None:
        """Give each block the weights of the layer before it."""
        for place, block in zip(self.places, self, strict=True):
            block.layer.load_state_dict(layers[place].state_dict())  # type: ignore[union-attr]
