"""Configurations of encoders that a model names but does not contain: the name in, the configuration out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sed.errors import ModelError
from sed.hub import cached, fetch
from sed.networks.encoder_config import read_config

CONFIG_FILES = ("config.json", "preprocessor_config.json")

# The public configurations of these encoders, for folders that refer to one of them on a machine without network or
# cache. All other values are the defaults of transformers.
_WAVLM_LARGE = {
    "model_type": "wavlm",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
KNOWN_ENCODERS: dict[str, tuple[dict[str, Any], str]] = {
    "facebook/wav2vec2-base": ({"model_type": "wav2vec2"}, "normalised"),
    "facebook/hubert-base-ls960": ({"model_type": "hubert"}, "normalised"),
    "microsoft/wavlm-base": ({"model_type": "wavlm"}, "raw"),
    "microsoft/wavlm-base-plus": ({"model_type": "wavlm"}, "raw"),
    "microsoft/wavlm-large": (_WAVLM_LARGE, "normalised"),
}


def encoder_config(folder: Path, source: str, hub: bool) -> tuple[dict[str, Any], str]:
    """Configuration and input scaling of the encoder `source`: from a folder, the cache, the hub, or built in."""
    for candidate in (folder / source, Path(source), folder):
        if _may_describe_encoder(candidate / "config.json"):
            return read_config(candidate)
    cached_config = cached(source, "config.json")
    if cached_config is not None:
        return read_config(cached_config.parent)
    if hub:
        try:
            return read_config(fetch(source, [CONFIG_FILES[:1]], CONFIG_FILES[1:]))
        except ModelError:
            if source not in KNOWN_ENCODERS:
                raise
    if source in KNOWN_ENCODERS:
        config, inputs = KNOWN_ENCODERS[source]
        return dict(config), inputs
    raise ModelError(
        f"{folder}: found no configuration of the encoder {source!r}, expected a folder of that name or"
        f" config.json in {folder}"
    )


def _may_describe_encoder(path: Path) -> bool:
    """Whether a file is the configuration of an encoder, or damaged. SpeechBrain has other files of that name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return False
    except (ValueError, RecursionError):
        return True  # `read_config` reports the damage
    return isinstance(content, dict) and "model_type" in content
