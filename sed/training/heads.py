"""The training recipe of a tagger's heads on frozen encoders: hyperparameters in, a tagger folder out.

The encoders stay as published, so their states are computed once (`sed.training.data.states`), and heads learn on them
in minutes. Speech is acted (emotions) and ordinary (neutral with a soft target).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.corpora.audio import read_manifest
from sed.networks.head import Head
from sed.networks.store import save_tagger
from sed.training.data.state_windows import Windows, WindowSampler
from sed.training.data.states import Part, compute_states
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
    standardise_heads(heads, [sampler.batch(h["steps"] + n) for n in range(h["standardise"])])
    trained = [p for p in heads.parameters() if p.requires_grad]
    mean = [p.detach().clone() for p in trained]
    optimiser = torch.optim.AdamW(
        trained, lr=h["head_rate"], betas=(0.9, 0.98), weight_decay=h["weight_decay"]
    )
    heads.train()
    torch.manual_seed(h["seed"])
    for step in range(h["steps"]):
        for group in optimiser.param_groups:
            factor = learning_rate_factor(step, h["steps"], h["warmup_steps"], h["decay_steps"])
            group["lr"] = h["head_rate"] * factor
        loss = heads_loss(heads, sampler.batch(step), h)
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

    def forward(self, states: Tensor) -> list[Tensor]:
        """The logits of each branch, ``(B, F, labels)``, from ``(B, F, width)`` states."""
        model = self._model[0]
        with torch.autocast(states.device.type, torch.bfloat16):
            logits: list[Tensor] = model.branch_logits(model.fused_features(states))
        return [each.float() for each in logits]


def heads_loss(heads: nn.Module, batch: Windows, h: Mapping[str, Any]) -> Tensor:
    """Cross-entropy of the frames and of the mean of each utterance of a window, for each branch; with `consistency`
    also the symmetric divergence from the posteriors of another view of the same speech."""
    device = next(heads.parameters()).device
    states, targets, runs = (
        torch.from_numpy(a).to(device) for a in (batch.states, batch.targets, batch.runs)
    )
    branches = heads(states)
    first = functional.one_hot(runs, runs.shape[1]).to(states.dtype)  # (B, F, where the utterance begins)
    count = first.sum(1)
    kept = count >= 5
    loss = states.new_zeros(())
    for logits in branches:
        means = (first.transpose(1, 2) @ logits)[kept] / count[kept][:, None]
        wanted = (first.transpose(1, 2) @ targets)[kept] / count[kept][:, None]
        loss = (
            loss + soft_cross_entropy(logits, targets) + h["run_weight"] * soft_cross_entropy(means, wanted)
        )
    if batch.twins is not None:
        twins = heads(torch.from_numpy(batch.twins).to(device))
        loss = (
            loss
            + h["consistency"]
            * torch.stack(
                [_divergence(a, b, first, count, kept) for a, b in zip(branches, twins, strict=True)]
            ).sum()
        )
    return loss


def _divergence(one: Tensor, other: Tensor, first: Tensor, count: Tensor, kept: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of the mean logits of utterances."""
    p, q = (
        torch.log_softmax((first.transpose(1, 2) @ logits)[kept] / count[kept][:, None], 1)
        for logits in (one, other)
    )
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
