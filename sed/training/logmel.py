"""A tagger without any pretraining: the compact tagger's head on log-mel frames. A floor to measure others by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from sed.errors import ModelError
from sed.training.head import Head
from sed.training.spectrum import LogMel, hide_stretches


class LogMelTagger(nn.Module):
    """The head of `sed.training.model.CompactTagger` on two neighbouring log-mel columns (20 ms) at a time.

    Arguments mean what they mean there; `positions` is the longest piece in frames.
    """

    def __init__(
        self,
        labels: Sequence[str],
        bands: int = 80,
        positions: int = 1500,
        head_width: int = 192,
        dilations: Sequence[int] = (1, 3, 9),
        reaches: Sequence[int] = (),
        head_dropout: float = 0.2,
        spec_augment: int = 2,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "bands": bands,
            "positions": positions,
            "head_width": head_width,
            "dilations": list(dilations),
            "reaches": list(reaches),
        }
        self.labels = tuple(labels)
        self.spec_augment = spec_augment
        self.log_mel = LogMel(bands)
        self.head = Head(2 * bands, head_width, dilations, reaches, head_dropout)
        self.classify = nn.Linear(self.head.width, len(labels))

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` waves, full scale 1, to ``(B, ceil(T / 320), labels)`` logits."""
        mel = self.log_mel(waves)
        if self.training and self.spec_augment:
            mel = hide_stretches(mel, self.spec_augment)
        frames = mel.transpose(1, 2).unflatten(1, (-1, 2)).flatten(2)
        return self.classify(self.head(frames))

    def load_encoder(self, path: str) -> None:
        """There is no encoder: `ModelError`."""
        raise ModelError(f"a log-mel tagger has no encoder to load from {path}: expected no encoder_weights")

    def groups(self, encoder_rate: float, head_rate: float, layer_decay: float) -> list[dict[str, Any]]:
        """One parameter group: all of it is head."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": head_rate}]
