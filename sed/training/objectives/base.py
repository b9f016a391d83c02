"""Training objectives in addition to the frame labels: named objectives of a recipe in, one loss out.

An `Objective` receives the tagger's features (the input of its last layer), its logits, and the batch with its
events, whose `source` is an index into the utterances passed to `build`. It may have its own layers; they are
trained, saved in checkpoints and averaged with the tagger's, but are not part of the tagger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sed.corpora.stored import utterances_of
from sed.errors import OptionError
from sed.grid import HOP
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.losses import soft_cross_entropy


class Objective(nn.Module):
    """An additional loss with a `weight`; 0 disables it."""

    card: ClassVar[dict[str, Any]] = {}
    """What it adds to the tagger's card."""

    each_branch = False
    """Whether with separate losses for branches it is the sum of its losses on the logits of each."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        if weight < 0:
            raise OptionError(f"{type(self).__name__} with weight {weight}: expected 0 or more")
        self.weight = weight
        self.max_samples: int | None = None
        """The longest clip that it accepts, in samples, once built; None if unlimited."""

    def build(self, tagger: Any, speech: Speech) -> None:
        """Set up everything that depends on data; called once, before training, with the training speech."""

    def replaces(self, batch: Batch) -> np.ndarray | None:
        """The frames whose hard labels this objective replaces, ``(B, F)`` bool; None if there are none."""
        return None

    def save(self, folder: Path) -> None:
        """Write parts that are useful after training to the tagger's folder."""

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The loss. `features` is ``(B, F, width)``; `progress` increases from 0 to 1 during the run."""
        raise NotImplementedError


class Objectives(nn.Module):
    """All objectives of a run with a weight above 0; sums their losses."""

    def __init__(self, named: Mapping[str, Objective] | None) -> None:
        super().__init__()
        self.named = nn.ModuleDict({name: o for name, o in (named or {}).items() if o.weight > 0})

    def __len__(self) -> int:
        return len(self.named)

    def _each(self) -> list[Objective]:
        return [objective for objective in self.named.values() if isinstance(objective, Objective)]

    def build(self, tagger: Any, speech: Speech) -> None:
        """Build each of them."""
        for objective in self._each():
            objective.build(tagger, speech)

    @property
    def max_samples(self) -> int | None:
        """The longest clip that all of them accept, in samples; None if unlimited."""
        return min((o.max_samples for o in self._each() if o.max_samples), default=None)

    @property
    def card(self) -> dict[str, Any]:
        """What they add to the tagger's card."""
        return {key: value for objective in self._each() for key, value in objective.card.items()}

    def save(self, folder: Path) -> None:
        """Save each of them."""
        for objective in self._each():
            objective.save(folder)

    def hard_targets(self, batch: Batch) -> np.ndarray:
        """The batch's targets, -1 where an objective replaces them."""
        targets = batch.targets
        for objective in self._each():
            if (replaced := objective.replaces(batch)) is not None:
                targets = np.where(replaced, -1, targets)
        return targets

    def forward(
        self,
        features: Tensor,
        logits: Tensor,
        batch: Batch,
        progress: float,
        branches: Sequence[Tensor] = (),
    ) -> Tensor:
        """The weighted sum of the losses; `branches` are the logits of each branch that has a loss of its own."""
        # Every parameter must get a gradient in every batch, even in one without, say, rated speech; otherwise
        # distributed training would wait for it.
        total = sum((p.sum() * 0 for p in self.parameters() if p.requires_grad), logits.sum() * 0)
        for objective in self._each():
            for each in branches if objective.each_branch and branches else [logits]:
                total = total + objective.weight * objective(features, each, batch, progress)
        return total


class FeatureTap:
    """Captures the latest input of `tagger.classifier`: the features that the objectives use."""

    def __init__(self, tagger: Any) -> None:
        self.features: Tensor | None = None
        tagger.classifier.register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.features = inputs[0]

    def take(self) -> Tensor:
        """Return the features ``(B, F, width)`` of the last forward pass and release them."""
        features, self.features = self.features, None
        assert features is not None
        return features


def event_frames(batch: Batch) -> Iterator[tuple[int, int, int, int]]:
    """``(row, first frame, end frame, source)`` of each event that covers the centre of a frame, in order.

    >>> from sed.simulation.patterns import Event
    >>> batch = Batch(np.zeros((1, 3200)), np.zeros((1, 10), int), None, [[Event(-320, 640, "sad", 7)]])
    >>> list(event_frames(batch))
    [(0, 0, 2, 7)]
    """
    frames = batch.targets.shape[1]
    for row, events in enumerate(batch.events):
        for event in events:
            first, end = ((sample + HOP // 2 - 1) // HOP for sample in (event.start, event.end))
            if (first := max(first, 0)) < (end := min(end, frames)):
                yield row, first, end, event.source


def frame_values(batch: Batch, values: np.ndarray) -> np.ndarray:
    """Spread `values` ``(utterances, K)`` over the frames of each utterance: ``(B, F, K)`` float32, NaN elsewhere."""
    spread = np.full((*batch.targets.shape, values.shape[1]), np.nan, np.float32)
    for row, first, end, source in event_frames(batch):
        spread[row, first:end] = values[source] if source >= 0 else np.nan
    return spread


def event_means(features: Tensor, batch: Batch, min_frames: int = 10) -> tuple[Tensor, list[int]]:
    """Mean features of each event of at least `min_frames` frames ``(events, width)``, and their sources."""
    found = [(r, a, b, s) for r, a, b, s in event_frames(batch) if s >= 0 and b - a >= min_frames]
    means = [features[row, first:end].mean(0) for row, first, end, _ in found]
    stacked = torch.stack(means) if means else features.new_zeros(0, features.shape[2])
    return stacked, [source for *_, source in found]


class SoftLabels(Objective):
    """Cross-entropy against the distribution of the raters' votes (column ``votes`` of the manifest) instead of the
    majority label, so that ambiguous utterances get ambiguous targets.

    Votes for emotions outside the tagger's labels are ignored; the others are normalised to sum to 1.
    """

    def build(self, tagger: Any, speech: Speech) -> None:
        """Compute the vote distributions of all utterances."""
        self.shares = np.full((len(speech), len(tagger.labels)), np.nan, np.float32)
        for number, utterance in enumerate(utterances_of(speech)):
            votes = utterance.ratings.votes if utterance.ratings else {}
            counts = np.array([votes.get(label, 0.0) for label in tagger.labels])
            if counts.sum() > 0:
                self.shares[number] = counts / counts.sum()
        if np.isnan(self.shares).all():
            raise OptionError("soft labels: found no votes in the manifest, expected a column `votes`")

    def replaces(self, batch: Batch) -> np.ndarray:
        """The frames of utterances with votes."""
        return ~np.isnan(frame_values(batch, self.shares)).any(axis=2)

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """Cross-entropy against the shares."""
        return soft_cross_entropy(logits, torch.from_numpy(frame_values(batch, self.shares)).to(logits))
