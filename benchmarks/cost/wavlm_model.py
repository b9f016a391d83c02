"""A model of WavLM-base size with random weights, in SpeechBrain's layout, for wavlm.py to time."""

from __future__ import annotations

import json
from pathlib import Path

LETTERS = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}

HYPERPARAMETERS = """
wav2vec2_hub: {folder}/encoder
input_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: False
wav2vec2: !new:speechbrain.integrations.huggingface.wavlm.WavLM
    source: !ref <wav2vec2_hub>
    output_norm: True
    freeze: True
    save_path: {folder}/save
avg_pool: !new:speechbrain.nnet.pooling.Pooling1d
    pool_type: "avg"
    kernel_size: 1
    stride: 1
output_mlp: !new:speechbrain.nnet.linear.Linear
    input_size: 768
    n_neurons: 4
    bias: False
model: !new:torch.nn.ModuleList
    - [!ref <output_mlp>]
modules:
    input_norm: !ref <input_norm>
    wav2vec: !ref <wav2vec2>
    wav2vec2: !ref <wav2vec2>
    output_mlp: !ref <output_mlp>
log_softmax: !new:speechbrain.nnet.activations.Softmax
    apply_log: True
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
stride: 1
window_length: 1
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        wav2vec2: !ref <wav2vec2>
        model: !ref <model>
        label_encoder: !ref <label_encoder>
    paths:
        wav2vec2: {folder}/wav2vec2.ckpt
        model: {folder}/model.ckpt
        label_encoder: {folder}/label_encoder.txt
"""


def write_model(folder: Path) -> None:
    """Random weights of base size in SpeechBrain's layout."""
    import torch
    from transformers import WavLMConfig, WavLMModel

    import sed.networks  # noqa: F401  (torchaudio imports after this)

    torch.manual_seed(0)
    encoder = WavLMModel(WavLMConfig())
    encoder.save_pretrained(folder / "encoder")
    extractor = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": False}
    (folder / "encoder" / "preprocessor_config.json").write_text(json.dumps(extractor))
    torch.save(
        {f"model.{name}": value for name, value in encoder.state_dict().items()}, folder / "wav2vec2.ckpt"
    )
    torch.save({"0.w.weight": torch.randn(4, 768) * 0.1}, folder / "model.ckpt")
    lines = [f"{letter!r} => {number}\n" for number, letter in enumerate(LETTERS)]
    (folder / "label_encoder.txt").write_text("".join(lines) + "================\n'starting_index' => 0\n")
    (folder / "hyperparams.yaml").write_text(HYPERPARAMETERS.format(folder=folder))
