"""Utterance models as frame taggers: heads that label a whole clip, applied around each frame.

In: raw 16 kHz waves. Out: logits (or dimensions from 0 to 1) of every 20 ms frame. A head that is linear behind a mean
over time needs nothing of this: it is the `classifier` of an `EncoderTagger`, frame by frame, since a mean of its
outputs is its output for the mean. Here are the others: heads behind a nonlinearity, which see windows of `LENGTH`
seconds every `HOP_LENGTH` seconds, and Whisper's, whose mean includes the padding of a clip to 30 s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.grid import FRAME_RATE, HOP
from sed.networks.pretrained import EncoderTagger

LENGTH, HOP_LENGTH = 3.0, 0.5
"""Seconds of speech that a head sees at once, and between two such windows."""


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time, weighted by a learned attention (Okabe et al. 2018), as in the baselines of the
    Odyssey 2024 challenge."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sap_linear = nn.Linear(width, width)
        self.attention = nn.Parameter(torch.zeros(width, 1))

    def forward(self, states: Tensor) -> Tensor:
        """``(B, F, width)`` to ``(B, 2 * width)``."""
        weights = torch.softmax(torch.tanh(self.sap_linear(states)) @ self.attention, 1)
        mean = (states * weights).sum(1)
        power = (states.square() * weights).sum(1)
        return torch.cat([mean, (power - mean.square()).clamp(min=1e-5).sqrt()], 1)


class MeanOverTime(nn.Module):
    """``(B, F, width)`` to ``(B, width)``."""

    def forward(self, states: Tensor) -> Tensor:
        """The mean over the frames."""
        return states.mean(1)


def window_bounds(frames: int, length: int, hop: int) -> list[tuple[int, int]]:
    """First and last frame (exclusive) of the windows over `frames` frames: all of equal length, the last one at the
    end; a single shorter one if there are fewer frames than `length`.

    >>> window_bounds(90, 100, 25), window_bounds(160, 100, 25)
    ([(0, 90)], [(0, 100), (25, 125), (50, 150), (60, 160)])
    """
    starts = [*range(0, frames - length, hop), max(frames - length, 0)]
    return [(start, start + min(length, frames)) for start in starts]


class UtteranceTagger(EncoderTagger):
    """An encoder with a head for whole utterances, which sees a sliding window of the encoder's states.

    The encoder sees all of the input; each frame has the output of the window whose centre is nearest. For an input of
    up to `LENGTH` seconds all frames have the output of the original model.

    labels, encoder, options: as of `EncoderTagger`.
    pool: the module that makes one vector of the states of a window.
    hidden: what follows it, before the last linear layer.
    features: the width of what enters that layer.
    outputs: how many outputs it has.
    shift, scale: subtracted from the waves, and what they are then divided by.
    """

    def __init__(
        self,
        labels: Sequence[str],
        encoder: Mapping[str, Any],
        pool: nn.Module,
        hidden: nn.Module,
        features: int,
        outputs: int,
        *,
        shift: float = 0.0,
        scale: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(labels, encoder, layers="last", norm="none", tail="repeat", **options)
        self.pool, self.hidden = pool, hidden
        self.classifier = nn.Linear(features, outputs)
        self.shift, self.scale = shift, scale

    def forward(self, waves: Tensor, lengths: Tensor | None = None) -> Tensor:
        """``(B, T)`` waves, full scale 1, to ``(B, ceil(T / 320), outputs)``. Padded batches are not supported."""
        states = self.states((waves - self.shift) / self.scale, lengths)
        frames = states.shape[1]
        bounds = window_bounds(frames, round(LENGTH * FRAME_RATE), round(HOP_LENGTH * FRAME_RATE))
        outputs = torch.stack(
            [self.classifier(self.hidden(self.pool(states[:, start:end]))) for start, end in bounds], 1
        )
        centres = torch.tensor([start + end for start, end in bounds], device=states.device) / 2
        position = torch.arange(frames, device=states.device) + 0.5
        nearest = (position[:, None] - centres).abs().argmin(1)
        extended: Tensor = self.backbone.extend(outputs[:, nearest], lengths, -(-waves.shape[1] // HOP))
        return extended


class PaddedWhisperTagger(EncoderTagger):
    """Whisper's encoder with a linear head on the mean over all frames of a clip and of its padding to 30 s.

    Of that mean the padding has a share. A frame's logits here are those of a clip that consists of frames like it, and
    of the same padding, so that their mean over the clip is what the original returns for it.
    """

    sum_final_norm = True  # as in transformers

    def __init__(self, labels: Sequence[str], encoder: Mapping[str, Any], layers: str) -> None:
        super().__init__(labels, encoder, layers=layers, norm="none")

    def forward(self, waves: Tensor, lengths: Tensor | None = None) -> Tensor:
        """As that of `EncoderTagger`, without padded batches."""
        total = int(self.max_samples or 0)
        frames, all_frames = -(-waves.shape[1] // HOP), total // HOP
        logits = super().forward(functional.pad(waves, (0, max(0, total - waves.shape[1]))), lengths)
        padding = logits[:, frames:].sum(1, keepdim=True) / all_frames
        return logits[:, :frames] * (frames / all_frames) + padding
