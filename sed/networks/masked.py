"""`MaskedEncoder`: a pretrained encoder that predicts the cluster of masked frames, as HuBERT was pretrained.

In: waves and the frames to mask. Out: logits of every frame's cluster; and the encoder as a folder of transformers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sed.errors import OptionError
from sed.files import atomic
from sed.networks.pretrained import EncoderTagger

EXTRACTOR = "preprocessor_config.json"
_EMBEDDING = "masked_spec_embed"  # of all encoders of transformers that were pretrained with masks


class MaskedEncoder(EncoderTagger):
    """The encoder that `encoder` describes, with a linear layer to `clusters` classes; random until `load_encoder`.

    encoder: a configuration, or a folder or hub name with ``config.json``: WavLM, HuBERT, wav2vec 2.0 and similar.
    clusters: number of classes of a frame.
    frozen_layers, gradient_checkpointing, dropout: as for `EncoderTagger`.

    Raises `OptionError` for Whisper, which was not pretrained with masks, and for fewer than 2 clusters.
    """

    def __init__(
        self,
        encoder: Mapping[str, Any] | str | Path,
        clusters: int,
        *,
        frozen_layers: int = 0,
        gradient_checkpointing: bool = False,
        dropout: float | None = None,
    ) -> None:
        if clusters < 2:
            raise OptionError(f"clusters: found {clusters}, expected 2 or more")
        super().__init__(
            [str(number) for number in range(clusters)],
            encoder,
            layers="last",
            norm="none",
            head_dropout=0.0,
            frozen_layers=frozen_layers,
            gradient_checkpointing=gradient_checkpointing,
            dropout=dropout,
        )
        if self.config.encoder.get("model_type") == "whisper":
            raise OptionError(
                "found Whisper, expected an encoder that was pretrained with masks (WavLM, HuBERT, wav2vec 2.0)"
            )
        network = self.backbone.encoder
        if not hasattr(
            network, _EMBEDDING
        ):  # the configuration has no masks, and so no vector for masked frames
            network.register_parameter(
                _EMBEDDING, nn.Parameter(torch.rand(self.config.encoder["hidden_size"]))
            )
        getattr(network, _EMBEDDING).requires_grad_(True)
        self._masked: Tensor | None = None

    def forward(self, waves: Tensor, lengths: Tensor | None = None, masked: Tensor | None = None) -> Tensor:
        """``(B, T)`` waves to ``(B, ceil(T / 320), clusters)`` logits; the frames `masked` ``(B, F)`` are not seen."""
        self._masked = masked
        try:
            return super().forward(waves, lengths)
        finally:
            self._masked = None

    def _mask(self, features: Tensor) -> Tensor:
        if self._masked is None:
            return features
        embedding = getattr(self.backbone.encoder, _EMBEDDING).to(features.dtype)
        return torch.where(self._masked[:, :, None], embedding, features)


def save_encoder(model: MaskedEncoder, source: str | Path, folder: Path) -> None:
    """Write the encoder of `model` to `folder` in the layout of transformers, without the layer to clusters.

    `source` is the folder that it was started from; its ``preprocessor_config.json`` is copied, so that waves are
    scaled as before.
    """
    from safetensors.torch import save_file

    network = model.backbone.encoder
    config = {**model.config.encoder, "architectures": [type(network).__name__], "dtype": "float32"}
    extractor = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": 16_000,
        "padding_value": 0.0,
        "do_normalize": model.config.inputs == "normalised",
        "return_attention_mask": model.config.inputs == "normalised",
    }
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    with (
        atomic(folder / "config.json") as config_part,
        atomic(folder / EXTRACTOR) as extractor_part,
        atomic(folder / "model.safetensors") as weights_part,
    ):
        config_part.write_text(json.dumps(config, indent=1), encoding="utf-8")
        if (Path(source) / EXTRACTOR).is_file():
            shutil.copyfile(Path(source) / EXTRACTOR, extractor_part)
        else:
            extractor_part.write_text(json.dumps(extractor, indent=1), encoding="utf-8")
        save_file(weights, weights_part, {"format": "pt"})
        weights_part.chmod(
            config_part.stat().st_mode
        )  # safetensors writes files that only their owner can read
