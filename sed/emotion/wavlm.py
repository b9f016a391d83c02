"""SpeechBrain's emotion diarization models: their folder in, a `TorchTagger` with the same posteriors out.

The layout is that of ``speechbrain/emotion-diarization-wavlm-large``: ``hyperparams.yaml``, ``wav2vec2.ckpt``
(the encoder), ``model.ckpt`` (one linear layer) and ``label_encoder.txt``. SpeechBrain itself is not needed, and
nothing in the folder is executed. Where theirs gives the last 20 to 40 ms of a clip no posterior, the frame
before is repeated.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import torch

from sed.emotion.hub import cached, fetch
from sed.emotion.hyperyaml import CLASS, LONGEST, read_hyperyaml
from sed.emotion.neural import TorchTagger
from sed.errors import ModelError
from sed.grid import SAMPLE_RATE
from sed.training.backbones import without_initial_values
from sed.training.encoder import EncoderTagger, read_config
from sed.training.weights import match_weights, read_weights

WINDOW = 15 * SAMPLE_RATE  # the longest utterances of ZED: these models were made for such clips, in one pass
WORDS = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}
ORDER = ("neutral", "happy", "angry", "sad")
_LAYOUT = ("config.json", "preprocessor_config.json")

# What the public configurations of these encoders say, for folders that name one of them on a machine without
# network or cache. What is not here has transformers' default.
_WAVLM_LARGE = {
    "model_type": "wavlm",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
KNOWN: dict[str, tuple[dict[str, Any], str]] = {
    "microsoft/wavlm-base": ({"model_type": "wavlm"}, "raw"),
    "microsoft/wavlm-base-plus": ({"model_type": "wavlm"}, "raw"),
    "microsoft/wavlm-large": (_WAVLM_LARGE, "normalised"),
}


def open_speechbrain(folder: str | Path, hub: bool = False, **options: Any) -> TorchTagger:
    """The tagger in `folder`; `options` go to `TorchTagger`. With `hub` the hub may be asked for what the
    folder does not hold: the encoder's configuration.

    Raises `ModelError` where a file is missing, damaged, does not fit the others, or describes a model of
    another kind.
    """
    folder = Path(folder)
    labels = read_labels(folder / "label_encoder.txt")
    encoder = _encoder_of(folder / "hyperparams.yaml")
    config, inputs = _configuration(folder, str(encoder["source"]), hub)
    if inputs == "raw" or encoder["inputs"] == "standardised":
        inputs = encoder["inputs"]  # else scaled once more, which undoes what was done before
    norm = "clip" if encoder["output_norm"] else "none"
    try:
        with without_initial_values():
            model = EncoderTagger(labels, config, inputs=inputs, layers="last", norm=norm, tail="repeat")
    except ModelError as error:
        raise ModelError(f"{folder}: its encoder {encoder['source']!r} is of no use here: {error}") from error
    match_weights(
        model.backbone.encoder, read_weights(folder / "wav2vec2.ckpt"), str(folder / "wav2vec2.ckpt")
    )
    _load_head(model, folder / "model.ckpt")
    return TorchTagger(
        model, in_order(labels), WINDOW, {"name": folder.name, "encoder": encoder["source"]}, **options
    )


def read_labels(path: Path) -> list[str]:
    """The labels of SpeechBrain's CategoricalEncoder in a file, by index, as whole words.

    Raises `ModelError` where the file is damaged or the indices are not 0, 1, 2, ...
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
        raise ModelError(f"{path}: found labels with numbers {sorted(found)}, expected 0, 1, 2, ...")
    labels = [found[number] for number in range(len(found))]
    words = [WORDS.get(label, label) for label in labels] if set(labels) <= set(WORDS) else labels
    if len(set(words)) < len(words):
        raise ModelError(f"{path}: found labels {words}, expected different ones")
    return words


def in_order(labels: list[str]) -> list[str]:
    """`labels` with those of `ORDER` first, as documented, then the others as they come.

    >>> in_order(["sad", "bored", "neutral", "happy"])
    ['neutral', 'happy', 'sad', 'bored']
    """
    return [label for label in ORDER if label in labels] + [label for label in labels if label not in ORDER]


def _encoder_of(path: Path) -> dict[str, Any]:
    """Name, input scaling and output norm of the encoder that the hyperparameters describe; all else checked."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    everything = read_hyperyaml(text, str(path))
    modules = everything.get("modules")
    if not isinstance(modules, dict) or not isinstance(modules.get("wav2vec2"), dict):
        raise ModelError(f"{path}: found no modules with a wav2vec2, expected those of an emotion diarizer")
    encoder = modules["wav2vec2"]
    if not isinstance(encoder.get("source"), str) or encoder.get("output_all_hiddens"):
        raise ModelError(
            f"{path}: found a wav2vec2 without source or with all layers' states, expected the last"
        )
    pool = everything.get("avg_pool")
    if isinstance(pool, dict):
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


def _configuration(folder: Path, source: str, hub: bool) -> tuple[dict[str, Any], str]:
    """Configuration and input scaling of the encoder `source`: a folder, one in the cache, or a known one."""
    for place in (folder / source, Path(source), folder):
        if _may_describe_encoder(place / "config.json"):
            return read_config(place)
    place_in_cache = cached(source, "config.json")
    if place_in_cache is not None:
        return read_config(place_in_cache.parent)
    if hub:
        try:
            return read_config(fetch(source, [_LAYOUT[:1]], _LAYOUT[1:]))
        except ModelError:
            if source not in KNOWN:
                raise
    if source in KNOWN:
        config, inputs = KNOWN[source]
        return dict(config), inputs
    raise ModelError(
        f"{folder}: found no configuration of the encoder {source!r}, expected a folder of that name or"
        f" config.json in {folder}"
    )


def _may_describe_encoder(path: Path) -> bool:
    """Whether a file is an encoder's configuration, or damaged; on the hub SpeechBrain has others of that name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return False
    except (ValueError, RecursionError):
        return True  # who reads it says so
    return isinstance(content, dict) and "model_type" in content


def _load_head(model: EncoderTagger, path: Path) -> None:
    """The linear layer of ``model.ckpt``: one matrix, perhaps a bias, under whatever name."""
    stored = read_weights(path)
    weights = [value for value in stored.values() if value.ndim == 2]
    biases = [value for value in stored.values() if value.ndim == 1]
    own = model.classify.weight
    if len(weights) != 1 or len(biases) > 1:
        shapes = [tuple(value.shape) for value in stored.values()]
        raise ModelError(f"{path}: found tensors of shapes {shapes}, expected one linear layer")
    if weights[0].shape != own.shape or any(bias.shape != own.shape[:1] for bias in biases):
        raise ModelError(
            f"{path}: found a layer from {weights[0].shape[1]} channels to {weights[0].shape[0]} labels, expected"
            f" {own.shape[1]} channels and {own.shape[0]} labels"
        )
    with torch.no_grad():
        own.copy_(weights[0])
        model.classify.bias.zero_()
        if biases:
            model.classify.bias.copy_(biases[0])
