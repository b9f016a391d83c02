"""Heads on frozen states, cross-validated by speaker: a trial in minutes on one core.

    python benchmarks/frozen_heads.py TRIAL... --states DIR --speech DIR --out DIR --kinds short long --batches 500

In: what `frozen_states.py` wrote, and names of `TRIALS`. Out: ``TRIAL.npz`` as `gpu_trials.py` writes them, for
`cross_validated.py` with ``--shares 1``: the logits of a head like the compact recipe's third, which hears Whisper's
layers 3 and 4 and CAM++ side by side, of speakers that it never heard. Four heads learn in lockstep, one for each fold,
with the recipe's losses and rates.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_taggers import HEAD_RATE, RUN_WEIGHT, SMOOTHING, Learner
from gpu_trials import LABELS, MAIN, SETTINGS, folds, load
from torch import Tensor, nn

from sed.training.clips import Batch
from sed.training.head import Head
from sed.training.losses import tagger_loss
from sed.training.schedule import learning_rate_factor
from sed.training.standardise import standardise


@dataclass(frozen=True)
class Trial:
    """What a trial changes."""

    dropout: float = 0.1
    weight_decay: float = 0.02


TRIALS = {"frozen": Trial(), "calm": Trial(dropout=0.3, weight_decay=0.1)}


class Judge(nn.Module):
    """States ``(B, F, 1536)`` to logits ``(B, F, labels)``."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        reaches = [reach // 2 for reach in SETTINGS["reaches"]]
        self.head = Head(1536, 192, (), reaches, trial.dropout, scale_only=True)
        self.classify = nn.Linear(192, len(LABELS))

    def forward(self, states: Tensor) -> Tensor:
        """Logits."""
        return self.classify(self.head(states))


class Member(Learner):
    """A judge of a trial."""

    def __init__(self, trial: Trial, first: list[Batch], out: set[int], nobody: int) -> None:
        torch.manual_seed(3)
        judge = Judge(trial)
        standardise(judge, first)
        groups = [{"params": list(judge.parameters()), "lr": HEAD_RATE}]
        super().__init__(judge, groups, trial.weight_decay, out, nobody)

    def learn(
        self, states: Tensor, targets: np.ndarray, spoken: np.ndarray, number: int, steps: int
    ) -> float:
        """Learn from a batch; the loss."""
        with torch.autocast("cpu", torch.bfloat16):
            said = self.model.train()(states)
        known = torch.from_numpy(self.known(targets, spoken))
        loss = tagger_loss(said.float(), known, SMOOTHING, RUN_WEIGHT)
        self.step(loss, number, learning_rate_factor(number, steps, min(40, steps // 8), steps // 2))
        return float(loss.detach())

    @torch.inference_mode()
    def said(self, pieces: list[np.ndarray]) -> list[np.ndarray]:
        """Logits ``(F, 1, labels in use)`` for states ``(F, 1536)``, by the mean weights."""
        self.average()
        heard = (torch.from_numpy(piece.astype(np.float32))[None] for piece in pieces)
        return [self.model(piece)[0, :, None, : len(MAIN)].numpy() for piece in heard]


def read(path: Path) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """A batch: states in single precision, targets, speakers."""
    with np.load(path) as stored:
        return torch.from_numpy(stored["states"].astype(np.float32)), stored["targets"], stored["spoken"]


def main() -> None:
    """Each trial, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trials", nargs="+", choices=list(TRIALS))
    parser.add_argument("--states", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=["short"], help="of clips, in turn")
    parser.add_argument("--batches", type=int, default=500, help="of each kind")
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    speech = load(options.speech)
    speakers = sorted({utterance.speaker for utterance, _ in speech})
    out = {key: {speakers.index(speaker) for speaker in group} for key, group in folds(speech, 3, []).items()}
    paths = [options.states / f"{kind}-{n:04d}.npz" for n in range(options.batches) for kind in options.kinds]
    first = [Batch(states.numpy(), targets) for states, targets, _ in map(read, paths[:4])]
    with np.load(options.states / "held.npz") as stored:
        held = dict(stored)
    for name in options.trials:
        began = time.process_time()
        members = {key: Member(TRIALS[name], first, group, len(speakers)) for key, group in out.items()}
        for number in range(options.steps):
            batch = read(paths[number % len(paths)])
            losses = [member.learn(*batch, number, options.steps) for member in members.values()]
            if (number + 1) % 200 == 0:
                print(name, number + 1, *(f"{loss:.2f}" for loss in losses), flush=True)
        found: dict[str, Any] = {"steps": options.steps}
        for key, member in members.items():
            pieces = np.split(held[f"{key} states"], held[f"{key} lengths"].cumsum()[:-1])
            found |= {f"{key} {what}": held[f"{key} {what}"] for what in ("utterances", "lengths", "truth")}
            found[f"{key} logits"] = np.concatenate(member.said(pieces)).astype(np.float16)
        np.savez(options.out / f"{name}.npz", **found)
        print(f"{name}: {time.process_time() - began:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
