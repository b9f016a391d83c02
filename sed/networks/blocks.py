"""Building blocks of the compact tagger: encoder layers, the speaker branch, and changes of the frame rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.networks.campplus import WIDTH, VoiceEncoder
from sed.networks.head import Head
from sed.networks.mel import KaldiMel, mask_spectrum, mix_styles


class EncoderLayer(nn.Module):
    """One pre-norm transformer layer with the parameter names of transformers' WhisperEncoderLayer."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": nn.Linear(width, width),
                "k_proj": nn.Linear(width, width, bias=False),
                "v_proj": nn.Linear(width, width),
                "out_proj": nn.Linear(width, width),
            }
        )
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, feedforward)
        self.fc2 = nn.Linear(feedforward, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, F, width)`` to the same shape."""
        y = self.self_attn_layer_norm(x)
        query, key, value = (
            self.self_attn[name](y).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.dropout(self.self_attn["out_proj"](mixed.transpose(1, 2).flatten(2)))
        y = functional.gelu(self.fc1(self.final_layer_norm(x)))
        return x + self.dropout(self.fc2(y))


def halve_frames(x: Tensor) -> Tensor:
    """The mean of every two frames: ``(B, F, C)`` to ``(B, ceil(F / 2), C)``; an odd last frame is kept."""
    half = (x.shape[1] + 1) // 2
    return torch.cat([x, x[:, -1:]], 1)[:, : 2 * half].unflatten(1, (half, 2)).mean(2)


def double_frames(x: Tensor, frames: int) -> Tensor:
    """Every frame twice, `frames` of them: ``(B, ceil(F / 2), C)`` to ``(B, F, C)``."""
    return x[:, :, None].expand(-1, -1, 2, -1).flatten(1, 2)[:, :frames]


class VoiceBranch(nn.Module):
    """`VoiceEncoder` and the `Head` for its states: raw waves in, states out, so that the fusion head sees them too."""

    def __init__(
        self,
        head_width: int,
        dilations: Sequence[int],
        reaches: Sequence[int],
        dropout: float,
        learns: bool,
        scales: int = 0,
    ) -> None:
        super().__init__()
        self.mel = KaldiMel()
        self.encoder = VoiceEncoder(learns=learns)
        self.head: Head | None = Head(WIDTH, head_width, dilations, reaches, dropout, scales=scales)

    def forward(self, waves: Tensor, masks: int = 0, styles: float = 0.0) -> Tensor:
        """``(B, T)`` waves to ``(B, ceil(T / 320), 512)``; `masks` are for `mask_spectrum`, `styles` for
        `mix_styles`."""
        return self.encoder(mask_spectrum(mix_styles(self.mel(waves), styles), masks))
