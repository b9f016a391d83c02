"""The encoder half of Whisper as a backbone: 16 kHz waves in, states of every layer out; see `backbones`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from sed.errors import ModelError
from sed.grid import HOP
from sed.networks.base import StateHook, frame_counts
from sed.networks.mel import LogMel


class WhisperBackbone(nn.Module):
    """Whisper's encoder on inputs of any length up to its own, with the log-mel computed from the waves."""

    def __init__(self, config: Any, pad_tail: bool) -> None:
        super().__init__()
        if not pad_tail:
            raise ModelError("found a Whisper encoder without padding of the tail, expected with")
        self.encoder = WhisperEncoder(config)
        self.log_mel = LogMel(config.num_mel_bins)
        self.width: int = config.d_model
        self.max_samples: int | None = config.max_source_positions * HOP

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers, lowest first."""
        return self.encoder.layers

    @property
    def front(self) -> list[nn.Module]:
        """The modules before the layers, without the convolutions: none, since the positions are not trained."""
        return []

    @property
    def final_norm(self) -> nn.Module:
        """The normalisation after the last layer."""
        return self.encoder.layer_norm

    def freeze_features(self) -> None:
        """Freeze the convolutions."""
        self.encoder.conv1.requires_grad_(False)
        self.encoder.conv2.requires_grad_(False)

    def unused(self) -> list[nn.Parameter]:
        """Parameters that only pretraining uses: none."""
        return []

    def forward(
        self,
        waves: Tensor,
        lengths: Tensor | None,
        on_states: StateHook | None,
        mask: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """As `ConvBackbone.forward`; raises `ModelError` if the audio is longer than Whisper's positions."""
        if self.max_samples is not None and waves.shape[1] > self.max_samples:
            raise ModelError(f"found {waves.shape[1]} samples at once, expected at most {self.max_samples}")
        frames = (waves.shape[1] + HOP - 1) // HOP
        mel = self.log_mel(waves)
        exists = None
        if lengths is not None:
            exists = torch.arange(frames, device=mel.device) < frame_counts(lengths)[:, None]
            fine = exists.repeat_interleave(2, 1)[:, None].to(mel.dtype)
            mel = functional.gelu(self.encoder.conv1(mel * fine)) * fine
        else:
            mel = functional.gelu(self.encoder.conv1(mel))
        hidden = mask(functional.gelu(self.encoder.conv2(mel)).transpose(1, 2))
        hidden = hidden + self.encoder.embed_positions.weight[:frames]
        hidden = functional.dropout(hidden, self.encoder.dropout, self.training)
        attend = None if exists is None else exists[:, None, None].expand(-1, 1, frames, -1)
        for number, layer in enumerate(self.layers):
            if on_states:
                on_states(number, hidden)
            hidden = layer(hidden, attend)
        if on_states:
            on_states(len(self.layers), hidden)
        return self.final_norm(hidden)

    def valid_frames(self, lengths: Tensor) -> Tensor:
        """Number of frames of each of `lengths` samples."""
        return frame_counts(lengths)

    def extend(self, states: Tensor, lengths: Tensor | None, frames: int) -> Tensor:
        """Return `states` unchanged: no frame is missing."""
        return states
