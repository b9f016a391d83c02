"""Heads: an encoder's states of frames in, features that distinguish emotions and their logits out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import OptionError


class Scale(nn.Module):
    """A gain and an offset for each dimension."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape ``(..., width)`` to the same."""
        return x * self.weight + self.bias


class ContextBlock(nn.Module):
    """A residual block with a depthwise convolution over 4 * `dilation` frames to either side."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        if dilation < 1:
            raise OptionError(f"a dilation of {dilation}: expected 1 or more")
        self.norm = nn.LayerNorm(width)
        self.spread = nn.Conv1d(width, width, 9, padding=4 * dilation, dilation=dilation, groups=width)
        self.mix = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, F, width)`` to the same shape."""
        y = self.spread(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.mix(functional.gelu(y)))


class LocalStatistics(nn.Module):
    """Adds the context of a frame: running mean and deviation over each of several windows.

    `reaches` are frames to either side. Over a whole utterance, mean and deviation of the encoder's features
    distinguish emotions of unseen speakers better than single frames do; a window keeps that and follows changes.
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
        position = torch.arange(frames, device=x.device)
        parts = []
        for reach in self.reaches:
            first, end = (position - reach).clamp(min=0), (position + reach + 1).clamp(max=frames)
            mean, power = ((sums[:, end] - sums[:, first]) / (end - first)[:, None]).chunk(2, 2)
            parts += [mean, torch.sqrt((power - mean * mean).clamp(min=1e-5))]
        return x + self.dropout(functional.gelu(self.mix(torch.cat(parts, 2))))


class DirectedBlock(nn.Module):
    """A gate from the frames before, or with `backward` after, each frame: two dilated convolutions that do not see the
    other side (a temporal-aware block of TIM-Net, depthwise here)."""

    def __init__(self, width: int, dilation: int, dropout: float, backward: bool) -> None:
        super().__init__()
        self.pads = (0, 2 * dilation) if backward else (2 * dilation, 0)
        self.spreads = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=dilation, groups=width) for _ in range(2)
        )
        self.mixes = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, F, width)`` to the same shape."""
        y = x
        for spread, mix, norm in zip(self.spreads, self.mixes, self.norms, strict=True):
            y = spread(functional.pad(self.dropout(y).transpose(1, 2), self.pads)).transpose(1, 2)
            y = functional.relu(norm(mix(y)))
        return (
            2 * torch.sigmoid(y - 0.4) * x
        )  # 0.4 is the mean of y at first: a chain of gates keeps its level


class BidirectionalScales(nn.Module):
    """A multi-scale head in both directions after TIM-Net (Ye et al. 2023), frame by frame.

    Two chains of `scales` gates, forward and backward in time, with dilations 1, 2, 4, ...: each scale is the sum of
    both chains there, and a learned weighted mean over the scales is added to the input. The original takes the mean
    over an utterance of each scale; here each frame keeps its own.

    Raises `OptionError` on less than 1 or more than 10 scales.
    """

    def __init__(self, width: int, scales: int, dropout: float) -> None:
        super().__init__()
        if not 1 <= scales <= 10:
            raise OptionError(f"{scales} scales: expected 1 to 10")
        self.norm = nn.LayerNorm(width)
        self.forwards, self.backwards = (
            nn.ModuleList(DirectedBlock(width, 2**n, dropout, backward) for n in range(scales))
            for backward in (False, True)
        )
        self.scale_weights = nn.Parameter(torch.zeros(scales))
        self.mix = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, F, width)`` to the same shape."""
        past = future = self.norm(x)
        weights = torch.softmax(self.scale_weights, 0)
        total = torch.zeros_like(past)
        for number, (onward, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            past, future = onward(past), back(future)
            total = total + weights[number] * (past + future)
        return x + self.dropout(self.mix(total))


class Head(nn.Module):
    """Normalises states, projects them to `head_width`, and applies `LocalStatistics`, then `ContextBlock` s, then,
    with `scales`, `BidirectionalScales`.

    `reaches` and `dilations` may be empty; with a `head_width` of 0 the head only normalises, and both must be empty
    and `scales` 0 (otherwise `OptionError`). The attribute `width` is that of the output. With `scale_only` each
    dimension has a gain and an offset, but frames are not normalised.
    """

    def __init__(
        self,
        width: int,
        head_width: int,
        dilations: Sequence[int],
        reaches: Sequence[int],
        dropout: float,
        scale_only: bool = False,
        scales: int = 0,
    ) -> None:
        super().__init__()
        if not head_width and (len(dilations) or len(reaches) or scales):
            raise OptionError(
                f"a linear head with dilations {list(dilations)}, reaches {list(reaches)} and {scales} scales: expected"
                " none"
            )
        self.width = head_width or width
        self.norm: Scale | nn.LayerNorm = Scale(width) if scale_only else nn.LayerNorm(width)
        self.reduce = nn.Linear(width, head_width) if head_width else None
        self.statistics = LocalStatistics(head_width, reaches, dropout) if reaches else nn.Identity()
        self.context = nn.ModuleList(ContextBlock(head_width, dilation, dropout) for dilation in dilations)
        if scales:
            self.context.append(BidirectionalScales(head_width, scales, dropout))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, F, width of the states)`` to ``(B, F, width)``."""
        y = self.dropout(self.norm(states))
        if self.reduce is None:
            return y
        y = self.statistics(functional.gelu(self.reduce(y)))
        for block in self.context:
            y = block(y)
        return self.dropout(y)


class SharedClassifier(nn.Linear):
    """A classifier of the concatenated features of several branches, weighted by their shares.

    Shares are relative; if they are equal it is a plain linear layer. A branch of share 0 only trains the
    encoder that it uses.
    """

    def __init__(self, widths: Sequence[int], shares: Sequence[float], labels: int) -> None:
        super().__init__(sum(widths), labels)
        if len(shares) != len(widths) or min(shares) < 0 or sum(shares) <= 0:
            raise OptionError(
                f"shares {list(shares)}: expected {len(widths)} numbers, none below 0, not all 0"
            )
        self.widths = list(widths)
        self.shares = [len(widths) * share / sum(shares) for share in shares]  # 1 if they are equal

    def forward(self, features: Tensor) -> Tensor:
        """``(B, F, all widths)`` to ``(B, F, labels)`` logits."""
        return functional.linear(features, torch.cat(self._weights(), 1), self.bias)

    def _weights(self) -> list[Tensor]:
        """The weights of each branch, multiplied by its share."""
        parts = zip(self.weight.split(self.widths, 1), self.shares, strict=True)
        return [part * share for part, share in parts]

    def branch_logits(self, features: Tensor) -> list[Tensor]:
        """The separate logits of each branch, whose mean weighted by the shares is the output of `forward`."""
        parts = zip(features.split(self.widths, 2), self.weight.split(self.widths, 1), strict=True)
        return [functional.linear(part, weight * len(self.widths), self.bias) for part, weight in parts]

    def folded(self) -> nn.Linear:
        """An equivalent plain linear layer, without branches of share 0."""
        parts = zip(self._weights(), self.shares, strict=True)
        weight = torch.cat([part for part, share in parts if share], 1).detach()
        plain = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            plain.weight.copy_(weight)
            plain.bias.copy_(self.bias)
        return plain.to(weight)
