"""Loss functions of the frame taggers: logits, features and targets in, a scalar out.

Shapes: ``B`` clips, ``F`` frames, ``C`` labels. Frames with target -1 (NaN for real-valued targets) are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def run_means(logits: Tensor, targets: Tensor, min_frames: int = 10) -> tuple[Tensor, Tensor]:
    """Mean logits and target of every run of at least `min_frames` frames with the same target, except -1.

    `logits` is ``(B, F, C)``, `targets` ``(B, F)``; returns ``(runs, C)`` and ``(runs,)``.
    """
    change = torch.ones_like(targets, dtype=torch.bool)
    change[:, 1:] = targets[:, 1:] != targets[:, :-1]
    run = change.flatten().cumsum(0) - 1
    count = torch.bincount(run)
    label = targets.flatten()[change.flatten()]
    means = logits.new_zeros(len(count), logits.shape[2]).index_add(0, run, logits.flatten(0, 1))
    kept = (label >= 0) & (count >= min_frames)
    return means[kept] / count[kept, None], label[kept]


def tagger_loss(
    logits: Tensor,
    targets: Tensor,
    smoothing: float,
    run_weight: float,
    class_weights: Tensor | None = None,
    focus: float = 0.0,
) -> Tensor:
    """Cross-entropy of the frames with a target plus `run_weight` times that of the mean logits of each run.

    Silence and padding have target -1 and are ignored. `class_weights` ``(C,)`` weight the labels; the mean is
    weighted too. `focus` is the exponent of the focal loss (`cross_entropy`).
    """
    kept = targets.flatten() >= 0
    loss = cross_entropy(logits.flatten(0, 1)[kept], targets.flatten()[kept], smoothing, class_weights, focus)
    if run_weight:
        means, labels = run_means(logits, targets)
        if len(labels):
            loss = loss + run_weight * cross_entropy(means, labels, smoothing, class_weights, focus)
    return loss


def cross_entropy(
    logits: Tensor, targets: Tensor, smoothing: float, class_weights: Tensor | None, focus: float
) -> Tensor:
    """Mean cross-entropy of `logits` ``(N, C)``, 0 for no rows; weighted by `class_weights` of the targets.

    With `focus` above 0 each row is also multiplied by ``(1 - p) ** focus``, where ``p`` is the posterior of its
    target, so that rows that are right already count little (focal loss, Lin et al. 2017).

    >>> logits, targets = torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0])
    >>> [round(float(cross_entropy(logits, targets, 0.0, None, focus)), 3) for focus in (0.0, 2.0)]
    [0.371, 0.087]
    """
    losses = functional.cross_entropy(
        logits, targets, class_weights, reduction="none", label_smoothing=smoothing
    )
    if focus:
        right = torch.softmax(logits, -1).gather(1, targets[:, None])[:, 0]
        losses = losses * (1 - right) ** focus
    total = len(targets) if class_weights is None else class_weights[targets].sum()
    return losses.sum() / (max(total, 1) if isinstance(total, int) else total.clamp(min=1e-9))


def soft_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Mean cross-entropy against `shares` ``(..., C)``, each row a distribution; rows with NaN are ignored.

    >>> logits = torch.zeros(1, 2, 2)
    >>> shares = torch.tensor([[[0.3, 0.7], [float("nan"), 0.0]]])
    >>> round(float(soft_cross_entropy(logits, shares)), 4)
    0.6931
    """
    known = ~torch.isnan(shares).any(dim=-1)
    if not known.any():
        return logits.sum() * 0
    return -(shares[known] * torch.log_softmax(logits[known], -1)).sum(-1).mean()


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the student's posteriors from the teacher's, both softened by
    `temperature`, times its square so that gradients keep their scale (Hinton et al. 2015).

    `logits` ``(..., C)`` are the student's, `teacher` ``(..., C)`` posteriors that sum to 1; the mean is over
    all rows without NaN. A posterior's logits are its logarithms up to a constant, which softmax ignores.

    >>> p = torch.tensor([[0.9, 0.1]])
    >>> float(distillation_loss(p.log(), p, 2.0)) < 1e-6
    True
    """
    known = ~torch.isnan(teacher).any(dim=-1)
    if not known.any():
        return logits.sum() * 0
    target = torch.log_softmax(teacher[known].clamp(min=1e-8).log() / temperature, -1)
    student = torch.log_softmax(logits[known] / temperature, -1)
    return (
        functional.kl_div(student, target, log_target=True, reduction="none").sum(-1).mean() * temperature**2
    )


def concordance(predicted: Tensor, true: Tensor) -> Tensor:
    """Lin's concordance correlation coefficient of each column of ``(n, D)`` values, ``(D,)``: 1 means equality,
    and unlike correlation it decreases with a wrong mean or spread.

    >>> x = torch.tensor([[0.0], [1.0], [2.0]])
    >>> float(concordance(x, x)), round(float(concordance(x + 1, x)), 3)
    (1.0, 0.571)
    """
    mean_p, mean_t = predicted.mean(0), true.mean(0)
    covariance = ((predicted - mean_p) * (true - mean_t)).mean(0)
    spread = predicted.var(0, unbiased=False) + true.var(0, unbiased=False) + (mean_p - mean_t) ** 2
    return 2 * covariance / spread.clamp(min=1e-8)


def ranking_loss(predicted: Tensor, true: Tensor, groups: Sequence[str], min_difference: float) -> Tensor:
    """Logistic loss of the order of all pairs ``(N,)`` of one group (RankNet, C. Burges et al., ICML 2005).

    Counts pairs whose true values differ by at least `min_difference`, which also scales the predicted differences;
    0 if there are none.

    >>> right, wrong = (ranking_loss(torch.tensor(p), torch.tensor([0.2, 0.8]), "aa", 0.1)
    ...                 for p in ([0.2, 0.8], [0.8, 0.2]))
    >>> float(right) < 0.01, float(wrong) > 5, float(ranking_loss(torch.rand(2), torch.rand(2), "ab", 0.0))
    (True, True, 0.0)
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    group = torch.tensor([names[name] for name in groups], device=true.device)
    counted = (true[:, None] - true[None] >= max(min_difference, 1e-6)) & (group[:, None] == group[None])
    if not counted.any():
        return predicted.sum() * 0
    difference = (predicted[:, None] - predicted[None])[counted]
    return functional.softplus(-difference / max(min_difference, 1e-3)).mean()


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """The identity, whose gradient is multiplied by ``-strength`` in the backward pass (Ganin et al. 2016)."""
    return _Reversed.apply(x, strength)


def pooled_logits(logits: Tensor, attention: Tensor | None = None) -> Tensor:
    """Pool frame logits ``(F, C)`` to ``(C,)``, for utterances with a label but no boundaries: their mean, or the
    weighted mean with softmax weights of `attention` ``(F,)``."""
    if attention is None:
        return logits.mean(0)
    return (torch.softmax(attention, 0)[:, None] * logits).sum(0)


def instance_loss(logits: Tensor, label: int, background: int | None) -> Tensor:
    """Multiple-instance loss of frame logits ``(F, C)`` in which `label` occurs, and no other label except possibly
    `background`.

    The probability that a label occurs is its mean posterior weighted by itself (linear softmax pooling, Wang et al.
    2019), so that frames with the label dominate.
    """
    posteriors = torch.softmax(logits, -1)
    occurs = (posteriors**2).sum(0) / posteriors.sum(0).clamp(min=1e-8)
    others = torch.ones_like(occurs, dtype=torch.bool)
    others[label] = False
    if background is not None:
        others[background] = False
    return -occurs[label].clamp(min=1e-6).log() - (1 - occurs[others]).clamp(min=1e-6).log().sum()
