"""A frame head on any pretrained speech encoder: raw 16 kHz waves in, logits of every emotion per 20 ms frame out.

The encoder is described by its configuration, which is part of `config`: a saved tagger loads offline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import OptionError
from sed.grid import HOP
from sed.networks import lora
from sed.networks.backbones import make_backbone
from sed.networks.base import FrameTagger
from sed.networks.checkpointing import recompute
from sed.networks.encoder_config import INPUTS, read_config, scaled
from sed.networks.expansion import Expansion
from sed.networks.head import ContextBlock
from sed.networks.weights import match_weights, read_weights

LOW_RANK = ("q_proj", "v_proj")  # Hu et al. 2021 adapt these


class _Context(ContextBlock):
    """The compact tagger's block, with a mask of valid frames, so that it sees zeros after a padded item."""

    def forward(self, x: Tensor, exists: Tensor | None = None) -> Tensor:
        """``(B, F, width)`` to the same shape; `exists` is ``(B, F)``."""
        y = self.norm(x) if exists is None else self.norm(x) * exists[:, :, None]
        y = self.spread(y.transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.mix(functional.gelu(y)))


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an `EncoderTagger`; see its arguments. `encoder` is the encoder's own configuration."""

    encoder: dict[str, Any]
    inputs: str
    layers: str
    norm: str
    head: str
    head_width: int
    dilations: list[int]
    tail: str
    lora_rank: int
    lora_alpha: float
    added_layers: int = 0


class EncoderTagger(FrameTagger):
    """A frame head on the encoder that `encoder` describes; its weights are random until `load_encoder`.

    labels: all trained emotions.
    encoder: the configuration, as in ``config.json``, or a folder that holds one.
    depth: layers to keep, from the lowest; None keeps all.
    inputs: ``raw`` waves, ``centred`` (mean 0), ``normalised`` (mean 0, variance 1, silence stays near 0) or
        ``standardised`` (the same, also for very quiet audio), separately for each input; None: as the encoder was
        pretrained.
    layers: ``sum``, a learned weighted sum over the states of all layers, or ``last``.
    norm: normalisation between encoder and head: ``frame``, a learned layer norm; ``clip``, frames and channels
        of an input together to mean 0 and variance 1, with nothing learned (SpeechBrain's ``output_norm``); ``none``.
    head: ``linear``, or ``context`` as in the compact tagger (`head_width`, `dilations`).
    tail: ``pad`` or ``repeat``; see `sed.networks.backbones.ConvBackbone`.
    bias: whether the last layer is trained with a bias, which the published taggers lack.
    gradient_checkpointing: whether the layers' inner states are computed again in the backward pass, for about a
        third more time and far less memory.
    freeze_features: whether the convolutions are frozen.
    frozen_layers: number of lowest layers to freeze, with everything below them; -1 freezes the encoder.
    lora_rank: above 0, low-rank matrices are trained instead of the layers that are not frozen. `lora_alpha`
        scales them.
    added_layers: above 0, so many copies of layers are inserted and trained instead of the layers
        (`sed.networks.expansion`).
    dropout: in the encoder; None uses that of the configuration. `head_dropout`: in the head.
    spec_augment: number of masks of up to 300 ms and of up to a tenth of the channels, while training.
    """

    config: EncoderConfig
    supports_lengths = True
    sum_final_norm = (
        False  # whether the sum over the layers takes the last states behind the encoder's last norm
    )

    def __init__(
        self,
        labels: Sequence[str],
        encoder: Mapping[str, Any] | str | Path,
        *,
        depth: int | None = None,
        inputs: str | None = None,
        layers: str = "sum",
        norm: str = "frame",
        head: str = "linear",
        head_width: int = 192,
        dilations: Sequence[int] = (1, 3, 9),
        tail: str = "pad",
        freeze_features: bool = True,
        frozen_layers: int = 0,
        lora_rank: int = 0,
        lora_alpha: float = 16.0,
        added_layers: int = 0,
        bias: bool = True,
        gradient_checkpointing: bool = False,
        dropout: float | None = None,
        head_dropout: float = 0.1,
        spec_augment: int = 0,
    ) -> None:
        super().__init__()
        _one_of("layers", layers, ("sum", "last"))
        _one_of("norm", norm, ("frame", "clip", "none"))
        _one_of("head", head, ("linear", "context"))
        _one_of("tail", tail, ("pad", "repeat"))
        config, pretrained_inputs = read_config(encoder)
        if lora_rank and added_layers:
            raise OptionError("lora_rank cannot be combined with added_layers: expected one of them to be 0")
        if depth is not None and depth < 1:
            raise OptionError(f"a depth of {depth} layers: expected 1 or more, or null for all")
        if depth is not None:
            config["encoder_layers" if config.get("model_type") == "whisper" else "num_hidden_layers"] = depth
        inputs = inputs or pretrained_inputs
        _one_of("inputs", inputs, INPUTS)
        self.config = EncoderConfig(
            *(config, inputs, layers, norm, head, head_width, list(dilations), tail),
            *(lora_rank, lora_alpha, added_layers),
        )
        self.labels = tuple(labels)
        self._lowest_only = depth is not None
        self.spec_augment = spec_augment
        self.backbone = make_backbone(config, tail == "pad", dropout)
        width = self.backbone.width
        self.layer_weights = nn.Parameter(torch.zeros(len(self.layers) + 1)) if layers == "sum" else None
        self.norm = nn.LayerNorm(width) if norm == "frame" else None
        self.reduce = nn.Linear(width, head_width) if head == "context" else None
        self.context = nn.ModuleList(
            _Context(head_width, dilation, head_dropout)
            for dilation in (dilations if head == "context" else ())
        )
        self.head_dropout = nn.Dropout(head_dropout)
        self.classifier = nn.Linear(head_width if head == "context" else width, len(labels), bias=bias)
        self.expansion = Expansion(self.layers, width, added_layers)
        self._freeze(freeze_features, frozen_layers, lora_rank or added_layers)
        if lora_rank:
            for layer in list(self.layers)[max(frozen_layers, 0) :]:
                lora.add_low_rank(layer, LOW_RANK, lora_rank, lora_alpha)
        if gradient_checkpointing:
            recompute(self.layers)

    @property
    def max_samples(self) -> int | None:
        """The encoder's longest input in samples; None: unlimited."""
        return self.backbone.max_samples

    @property
    def layers(self) -> nn.ModuleList:
        """The encoder's transformer layers, lowest first."""
        return self.backbone.layers

    def forward(self, waves: Tensor, lengths: Tensor | None = None) -> Tensor:
        """``(B, T)`` waves, full scale 1, to ``(B, ceil(T / 320), labels)`` logits.

        For items padded with zeros, `lengths` ``(B,)`` holds their samples, and the padding does not affect
        their logits.
        """
        frames = (waves.shape[1] + HOP - 1) // HOP
        x = self.states(waves, lengths)
        if self.reduce is not None:
            x = functional.gelu(self.reduce(x))
            exists = None
            if lengths is not None:
                exists = (
                    torch.arange(x.shape[1], device=x.device) < self.backbone.valid_frames(lengths)[:, None]
                )
            for block in self.context:
                x = block(x, exists)
            x = self.head_dropout(x)
        return self.backbone.extend(self.classifier(x), lengths, frames)

    def states(self, waves: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What the head sees, ``(B, F, width)``: of the encoder's own frames, which may be one or two too few."""
        weights = None if self.layer_weights is None else torch.softmax(self.layer_weights, 0)
        total: list[Tensor] = []

        def add_layer(number: int, states: Tensor) -> None:
            assert weights is not None
            if self.sum_final_norm and number == len(self.layers):
                states = self.backbone.final_norm(states)
            part = weights[number] * states
            total[:] = [total[0] + part if total else part]

        waves = scaled(waves, lengths, self.config.inputs)
        x = self.backbone(waves, lengths, None if weights is None else add_layer, self._mask)
        x = total[0] if total else x
        if self.config.norm == "clip":
            x = self._clip_norm(x, lengths)
        states: Tensor = self.head_dropout(x if self.norm is None else self.norm(x))
        return states

    def _clip_norm(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is None:
            return functional.layer_norm(x, x.shape[1:])
        frames = self.backbone.valid_frames(lengths).tolist()
        parts = [functional.layer_norm(item[:n], item[:n].shape) for item, n in zip(x, frames, strict=True)]
        return nn.utils.rnn.pad_sequence(parts, batch_first=True)

    def _mask(self, features: Tensor) -> Tensor:
        """SpecAugment (Park et al. 2019) on the features that enter the layers: masks set to zero."""
        if not (self.training and self.spec_augment):
            return features
        batch, frames, channels = features.shape
        hidden = torch.zeros(features.shape, dtype=torch.bool, device=features.device)
        for size, widest, axis in ((frames, 15, 1), (channels, channels // 10, 2)):
            position = torch.arange(size, device=features.device)
            for _ in range(self.spec_augment):
                width = torch.rand(batch, 1, device=features.device) * min(widest, size // 4)
                start = torch.rand(batch, 1, device=features.device) * (size - width)
                hidden = hidden | ((position >= start) & (position < start + width)).unsqueeze(3 - axis)
        return features.masked_fill(hidden, 0.0)

    def _freeze(self, features: bool, frozen: int, adapted: int) -> None:
        if not -1 <= frozen <= len(self.layers):
            raise OptionError(f"{frozen} frozen layers: expected -1 to {len(self.layers)}")
        if features or frozen or adapted:
            self.backbone.freeze_features()
        if frozen or adapted:
            for module in self.backbone.front:
                module.requires_grad_(False)
        for layer in self.layers if frozen == -1 or adapted else list(self.layers)[:frozen]:
            layer.requires_grad_(False)
        after = self.backbone.final_norm
        if after is not None and (frozen == -1 or adapted or self.layer_weights is not None):
            after.requires_grad_(False)  # a sum over the layers does not use it
        for parameter in self.backbone.unused():
            parameter.requires_grad_(False)

    def load_encoder(self, path: str | Path) -> None:
        """Load the encoder's weights from a folder or file of transformers or SpeechBrain.

        Layers beyond `depth` are ignored. Raises `ModelError` if the file is missing or does not fit.
        """
        match_weights(self.backbone.encoder, read_weights(path), str(path), self._lowest_only)
        self.expansion.copy_layers(self.layers)

    def merge_low_rank(self) -> None:
        """Add the low-rank updates to the encoder's weights, in place, and give a last layer without bias one of 0."""
        super().merge_low_rank()
        if self.classifier.bias is None:
            self.classifier.bias = nn.Parameter(self.classifier.weight.new_zeros(len(self.labels)))
        self.config = replace(self.config, lora_rank=0)

    def parameter_groups(
        self, encoder_rate: float, head_rate: float, layer_decay: float
    ) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser: lower layers learn more slowly, by `layer_decay` a layer.

        As with the compact tagger every layer has a group, frozen or not; the encoder's other trainable parameters
        follow in one group, then added layers, and the head is last.
        """
        groups: list[dict[str, Any]] = []
        for depth, layer in enumerate(self.layers):
            rate = encoder_rate * layer_decay ** (len(self.layers) - 1 - depth)
            groups.append({"params": list(layer.parameters()), "lr": rate})
        taken = {id(p) for group in groups for p in group["params"]}
        stem = [p for p in self.backbone.parameters() if p.requires_grad and id(p) not in taken]
        if stem:
            groups.append({"params": stem, "lr": encoder_rate * layer_decay ** len(self.layers)})
        if len(self.expansion):
            groups.append({"params": list(self.expansion.parameters()), "lr": encoder_rate})
        taken |= {id(p) for p in [*self.backbone.parameters(), *self.expansion.parameters()]}
        head = [p for p in self.parameters() if p.requires_grad and id(p) not in taken]
        return [*groups, {"params": head, "lr": head_rate}]


def _one_of(name: str, value: str, expected: Sequence[str]) -> None:
    if value not in expected:
        raise OptionError(f"{name} {value!r}: expected one of {', '.join(expected)}")
