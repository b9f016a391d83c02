"""Several emotions at once: a sigmoid per label, trained on raters' votes; the loss of every frame out."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sed.corpora.stored import utterances_of
from sed.emotion.tagger import MULTI_LABEL
from sed.errors import OptionError
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.base import Objective, frame_values


class MultiLabel(Objective):
    """Binary cross-entropy of each label: whether enough raters chose it (column ``votes`` of the manifest).

    It replaces the loss of the single label. The tagger's posteriors are then the sigmoid of each label's logit: the
    probability that at least `least_share` of the raters would choose it, independent of the other labels.

    least_share: share of an utterance's votes from which a label counts; labels that the tagger does not have are part
        of the whole. Utterances without votes have their own label only.
    """

    card: ClassVar[dict[str, Any]] = {MULTI_LABEL: True}
    each_branch = True

    def __init__(self, weight: float = 0.0, least_share: float = 0.2) -> None:
        super().__init__(weight)
        if not 0 < least_share <= 1:
            raise OptionError(f"MultiLabel with least_share {least_share}: expected more than 0, at most 1")
        self.least_share = least_share

    def build(self, tagger: Any, speech: Speech) -> None:
        """Find the labels of every utterance. Raises `OptionError` if no utterance has votes."""
        labels = list(tagger.labels)
        self.present = np.zeros((len(speech), len(labels)), np.float32)
        rated = 0
        for number, utterance in enumerate(utterances_of(speech)):
            votes = utterance.ratings.votes if utterance.ratings else {}
            rated += bool(votes)
            votes = votes or {utterance.emotion: 1.0}
            shares = np.array([votes.get(label, 0.0) for label in labels]) / sum(votes.values())
            self.present[number] = shares >= self.least_share - 1e-9
        if not rated:
            raise OptionError("multi_label: found no votes in the manifest, expected a column `votes`")

    def replaces(self, batch: Batch) -> np.ndarray:
        """All frames: none has a single label."""
        return np.ones(batch.targets.shape, bool)

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """Binary cross-entropy, the mean over labels and over the frames of utterances."""
        targets = torch.from_numpy(frame_values(batch, self.present)).to(logits)
        known = ~torch.isnan(targets).any(2)
        if not known.any():
            return logits.sum() * 0
        return functional.binary_cross_entropy_with_logits(logits[known], targets[known])
