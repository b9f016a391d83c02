"""Metric learning: features of one emotion are pulled together and those of different emotions pushed apart.

Supervised contrastive loss (P. Khosla et al., *Supervised Contrastive Learning*, NeurIPS 2020) and triplet loss with
batch-hard mining (A. Hermans et al., *In Defense of the Triplet Loss*, 2017) whose margin depends on how far apart the
two emotions are on the circumplex of valence and arousal (J. Russell, 1980).

In: the mean features of the utterances in a batch. Out: an `Objective`. Both learn a projection of their own, which is
not part of the tagger, and can be limited to pairs of different speakers, so that a speaker is not a shortcut.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.errors import OptionError
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.base import Objective, event_means

CIRCUMPLEX = {
    "neutral": (0.0, 0.0),
    "happy": (0.8, 0.5),
    "angry": (-0.6, 0.8),
    "sad": (-0.7, -0.5),
    "fearful": (-0.6, 0.7),
    "disgust": (-0.7, 0.3),
    "surprised": (0.3, 0.8),
    "bored": (-0.4, -0.7),
    "calm": (0.4, -0.6),
    "excited": (0.7, 0.8),
    "frustrated": (-0.6, 0.5),
    "contempt": (-0.6, 0.2),
}
"""Valence and arousal of emotions from -1 to 1, rounded, after Russell (1980)."""


class MetricObjective(Objective):
    """Base class: unit vectors of the utterances in a batch, and which pairs are alike.

    width: dimension of the projection.
    across_speakers: pairs of one speaker do not count as alike.
    """

    def __init__(self, weight: float = 0.0, width: int = 64, across_speakers: bool = True) -> None:
        super().__init__(weight)
        if width < 2:
            raise OptionError(f"{type(self).__name__} with width {width}: expected 2 or more")
        self.width, self.across_speakers = width, across_speakers

    def build(self, tagger: Any, speech: Speech) -> None:
        """Make the projection and look up the emotion and speaker of each utterance."""
        self.projection = nn.Linear(tagger.classifier.in_features, self.width)
        names = sorted({utterance.emotion for utterance, _ in speech})
        speakers = {key: n for n, key in enumerate(sorted({(u.corpus, u.speaker) for u, _ in speech}))}
        self.emotions = tuple(names)
        self.emotion = torch.tensor([names.index(u.emotion) for u, _ in speech])
        self.speaker = torch.tensor([speakers[u.corpus, u.speaker] for u, _ in speech])

    def pairs(self, features: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vectors ``(N, width)``, emotions ``(N,)``, and which pairs are positive ``(N, N)``."""
        means, sources = event_means(features, batch)
        vectors = functional.normalize(self.projection(means), dim=1)
        emotion = self.emotion[sources].to(vectors.device)
        speaker = self.speaker[sources].to(vectors.device)
        other = ~torch.eye(len(sources), dtype=torch.bool, device=vectors.device)
        if self.across_speakers:
            other &= speaker[:, None] != speaker[None]
        return vectors, emotion, (emotion[:, None] == emotion[None]) & other


class SupervisedContrastive(MetricObjective):
    """Cross-entropy of the positives among all other utterances of the batch, by cosine over `temperature`.

    Utterances without a positive in the batch are ignored; a batch without any pair has loss 0.
    """

    def __init__(self, weight: float = 0.0, temperature: float = 0.1, **options: Any) -> None:
        super().__init__(weight, **options)
        if not temperature > 0:
            raise OptionError(f"SupervisedContrastive with temperature {temperature}: expected more than 0")
        self.temperature = temperature

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The mean loss over the utterances with a positive."""
        vectors, emotion, positive = self.pairs(features, batch)
        counted = positive | (emotion[:, None] != emotion[None])
        scores = (vectors @ vectors.T / self.temperature).masked_fill(~counted, -torch.inf)
        has_positive = positive.any(1)
        if not has_positive.any():
            return vectors.sum() * 0
        log_share = scores[has_positive] - scores[has_positive].logsumexp(1, keepdim=True)
        chosen = positive[has_positive]
        return -(log_share.masked_fill(~chosen, 0.0).sum(1) / chosen.sum(1)).mean()


class AdaptiveTriplet(MetricObjective):
    """Triplet loss of the farthest positive and the nearest negative of each utterance, by Euclidean distance.

    The margin between two emotions is `margin` times their distance on the circumplex (`CIRCUMPLEX`), at least
    `min_margin`; emotions that are not on it have a distance of 1.
    """

    def __init__(
        self, weight: float = 0.0, margin: float = 0.3, min_margin: float = 0.1, **options: Any
    ) -> None:
        super().__init__(weight, **options)
        if not (margin >= 0 and min_margin >= 0):
            raise OptionError(f"AdaptiveTriplet with margins {margin}, {min_margin}: expected 0 or more")
        self.margin, self.min_margin = margin, min_margin

    def build(self, tagger: Any, speech: Speech) -> None:
        """Also compute the margin of each pair of emotions."""
        super().build(tagger, speech)
        self.margins = torch.tensor(
            [[self.margin_between(a, b) for b in self.emotions] for a in self.emotions]
        )

    def margin_between(self, one: str, other: str) -> float:
        """The margin between two emotions.

        >>> loss = AdaptiveTriplet(1.0)
        >>> round(loss.margin_between("happy", "sad"), 2), loss.margin_between("angry", "fearful")
        (0.54, 0.1)
        """
        if one not in CIRCUMPLEX or other not in CIRCUMPLEX:
            return max(self.margin, self.min_margin)
        distance = torch.dist(torch.tensor(CIRCUMPLEX[one]), torch.tensor(CIRCUMPLEX[other]))
        return max(self.margin * float(distance), self.min_margin)

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The mean loss over the utterances with a positive and a negative; 0 if there are none."""
        vectors, emotion, positive = self.pairs(features, batch)
        negative = emotion[:, None] != emotion[None]
        used = positive.any(1) & negative.any(1)
        if not used.any():
            return vectors.sum() * 0
        squared = (2 - 2 * vectors @ vectors.T).clamp_min(1e-6)
        distance = squared.sqrt()[used]
        far = distance.masked_fill(~positive[used], -torch.inf).amax(1)
        near, index = distance.masked_fill(~negative[used], torch.inf).min(1)
        margin = self.margins.to(vectors.device)[emotion[used], emotion[index]]
        return functional.relu(far - near + margin).mean()
