"""Pretrained speech encoders of transformers behind one surface: 16 kHz waves in, states of every layer out.

`sed.networks.conv_backbone` takes any encoder with a convolutional front end of 320 samples per frame and
transformer layers after it (WavLM, HuBERT, wav2vec 2.0, data2vec-audio, UniSpeech-SAT, ...); `sed.networks.whisper`
has the one for Whisper. Both are built from a configuration alone (a dict, as in ``config.json``); weights come
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

    `dropout` replaces every dropout of the configuration; layers are never dropped as a whole, and masking is
    the caller's. Raises `ModelError` where transformers has no such encoder, or it has not 50 frames a second.
    """
    from transformers import AutoConfig

    from sed.networks.whisper import WhisperBackbone

    settings = dict(config)
    kind = settings.pop("model_type", None)
    for name in ("dtype", "torch_dtype"):  # in which the weights were stored; here they are float32
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
    except Exception as error:  # transformers raises what comes: ValueError, KeyError, huggingface_hub's own
        # Some of them go on with a list of all that would have been possible.
        reason = " ".join(str(error).split()).split(". ")[0][:200]
        raise ModelError(f"found an encoder of type {kind!r}, expected {FAMILIES}: {reason}") from error


def without_initial_values() -> AbstractContextManager[None]:
    """Modules made inside are not initialised: for those whose weights all come from a file.

    Drawing them takes longer than everything else about loading (4.4 of 4.5 processor seconds for a base model).
    """
    from transformers.initialization import no_init_weights

    return no_init_weights()


_DROPOUTS = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "dropout")
