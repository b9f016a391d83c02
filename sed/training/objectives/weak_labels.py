"""Weak labels: corpora whose utterances have a label, but no boundaries of the emotion within them.

The frames of such utterances lose their hard labels; instead the loss is on the label of each utterance as a whole,
or on the sequence of labels of a clip (CTC).
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.corpora.stored import utterances_of
from sed.errors import OptionError
from sed.simulation.patterns import NEUTRAL
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.base import Objective, event_frames
from sed.training.objectives.losses import instance_loss, pooled_logits
from sed.training.recipe.checks import as_list

KINDS = ("mean", "attention", "instances", "ctc")


class WeakLabels(Objective):
    """Utterance-level labels for `corpora` (``all``: every corpus).

    `kind` is one of:

    - ``mean``: cross-entropy of the mean logits of an utterance.
    - ``attention``: of their weighted mean, with learned weights.
    - ``instances``: some frames have the label, none has another except neutral (multiple-instance learning,
      `losses.instance_loss`).
    - ``ctc`` (Graves et al. 2006): the labels of consecutive weak utterances in a clip occur in this order, at any
      time; a blank, which exists only in training, fills the rest.

    Raises `OptionError` on another kind, and if a corpus does not occur in the data.
    """

    def __init__(
        self, weight: float = 0.0, kind: str = "instances", corpora: Collection[str] | str = ("all",)
    ) -> None:
        super().__init__(weight)
        if kind not in KINDS:
            raise OptionError(f"weak labels of kind {kind!r}: expected one of {', '.join(KINDS)}")
        self.kind, self.corpora = kind, set(as_list(corpora))

    def build(self, tagger: Any, speech: Speech) -> None:
        """Determine the weakly labelled utterances, and make the head for the attention or the blank."""
        utterances = utterances_of(speech)
        known = {utterance.corpus for utterance in utterances}
        if missing := self.corpora - known - {"all"}:
            raise OptionError(f"weak labels for {sorted(missing)}: found the corpora {sorted(known)}")
        labels = list(tagger.labels)
        weak = [
            u.emotion in labels and ("all" in self.corpora or u.corpus in self.corpora) for u in utterances
        ]
        self.label = [labels.index(u.emotion) if w else -1 for u, w in zip(utterances, weak, strict=True)]
        self.background = labels.index(NEUTRAL) if NEUTRAL in labels else None
        if self.kind in ("attention", "ctc"):
            self.extra = nn.Linear(tagger.classifier.in_features, 1)

    def _weak(self, batch: Batch) -> list[tuple[int, int, int, int]]:
        """Row, first frame, end frame and label of each utterance in the batch; label -1 if it is not weak."""
        return [(r, a, b, self.label[s] if s >= 0 else -1) for r, a, b, s in event_frames(batch)]

    def replaces(self, batch: Batch) -> np.ndarray:
        """The frames of weak utterances."""
        replaced = np.zeros(batch.targets.shape, bool)
        for row, first, end, label in self._weak(batch):
            replaced[row, first:end] |= label >= 0
        return replaced

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The loss of this kind, averaged over utterances, or for CTC over runs of consecutive utterances."""
        extra = self.extra(features) if self.kind in ("attention", "ctc") else None
        if self.kind == "ctc":
            assert extra is not None
            return self._ctc(torch.log_softmax(torch.cat([extra, logits], -1), -1), batch)
        losses = []
        for row, first, end, label in self._weak(batch):
            if label < 0:
                continue
            frames = logits[row, first:end]
            if self.kind == "instances":
                losses.append(instance_loss(frames, label, self.background))
            else:
                pooled = pooled_logits(frames, None if extra is None else extra[row, first:end, 0])
                losses.append(-torch.log_softmax(pooled, 0)[label])
        return torch.stack(losses).mean() if losses else logits.sum() * 0

    def _ctc(self, scores: Tensor, batch: Batch) -> Tensor:
        """CTC of each run of consecutive weak utterances; the blank is column 0 of `scores`."""
        losses = []
        for (row, weak), group in groupby(self._weak(batch), lambda event: (event[0], event[3] >= 0)):
            if not weak:
                continue
            events = list(group)
            first, end = events[0][1], events[-1][2]
            targets = torch.tensor([[label + 1 for *_, label in events]], device=scores.device)
            losses.append(
                functional.ctc_loss(
                    scores[row, first:end, None],
                    targets,
                    torch.tensor([end - first]),
                    torch.tensor([len(events)]),
                    reduction="sum",
                    zero_infinity=True,
                )
                / (end - first)
            )
        return torch.stack(losses).mean() if losses else scores.sum() * 0
