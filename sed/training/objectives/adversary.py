"""Speaker-adversarial training: a head classifies the speakers, and the tagger removes what it relies on.

Gradient reversal (Ganin et al. 2016): the head minimises its loss, the features are changed to maximise it. The
reversal grows during training, so that the head first learns to recognise speakers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.corpora.stored import utterances_of
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.base import Objective, event_means
from sed.training.objectives.losses import reverse_gradient


class SpeakerAdversary(Objective):
    """Cross-entropy of the speaker of each utterance, from the mean of its reversed features.

    The head's gradient is scaled by `weight`, the tagger's by ``-weight * strength(progress)``. This removes
    speaker information only while the head keeps up: the encoder must learn more slowly than the head (encoder_rate
    well below head_rate), or its features fool the head without becoming similar across speakers.

    growth: how fast the reversal sets in.
    most: its final factor.
    width: hidden units of the head.
    """

    def __init__(
        self, weight: float = 0.0, most: float = 1.0, growth: float = 10.0, width: int = 128
    ) -> None:
        super().__init__(weight)
        self.most, self.growth, self.width = most, growth, width

    def strength(self, progress: float) -> float:
        """Factor of the reversed gradient at `progress` (0 to 1) through the run.

        >>> [round(SpeakerAdversary(0.1).strength(p), 2) for p in (0.0, 0.1, 0.5, 1.0)]
        [0.0, 0.46, 0.99, 1.0]
        """
        return self.most * (2 / (1 + math.exp(-self.growth * progress)) - 1)

    def build(self, tagger: Any, speech: Speech) -> None:
        """Make the head, with one output per speaker."""
        names = {
            name: number for number, name in enumerate(sorted({u.speaker for u in utterances_of(speech)}))
        }
        self.speakers = [names[utterance.speaker] for utterance in utterances_of(speech)]
        self.head = nn.Sequential(
            nn.Linear(tagger.classifier.in_features, self.width), nn.ReLU(), nn.Linear(self.width, len(names))
        )

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The head's cross-entropy."""
        means, sources = event_means(features, batch)
        if not sources:
            return features.sum() * 0
        scores = self.head(reverse_gradient(means, self.strength(progress)))
        return functional.cross_entropy(
            scores, torch.tensor([self.speakers[s] for s in sources], device=scores.device)
        )
