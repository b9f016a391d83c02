"""The folder of a pretrained encoder, for recipes: a folder or a name on the Hugging Face hub in, a folder out."""

from __future__ import annotations

from sed.hub import fetch, is_hub_name
from sed.networks.weights import NAMES


def encoder_folder(name: str) -> str:
    """`name` if it is a folder; the folder in the cache with configuration and weights if it is a name on the hub,
    such as ``microsoft/wavlm-large``, which is downloaded once.

    Raises `ModelError` if the hub has no such encoder or cannot be reached.
    """
    if not is_hub_name(name):
        return name
    return str(fetch(name, [("config.json", weights) for weights in NAMES], ["preprocessor_config.json"]))
