"""Loads audio classification models of Hugging Face: their folder in, a `Network` out.

The layout is that of ``save_pretrained``: ``config.json``, ``model.safetensors`` or ``pytorch_model.bin``, and
``preprocessor_config.json``. Nothing in the folder is executed. The names of the weights show the head:

- ``projector``, ``classifier``: the heads of transformers (WavLM, HuBERT, wav2vec 2.0, data2vec-audio, Whisper), linear
  behind a mean over time. Each frame has its own logits, whose mean over a clip is the model's own output.
- ``classifier.dense``, ``classifier.out_proj`` (or ``output``): a mean over time and two layers, as in audeering's
  models of arousal, dominance and valence. It sees sliding windows (`sed.networks.utterance`).
- ``pool_model``, ``ser_model``: attentive statistics and a classifier, as in the baselines of the Odyssey 2024
  challenge. It sees sliding windows, too.

A model whose labels are names of dimensions has no emotions but `dimensions`, which are expected from 0 to 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sed.emotion.known_encoders import encoder_config
from sed.emotion.label_names import DIMENSION_NAMES, label_names, renamed, sort_labels
from sed.emotion.neural import Network
from sed.errors import ModelError
from sed.grid import SAMPLE_RATE
from sed.networks.backbones import without_initial_values
from sed.networks.encoder_config import read_config
from sed.networks.pretrained import EncoderTagger
from sed.networks.utterance import AttentiveStatistics, MeanOverTime, PaddedWhisperTagger, UtteranceTagger
from sed.networks.weights import match_weights, read_weights
from sed.result import DIMENSIONS

WINDOW = 10 * SAMPLE_RATE  # they were trained on utterances
_OWN_KEYS = ("architectures", "id2label", "label2id", "num_labels", "transformers_version", "auto_map")


@dataclass(frozen=True)
class _Folder:
    """What the files of a model contain; `rows` are the outputs to use, in the order of the tagger's."""

    path: Path
    config: dict[str, Any]
    weights: Mapping[str, Tensor]
    labels: list[str]
    dimensions: list[str]
    rows: list[int]
    label_names: dict[str, str]


def read_audio_classification(folder: str | Path, hub: bool = False) -> Network:
    """Read the model in `folder`. `hub` allows downloading the configuration of an encoder that is not in the folder.

    Raises `ModelError` if a file is missing or damaged, or describes another kind of model.
    """
    path = Path(folder)
    model = _read(path)
    try:
        with without_initial_values():
            network = _network(model, hub)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    network.dimensions = tuple(model.dimensions)
    card = {"name": path.name, "encoder": model.config.get("model_type"), "label_names": model.label_names}
    window = min(WINDOW, network.max_samples or WINDOW)
    return Network(network, model.labels, window, card)


def _read(path: Path) -> _Folder:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        found = [str(config["id2label"][str(n)]) for n in range(len(config["id2label"]))]
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read {path / 'config.json'}: {error}") from error
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"{path / 'config.json'}: found no id2label for 0, 1, ..., expected that of an audio classification model"
        ) from error
    if config.get("problem_type") == "multi_label_classification":
        raise ModelError(
            f"{path / 'config.json'}: found labels that do not exclude each other, expected one label at a time"
        )
    dimensions = [DIMENSION_NAMES.get(label.strip().casefold(), "") for label in found]
    weights = read_weights(path)
    if all(dimensions):
        names = sorted(dimensions, key=lambda name: DIMENSIONS.index(name))
        rows = [dimensions.index(name) for name in names]
        return _Folder(path, config, weights, [], names, rows, renamed(found, dimensions))
    names = label_names(found)
    if config.get("problem_type") == "regression" or len(set(names)) < max(2, len(names)):
        raise ModelError(
            f"{path / 'config.json'}: found labels {', '.join(found) or 'none'}, expected two or more distinct ones, or"
            f" {', '.join(DIMENSIONS)}"
        )
    ordered = sort_labels(names)
    return _Folder(
        path, config, weights, ordered, [], [names.index(n) for n in ordered], renamed(found, names)
    )


def _network(model: _Folder, hub: bool) -> EncoderTagger:
    names = set(model.weights)
    if {"projector.weight", "classifier.weight"} <= names:
        return _linear(model)
    if "classifier.dense.weight" in names:
        return _two_layers(model)
    if {"pool_model.attention", "ser_model.out.0.weight"} <= names:
        return _attentive(model, hub)
    heads = sorted({name for name in names if name.startswith(("classifier", "projector", "pool", "head"))})
    raise ModelError(
        f"found {', '.join(heads[:4]) or 'no classifier'}, expected the head of an audio classification model of"
        " transformers, of audeering, or of the Odyssey 2024 challenge"
    )


def _linear(model: _Folder) -> EncoderTagger:
    """A head of transformers: its two linear layers become one."""
    config, inputs = _encoder(model)
    layers = "sum" if model.config.get("use_weighted_layer_sum") else "last"
    if model.config.get("add_adapter"):
        raise ModelError("found an adapter after the encoder, expected none")
    if config.get("model_type") == "whisper":
        tagger: EncoderTagger = PaddedWhisperTagger(model.labels, config, layers)
    else:
        tagger = EncoderTagger(model.labels, config, inputs=inputs, layers=layers, norm="none", tail="repeat")
    match_weights(tagger.backbone.encoder, model.weights, str(model.path))
    w = model.weights
    last = _last_layer(model, "classifier.")
    joined = {
        "weight": last["weight"] @ w["projector.weight"].float(),
        "bias": last["weight"] @ w["projector.bias"].float() + last["bias"],
    }
    tagger.classifier = nn.Linear(joined["weight"].shape[1], len(model.rows))
    _load(tagger.classifier, joined, "", model.path)
    if tagger.layer_weights is not None:
        _load(tagger, {"layer_weights": w["layer_weights"]}, "", model.path, strict=False)
    return tagger


def _two_layers(model: _Folder) -> EncoderTagger:
    """audeering's head, and others with the same layers."""
    pooling = model.config.get("pooling_mode", "mean")
    if pooling != "mean":
        raise ModelError(f"found pooling_mode {pooling!r}, expected 'mean'")
    config, inputs = _encoder(model)
    inner, width = model.weights["classifier.dense.weight"].shape
    dense = nn.Linear(width, inner)
    tagger = UtteranceTagger(
        model.labels,
        config,
        MeanOverTime(),
        nn.Sequential(dense, nn.Tanh()),
        inner,
        len(model.rows),
        inputs=inputs,
    )
    match_weights(tagger.backbone.encoder, model.weights, str(model.path))
    _load(dense, model.weights, "classifier.dense.", model.path)
    last = "out_proj" if "classifier.out_proj.weight" in model.weights else "output"
    _load(tagger.classifier, _last_layer(model, f"classifier.{last}."), "", model.path)
    return tagger


def _attentive(model: _Folder, hub: bool) -> EncoderTagger:
    """A baseline of the Odyssey 2024 challenge; its encoder is described elsewhere, as `ssl_type` states."""
    settings = model.config
    encoder, _ = encoder_config(model.path, str(settings.get("ssl_type")), hub)
    hidden, width = nn.Sequential(), 2 * model.weights["pool_model.attention"].shape[0]
    inner = model.weights["ser_model.fc.0.0.weight"].shape[0]
    for _ in range(int(settings.get("classifier_hidden_layers", 1))):
        hidden.append(nn.Sequential(nn.Linear(width, inner), nn.LayerNorm(inner), nn.ReLU()))
        width = inner
    tagger = UtteranceTagger(
        model.labels,
        encoder,
        AttentiveStatistics(model.weights["pool_model.attention"].shape[0]),
        hidden,
        inner,
        len(model.rows),
        inputs="raw",
        shift=float(settings.get("mean", 0.0)),
        scale=float(settings.get("std", 1.0)) + 1e-6,
    )
    match_weights(tagger.backbone.encoder, model.weights, str(model.path))
    _load(tagger.pool, model.weights, "pool_model.", model.path)
    _load(hidden, model.weights, "ser_model.fc.", model.path)
    _load(tagger.classifier, _last_layer(model, "ser_model.out.0."), "", model.path)
    return tagger


def _encoder(model: _Folder) -> tuple[dict[str, Any], str]:
    """The configuration of the encoder alone, and the scaling of its input."""
    config, inputs = read_config(model.path)
    own = {key: value for key, value in config.items() if key not in _OWN_KEYS}
    # transformers normalises quiet audio as well
    return own, "standardised" if inputs == "normalised" else inputs


def _last_layer(model: _Folder, prefix: str) -> dict[str, Tensor]:
    """Weight and bias of the layer with one output for each label, in the order of the tagger's."""
    weight, bias = model.weights[f"{prefix}weight"].float(), model.weights.get(f"{prefix}bias")
    if len(weight) != len(model.rows):
        raise ModelError(f"the head has {len(weight)} outputs, expected {len(model.rows)} as the labels")
    bias = torch.zeros(len(weight)) if bias is None else bias.float()
    return {"weight": weight[model.rows], "bias": bias[model.rows]}


def _load(
    module: nn.Module, weights: Mapping[str, Tensor], prefix: str, path: Path, strict: bool = True
) -> None:
    """Load the weights whose names start with `prefix` into `module`. Raises `ModelError` if they do not fit."""
    own = {n.removeprefix(prefix): w.float() for n, w in weights.items() if n.startswith(prefix)}
    try:
        with torch.no_grad():
            module.load_state_dict(own, strict=strict)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"the head of {path} does not fit its configuration: {reason}") from error
