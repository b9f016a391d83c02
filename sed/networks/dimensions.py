"""The head of arousal, valence and dominance in a trained folder, and how it joins a network's last layer.

In: a folder written by ``sed-train``. Out: a linear layer on the same features as the classifier. As further rows of
the classifier it costs nothing, and its outputs have the scale 0 to 1 of results instead of -1 to 1 of manifests.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from sed.errors import ModelError
from sed.result import DIMENSIONS

HEAD = "dimensions.safetensors"


def load_head(folder: Path) -> nn.Linear:
    """The head in `folder`: features to `DIMENSIONS`, -1 to 1. Raises `ModelError` if it is missing or damaged."""
    from safetensors.torch import load_file

    try:
        weights = load_file(folder / HEAD)
        head = nn.Linear(weights["weight"].shape[1], len(DIMENSIONS))
        head.load_state_dict(weights)
    except Exception as error:  # safetensors raises its own exception for damaged files
        raise ModelError(f"no head for {', '.join(DIMENSIONS)} in {folder}: {error}") from error
    return head


def with_dimensions(classifier: nn.Linear, head: nn.Linear) -> nn.Linear:
    """A layer with the outputs of `classifier`, and after them those of `head`, mapped from -1..1 to 0..1.

    Raises `ModelError` if they are for different features.
    """
    if head.in_features != classifier.in_features:
        raise ModelError(
            f"found a head of dimensions for {head.in_features} features, expected {classifier.in_features}, which the"
            f" model has without the branches that only training needs (remove {HEAD} to use it without dimensions)"
        )
    joined = nn.Linear(classifier.in_features, classifier.out_features + head.out_features)
    with torch.no_grad():
        joined.weight.copy_(torch.cat([classifier.weight, head.weight / 2]))
        joined.bias.copy_(torch.cat([classifier.bias, (head.bias + 1) / 2]))
    return joined
