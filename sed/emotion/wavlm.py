"""Loads SpeechBrain's emotion models: their folder in, a `Network` with the same posteriors out.

The layout is that of ``speechbrain/emotion-diarization-wavlm-large``: ``hyperparams.yaml``, ``wav2vec2.ckpt``
(the encoder), ``model.ckpt`` (one linear layer) and ``label_encoder.txt``. Utterance models such as
``speechbrain/emotion-recognition-wav2vec2-IEMOCAP`` have the same files; before the linear layer they take a mean over
time, so each frame has its own logits here, whose mean is their output. SpeechBrain itself is not needed, and
nothing in the folder is executed. SpeechBrain returns no posteriors for the last 20 to 40 ms of a clip; here the
last frame is repeated.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import torch

from sed.emotion.hyperyaml import CLASS, load_hyperyaml
from sed.emotion.known_encoders import encoder_config
from sed.emotion.label_names import label_names, renamed, sort_labels
from sed.emotion.neural import Network
from sed.errors import ModelError
from sed.grid import SAMPLE_RATE
from sed.networks.backbones import without_initial_values
from sed.networks.pretrained import EncoderTagger
from sed.networks.weights import match_weights, read_weights

WINDOW = (
    15 * SAMPLE_RATE
)  # the longest utterances of ZED; these models were designed for clips up to that length


def read_speechbrain(folder: str | Path, hub: bool = False) -> Network:
    """Read the model in `folder`. `hub` allows downloading the configuration of the encoder, which is not in the
    folder.

    Raises `ModelError` if a file is missing, damaged, does not fit the others, or describes another kind of model.
    """
    folder = Path(folder)
    found = read_labels(folder / "label_encoder.txt")
    labels = label_names(found)
    encoder = _read_hyperparams(folder / "hyperparams.yaml")
    config, inputs = encoder_config(folder, str(encoder["source"]), hub)
    if inputs == "raw" or encoder["inputs"] == "standardised":
        inputs = encoder[
            "inputs"
        ]  # otherwise the encoder normalises again, which makes the first scaling irrelevant
    norm = "clip" if encoder["output_norm"] else "none"
    try:
        with without_initial_values():
            model = EncoderTagger(labels, config, inputs=inputs, layers="last", norm=norm, tail="repeat")
    except ModelError as error:
        raise ModelError(f"{folder}: the encoder {encoder['source']!r} cannot be used: {error}") from error
    match_weights(
        model.backbone.encoder, read_weights(folder / "wav2vec2.ckpt"), str(folder / "wav2vec2.ckpt")
    )
    _load_head(model, folder / "model.ckpt")
    card = {"name": folder.name, "encoder": encoder["source"], "label_names": renamed(found, labels)}
    return Network(model, sort_labels(labels), WINDOW, card)


def read_labels(path: Path) -> list[str]:
    """The labels in a file of SpeechBrain's CategoricalEncoder, in the order of their indices.

    Raises `ModelError` if the file is damaged or the indices are not 0, 1, 2, ...
    """
    found: dict[int, str] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("====="):
                break
            label, _, index = line.partition(" => ")
            found[int(index)] = str(ast.literal_eval(label))
    except (OSError, ValueError, SyntaxError) as error:
        raise ModelError(f"{path} is damaged: {error}, expected lines such as 'n' => 0") from error
    if len(found) < 2 or sorted(found) != list(range(len(found))):
        raise ModelError(f"{path}: found labels with indices {sorted(found)}, expected 0, 1, 2, ...")
    labels = [found[number] for number in range(len(found))]
    if len(set(labels)) < len(labels):
        raise ModelError(f"{path}: found labels {labels}, expected distinct ones")
    return labels


def _read_hyperparams(path: Path) -> dict[str, Any]:
    """Name, input scaling and output norm of the encoder. Raises `ModelError` on unsupported hyperparameters."""
    hyperparams = load_hyperyaml(path)
    modules = hyperparams.get("modules")
    if not isinstance(modules, dict) or not isinstance(modules.get("wav2vec2"), dict):
        raise ModelError(f"{path}: found no modules with a wav2vec2, expected those of an emotion model")
    encoder = modules["wav2vec2"]
    if not isinstance(encoder.get("source"), str) or encoder.get("output_all_hiddens"):
        raise ModelError(
            f"{path}: found a wav2vec2 without source or with the states of all layers, expected those of the last"
        )
    pool = hyperparams.get("avg_pool")
    if isinstance(pool, dict) and str(pool.get(CLASS)).endswith("StatisticsPooling"):
        if pool.get("return_std", True):
            raise ModelError(f"{path}: found an avg_pool with deviations, expected return_std: False")
    elif isinstance(pool, dict):
        sizes = (pool.get("kernel_size", 1), pool.get("stride", pool.get("kernel_size", 1)))
        if sizes != (1, 1):
            raise ModelError(f"{path}: found frames pooled by {sizes}, expected a window and a stride of 1")
    norm = modules.get("input_norm")
    inputs = "raw"
    if isinstance(norm, dict):
        kind = norm.get("norm_type", "global")
        if kind != "sentence" or not str(norm.get(CLASS)).endswith("InputNormalization"):
            raise ModelError(f"{path}: found an input_norm of type {kind!r}, expected 'sentence'")
        inputs = "standardised" if norm.get("std_norm", True) else "centred"
    return {"source": encoder["source"], "inputs": inputs, "output_norm": bool(encoder.get("output_norm"))}


def _load_head(model: EncoderTagger, path: Path) -> None:
    """Load the linear layer of ``model.ckpt``: one matrix and an optional bias, with arbitrary names."""
    stored = read_weights(path)
    weights = [value for value in stored.values() if value.ndim == 2]
    biases = [value for value in stored.values() if value.ndim == 1]
    target = model.classifier.weight
    if len(weights) != 1 or len(biases) > 1:
        shapes = [tuple(value.shape) for value in stored.values()]
        raise ModelError(f"{path}: found tensors of shapes {shapes}, expected one linear layer")
    if weights[0].shape != target.shape or any(bias.shape != target.shape[:1] for bias in biases):
        raise ModelError(
            f"{path}: found a layer from {weights[0].shape[1]} channels to {weights[0].shape[0]} labels, expected"
            f" {target.shape[1]} channels and {target.shape[0]} labels"
        )
    with torch.no_grad():
        target.copy_(weights[0])
        model.classifier.bias.zero_()
        if biases:
            model.classifier.bias.copy_(biases[0])
