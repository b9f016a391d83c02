"""emotion2vec (Ma et al. 2023) with its linear head: raw 16 kHz waves in, logits of every label per 20 ms frame out.

A data2vec 2.0 network for audio (Baevski et al. 2022): normalised waves, seven convolutions with a layer norm each (one
frame per 320 samples), a projection, five grouped convolutions for relative positions, ten learned tokens before the
frames, and transformer layers with norms after each part and linear attention biases (ALiBi, Press et al. 2021). The
lowest layers are the modality's own; the others follow without a difference. emotion2vec+ classifies the mean over
the frames with one linear layer: here each frame has its own logits, whose mean over a clip is the model's output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import ModelError
from sed.grid import HOP
from sed.networks.base import FrameTagger


@dataclass(frozen=True)
class Emotion2vecConfig:
    """The shape of an `Emotion2vecTagger`. The defaults are those of emotion2vec base.

    convolutions: channels, kernel and stride of each, from the wave on.
    width, heads, feedforward: of the layers.
    own_layers, layers: those of the modality, and those after them.
    tokens: learned tokens before the frames.
    position_kernel, position_groups, position_depth: of the convolutions for relative positions.
    alibi_heads: heads with a bias by distance, from the first; 0: none.
    alibi_scales: learned factors on that bias, ``(layers or 1, heads or 1)``.
    epsilon: of the norms in the layers.
    normalise: whether each input is scaled to mean 0 and variance 1.
    """

    convolutions: Sequence[Sequence[int]] = ((512, 10, 5), *[(512, 3, 2)] * 4, (512, 2, 2), (512, 2, 2))
    width: int = 768
    heads: int = 12
    feedforward: int = 3072
    own_layers: int = 4
    layers: int = 8
    tokens: int = 10
    position_kernel: int = 19
    position_groups: int = 16
    position_depth: int = 5
    alibi_heads: int = 12
    alibi_scales: Sequence[int] = (1, 12)
    epsilon: float = 1e-5
    normalise: bool = True


class Emotion2vecTagger(FrameTagger):
    """The network; `labels` are those of its head, the other arguments the fields of `Emotion2vecConfig`.

    Raises `ModelError` if a frame does not have 320 samples.
    """

    config: Emotion2vecConfig

    def __init__(self, labels: Sequence[str], **shape: Any) -> None:
        super().__init__()
        c = self.config = Emotion2vecConfig(**shape)
        self.labels = tuple(labels)
        self.field, step = 1, 1
        for _, kernel, stride in c.convolutions:
            self.field += (kernel - 1) * step
            step *= stride
        if step != HOP:
            raise ModelError(f"found an encoder that makes a frame of {step} samples, expected {HOP}")
        channels = [1, *(channel for channel, _, _ in c.convolutions)]
        self.convolutions = nn.ModuleList(
            _Convolution(before, *one) for before, one in zip(channels, c.convolutions, strict=False)
        )
        self.input_norm = nn.LayerNorm(channels[-1])
        self.project = nn.Linear(channels[-1], c.width)
        self.positions = nn.ModuleList(
            nn.Conv1d(
                c.width, c.width, c.position_kernel, padding=c.position_kernel // 2, groups=c.position_groups
            )
            for _ in range(c.position_depth)
        )
        self.tokens = nn.Parameter(torch.zeros(1, c.tokens, c.width)) if c.tokens else None
        self.alibi_scale = nn.Parameter(torch.ones(*c.alibi_scales)) if c.alibi_heads else None
        self.first_norm = nn.LayerNorm(c.width, eps=c.epsilon)
        self.layers = nn.ModuleList(_Layer(c) for _ in range(c.own_layers + c.layers))
        self.classifier = nn.Linear(c.width, len(labels))

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` waves, full scale 1, to ``(B, ceil(T / 320), labels)`` logits.

        The convolutions see 400 samples: the one or two frames that they cannot make are the last one again.
        """
        logits = self.classifier(self.states(waves))
        wanted = (waves.shape[1] + HOP - 1) // HOP
        index = torch.arange(wanted, device=logits.device).clamp(max=logits.shape[1] - 1)
        return logits[:, index]

    def states(self, waves: Tensor) -> Tensor:
        """The last layer's states ``(B, F, width)`` of the frames that the convolutions make."""
        if self.config.normalise:
            centred = waves - waves.mean(1, keepdim=True)
            waves = centred * torch.rsqrt(centred.square().mean(1, keepdim=True) + 1e-5)
        x = functional.pad(waves, (0, torch.sym_max(self.field - waves.shape[1], 0)))[:, None]
        for convolution in self.convolutions:
            x = convolution(x)
        x = self.project(self.input_norm(x.transpose(1, 2)))
        x = x + self._relative_positions(x)
        frames = x.shape[1]
        if self.tokens is not None:
            x = torch.cat([self.tokens.expand(x.shape[0], -1, -1), x], 1)
        biases = self._biases(frames, x)
        x = self.first_norm(x)
        for number, layer in enumerate(self.layers):
            x = layer(x, None if biases is None else biases[number if len(biases) > 1 else 0])
        return x[:, self.config.tokens :]

    def _relative_positions(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2)
        frames = x.shape[2]
        for convolution in self.positions:
            y = convolution(x)[:, :, :frames].transpose(1, 2)  # an even kernel makes one frame more
            x = functional.gelu(functional.layer_norm(y, y.shape[2:])).transpose(1, 2)
        return x.transpose(1, 2)

    def _biases(self, frames: int, like: Tensor) -> Tensor | None:
        """What is added to the attention, ``(layers or 1, heads, tokens + F, tokens + F)``; 0 from and to a token."""
        c = self.config
        if self.alibi_scale is None:
            return None
        place = torch.arange(frames, device=like.device)
        distance = (place[:, None] - place).abs()
        slopes = torch.tensor(alibi_slopes(c.alibi_heads), device=like.device)
        scaled = slopes * self.alibi_scale.clamp(min=0)
        biases = -distance * scaled[:, :, None, None]
        padded = functional.pad(biases, (c.tokens, 0, c.tokens, 0, 0, c.heads - c.alibi_heads))
        return padded.to(like.dtype)

    def parameter_groups(
        self, encoder_rate: float, head_rate: float, layer_decay: float
    ) -> list[dict[str, Any]]:
        """A group for each layer, lowest first, then everything below the layers, then the head."""
        depth = len(self.layers)
        groups: list[dict[str, Any]] = [
            {"params": list(layer.parameters()), "lr": encoder_rate * layer_decay ** (depth - 1 - number)}
            for number, layer in enumerate(self.layers)
        ]
        taken = {id(p) for group in groups for p in group["params"]}
        taken |= {id(p) for p in self.classifier.parameters()}
        below = [p for p in self.parameters() if id(p) not in taken]
        groups.append({"params": below, "lr": encoder_rate * layer_decay**depth})
        return [*groups, {"params": list(self.classifier.parameters()), "lr": head_rate}]


class _Convolution(nn.Module):
    """One convolution of the front end with a norm over its channels."""

    def __init__(self, before: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.filter = nn.Conv1d(before, channels, kernel, stride=stride, bias=False)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, before, T)`` to ``(B, channels, T')``."""
        return functional.gelu(self.norm(self.filter(x).transpose(1, 2)).transpose(1, 2))


class _Layer(nn.Module):
    """A transformer layer with its norms after attention and after the two dense layers."""

    def __init__(self, c: Emotion2vecConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.qkv = nn.Linear(c.width, 3 * c.width)
        self.out = nn.Linear(c.width, c.width)
        self.norm1 = nn.LayerNorm(c.width, eps=c.epsilon)
        self.fc1 = nn.Linear(c.width, c.feedforward)
        self.fc2 = nn.Linear(c.feedforward, c.width)
        self.norm2 = nn.LayerNorm(c.width, eps=c.epsilon)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """``(B, F, width)`` to the same shape; `bias` ``(heads, F, F)`` is added to the attention."""
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2)
        )
        mask = None if bias is None else bias[None].to(query.dtype)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self.norm1(x + self.out(mixed.transpose(1, 2).flatten(2)))
        return self.norm2(x + self.fc2(functional.gelu(self.fc1(x))))


def alibi_slopes(heads: int) -> list[float]:
    """The slope of each head: a geometric series for a power of 2; for others, those of the next lower power, and then
    every second one of the next higher.

    >>> alibi_slopes(4), [round(slope, 4) for slope in alibi_slopes(6)]
    ([0.25, 0.0625, 0.015625, 0.00390625], [0.25, 0.0625, 0.0156, 0.0039, 0.5, 0.125])
    """
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-8 * (number + 1) / power) for number in range(power)]
    if power < heads:
        slopes += [2.0 ** (-4 * (number + 1) / power) for number in range(0, 2 * power, 2)][: heads - power]
    return slopes
