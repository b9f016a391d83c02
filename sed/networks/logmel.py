"""A tagger without any pretraining: the compact tagger's head on log-mel frames. A floor to measure others by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sed.grid import HOP
from sed.networks.base import FrameTagger
from sed.networks.head import Head
from sed.networks.mel import LogMel, mask_spectrum


@dataclass(frozen=True)
class LogMelConfig:
    """The shape of a `LogMelTagger`; the fields mean what they mean in `sed.networks.compact_config.CompactConfig`."""

    bands: int = 80
    positions: int = 1500
    head_width: int = 192
    dilations: Sequence[int] = (1, 3, 9)
    reaches: Sequence[int] = ()

    def __post_init__(self) -> None:
        for name in ("dilations", "reaches"):
            object.__setattr__(self, name, list(getattr(self, name)))


class LogMelTagger(FrameTagger):
    """The head of `sed.networks.compact.CompactTagger` on two neighbouring log-mel columns (20 ms) at a time.

    The remaining keyword arguments are the fields of `LogMelConfig`.
    """

    config: LogMelConfig

    def __init__(
        self, labels: Sequence[str], *, head_dropout: float = 0.2, spec_augment: int = 2, **shape: Any
    ) -> None:
        super().__init__()
        c = self.config = LogMelConfig(**shape)
        self.labels = tuple(labels)
        self.spec_augment = spec_augment
        self.log_mel = LogMel(c.bands)
        self.head = Head(2 * c.bands, c.head_width, c.dilations, c.reaches, head_dropout)
        self.classifier = nn.Linear(self.head.width, len(labels))

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` waves, full scale 1, to ``(B, ceil(T / 320), labels)`` logits."""
        mel = self.log_mel(waves)
        if self.training and self.spec_augment:
            mel = mask_spectrum(mel, self.spec_augment)
        frames = mel.transpose(1, 2).unflatten(1, (-1, 2)).flatten(2)
        return self.classifier(self.head(frames))

    @property
    def max_samples(self) -> int:
        """The number of positions, in samples."""
        return self.config.positions * HOP

    def parameter_groups(
        self, encoder_rate: float, head_rate: float, layer_decay: float
    ) -> list[dict[str, Any]]:
        """One parameter group: all of it is head."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": head_rate}]
