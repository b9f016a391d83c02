"""Tiny random encoders of every supported family: two layers of 32 channels, created without any download."""

from __future__ import annotations

_CONV = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
_LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}

CONFIGS = {
    "wavlm": {"model_type": "wavlm", **_CONV},
    "wavlm-large": {"model_type": "wavlm", **_CONV, **_LARGE},
    "hubert": {"model_type": "hubert", **_CONV},
    "wav2vec2": {"model_type": "wav2vec2", **_CONV},
    "wav2vec2-large": {"model_type": "wav2vec2", **_CONV, **_LARGE},
    "data2vec-audio": {"model_type": "data2vec-audio", **_CONV, "feat_extract_norm": "layer"},
    "whisper": {
        "model_type": "whisper",
        "d_model": 32,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 64,
        "max_source_positions": 200,
        "vocab_size": 100,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    },
}


def transformers_model(name: str):
    """The encoder `name` of `CONFIGS`, created by transformers, in evaluation mode."""
    from transformers import AutoConfig, AutoModel

    import sed.networks  # noqa: F401  (torchaudio imports after this)

    settings = dict(CONFIGS[name])
    return AutoModel.from_config(AutoConfig.for_model(settings.pop("model_type"), **settings)).eval()
