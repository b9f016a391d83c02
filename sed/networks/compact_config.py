"""`CompactConfig`: the shape of a `sed.networks.compact.CompactTagger`, as a tagger folder stores it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sed.errors import OptionError


@dataclass(frozen=True)
class CompactConfig:
    """The shape of a tagger. The defaults fit Whisper base.

    layers, width, heads, feedforward, bands: those of the Whisper encoder; `layers` counts from the lowest.
    positions: longest input in frames (1500 is 30 s).
    head_width, dilations, reaches: those of `sed.networks.head.Head`.
    scales: of a bidirectional multi-scale head after TIM-Net in every branch, in addition to `dilations`; 0: none.
    halve_after: after this many layers two frames become one, which halves the work of those that follow; 0: never.
    voice: whether there is a second branch with the lower half of CAM++.
    fusion: number of last layers that the third branch sees, concatenated with the speaker branch's states at the
        last layer's rate and without dilations; 0: no third branch.
    encoder_head: whether the encoder has a head of its own; without, it only serves the fusion.
    voice_halved: whether the speaker branch's head works at the halved rate, too.
    shares: weights of the branches that exist (encoder, voice, fusion); empty: equal. A branch of share 0 only helps
        training, and `prepare_for_inference` removes it.

    Raises `OptionError` on a negative number of layers.
    """

    layers: int = 3
    width: int = 512
    heads: int = 8
    feedforward: int = 2048
    bands: int = 80
    positions: int = 1500
    head_width: int = 192
    dilations: Sequence[int] = (1, 3, 9)
    reaches: Sequence[int] = ()
    halve_after: int = 0
    voice: bool = False
    fusion: int = 0
    encoder_head: bool = True
    voice_halved: bool = False
    shares: Sequence[float] = ()
    scales: int = 0

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise OptionError(f"{self.layers} layers: expected 0 or more")
        for name in ("dilations", "reaches", "shares"):
            object.__setattr__(self, name, list(getattr(self, name)))
