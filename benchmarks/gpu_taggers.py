"""Taggers that learn in lockstep from the same batches and never wait for the GPU: the parts of `gpu_trials.py`."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.training.model import CompactTagger
from sed.training.objectives import FeatureTap

SMOOTHING, RUN_WEIGHT, SHORTEST = 0.2, 0.5, 10
HEAD_RATE, LAYER_DECAY, AVERAGE = 1e-3, 0.75, 0.99
DEVICE = "cuda" if Path("/dev/nvidia0").exists() else "cpu"  # asking torch would start CUDA before the fork


@dataclass(frozen=True)
class Trial:
    """What a trial changes of the recipe."""

    tagger: dict[str, Any] = field(default_factory=dict)
    clips: dict[str, Any] = field(default_factory=dict)
    augmentation: dict[str, Any] = field(default_factory=dict)
    seed: int = 3
    encoder_rate: float = 1e-4
    weight_decay: float = 0.02


def put(array: np.ndarray) -> Tensor:
    """`array` where the taggers are, without waiting for it."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(DEVICE, non_blocking=True) if DEVICE == "cuda" else tensor


class Learner:
    """A model that learns beside others: its weights, their running mean, its optimiser, and which speakers it may not
    hear, by their numbers; `nobody` is that of no speaker."""

    def __init__(
        self, model: Any, groups: list[dict[str, Any]], weight_decay: float, out: set[int], nobody: int
    ) -> None:
        self.model = model
        self.out = np.array([number in out for number in range(nobody + 1)])
        self.rates = [group["lr"] for group in groups]
        self.optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=weight_decay, fused=True)
        self.weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.mean = [parameter.detach().clone() for parameter in self.weights]

    def known(self, targets: np.ndarray, speakers: np.ndarray) -> np.ndarray:
        """`targets`, none where somebody speaks whom it may not hear."""
        return np.where(self.out[speakers], -1, targets)

    def step(self, loss: Tensor, number: int, factor: float) -> None:
        """Step `number` of the optimiser, and of the running mean."""
        loss.backward()
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0, foreach=True)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self.mean, self.weights, 1 - min(AVERAGE, (number + 1) / (number + 11)))

    def average(self) -> None:
        """Take the running mean of the weights, to be listened to."""
        with torch.no_grad():
            for weight, mean in zip(self.weights, self.mean, strict=True):
                weight.copy_(mean)
        self.model.eval()


class Member(Learner):
    """One tagger of a trial."""

    def __init__(self, base: CompactTagger, trial: Trial, out: set[int], nobody: int) -> None:
        tagger = copy.deepcopy(base)
        self.tap = FeatureTap(tagger)
        groups = tagger.groups(trial.encoder_rate, HEAD_RATE, LAYER_DECAY)
        super().__init__(tagger, groups, trial.weight_decay, out, nobody)

    def said(self, waves: Tensor) -> list[Tensor]:
        """The logits ``(B, F, labels)`` of each branch."""
        self.model(waves)
        return self.model.alone(self.tap.take())

    def loss(self, waves: Tensor, targets: np.ndarray, speakers: np.ndarray) -> Tensor:
        """`sed.training.losses.tagger_loss` of each branch, without asking the GPU for anything."""
        targets = self.known(targets, speakers)
        change = np.ones_like(targets, bool)
        change[:, 1:] = targets[:, 1:] != targets[:, :-1]
        run = change.ravel().cumsum() - 1
        count, label = np.bincount(run), targets.ravel()[change.ravel()]
        kept = (label >= 0) & (count >= SHORTEST)
        runs, known = int(kept.sum()), max(int((targets >= 0).sum()), 1)
        place = put(np.where(kept, np.cumsum(kept) - 1, runs)[run])
        size, name, target = put(count[kept, None].astype(np.float32)), put(label[kept]), put(targets.ravel())
        total = waves.new_zeros(())
        for logits in self.said(waves):
            flat = logits.flatten(0, 1).float()
            frames = functional.cross_entropy(
                flat, target, ignore_index=-1, label_smoothing=SMOOTHING, reduction="sum"
            )
            total = total + frames / known
            if runs:
                sums = flat.new_zeros(runs + 1, flat.shape[1]).index_add(0, place, flat)[:runs]
                total = total + RUN_WEIGHT * functional.cross_entropy(
                    sums / size, name, label_smoothing=SMOOTHING
                )
        return total


class Once(nn.Module):
    """A part that does not learn, shared by all copies: it repeats what it said until `forget`."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.__dict__["said"] = {"part": part}
        self.head = getattr(part, "head", None)
        self.encoder = nn.Module()  # which has nothing to learn

    def __deepcopy__(self, memo: Any) -> Once:
        other = Once(nn.Module())
        other.__dict__["said"] = self.__dict__["said"]
        other.head = copy.deepcopy(self.head, memo)
        return other

    def forget(self) -> None:
        """What was said."""
        self.__dict__["said"].pop("value", None)

    def forward(self, waves: Tensor, *changes: Any) -> Tensor:
        """What the part says."""
        said = self.__dict__["said"]
        if "value" not in said:
            with torch.no_grad():
                said["value"] = said["part"](waves, *changes)
        return said["value"]
