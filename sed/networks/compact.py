"""The compact emotion tagger in torch: raw 16 kHz waves in, logits of every emotion for each 20 ms frame out.

Whisper's log-mel (80 bands, 25 ms windows every 10 ms), its convolutional stem, positions and first encoder
layers (Radford et al. 2022), a learned sum over the layers, and a head (`sed.networks.head`). Optional: a second
branch on the lower half of a speaker network (`sed.networks.campplus`) with its own head, and a third whose head sees
the states of both. Items of a batch are independent: nothing is normalised across the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import ModelError, OptionError
from sed.grid import HOP
from sed.networks.base import FrameTagger
from sed.networks.blocks import EncoderLayer, VoiceBranch, double_frames, halve_frames
from sed.networks.campplus import WIDTH
from sed.networks.compact_config import CompactConfig
from sed.networks.head import Head, SharedClassifier
from sed.networks.mel import LogMel, mask_spectrum, mix_styles
from sed.networks.weights import read_weights


class CompactTagger(FrameTagger):
    """The compact tagger; see the module docstring for its parts.

    `labels` are all trained emotions; the remaining keyword arguments are the fields of `CompactConfig`.

    dropout: in the encoder's layers, frozen ones included. Whisper was pretrained without, and a head on frozen states
        loses much of what distinguishes emotions.
    head_dropout: in the heads.
    spec_augment, style_share: for `mask_spectrum` and `mix_styles` while training.
    train_stem: whether the convolutions and positions are trained.
    frozen_layers: number of lowest layers to freeze, which also saves their backward pass.
    train_voice: whether the encoder of the speaker branch is trained.

    Raises `OptionError` if a fusion has no speaker branch or uses layers of another frame rate, or if the number
    of shares is not that of the branches.
    """

    config: CompactConfig
    int8_convolutions = True  # measured for Whisper's and CAM++'s

    def __init__(
        self,
        labels: Sequence[str],
        *,
        dropout: float = 0.0,
        head_dropout: float = 0.2,
        spec_augment: int = 2,
        style_share: float = 0.0,
        train_stem: bool = False,
        frozen_layers: int = 0,
        train_voice: bool = False,
        **shape: Any,
    ) -> None:
        super().__init__()
        c = self.config = CompactConfig(**shape)
        self.labels = tuple(labels)
        self.spec_augment, self.style_share = spec_augment, style_share
        self.log_mel = LogMel(c.bands)
        self.conv1 = nn.Conv1d(c.bands, c.width, 3, padding=1)
        self.conv2 = nn.Conv1d(c.width, c.width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(c.positions, c.width)
        self.layers = nn.ModuleList(
            EncoderLayer(c.width, c.heads, c.feedforward, dropout) for _ in range(c.layers)
        )
        self.layer_weights = nn.Parameter(torch.zeros(c.layers + 1))
        self.head: Head | None = (
            Head(c.width, c.head_width, c.dilations, c.reaches, head_dropout, scales=c.scales)
            if c.encoder_head
            else None
        )
        self.voice = self._voice_branch(head_dropout, train_voice) if c.voice else None
        self.fusion = self._fusion_head(head_dropout) if c.fusion else None
        widths = [head.width for head in self.heads]
        self.classifier = SharedClassifier(widths, c.shares or [1.0] * len(widths), len(labels))
        stem = (self.conv1, self.conv2, self.embed_positions)
        for parameter in (p for module in stem for p in module.parameters()):
            parameter.requires_grad_(train_stem)
        for layer in list(self.layers)[:frozen_layers]:
            layer.requires_grad_(False)

    @property
    def _halves(self) -> bool:
        return 0 < self.config.halve_after < len(self.layers)

    @property
    def _halved_reaches(self) -> list[int]:
        return [reach // 2 for reach in self.config.reaches]

    def _voice_branch(self, dropout: float, learns: bool) -> VoiceBranch:
        c = self.config
        if c.voice_halved and not self._halves:
            raise OptionError(
                "voice_halved without halve_after: expected a layer after which frames are halved"
            )
        reaches = self._halved_reaches if c.voice_halved else c.reaches
        return VoiceBranch(c.head_width, c.dilations, reaches, dropout, learns, c.scales)

    def _fusion_head(self, dropout: float) -> Head:
        c = self.config
        most = len(self.layers) - (c.halve_after if self._halves else 0)
        if self.voice is None or c.fusion > most:
            raise OptionError(
                f"fusion of {c.fusion} layers {'with' if self.voice else 'without'} voice: expected at most {most},"
                " those of one rate, with voice"
            )
        reaches = self._halved_reaches if self._halves else c.reaches
        width = c.fusion * c.width + WIDTH
        return Head(width, c.head_width, (), reaches, dropout, scale_only=True, scales=c.scales)

    @property
    def max_samples(self) -> int:
        """The number of positions, in samples."""
        return self.config.positions * HOP

    @property
    def heads(self) -> list[Head]:
        """The head of each branch, in the order of their features."""
        voice = None if self.voice is None else self.voice.head
        return [head for head in (self.head, voice, self.fusion) if head is not None]

    def forward(self, waves: Tensor) -> Tensor:
        """``(B, T)`` waves, full scale 1, to ``(B, ceil(T / 320), labels)`` logits."""
        changes = (self.spec_augment, self.style_share) if self.training else (0, 0.0)
        total, layers = self._encoder_states(waves, *changes)
        frames = total.shape[1]
        features = [] if self.head is None else [self.head(total)]
        if self.voice is not None:
            voice = self.voice(waves, *changes)
            halved = halve_frames(voice) if self._halves else voice
            if self.voice.head is not None and self.config.voice_halved:
                features.append(double_frames(self.voice.head(halved), frames))
            elif self.voice.head is not None:
                features.append(self.voice.head(voice))
            if self.fusion is not None:
                fused = self.fusion(torch.cat([*layers[-self.config.fusion :], halved], 2))
                features.append(double_frames(fused, frames) if self._halves else fused)
        return self.classifier(torch.cat(features, 2))

    def fused_states(self, waves: Tensor) -> Tensor:
        """What the fusion head and a halved speaker head see: the last encoder layers and the speaker network's states
        at the halved rate, ``(B, T)`` to ``(B, ceil(T / 640), fusion * width + 512)``.

        Raises `OptionError` if another head needs more than these.
        """
        if self.voice is None or self.fusion is None or self.head is not None or not self.config.voice_halved:
            raise OptionError(
                "states of a tagger whose heads see more than the fused states: expected fusion, encoder_head False"
                " and voice_halved True"
            )
        _, layers = self._encoder_states(waves, 0, 0.0)
        return torch.cat([*layers[-self.config.fusion :], halve_frames(self.voice(waves))], 2)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """The weights of the encoders, which `fused_states` depend on."""
        voice = [] if self.voice is None else [self.voice.encoder]
        for module in (self.conv1, self.conv2, self.embed_positions, self.layers, *voice):
            yield from module.parameters()

    def fused_features(self, states: Tensor) -> Tensor:
        """The features of `classifier` from `fused_states`, ``(B, F, width)`` at the halved rate."""
        assert self.voice is not None and self.voice.head is not None and self.fusion is not None
        return torch.cat([self.voice.head(states[..., -WIDTH:]), self.fusion(states)], 2)

    @property
    def has_branches(self) -> bool:
        """Whether `branch_logits` can separate the branches; not after `prepare_for_inference`."""
        return isinstance(self.classifier, SharedClassifier)

    def branch_logits(self, features: Tensor) -> list[Tensor]:
        """Separate logits of each branch, ``(B, F, labels)``, from the features that enter `classifier`."""
        if isinstance(self.classifier, SharedClassifier):
            return self.classifier.branch_logits(features)
        return super().branch_logits(features)

    def prepare_for_inference(self) -> None:
        """Remove, in place, the heads with share 0; the output is unchanged, but no further training is possible."""
        super().prepare_for_inference()
        if not isinstance(self.classifier, SharedClassifier):
            return
        unused = {
            id(head) for head, share in zip(self.heads, self.classifier.shares, strict=True) if not share
        }
        self.classifier = self.classifier.folded()
        if id(self.head) in unused:
            self.head = None
        if id(self.fusion) in unused:
            self.fusion = None
        if self.voice is not None and id(self.voice.head) in unused:
            self.voice.head = None
            if self.fusion is None:
                self.voice = None  # its states are no longer used

    def _encoder_states(self, waves: Tensor, masks: int, styles: float) -> tuple[Tensor, list[Tensor]]:
        """The learned sum over the layers, and the states of each layer, at full or halved frame rate."""
        mel = mask_spectrum(mix_styles(self.log_mel(waves), styles), masks)
        x = functional.gelu(self.conv2(functional.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.embed_positions.weight[: x.shape[1]]
        weights = torch.softmax(self.layer_weights, 0)
        total, frames = weights[0] * x, x.shape[1]
        fine: Tensor | None = None  # the sum before the frame rate was halved
        states = []
        for depth, (layer, weight) in enumerate(zip(self.layers, weights[1:], strict=True)):
            if depth and depth == self.config.halve_after:
                x, fine, total = halve_frames(x), total, torch.zeros(())
            x = layer(x)
            states.append(x)
            total = total + weight * x
        return (total if fine is None else fine + double_frames(total, frames)), states

    def load_encoder(self, path: str | Path) -> None:
        """Load the stem and the first layers from a file, a folder or a hub name of Whisper or of its encoder alone,
        with transformers' names (`sed.networks.weights.read_weights`).

        Raises `ModelError` if the file is missing or does not match.
        """
        stored = read_weights(path)
        ends = [name for name in stored if name.endswith("conv1.weight")]
        outer = min(ends, key=len, default="").removesuffix("conv1.weight")
        prefixes = ("conv1.", "conv2.", "embed_positions.", "layers.")
        own = {name: value for name, value in self.state_dict().items() if name.startswith(prefixes)}
        for name, value in own.items():
            found = stored.get(outer + name)
            if found is None or (found.shape != value.shape and name != "embed_positions.weight"):
                shape = "nothing" if found is None else f"shape {tuple(found.shape)}"
                raise ModelError(f"{path}: found {shape} for {name}, expected shape {tuple(value.shape)}")
            own[name] = found[: len(value)].float()
        self.load_state_dict(own, strict=False)

    def load_voice(self, path: str | Path) -> None:
        """Load the speaker branch's encoder from CAM++'s ONNX file: see `VoiceEncoder.load`.

        Raises `ModelError` if the file does not match, `OptionError` if there is no speaker branch.
        """
        if self.voice is None:
            raise OptionError(f"a tagger without voice: expected no voice_weights, found {path}")
        self.voice.encoder.load(path)

    def parameter_groups(
        self, encoder_rate: float, head_rate: float, layer_decay: float
    ) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser: lower layers learn more slowly, by `layer_decay` a layer.

        Frozen layers keep a separate group (without gradients they do not change), so freezing or unfreezing
        between two parts of a run does not affect its checkpoints.
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
