"""Loads emotion2vec+ in FunASR's layout: its folder in, a `Network` with the same posteriors out.

The files are ``config.yaml`` (the network), ``model.pt`` (weights) and ``tokens.txt`` (a label per line, such as
``生气/angry``; ``<unk>`` is the label unknown, and lines that start with ``unuse`` are not used). FunASR itself is not
needed, and nothing in the folder is executed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sed.emotion.hyperyaml import load_hyperyaml
from sed.emotion.label_names import label_names, renamed, sort_labels
from sed.emotion.neural import Network
from sed.errors import ModelError
from sed.grid import SAMPLE_RATE
from sed.networks.backbones import without_initial_values
from sed.networks.emotion2vec import Emotion2vecTagger
from sed.networks.weights import read_weights

WINDOW = 10 * SAMPLE_RATE  # it was trained on utterances
_AUDIO = "modality_encoders.AUDIO."
_PREFIXES = ("module.", "d2v_model.", "model.")
_LAYER = re.compile(r"(modality_encoders\.AUDIO\.context_encoder\.)?blocks\.(\d+)\.")
_IN_LAYER = {"attn.qkv": "qkv", "attn.proj": "out", "mlp.fc1": "fc1", "mlp.fc2": "fc2"}
_TUPLES = re.compile(r"\[((?:\([\d, ]+\)[, ]*)+)\](?:\*(\d+))?")
_UNKNOWN, _UNUSED = "<unk>", "unuse"


def read_funasr(folder: str | Path) -> Network:
    """Read the model in `folder`. Raises `ModelError` if a file is missing or damaged, or describes another kind."""
    folder = Path(folder)
    settings = _read_config(folder / "config.yaml")
    weights = {_own_name(name): value for name, value in read_weights(folder / "model.pt").items()}
    tokens = _read_tokens(folder / "tokens.txt")
    used = [number for number, token in enumerate(tokens) if not token.startswith(_UNUSED)]
    found = [tokens[number] for number in used]
    names = label_names([_plain(token) for token in found])
    head = weights.get("proj.weight")
    if head is None or "proj.bias" not in weights or len(head) != len(tokens):
        outputs = "no proj" if head is None else f"a proj of {len(head)} outputs"
        raise ModelError(
            f"{folder / 'model.pt'}: found {outputs}, expected one with an output for each of the {len(tokens)} lines"
            " of tokens.txt (emotion2vec without a classifier has none)"
        )
    if len(set(names)) < max(2, len(names)):
        raise ModelError(
            f"{folder / 'tokens.txt'}: found labels {', '.join(names)}, expected two or more distinct ones"
        )
    ordered = sort_labels(names)
    rows = [used[names.index(name)] for name in ordered]
    try:
        with without_initial_values():
            model = Emotion2vecTagger(ordered, **_shape(settings, folder / "config.yaml"))
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    own = _renamed(weights, model.config.own_layers)
    own |= {f"classifier.{kind}": weights[f"proj.{kind}"][rows] for kind in ("weight", "bias")}
    _load(model, own, folder / "model.pt")
    card = {"name": folder.name, "encoder": "emotion2vec", "label_names": renamed(found, names)}
    return Network(model, ordered, WINDOW, card)


def _plain(token: str) -> str:
    """The English part of a line of tokens.txt."""
    label = token.rpartition("/")[2].strip()
    return "unknown" if label == _UNKNOWN else label


def _read_tokens(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from error


def _read_config(path: Path) -> dict[str, Any]:
    """The settings under ``model_conf``. Raises `ModelError` if the file describes another model."""
    found = load_hyperyaml(path)
    settings = found.get("model_conf")
    if found.get("model") != "Emotion2vec" or not isinstance(settings, dict):
        raise ModelError(
            f"{path}: found a model {found.get('model')!r}, expected Emotion2vec with a model_conf"
        )
    return settings


def _shape(settings: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The fields of `Emotion2vecConfig`. Raises `ModelError` on settings that published models do not have."""
    try:
        audio = settings["modalities"]["audio"]
        expected = (
            ("layer_norm_first", settings.get("layer_norm_first", False), False),
            ("norm_affine", settings.get("norm_affine", True), True),
            ("extractor_mode", audio["extractor_mode"], "layer_norm"),
            ("conv_pos_pre_ln", audio.get("conv_pos_pre_ln", False), False),
            ("learned_alibi", audio.get("learned_alibi", False), False),
        )
        for name, value, wanted in expected:
            if value != wanted:
                raise ModelError(
                    f"{path}: found {name} {value!r}, expected {wanted!r} as in published models"
                )
        width, depth = int(settings["embed_dim"]), int(audio["conv_pos_depth"])
        own, layers = int(audio["prenet_depth"]), int(settings["depth"])
        biased = int(audio["num_alibi_heads"]) if audio.get("use_alibi_encoder", False) else 0
        scales = (
            own + layers if audio.get("learned_alibi_scale_per_layer") else 1,
            biased if audio.get("learned_alibi_scale_per_head") else 1,
        )
        return {
            "convolutions": _convolutions(str(audio["feature_encoder_spec"])),
            "width": width,
            "heads": int(settings["num_heads"]),
            "feedforward": int(width * float(settings["mlp_ratio"])),
            "own_layers": own,
            "layers": layers,
            "tokens": int(audio["num_extra_tokens"]),
            "position_kernel": max(3, int(audio["conv_pos_width"]) // depth),
            "position_groups": int(audio["conv_pos_groups"]),
            "position_depth": depth,
            "alibi_heads": biased,
            "alibi_scales": scales,
            "epsilon": float(settings.get("norm_eps", 1e-5)),
            "normalise": bool(settings.get("normalize", False)),
        }
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise ModelError(
            f"{path}: found a model_conf without a usable {error}, expected the settings of emotion2vec"
        ) from error


def _convolutions(text: str) -> list[tuple[int, int, int]]:
    """Channels, kernel and stride of each convolution of a specification, which is not executed.

    >>> _convolutions("[(512, 10, 5)] + [(512, 3, 2)] * 2 + [(512,2,2)]")
    [(512, 10, 5), (512, 3, 2), (512, 3, 2), (512, 2, 2)]
    """
    found: list[tuple[int, int, int]] = []
    for part in "".join(text.split()).split("+"):
        match = _TUPLES.fullmatch(part)
        groups = re.findall(r"\((\d+),(\d+),(\d+)\)", match[1]) if match else []
        if match is None or not groups or int(match[2] or 1) > 16:
            raise ValueError("feature_encoder_spec")
        found += [(int(a), int(b), int(c)) for a, b, c in groups] * int(match[2] or 1)
    return found


def _own_name(name: str) -> str:
    """A weight's name without the prefixes of the programs that trained it."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _renamed(weights: Mapping[str, Tensor], own_layers: int) -> dict[str, Tensor]:
    """The weights that `Emotion2vecTagger` has, by its names."""
    renamed_weights: dict[str, Tensor] = {}
    front = {
        "project_features.1": "input_norm",
        "project_features.2": "project",
        "context_encoder.norm": "first_norm",
        "extra_tokens": "tokens",
        "alibi_scale": "alibi_scale",
    }
    for name, value in weights.items():
        if match := _LAYER.match(name):
            number = int(match[2]) + (0 if match[1] else own_layers)
            part, _, kind = name[match.end() :].rpartition(".")
            renamed_weights[f"layers.{number}.{_IN_LAYER.get(part, part)}.{kind}"] = value
            continue
        inner = name.removeprefix(_AUDIO)
        if match := re.fullmatch(r"local_encoder\.conv_layers\.(\d+)\.(0|2\.1)\.(weight|bias)", inner):
            part = "filter" if match[2] == "0" else "norm"
            renamed_weights[f"convolutions.{match[1]}.{part}.{match[3]}"] = value
        elif match := re.fullmatch(r"relative_positional_encoder\.(\d+)\.0\.(weight|bias)", inner):
            renamed_weights[f"positions.{int(match[1]) - 1}.{match[2]}"] = value
        for old, new in front.items():
            if inner == old or inner.startswith(f"{old}."):
                renamed_weights[new + inner[len(old) :]] = value
    if (
        scale := renamed_weights.get("alibi_scale")
    ) is not None:  # (layers, 1, heads, 1, 1), or without the first
        renamed_weights["alibi_scale"] = scale.reshape(-1 if scale.ndim == 5 else 1, scale.shape[-3])
    return renamed_weights


def _load(model: Emotion2vecTagger, own: Mapping[str, Tensor], path: Path) -> None:
    """Load the weights. Raises `ModelError` if one is missing, has another shape, or if there are more layers."""
    layers = {int(name.split(".")[1]) for name in own if name.startswith("layers.")}
    if len(layers) > len(model.layers):
        raise ModelError(
            f"{path}: found {len(layers)} layers, expected {len(model.layers)} as config.yaml says"
        )
    matched = {}
    for name, value in model.state_dict().items():
        found = own.get(name)
        if found is None or found.shape != value.shape:
            shape = "nothing" if found is None else f"shape {tuple(found.shape)}"
            raise ModelError(f"{path}: found {shape} for {name}, expected shape {tuple(value.shape)}")
        matched[name] = found.to(torch.float32)
    model.load_state_dict(matched, assign=True)
