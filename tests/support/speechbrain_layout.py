"""Writes a tiny random model in the layout of speechbrain/emotion-diarization-wavlm-large."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tiny_encoders import transformers_model

HYPERPARAMETERS = """
wav2vec2_hub: {source}
pretrained_path: {folder}
encoder_dim: 32
out_n_neurons: 4
window_length: 1
stride: 1

input_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
    std_norm: {std_norm}

wav2vec2: !new:speechbrain.integrations.huggingface.wavlm.WavLM
    source: !ref <wav2vec2_hub>
    output_norm: {output_norm}
    freeze: True
    save_path: {save_path}

avg_pool: !new:speechbrain.nnet.pooling.Pooling1d
    pool_type: "avg"
    kernel_size: !ref <window_length>
    stride: !ref <stride>
    ceil_mode: True

output_mlp: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <encoder_dim>
    n_neurons: !ref <out_n_neurons>
    bias: {bias}

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

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        wav2vec2: !ref <wav2vec2>
        model: !ref <model>
        label_encoder: !ref <label_encoder>
    paths:
        wav2vec2: !ref <pretrained_path>/wav2vec2.ckpt
        model: !ref <pretrained_path>/model.ckpt
        label_encoder: !ref <pretrained_path>/label_encoder.txt
"""

LETTERS = ("s", "n", "a", "h")  # not the documented order, because the order of a trained model is arbitrary


def write_layout(
    folder: Path,
    name: str = "wavlm-large",
    normalise: bool = True,
    output_norm: bool = True,
    bias: bool = False,
    std_norm: bool = False,
    letters: tuple[str, ...] = LETTERS,
) -> Path:
    """Write a model to ``folder/model`` and the configuration of its encoder to ``folder/encoder``."""
    torch.manual_seed(3)
    source, model = folder / "encoder", folder / "model"
    model.mkdir(parents=True)
    encoder = transformers_model(name)
    encoder.save_pretrained(source)
    extractor = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": normalise}
    (source / "preprocessor_config.json").write_text(json.dumps(extractor))
    with torch.no_grad():  # the weights of the checkpoint differ from those of the encoder
        for parameter in encoder.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    torch.save(
        {f"model.{key}": value for key, value in encoder.state_dict().items()}, model / "wav2vec2.ckpt"
    )
    head = {"0.w.weight": torch.randn(len(letters), 32) * 0.3}
    if bias:
        head["0.w.bias"] = torch.randn(len(letters))
    torch.save(head, model / "model.ckpt")
    lines = [f"{letter!r} => {number}\n" for number, letter in enumerate(letters)]
    (model / "label_encoder.txt").write_text("".join(lines) + "================\n'starting_index' => 0\n")
    text = HYPERPARAMETERS.format(
        source=source,
        folder=model,
        save_path=folder / "save",
        output_norm=output_norm,
        bias=bias,
        std_norm=std_norm,
    )
    (model / "hyperparams.yaml").write_text(
        text.replace("out_n_neurons: 4", f"out_n_neurons: {len(letters)}")
    )
    return model
