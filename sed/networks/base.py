"""`FrameTagger`: the contract of every network that labels frames, in training, export and inference."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sed.errors import ModelError, OptionError
from sed.grid import HOP
from sed.networks import lora

StateHook = Callable[[int, Tensor], None]
"""Called with the number of a layer (0: its input) and its states."""


def frame_counts(lengths: Tensor) -> Tensor:
    """Number of 20 ms frames in each of `lengths` samples; a partial last frame counts."""
    return (lengths + HOP - 1) // HOP


class FrameTagger(nn.Module, ABC):
    """``(B, T)`` waves at 16 kHz, full scale 1, to ``(B, ceil(T / 320), labels)`` logits.

    A subclass sets `labels`, `config` and `classifier`; the defaults here are those of a network without branches,
    a speaker branch or a pretrained encoder.
    """

    labels: tuple[str, ...]
    """All trained labels, in the order of its logits."""

    dimensions: tuple[str, ...] = ()
    """Names of the outputs after the labels, such as arousal, from 0 to 1; mostly none."""

    config: Any
    """A frozen dataclass of everything that determines its shape; a saved tagger stores ``asdict(config)``."""

    classifier: nn.Linear
    """The last layer: features ``(B, F, width)`` to logits."""

    supports_lengths: bool = False
    """Whether `forward` takes ``lengths``, the samples of each item of a padded batch."""

    int8_convolutions: bool = False
    """Whether convolutions over frames keep their accuracy with 8-bit weights."""

    @property
    def max_samples(self) -> int | None:
        """The longest input in samples; None: unlimited."""
        return None

    @abstractmethod
    def parameter_groups(
        self, encoder_rate: float, head_rate: float, layer_decay: float
    ) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser, the head's last; lower layers learn more slowly, by `layer_decay`."""

    def load_encoder(self, path: str | Path) -> None:
        """Load the pretrained encoder's weights. Raises `ModelError` if there is no encoder or they do not match."""
        raise ModelError(
            f"a {type(self).__name__} has no encoder to load from {path}: expected no encoder_weights"
        )

    def load_voice(self, path: str | Path) -> None:
        """Load the weights of the speaker branch. Raises `OptionError` if there is none."""
        raise OptionError(
            f"a {type(self).__name__} has no speaker branch: expected no voice_weights, found {path}"
        )

    @property
    def has_branches(self) -> bool:
        """Whether `branch_logits` can separate the branches."""
        return False

    def branch_logits(self, features: Tensor) -> list[Tensor]:
        """Separate logits of each branch, ``(B, F, labels)``, from the features that enter `classifier`."""
        return [self.classifier(features)]

    def merge_low_rank(self) -> None:
        """Add low-rank updates to the weights that they adapt, in place."""
        lora.merge(self)

    def prepare_for_inference(self) -> None:
        """Remove, in place, parts that only training needs; the output is unchanged."""
        self.merge_low_rank()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in ("weight", "bias"):  # until November 2026 the last layer was stored as "classify"
            if (old := f"{prefix}classify.{name}") in state_dict:
                state_dict[f"{prefix}classifier.{name}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, *args)
