"""What a tagger may learn beside the frame labels: named objectives from the YAML in, one loss out.

An `Objective` sees the tagger's features (what goes into its last layer), its logits, and the batch with its
events, whose `source` numbers the utterances that the objective saw in `build`. It may have layers of its own;
they are trained, saved in checkpoints and averaged along with the tagger's, but are no part of the tagger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sed.errors import OptionError
from sed.grid import HOP
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.losses import soft_cross_entropy


class Objective(nn.Module):
    """One further loss, `weight` times. 0 leaves it out altogether."""

    def __init__(self, weight: float = 0.0) -> None:
        super().__init__()
        if weight < 0:
            raise OptionError(f"{type(self).__name__} with weight {weight}: expected 0 or more")
        self.weight = weight
        self.max_samples: int | None = None
        """The longest clip that it can judge, samples, once built; None where there is no bound."""

    def build(self, tagger: Any, speech: Speech) -> None:
        """Make what depends on the data: called once, before training, with the training speech."""

    def replaces(self, batch: Batch) -> np.ndarray | None:
        """Which frames' hard labels this objective takes the place of, ``(B, F)`` bool; None is none."""
        return None

    def save(self, folder: Path) -> None:
        """Write what is of use after training to the tagger's folder."""

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The loss. `features` is ``(B, F, width)``, `progress` goes from 0 to 1 through the run."""
        raise NotImplementedError


class Objectives(nn.Module):
    """All objectives of a run whose weight is not 0; adds their losses up."""

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
        """The longest clip that all of them can judge, samples; None where there is no bound."""
        return min((o.max_samples for o in self._each() if o.max_samples), default=None)

    def save(self, folder: Path) -> None:
        """Have each of them write what is of use after training."""
        for objective in self._each():
            objective.save(folder)

    def hard_targets(self, batch: Batch) -> np.ndarray:
        """The batch's targets without those that an objective replaces."""
        targets = batch.targets
        for objective in self._each():
            if (replaced := objective.replaces(batch)) is not None:
                targets = np.where(replaced, -1, targets)
        return targets

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The weighted sum of the losses."""
        # Every parameter takes part in every batch, or processes that train together would wait for gradients
        # that a batch without, say, rated speech never gives.
        total = sum((p.sum() * 0 for p in self.parameters() if p.requires_grad), logits.sum() * 0)
        for objective in self._each():
            total = total + objective.weight * objective(features, logits, batch, progress)
        return total


class FeatureTap:
    """Remembers what last went into `tagger.classifier`: the features that objectives share with the labels."""

    def __init__(self, tagger: Any) -> None:
        self.features: Tensor | None = None
        tagger.classifier.register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.features = inputs[0]

    def take(self) -> Tensor:
        """The features ``(B, F, width)`` of the last forward pass, once."""
        features, self.features = self.features, None
        assert features is not None
        return features


def event_frames(batch: Batch) -> Iterator[tuple[int, int, int, int]]:
    """``(row, first frame, end frame, source)`` of each event that holds the centre of a frame, in order.

    >>> from sed.simulation.patterns import Event
    >>> batch = Batch(np.zeros((1, 3200)), np.zeros((1, 10), int), None, [[Event(-320, 640, "sad", 7)]])
    >>> list(event_frames(batch))
    [(0, 0, 2, 7)]
    """
    frames = batch.targets.shape[1]
    for row, events in enumerate(batch.events):
        for event in events:
            first, end = ((place + HOP // 2 - 1) // HOP for place in (event.start, event.end))
            if (first := max(first, 0)) < (end := min(end, frames)):
                yield row, first, end, event.source


def frame_values(batch: Batch, values: np.ndarray) -> np.ndarray:
    """Spread `values` ``(utterances, K)`` over the frames where each utterance is heard: ``(B, F, K)`` float32,
    NaN elsewhere."""
    out = np.full((*batch.targets.shape, values.shape[1]), np.nan, np.float32)
    for row, first, end, source in event_frames(batch):
        out[row, first:end] = values[source] if source >= 0 else np.nan
    return out


def event_means(features: Tensor, batch: Batch, shortest: int = 10) -> tuple[Tensor, list[int]]:
    """Mean features of each event of at least `shortest` frames ``(events, width)``, and their sources."""
    found = [(r, a, b, s) for r, a, b, s in event_frames(batch) if s >= 0 and b - a >= shortest]
    means = [features[row, first:end].mean(0) for row, first, end, _ in found]
    stacked = torch.stack(means) if means else features.new_zeros(0, features.shape[2])
    return stacked, [source for *_, source in found]


class SoftLabels(Objective):
    """Where several raters voted (column ``votes`` of the manifest), their shares are the target, not the
    majority: an utterance that half of them call sad teaches that it is hard to tell.

    Votes for emotions that the tagger does not learn are left out; the rest is scaled to 1.
    """

    def build(self, tagger: Any, speech: Speech) -> None:
        """Note the shares of all utterances."""
        self.shares = np.full((len(speech), len(tagger.labels)), np.nan, np.float32)
        for number, (utterance, _) in enumerate(speech):
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
