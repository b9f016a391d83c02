"""The compact emotion tagger in torch: raw 16 kHz waves in, logits of every emotion for each 20 ms frame out.

Whisper's log-mel (80 bands, 25 ms windows every 10 ms), its convolutional stem, positions and first encoder
layers (Radford et al. 2022), a learned sum over the layers, and a head: statistics over stretches of time, then
dilated temporal convolutions. The log-mel is computed by a convolution with the windowed Fourier basis, so an
exported graph takes raw waves. Each item of a batch is computed on its own: nothing is normalised across the
batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import ModelError, OptionError
from sed.grid import HOP, SAMPLE_RATE

FOURIER = 400  # samples of an analysis window: 25 ms
MEL_HOP = 160  # samples between windows: 10 ms
BINS = FOURIER // 2 + 1
_FLOOR = 1e-10  # of the mel energies; digital silence is all floor

assert MEL_HOP * 2 == HOP


def mel_filters(bands: int = 80) -> np.ndarray:
    """Slaney's mel filters with equal areas, ``(bands, 201)`` float32: the ones Whisper was trained on.

    Linear below 1 kHz (3 mels per 200 Hz), logarithmic above (27 mels for a factor of 6.4).
    """
    knee, step = 15.0, math.log(6.4) / 27

    def to_hertz(mel: np.ndarray) -> np.ndarray:
        return np.where(mel < knee, mel * 200 / 3, 1000 * np.exp(step * (np.maximum(mel, knee) - knee)))

    top = knee + math.log(SAMPLE_RATE / 2 / 1000) / step
    corners = to_hertz(np.linspace(0, top, bands + 2))
    bins = np.arange(BINS) * SAMPLE_RATE / FOURIER
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    return (filters * (2 / (corners[2:] - corners[:-2]))[:, None]).astype(np.float32)


class LogMel(nn.Module):
    """Whisper's log-mel features: ``(B, T)`` waves to ``(B, bands, 2 * ceil(T / 320))``.

    The window of frame ``t`` is centred on sample ``160 * t``; outside the piece the sound is zero. Values
    are relative to the loudest point of each item and reach 2 (8 decades) below it.
    """

    basis: Tensor
    filters: Tensor

    def __init__(self, bands: int = 80) -> None:
        super().__init__()
        time = np.arange(FOURIER)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * time / FOURIER)
        angle = 2 * np.pi * np.outer(np.arange(BINS), time) / FOURIER
        basis = np.concatenate([np.cos(angle), np.sin(angle)]) * window
        self.register_buffer("basis", torch.from_numpy(basis[:, None].astype(np.float32)), persistent=False)
        self.register_buffer("filters", torch.from_numpy(mel_filters(bands)), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Log-mel of `waves`."""
        # A hop more than needed, then cut: the whole graph is then free of data-dependent branches.
        padded = functional.pad(waves, (FOURIER // 2, FOURIER // 2 + HOP))
        spectrum = functional.conv1d(padded[:, None], self.basis, stride=MEL_HOP)
        power = spectrum[:, :BINS] ** 2 + spectrum[:, BINS:] ** 2
        mel = torch.matmul(self.filters, power)
        frames = (waves.shape[1] + HOP - 1) // HOP
        logs = torch.log10(mel[:, :, : 2 * frames].clamp(min=_FLOOR))
        loudest = logs.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(logs, loudest - 8.0) + 4.0) / 4.0


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


class ContextBlock(nn.Module):
    """A residual block that looks 4 * `dilation` frames to either side, each channel on its own in time."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.spread = nn.Conv1d(width, width, 9, padding=4 * dilation, dilation=dilation, groups=width)
        self.mix = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, F, width)`` to the same shape."""
        y = self.spread(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.mix(functional.gelu(y)))


def hide_stretches(mel: Tensor, stretches: int) -> Tensor:
    """SpecAugment (Park et al. 2019): so many stretches of up to 12 bands and of up to 300 ms of ``(B, bands,
    frames)`` log-mel are set to each item's mean."""
    batch, bands, frames = mel.shape
    mean = mel.mean(dim=(1, 2), keepdim=True)
    hidden = torch.zeros(batch, bands, frames, dtype=torch.bool, device=mel.device)
    for size, widest, axis in ((bands, 12, 1), (frames, 30, 2)):
        place = torch.arange(size, device=mel.device)
        for _ in range(stretches):
            width = torch.rand(batch, 1, device=mel.device) * min(widest, size // 4)
            start = torch.rand(batch, 1, device=mel.device) * (size - width)
            stretch = (place >= start) & (place < start + width)
            hidden = hidden | stretch.unsqueeze(3 - axis)
    return torch.where(hidden, mean, mel)


class LocalStatistics(nn.Module):
    """Adds what the sound around a frame is like: mean and deviation over each of several stretches.

    `reaches` are frames to either side. Over a whole utterance, mean and deviation of the encoder's features tell
    emotions of unheard voices apart better than single frames do; a stretch keeps that and follows changes.
    """

    def __init__(self, width: int, reaches: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.reaches = list(reaches)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(2 * width * len(self.reaches), width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, F, width)`` to the same shape."""
        y = self.norm(x)
        sums = functional.pad(torch.cat([y, y * y], 2).cumsum(1), (0, 0, 1, 0))  # much faster than pooling
        frames = x.shape[1]
        place = torch.arange(frames, device=x.device)
        parts = []
        for reach in self.reaches:
            first, end = (place - reach).clamp(min=0), (place + reach + 1).clamp(max=frames)
            mean, power = ((sums[:, end] - sums[:, first]) / (end - first)[:, None]).chunk(2, 2)
            parts += [mean, torch.sqrt((power - mean * mean).clamp(min=1e-5))]
        return x + self.dropout(functional.gelu(self.mix(torch.cat(parts, 2))))


class CompactTagger(nn.Module):
    """The compact tagger; see the module's text for its parts.

    `labels` are all emotions that it learns, `positions` is the longest piece in frames (1500 is 30 s), `reaches`
    the stretches of `LocalStatistics` (empty: none). The defaults fit Whisper base. The stem learns only with
    `train_stem`, and the first `frozen_layers` layers do not, which saves the way back through them.
    `spec_augment` is for `hide_stretches` while training. With a `head_width` of 0, and neither `dilations` nor
    `reaches`, the head is linear.
    """

    def __init__(
        self,
        labels: Sequence[str],
        layers: int = 3,
        width: int = 512,
        heads: int = 8,
        feedforward: int = 2048,
        bands: int = 80,
        positions: int = 1500,
        head_width: int = 192,
        dilations: Sequence[int] = (1, 3, 9),
        reaches: Sequence[int] = (),
        dropout: float = 0.1,
        head_dropout: float = 0.2,
        spec_augment: int = 2,
        train_stem: bool = False,
        frozen_layers: int = 0,
    ) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {
            "layers": layers,
            "width": width,
            "heads": heads,
            "feedforward": feedforward,
            "bands": bands,
            "positions": positions,
            "head_width": head_width,
            "dilations": list(dilations),
            "reaches": list(reaches),
        }
        self.labels = tuple(labels)
        self.spec_augment = spec_augment
        self.log_mel = LogMel(bands)
        self.conv1 = nn.Conv1d(bands, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, feedforward, dropout) for _ in range(layers))
        self.layer_weights = nn.Parameter(torch.zeros(layers + 1))
        self.norm = nn.LayerNorm(width)
        if not head_width and (len(dilations) or len(reaches)):
            raise OptionError(
                f"a linear head with dilations {list(dilations)} and reaches {list(reaches)}: expected none"
            )
        self.reduce = nn.Linear(width, head_width) if head_width else nn.Identity()
        self.statistics = LocalStatistics(head_width, reaches, head_dropout) if reaches else nn.Identity()
        self.context = nn.ModuleList(
            ContextBlock(head_width, dilation, head_dropout) for dilation in dilations
        )
        self.head_dropout = nn.Dropout(head_dropout)
        self.classify = nn.Linear(head_width or width, len(labels))
        stem = (self.conv1, self.conv2, self.embed_positions)
        for parameter in (p for module in stem for p in module.parameters()):
            parameter.requires_grad_(train_stem)
        for layer in list(self.layers)[:frozen_layers]:
            layer.requires_grad_(False)

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` waves, full scale 1, to ``(B, ceil(T / 320), labels)`` logits."""
        mel = self.log_mel(waves)
        if self.training and self.spec_augment:
            mel = hide_stretches(mel, self.spec_augment)
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.embed_positions.weight[: x.shape[1]]
        weights = torch.softmax(self.layer_weights, 0)
        total = weights[0] * x
        for layer, weight in zip(self.layers, weights[1:], strict=True):
            x = layer(x)
            total = total + weight * x
        y = self.head_dropout(self.norm(total))
        if not self.settings["head_width"]:
            return self.classify(y)
        y = self.statistics(functional.gelu(self.reduce(y)))
        for block in self.context:
            y = block(y)
        return self.classify(self.head_dropout(y))

    def load_encoder(self, path: str | Path) -> None:
        """Take the stem and the first layers from a safetensors file with transformers' WhisperEncoder names.

        Raises `ModelError` where the file is missing or does not fit.
        """
        from safetensors.torch import load_file

        try:
            stored = load_file(str(path))
        except Exception as error:
            raise ModelError(f"cannot read encoder weights from {path}: {error}") from error
        wanted = ("conv1.", "conv2.", "embed_positions.", "layers.")
        own = {name: value for name, value in self.state_dict().items() if name.startswith(wanted)}
        for name, value in own.items():
            found = stored.get(name)
            if found is None or (found.shape != value.shape and name != "embed_positions.weight"):
                shape = "nothing" if found is None else f"shape {tuple(found.shape)}"
                raise ModelError(f"{path}: found {shape} for {name}, expected shape {tuple(value.shape)}")
            own[name] = found[: len(value)].float()
        self.load_state_dict(own, strict=False)

    def groups(self, encoder_rate: float, head_rate: float, layer_decay: float) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser: lower layers learn more slowly, by `layer_decay` a layer.

        Frozen layers keep a group of their own (without gradients nothing moves them), so freezing or thawing
        between two parts of a run is no matter for its checkpoints.
        """
        groups: list[dict[str, Any]] = []
        for depth, layer in enumerate(self.layers):
            rate = encoder_rate * layer_decay ** (len(self.layers) - 1 - depth)
            groups.append({"params": list(layer.parameters()), "lr": rate})
        stem: list[nn.Parameter] = [
            p for m in (self.conv1, self.conv2, self.embed_positions) for p in m.parameters()
        ]
        if stem := [p for p in stem if p.requires_grad]:
            groups.append({"params": stem, "lr": encoder_rate * layer_decay ** len(self.layers)})
        taken = {id(p) for group in groups for p in group["params"]}
        head = [p for p in self.parameters() if p.requires_grad and id(p) not in taken]
        return [*groups, {"params": head, "lr": head_rate}]
