"""Corpora without boundaries: an utterance has a label, but who knows where in it the emotion is.

The frames of such utterances lose their hard labels; in their place one label is asked of each utterance as a
whole, or of a clip the sequence of its labels (CTC).
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import OptionError
from sed.simulation.patterns import NEUTRAL
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.base import Objective, event_frames
from sed.training.objectives.losses import instance_loss, pooled_logits
from sed.training.recipe.checks import names

KINDS = ("mean", "attention", "instances", "ctc")


class WeakLabels(Objective):
    """Utterance-level labels for `corpora` (``all``: every one).

    `kind` is one of these. ``mean``: the mean logits of an utterance give its label. ``attention``: so does
    their mean by learned weights. ``instances``: some frames show the label, none another but neutral
    (multiple-instance learning, `losses.instance_loss`). ``ctc`` (Graves et al. 2006): the labels
    of the weak utterances that follow each other in a clip come in that order, at any time and with anything
    between; a blank, which only exists in training, fills the rest. Raises `OptionError` on another kind, and
    where there is none of the corpora.
    """

    def __init__(
        self, weight: float = 0.0, kind: str = "instances", corpora: Collection[str] | str = ("all",)
    ) -> None:
        super().__init__(weight)
        if kind not in KINDS:
            raise OptionError(f"weak labels of kind {kind!r}: expected one of {', '.join(KINDS)}")
        self.kind, self.corpora = kind, set(names(corpora))

    def build(self, tagger: Any, speech: Speech) -> None:
        """Note which utterances are weak, and make the head for the attention or the blank."""
        known = {utterance.corpus for utterance, _ in speech}
        if missing := self.corpora - known - {"all"}:
            raise OptionError(f"weak labels for {sorted(missing)}: found the corpora {sorted(known)}")
        labels = list(tagger.labels)
        weak = [
            u.emotion in labels and ("all" in self.corpora or u.corpus in self.corpora) for u, _ in speech
        ]
        self.label = [labels.index(u.emotion) if w else -1 for (u, _), w in zip(speech, weak, strict=True)]
        self.background = labels.index(NEUTRAL) if NEUTRAL in labels else None
        if self.kind in ("attention", "ctc"):
            self.extra = nn.Linear(tagger.classifier.in_features, 1)

    def _weak(self, batch: Batch) -> list[tuple[int, int, int, int]]:
        """Row, first frame, end frame and label of the weak utterances in the batch; label -1 for the others."""
        return [(r, a, b, self.label[s] if s >= 0 else -1) for r, a, b, s in event_frames(batch)]

    def replaces(self, batch: Batch) -> np.ndarray:
        """The frames of weak utterances."""
        replaced = np.zeros(batch.targets.shape, bool)
        for row, first, end, label in self._weak(batch):
            replaced[row, first:end] |= label >= 0
        return replaced

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The loss of this kind, mean over utterances, or for CTC over stretches of them."""
        extra = self.extra(features) if self.kind in ("attention", "ctc") else None
        if self.kind == "ctc":
            assert extra is not None
            return self._ctc(torch.log_softmax(torch.cat([extra, logits], -1), -1), batch)
        found = []
        for row, first, end, label in self._weak(batch):
            if label < 0:
                continue
            frames = logits[row, first:end]
            if self.kind == "instances":
                found.append(instance_loss(frames, label, self.background))
            else:
                pooled = pooled_logits(frames, None if extra is None else extra[row, first:end, 0])
                found.append(-torch.log_softmax(pooled, 0)[label])
        return torch.stack(found).mean() if found else logits.sum() * 0

    def _ctc(self, scores: Tensor, batch: Batch) -> Tensor:
        """CTC of each stretch of weak utterances in a row; the blank is column 0 of `scores`."""
        losses = []
        for (row, weak), group in groupby(self._weak(batch), lambda event: (event[0], event[3] >= 0)):
            if not weak:
                continue
            events = list(group)
            first, end = events[0][1], events[-1][2]
            wanted = torch.tensor([[label + 1 for *_, label in events]], device=scores.device)
            losses.append(
                functional.ctc_loss(
                    scores[row, first:end, None],
                    wanted,
                    torch.tensor([end - first]),
                    torch.tensor([len(events)]),
                    reduction="sum",
                    zero_infinity=True,
                )
                / (end - first)
            )
        return torch.stack(losses).mean() if losses else scores.sum() * 0
