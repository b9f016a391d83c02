"""The compact emotion tagger in torch: raw 16 kHz waves in, logits of every emotion for each 20 ms frame out.

Whisper's log-mel (80 bands, 25 ms windows every 10 ms), its convolutional stem, positions and first encoder
layers (Radford et al. 2022), a learned sum over the layers, and a head (`sed.training.head`). Beside it, if asked
for, a second branch that hears how the voice sounds (`sed.training.voice`), with a head of its own. Each item of a
batch is computed on its own: nothing is normalised across the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import ModelError, OptionError
from sed.training.head import Head
from sed.training.spectrum import KaldiMel, LogMel, hide_stretches
from sed.training.voice import WIDTH, VoiceEncoder


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


class VoiceBranch(nn.Module):
    """`VoiceEncoder` and a `Head`: raw waves in, features out."""

    def __init__(
        self, head_width: int, dilations: Sequence[int], reaches: Sequence[int], dropout: float, learns: bool
    ) -> None:
        super().__init__()
        self.mel = KaldiMel()
        self.encoder = VoiceEncoder(learns=learns)
        self.head = Head(WIDTH, head_width, dilations, reaches, dropout)

    def forward(self, waves: Tensor, stretches: int = 0) -> Tensor:
        """``(B, T)`` waves to ``(B, ceil(T / 320), width)``; `stretches` are for `hide_stretches`."""
        return self.head(self.encoder(hide_stretches(self.mel(waves), stretches)))


def drop_branches(branches: Sequence[Tensor], share: float) -> list[Tensor]:
    """In `share` of the items all but one of `branches` ``(B, F, *)`` are zero, and that one counts for all."""
    batch, count = branches[0].shape[0], len(branches)
    alone = torch.rand(batch, device=branches[0].device) < share
    chosen = torch.randint(count, (batch,), device=branches[0].device)
    kept = []
    for number, branch in enumerate(branches):
        factor = torch.where(alone, count * (chosen == number), 1)
        kept.append(branch * factor.to(branch.dtype)[:, None, None])
    return kept


class CompactTagger(nn.Module):
    """The compact tagger; see the module's text for its parts.

    `labels` are all emotions that it learns, `positions` is the longest piece in frames (1500 is 30 s), `head_width`,
    `dilations` and `reaches` are those of `sed.training.head.Head`. The defaults fit Whisper base. The stem learns
    only with `train_stem`, and the first `frozen_layers` layers do not, which saves the way back through them. With
    `voice` there is the second branch, whose encoder learns only with `train_voice`; in training a clip is judged
    by one branch alone in `branch_dropout` of all cases, so that neither leans on the other. `spec_augment` is for
    `hide_stretches` while training.
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
        voice: bool = False,
        dropout: float = 0.1,
        head_dropout: float = 0.2,
        spec_augment: int = 2,
        train_stem: bool = False,
        frozen_layers: int = 0,
        train_voice: bool = False,
        branch_dropout: float = 0.0,
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
            "voice": voice,
        }
        self.labels = tuple(labels)
        self.spec_augment, self.branch_dropout = spec_augment, branch_dropout
        self.log_mel = LogMel(bands)
        self.conv1 = nn.Conv1d(bands, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, feedforward, dropout) for _ in range(layers))
        self.layer_weights = nn.Parameter(torch.zeros(layers + 1))
        self.head = Head(width, head_width, dilations, reaches, head_dropout)
        self.voice = VoiceBranch(head_width, dilations, reaches, head_dropout, train_voice) if voice else None
        branches = [self.head] if self.voice is None else [self.head, self.voice.head]
        self.classify = nn.Linear(sum(branch.width for branch in branches), len(labels))
        stem = (self.conv1, self.conv2, self.embed_positions)
        for parameter in (p for module in stem for p in module.parameters()):
            parameter.requires_grad_(train_stem)
        for layer in list(self.layers)[:frozen_layers]:
            layer.requires_grad_(False)

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` waves, full scale 1, to ``(B, ceil(T / 320), labels)`` logits."""
        stretches = self.spec_augment if self.training else 0
        features = self.head(self._words(waves, stretches))
        if self.voice is not None:
            branches = [features, self.voice(waves, stretches)]
            if self.training and self.branch_dropout:
                branches = drop_branches(branches, self.branch_dropout)
            features = torch.cat(branches, 2)
        return self.classify(features)

    def _words(self, waves: Tensor, stretches: int) -> Tensor:
        mel = hide_stretches(self.log_mel(waves), stretches)
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.embed_positions.weight[: x.shape[1]]
        weights = torch.softmax(self.layer_weights, 0)
        total = weights[0] * x
        for layer, weight in zip(self.layers, weights[1:], strict=True):
            x = layer(x)
            total = total + weight * x
        return total

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

    def load_voice(self, path: str | Path) -> None:
        """Take the second branch's encoder from CAM++'s ONNX file: see `VoiceEncoder.load`.

        Raises `ModelError` where the file does not fit, `OptionError` where there is no second branch.
        """
        if self.voice is None:
            raise OptionError(f"a tagger without voice: expected no voice_weights, found {path}")
        self.voice.encoder.load(path)

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
        if self.voice is not None and (
            voice := [p for p in self.voice.encoder.parameters() if p.requires_grad]
        ):
            groups.append({"params": voice, "lr": encoder_rate})
        taken = {id(p) for group in groups for p in group["params"]}
        head = [p for p in self.parameters() if p.requires_grad and id(p) not in taken]
        return [*groups, {"params": head, "lr": head_rate}]
