"""Writes tiny random emotion2vec+ models in FunASR's layout, and, with FunASR installed, the outputs to compare with.

``python tests/support/funasr_layout.py`` writes tests/data/funasr.json: FunASR's own scores and features of these
models, which the tests compare with, since FunASR needs too many packages to be installed for them. It was made with
funasr 1.4.16, ``pip install --no-deps funasr omegaconf antlr4-python3-runtime==4.9.3 kaldiio ...`` into a folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import sed.networks  # noqa: F401  (torchaudio imports after this)

VECTORS = Path(__file__).parents[1] / "data" / "funasr.json"
TOKENS = (
    "生气/angry 厌恶/disgusted 恐惧/fearful 开心/happy 中立/neutral 其他/other 难过/sad 吃惊/surprised <unk>"
).split()
SECONDS = (0.6, 2.513)
VARIANTS: dict[str, dict[str, Any]] = {
    "published": {},
    "others": {
        "heads": 6,
        "per_layer": True,
        "position_width": 40,
        "position_depth": 2,
        "tokens": 0,
        "labels": [*TOKENS[:4], "unuse_0", *TOKENS[4:]],
    },
}
WIDTH, CHANNELS, OWN, LAYERS = 24, 12, 2, 2


def clip(seconds: float) -> np.ndarray:
    """Noise ``(T,)`` of varying loudness."""
    samples = round(seconds * 16_000)
    noise = np.random.default_rng(samples).standard_normal(samples)
    return (noise * (0.02 + 0.2 * np.abs(np.sin(np.arange(samples) / 4000)))).astype(np.float32)


def write_model(
    folder: Path,
    heads: int = 4,
    per_layer: bool = False,
    position_width: int = 95,
    position_depth: int = 5,
    tokens: int = 10,
    labels: list[str] = TOKENS,
    **changes: Any,
) -> dict[str, torch.Tensor]:
    """Write config.yaml, model.pt and tokens.txt; `changes` replace settings under ``model_conf``. Returns the
    weights."""
    audio = {
        "type": "AUDIO",
        "prenet_depth": OWN,
        "prenet_layerdrop": 0.05,
        "prenet_dropout": 0.1,
        "start_drop_path_rate": 0.0,
        "end_drop_path_rate": 0.0,
        "num_extra_tokens": tokens,
        "init_extra_token_zero": True,
        "local_grad_mult": 1.0,
        "use_alibi_encoder": True,
        "alibi_scale": 1.0,
        "learned_alibi": False,
        "alibi_max_pos": None,
        "learned_alibi_scale": True,
        "learned_alibi_scale_per_head": True,
        "learned_alibi_scale_per_layer": per_layer,
        "num_alibi_heads": heads,
        "model_depth": LAYERS,
        "decoder": None,
        "extractor_mode": "layer_norm",
        "feature_encoder_spec": f"[({CHANNELS}, 10, 5)] + [({CHANNELS}, 3, 2)] * 4 + [({CHANNELS},2,2)] * 2",
        "conv_pos_width": position_width,
        "conv_pos_groups": 4,
        "conv_pos_depth": position_depth,
        "conv_pos_pre_ln": False,
    }
    settings = {
        "depth": LAYERS,
        "start_drop_path_rate": 0.0,
        "end_drop_path_rate": 0.0,
        "num_heads": heads,
        "norm_eps": 1e-5,
        "norm_affine": True,
        "encoder_dropout": 0.1,
        "post_mlp_drop": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.0,
        "dropout_input": 0.0,
        "layerdrop": 0.05,
        "embed_dim": WIDTH,
        "mlp_ratio": 4.0,
        "layer_norm_first": False,
        "average_top_k_layers": LAYERS,
        "end_of_block_targets": False,
        "normalize": True,
        "modalities": {"audio": audio},
        **changes,
    }
    config = {
        "model": "Emotion2vec",
        "model_conf": settings,
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "scope_map": ["d2v_model.", "none"],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "tokens.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    meta = {"init_param": "model.pt", "config": "config.yaml", "tokenizer_conf": {"token_list": "tokens.txt"}}
    (folder / "configuration.json").write_text(
        json.dumps({"model": {"type": "funasr"}, "file_path_metas": meta})
    )
    scales = (OWN + LAYERS if per_layer else 1, 1, heads, 1, 1)
    weights = _weights(scales, tokens, max(3, position_width // position_depth), position_depth, len(labels))
    torch.save({"model": weights}, folder / "model.pt")
    return weights


def _weights(
    scales: tuple[int, ...], tokens: int, kernel: int, depth: int, labels: int
) -> dict[str, torch.Tensor]:
    """Random weights by FunASR's names, the same on every machine."""
    rng = np.random.default_rng(1)
    found: dict[str, torch.Tensor] = {}

    def add(name: str, *shape: int, scale: float = 0.3, around: float = 0.0) -> None:
        values = around + scale * rng.standard_normal(shape)
        found[name] = torch.from_numpy(values.astype(np.float32))

    def add_layer(name: str, rows: int, columns: int) -> None:
        add(f"{name}.weight", rows, columns)
        add(f"{name}.bias", rows)

    def add_norm(name: str, width: int) -> None:
        add(f"{name}.weight", width, around=1.0)
        add(f"{name}.bias", width)

    audio = "d2v_model.modality_encoders.AUDIO"
    for number, size in enumerate((10, 3, 3, 3, 3, 2, 2)):
        before = CHANNELS if number else 1
        add(f"{audio}.local_encoder.conv_layers.{number}.0.weight", CHANNELS, before, size)
        add_norm(f"{audio}.local_encoder.conv_layers.{number}.2.1", CHANNELS)
    add_norm(f"{audio}.project_features.1", CHANNELS)
    add_layer(f"{audio}.project_features.2", WIDTH, CHANNELS)
    for number in range(1, depth + 1):
        add(f"{audio}.relative_positional_encoder.{number}.0.weight", WIDTH, WIDTH // 4, kernel)
        add(f"{audio}.relative_positional_encoder.{number}.0.bias", WIDTH)
    if tokens:
        add(f"{audio}.extra_tokens", 1, tokens, WIDTH)
    add(f"{audio}.alibi_scale", *scales, around=0.6)
    add_norm(f"{audio}.context_encoder.norm", WIDTH)
    blocks = [f"{audio}.context_encoder.blocks.{n}" for n in range(OWN)]
    for block in [*blocks, *(f"d2v_model.blocks.{n}" for n in range(LAYERS))]:
        add_norm(f"{block}.norm1", WIDTH)
        add_layer(f"{block}.attn.qkv", 3 * WIDTH, WIDTH)
        add_layer(f"{block}.attn.proj", WIDTH, WIDTH)
        add_norm(f"{block}.norm2", WIDTH)
        add_layer(f"{block}.mlp.fc1", 4 * WIDTH, WIDTH)
        add_layer(f"{block}.mlp.fc2", WIDTH, 4 * WIDTH)
    add("proj.weight", labels, WIDTH, scale=0.5)
    add("proj.bias", labels)
    return found


def funasr_outputs(folder: Path, wave: np.ndarray) -> dict[str, Any]:
    """FunASR's scores by label, and its features of the first, middle and last frame."""
    import funasr

    model = funasr.AutoModel(model=str(folder), disable_update=True, disable_pbar=True, device="cpu")
    found = model.generate(torch.from_numpy(wave), granularity="frame", extract_embedding=True)[0]
    frames = found["feats"]
    chosen = [0, len(frames) // 2, len(frames) - 1]
    return {
        "frames": len(frames),
        "labels": found["labels"],
        "scores": [round(score, 7) for score in found["scores"]],
        "features": [[round(float(value), 5) for value in frames[n]] for n in chosen],
    }


if __name__ == "__main__":
    sys.path += sys.argv[1:]  # folders in which FunASR is installed
    vectors: dict[str, Any] = {}
    for name, options in VARIANTS.items():
        with tempfile.TemporaryDirectory() as place:
            write_model(Path(place), **options)
            vectors[name] = [funasr_outputs(Path(place), clip(seconds)) for seconds in SECONDS]
    VECTORS.write_text(json.dumps(vectors, ensure_ascii=False) + "\n", encoding="utf-8")
