"""Writes tiny random audio classification models in the layouts in which they are published, with the original code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tiny_encoders import CONFIGS, transformers_model
from torch import nn

LABELS = ("ang", "Happiness", "neu", "tired")


def transformers_classifier(folder: Path, name: str, **settings: Any):
    """Save a classifier of transformers with the encoder `name` of `CONFIGS`; returns it and its feature extractor."""
    from transformers import (
        AutoConfig,
        AutoModelForAudioClassification,
        Wav2Vec2FeatureExtractor,
        WhisperFeatureExtractor,
    )

    import sed.networks  # noqa: F401  (torchaudio imports after this)

    torch.manual_seed(5)
    encoder = dict(CONFIGS[name])
    config = AutoConfig.for_model(
        encoder.pop("model_type"),
        **encoder,
        **{"id2label": dict(enumerate(LABELS)), "classifier_proj_size": 16, **settings},
    )
    model = AutoModelForAudioClassification.from_config(config).eval()
    spread(model)
    model.save_pretrained(folder)
    extractor = (
        WhisperFeatureExtractor(chunk_length=4)
        if name == "whisper"
        else Wav2Vec2FeatureExtractor(do_normalize="large" in name)
    )
    extractor.save_pretrained(folder)
    return model, extractor


def spread(model: nn.Module, by: float = 0.1) -> None:
    """Change the weights so that frames and labels differ."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn_like(parameter))


class DimensionalHead(nn.Module):
    """The head of audeering's models, with their names."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.dense, self.out_proj = nn.Linear(width, width), nn.Linear(width, outputs)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return self.out_proj(torch.tanh(self.dense(pooled)))


def audeering_model(folder: Path):
    """Save a model in the layout of audeering's; returns a function from normalised waves to its three outputs."""
    from safetensors.torch import save_file

    torch.manual_seed(6)
    encoder, head = transformers_model("wav2vec2-large"), DimensionalHead(32, 3)
    spread(encoder)
    with torch.no_grad():
        head.out_proj.bias.fill_(0.5)
    config = {
        **encoder.config.to_dict(),
        "architectures": ["Wav2Vec2ForSpeechClassification"],
        "id2label": {"0": "arousal", "1": "dominance", "2": "valence"},
        "finetuning_task": "wav2vec2_reg",
        "pooling_mode": "mean",
        "problem_type": "regression",
    }
    weights = {f"wav2vec2.{name}": value for name, value in encoder.state_dict().items()}
    weights |= {f"classifier.{name}": value for name, value in head.state_dict().items()}
    write_folder(folder, config, {"do_normalize": True, "feature_extractor_type": "Wav2Vec2FeatureExtractor"})
    save_file(weights, folder / "model.safetensors")

    @torch.no_grad()
    def original(waves: torch.Tensor) -> torch.Tensor:
        return head(encoder(waves).last_hidden_state.mean(1))

    return original


class OdysseyModel(nn.Module):
    """The baseline of the Odyssey 2024 challenge, with the names of its weights."""

    def __init__(self, width: int, outputs: int, layers: int) -> None:
        super().__init__()
        self.ssl_model = transformers_model("wavlm-large")
        self.pool_model = nn.Module()
        self.pool_model.sap_linear = nn.Linear(width, width)
        self.pool_model.attention = nn.Parameter(torch.randn(width, 1))
        self.ser_model = nn.Module()
        blocks = [
            nn.Sequential(nn.Linear(n, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(0.5))
            for n in (2 * width, *[width] * (layers - 1))
        ]
        self.ser_model.fc = nn.ModuleList(blocks)
        self.ser_model.out = nn.Sequential(nn.Linear(width, outputs))

    @torch.no_grad()
    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        x = self.ssl_model(waves).last_hidden_state[0]
        attention = torch.softmax((self.pool_model.sap_linear(x).tanh() @ self.pool_model.attention)[:, 0], 0)
        mean = (attention[:, None] * x).sum(0)
        variance = (attention[:, None] * x**2).sum(0) - mean**2
        h = torch.cat([mean, variance.clamp(min=1e-5).sqrt()])
        for block in self.ser_model.fc:
            h = block(h)
        return self.ser_model.out(h)


def odyssey_model(folder: Path, labels: tuple[str, ...], layers: int = 1) -> OdysseyModel:
    """Save a baseline of the Odyssey 2024 challenge; its encoder's configuration is in the folder ``tiny-wavlm``."""
    from safetensors.torch import save_file

    torch.manual_seed(7)
    model = OdysseyModel(32, len(labels), layers).eval()
    spread(model)
    model.ssl_model.config.save_pretrained(folder / "tiny-wavlm")
    config = {
        "architectures": ["SERModel"],
        "auto_map": {"AutoModelForAudioClassification": "pipeline_utils.SERModel"},
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "sampling_rate": 16000,
        "maxlen": 192000,
        "mean": -8e-05,
        "std": 0.085,
        "classifier_hidden_layers": layers,
        "hidden_size": 32,
        "model_type": "ser",
        "num_classes": len(labels),
        "ssl_type": "tiny-wavlm",
    }
    write_folder(folder, config, {"mean": 10})
    save_file(model.state_dict(), folder / "model.safetensors")
    return model


def write_folder(folder: Path, config: dict[str, Any], extractor: dict[str, Any]) -> None:
    """Write the two JSON files of a model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor))
