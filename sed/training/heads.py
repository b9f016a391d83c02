"""The training recipe of a tagger's heads on frozen encoders: hyperparameters in, a tagger folder out.

The encoders stay as published, so their states are computed once (`sed.training.data.states`), and heads learn on them
in minutes. Speech is acted (emotions) and ordinary (neutral with a soft target).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.corpora.audio import read_manifest
from sed.networks.head import Head
from sed.networks.store import save_tagger
from sed.training.data.state_windows import Windows, WindowSampler
from sed.training.data.states import Part, compute_states
from sed.training.objectives.adversary import SourceAdversary
from sed.training.objectives.losses import soft_cross_entropy
from sed.training.recipe.checks import as_list
from sed.training.schedule import learning_rate_factor

_log = logging.getLogger("sed.training")
_MIN_DEVIATION = 0.02  # of a dimension, relative to that of all: constant dimensions are not amplified


def train_heads(hparams: Mapping[str, Any], run_options: Mapping[str, Any] | None = None) -> Path:
    """Train the heads of ``tagger`` with `hparams`; returns the tagger's folder, as `sed.training.train.train` does."""
    h = dict(hparams)
    model = h["tagger"]
    device = str((run_options or {}).get("device") or "cpu")
    if h["encoder_weights"]:
        model.load_encoder(h["encoder_weights"])
    if h["voice_weights"]:
        model.load_voice(h["voice_weights"])
    freeze(model)
    model.to(device)
    splits, left_out = as_list(h["splits"]), as_list(h["leave_out"])
    rows = {
        "acted": read_manifest(h["corpora"], splits, model.labels, left_out),
        "ordinary": read_manifest(h["ordinary"], splits, (), left_out),
    }
    acted, ordinary = (
        compute_states(
            model, rows[own], h["states_folder"], h["augmentations"], h["states_seed"], channels=rows[other]
        )
        for own, other in (("acted", "ordinary"), ("ordinary", "acted"))
    )
    fit_heads(h, model, acted, ordinary)
    folder = Path(h["output_folder"]) / "tagger"
    save_tagger(model, folder, as_list(h["labels"]), h["card"])
    return folder


def freeze(model: Any) -> None:
    """Freeze everything in `model` but its heads and its classifier."""
    model.requires_grad_(False)
    for module in (*model.heads, model.classifier):
        module.requires_grad_(True)


def fit_heads(h: Mapping[str, Any], model: Any, acted: Sequence[Part], ordinary: Sequence[Part]) -> None:
    """Train the heads of `model` in place, to the running mean of their weights."""
    labels = as_list(h["labels"])
    sampler = WindowSampler(
        acted, ordinary, model.labels, labels, h["windows"], h["seed"], twins=h["consistency"] > 0
    )
    heads = _Heads(model)
    adversary: SourceAdversary = h["adversary"]
    if adversary.weight:
        adversary.make_head(model.classifier.in_features, len(sampler.sources))
        adversary.to(next(heads.parameters()).device)
    standardise_heads(heads, [sampler.batch(h["steps"] + n) for n in range(h["standardise"])])
    trained = [p for p in heads.parameters() if p.requires_grad]
    mean = [p.detach().clone() for p in trained]
    groups = [
        {"params": trained, "rate": h["head_rate"]},
        {"params": list(adversary.parameters()), "rate": h["adversary_rate"]},
    ]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=h["weight_decay"])
    heads.train()
    torch.manual_seed(h["seed"])
    for step in range(h["steps"]):
        for group in optimiser.param_groups:
            factor = learning_rate_factor(step, h["steps"], h["warmup_steps"], h["decay_steps"])
            group["lr"] = group["rate"] * factor
        loss = heads_loss(heads, sampler.batch(step), h, step / h["steps"])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, h["clip_norm"])
        optimiser.step()
        decay = min(h["ema_decay"], (step + 1) / (step + 11))
        with torch.no_grad():
            for average, new in zip(mean, trained, strict=True):
                average.lerp_(new, 1 - decay)
        if (step + 1) % 100 == 0:
            _log.info("step %d  loss %.3f", step + 1, float(loss.detach()))
    with torch.no_grad():
        for average, new in zip(mean, trained, strict=True):
            new.copy_(average)
    model.eval()


class _Heads(nn.Module):
    """The part of a tagger behind its frozen states."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.heads, self.classifier = nn.ModuleList(model.heads), model.classifier
        self._model = [model]  # not a submodule: its encoders are not trained

    @property
    def labels(self) -> Sequence[str]:
        """The labels of the logits."""
        return tuple(self._model[0].labels)

    def features(self, states: Tensor) -> Tensor:
        """The input of the classifier, ``(B, F, features)``, from ``(B, F, width)`` states."""
        with torch.autocast(states.device.type, torch.bfloat16):
            features: Tensor = self._model[0].fused_features(states)
        return features

    def branch_logits(self, features: Tensor) -> list[Tensor]:
        """The logits of each branch, ``(B, F, labels)``."""
        with torch.autocast(features.device.type, torch.bfloat16):
            logits: list[Tensor] = self._model[0].branch_logits(features)
        return [each.float() for each in logits]

    def forward(self, states: Tensor) -> list[Tensor]:
        """The logits of each branch, ``(B, F, labels)``, from ``(B, F, width)`` states."""
        return self.branch_logits(self.features(states))


class _Runs:
    """The utterances of each window, and the frames of each."""

    def __init__(self, runs: Tensor, dtype: torch.dtype, min_frames: int = 5) -> None:
        self._first = functional.one_hot(runs, runs.shape[1]).to(dtype)  # (B, F, where the utterance begins)
        self._count = self._first.sum(1)
        self._kept = self._count >= min_frames

    def means(self, values: Tensor) -> Tensor:
        """The mean of ``(B, F, D)`` values over each utterance of at least `min_frames` frames, ``(N, D)``."""
        return (self._first.transpose(1, 2) @ values)[self._kept] / self._count[self._kept][:, None]

    def of_first_frame(self, values: Tensor) -> Tensor:
        """The ``(B, F)`` values at the first frames of these utterances, ``(N,)``."""
        return values[self._kept]


def heads_loss(heads: _Heads, batch: Windows, h: Mapping[str, Any], progress: float) -> Tensor:
    """Cross-entropy of the frames and of the mean of each utterance of a window, for each branch; with `consistency`
    also the symmetric divergence from the posteriors of another view of the same speech, and with an `adversary`
    its loss on the mean features of each utterance."""
    device = next(heads.parameters()).device
    states, targets = (torch.from_numpy(a).to(device) for a in (batch.states, batch.targets))
    runs = _Runs(torch.from_numpy(batch.runs).to(device), states.dtype)
    features = heads.features(states)
    branches = heads.branch_logits(features)
    loss = states.new_zeros(())
    for logits in branches:
        of_runs = soft_cross_entropy(runs.means(logits), runs.means(targets))
        loss = loss + soft_cross_entropy(logits, targets) + h["run_weight"] * of_runs
    adversary: SourceAdversary = h["adversary"]
    if adversary.weight:
        classes = _source_classes(heads, batch, adversary.labels).to(device)
        means = runs.means(features.float())
        loss = loss + adversary.weight * adversary.loss(means, runs.of_first_frame(classes), progress)
    if batch.twins is not None:
        twins = heads(torch.from_numpy(batch.twins).to(device))
        divergences = [
            _divergence(runs.means(a), runs.means(b)) for a, b in zip(branches, twins, strict=True)
        ]
        loss = loss + h["consistency"] * torch.stack(divergences).sum()
    return loss


def _source_classes(heads: _Heads, batch: Windows, labels: Sequence[str]) -> Tensor:
    """The source of each frame ``(B, F)``, -1 for those of other emotions than `labels` if there are any."""
    if not labels:
        return torch.from_numpy(batch.sources)
    wanted = [number for number, label in enumerate(heads.labels) if label in labels]
    return torch.from_numpy(np.where(np.isin(batch.emotions, wanted), batch.sources, -1))


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of the mean logits ``(N, labels)`` of utterances."""
    p, q = torch.log_softmax(one, 1), torch.log_softmax(other, 1)
    divergence = functional.kl_div(p, q, log_target=True, reduction="none") + functional.kl_div(
        q, p, log_target=True, reduction="none"
    )
    return divergence.sum(1).mean() / 2


def standardise_heads(heads: Any, batches: Sequence[Windows]) -> None:
    """Set the gains and offsets at the input of each head so that each dimension has mean 0 and deviation 1."""
    for head in heads.heads:
        assert isinstance(head, Head)
        norm = head.norm
        collected: list[Tensor] = []
        hook = norm.register_forward_hook(
            lambda _, inputs, output, c=collected: c.append(output.flatten(0, 1))
        )
        heads.eval()
        with torch.no_grad():
            for batch in batches:
                heads(torch.from_numpy(batch.states).to(norm.weight.device))
            hook.remove()
            deviation, mean = torch.std_mean(torch.cat(collected).double(), 0, correction=0)
            deviation = deviation.clamp(min=_MIN_DEVIATION * float(deviation.square().mean().sqrt()))
            norm.weight.copy_(norm.weight / deviation)
            norm.bias.copy_((norm.bias - mean) / deviation)
