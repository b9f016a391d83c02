"""Adversarial training: a head classifies speakers or corpora, and the tagger removes what it relies on.

Gradient reversal (Ganin et al. 2016): the head minimises its loss, the features are changed against it. That grows
during training, so that the head first learns to recognise its classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sed.corpora.audio import Utterance
from sed.corpora.stored import utterances_of
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.base import Objective, event_means
from sed.training.objectives.losses import reverse_gradient


class Adversary(Objective):
    """Cross-entropy of a trait of each utterance, from the mean of its reversed features.

    The head's gradient is scaled by `weight`, the tagger's by ``weight * strength(progress)``, reversed. This removes
    information about the trait only while the head keeps up: an encoder must learn more slowly than the head
    (encoder_rate well below head_rate), or its features fool the head without becoming similar across classes.

    growth: how fast the reversal sets in.
    most: its final factor.
    width: hidden units of the head.
    """

    def __init__(
        self, weight: float = 0.0, most: float = 1.0, growth: float = 10.0, width: int = 128
    ) -> None:
        super().__init__(weight)
        self.most, self.growth, self.width = most, growth, width

    def trait(self, utterance: Utterance) -> str | None:
        """The class of `utterance`; None if it is not classified."""
        raise NotImplementedError

    def strength(self, progress: float) -> float:
        """Factor of the reversed gradient at `progress` (0 to 1) through the run.

        >>> [round(SpeakerAdversary(0.1).strength(p), 2) for p in (0.0, 0.1, 0.5, 1.0)]
        [0.0, 0.46, 0.99, 1.0]
        """
        return self.most * (2 / (1 + math.exp(-self.growth * progress)) - 1)

    def make_head(self, inputs: int, classes: int) -> None:
        """Make the head, for means of `inputs` features."""
        self.head = nn.Sequential(
            nn.Linear(inputs, self.width), nn.ReLU(), nn.Linear(self.width, max(classes, 1))
        )

    def build(self, tagger: Any, speech: Speech) -> None:
        """Make the head, with one output per class."""
        traits = [self.trait(utterance) for utterance in utterances_of(speech)]
        names = {name: number for number, name in enumerate(sorted({t for t in traits if t is not None}))}
        self.classes = [-1 if t is None else names[t] for t in traits]
        self.make_head(tagger.classifier.in_features, len(names))

    def loss(self, means: Tensor, classes: Tensor, progress: float) -> Tensor:
        """The head's cross-entropy of `means` ``(N, inputs)`` against `classes` ``(N,)``; those below 0 are ignored."""
        kept = classes >= 0
        if not kept.any():
            return means.sum() * 0
        scores = self.head(reverse_gradient(means[kept], self.strength(progress)))
        return functional.cross_entropy(scores, classes[kept])

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The head's cross-entropy."""
        means, sources = event_means(features, batch)
        classes = torch.tensor([self.classes[s] for s in sources], dtype=torch.int64, device=means.device)
        return self.loss(means, classes, progress)


class SpeakerAdversary(Adversary):
    """Removes what distinguishes speakers."""

    def trait(self, utterance: Utterance) -> str:
        """The speaker."""
        return utterance.speaker


class SourceAdversary(Adversary):
    """Removes what distinguishes corpora: rooms, microphones, lines, languages, ways of acting.

    The features are not changed to maximise the head's loss, which has no bound (they would only be classified wrongly,
    and another head would still find the corpus), but so that its posteriors become equal (Tzeng et al. 2015).

    labels: emotions whose utterances are classified, all if empty. Corpora differ in their emotions (ordinary speech is
        neutral), so with all of them the emotion is part of what is removed; with one of them it is not.
    """

    def __init__(
        self,
        weight: float = 0.0,
        labels: Sequence[str] = (),
        most: float = 1.0,
        growth: float = 10.0,
        width: int = 128,
    ) -> None:
        super().__init__(weight, most, growth, width)
        self.labels = tuple(labels)

    def trait(self, utterance: Utterance) -> str | None:
        """The corpus."""
        return None if self.labels and utterance.emotion not in self.labels else utterance.corpus

    def loss(self, means: Tensor, classes: Tensor, progress: float) -> Tensor:
        """The head's cross-entropy, and that of its scores against equal shares, which changes the features only."""
        kept = classes >= 0
        if not kept.any():
            return means.sum() * 0
        own = functional.cross_entropy(self.head(means[kept].detach()), classes[kept])
        fixed = {name: parameter.detach() for name, parameter in self.head.named_parameters()}
        scores = torch.func.functional_call(self.head, fixed, (means[kept],))
        return own - self.strength(progress) * torch.log_softmax(scores, 1).mean()
