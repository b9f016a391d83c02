"""Pretrained speech encoders of transformers with a common interface: 16 kHz waves in, states of every layer out.

`sed.networks.conv_backbone` supports any encoder with a convolutional front end of 320 samples per frame and
transformer layers after it (WavLM, HuBERT, wav2vec 2.0, data2vec-audio, UniSpeech-SAT, ...); `sed.networks.whisper`
supports Whisper. Both are created from a configuration only (a dict, as in ``config.json``); weights are loaded
later. The parameter names below `encoder` are those of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from sed.errors import ModelError
from sed.networks.conv_backbone import FAMILIES, ConvBackbone


def make_backbone(config: Mapping[str, Any], pad_tail: bool = True, dropout: float | None = None) -> Any:
    """The encoder that `config` describes, with random weights.

    `dropout` replaces every dropout of the configuration; there is no layer dropout, and masking is left to the
    caller. Raises `ModelError` if transformers has no such encoder, or its frame rate is not 50 Hz.
    """
    from transformers import AutoConfig

    from sed.networks.whisper import WhisperBackbone

    settings = dict(config)
    kind = settings.pop("model_type", None)
    for name in ("dtype", "torch_dtype"):  # of the stored weights; float32 is used here
        settings.pop(name, None)
    for name in ("layerdrop", "encoder_layerdrop", "decoder_layerdrop"):
        settings[name] = 0.0
    if dropout is not None:
        settings.update(dict.fromkeys(_DROPOUTS, dropout))
    try:
        parsed = AutoConfig.for_model(kind, **settings)
        return (WhisperBackbone if kind == "whisper" else ConvBackbone)(parsed, pad_tail)
    except ModelError:
        raise
    except Exception as error:  # transformers raises ValueError, KeyError, or huggingface_hub's own
        # Some messages continue with a list of all valid values.
        reason = " ".join(str(error).split()).split(". ")[0][:200]
        raise ModelError(f"found an encoder of type {kind!r}, expected {FAMILIES}: {reason}") from error


def without_initial_values() -> AbstractContextManager[None]:
    """Modules created inside are not initialised, for modules whose weights are all loaded from a file.

    Initialisation takes most of the loading time (4.4 of 4.5 CPU seconds for a base model).
    """
    from transformers.initialization import no_init_weights

    return no_init_weights()


_DROPOUTS = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "dropout")
