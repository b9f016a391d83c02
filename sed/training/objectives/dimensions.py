"""Regression of arousal, valence and dominance: a linear head on the tagger's features, loss 1 - CCC or by ranks.

After training the head is stored in the tagger's folder; `load_dimensions` opens both, `mean_head` is for export.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sed.corpora.ratings import DIMENSIONS
from sed.corpora.stored import utterances_of
from sed.errors import ModelError, OptionError
from sed.files import atomic
from sed.networks.dimensions import HEAD, load_head
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.base import FeatureTap, Objective, event_means
from sed.training.objectives.losses import concordance, ranking_loss


class Dimensions(Objective):
    """Predicts the columns arousal, valence and dominance of the manifest.

    The prediction for an utterance is the mean over its frames. The loss is 1 minus the concordance correlation
    coefficient over the utterances of a batch; 0 for a batch with fewer than two rated utterances.

    ranking: share of the loss, 0 to 1, that is a ranking loss instead (`ranking_loss`): raters of different corpora
        agree on which of two utterances is more aroused, but not on the scale.
    min_difference: pairs with a smaller difference in rating are not ranked.
    """

    def __init__(self, weight: float = 0.0, ranking: float = 0.0, min_difference: float = 0.1) -> None:
        super().__init__(weight)
        if not 0 <= ranking <= 1:
            raise OptionError(f"Dimensions with ranking {ranking}: expected 0 to 1")
        self.ranking, self.min_difference = ranking, min_difference

    def build(self, tagger: Any, speech: Speech) -> None:
        """Make the head, with a bias initialised to the mean of each dimension."""
        self.values = np.array(
            [u.ratings.dimensions if u.ratings else (np.nan,) * 3 for u in utterances_of(speech)], np.float32
        )
        self.corpora = [u.corpus for u, _ in speech]
        known = ~np.isnan(self.values)
        if not known.any():
            raise OptionError(
                f"dimensions: found no ratings in the manifest, expected columns {', '.join(DIMENSIONS)}"
            )
        self.head = nn.Linear(tagger.classifier.in_features, len(DIMENSIONS))
        with torch.no_grad():
            for column in range(len(DIMENSIONS)):
                rated = self.values[known[:, column], column]
                self.head.bias[column] = float(rated.mean()) if len(rated) else 0.0

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """The loss, averaged over the dimensions with ratings in the batch."""
        means, sources = event_means(features, batch)
        predicted = self.head(means)
        true = torch.from_numpy(self.values[sources]).to(predicted)
        losses = []
        for column in range(len(DIMENSIONS)):
            rated = ~torch.isnan(true[:, column])
            if int(rated.sum()) > 1:
                ours, theirs = predicted[rated, column], true[rated, column]
                loss = (1 - self.ranking) * (1 - concordance(ours[:, None], theirs[:, None])[0])
                if self.ranking:
                    corpora = [self.corpora[s] for s, r in zip(sources, rated.tolist(), strict=True) if r]
                    loss = loss + self.ranking * ranking_loss(ours, theirs, corpora, self.min_difference)
                losses.append(loss)
        return torch.stack(losses).mean() if losses else predicted.sum() * 0

    def save(self, folder: Path) -> None:
        """Write the head to `folder`, atomically."""
        from safetensors.torch import save_file

        weights = {name: value.detach().cpu().contiguous() for name, value in self.head.state_dict().items()}
        with atomic(folder / HEAD) as part:
            save_file(weights, part)


def load_dimensions(folder: str | Path) -> Callable[[np.ndarray], np.ndarray]:
    """The dimensional predictor of a trained folder: a function from a ``(T,)`` wave at 16 kHz to ``(frames, 3)``
    float32, arousal, valence and dominance every 20 ms. Raises `ModelError` if the folder has no such head."""
    from sed.networks.store import load_tagger

    tagger, _ = load_tagger(folder)
    head = load_head(Path(folder))
    tap = FeatureTap(tagger)

    def dimensions(wave: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tagger(torch.from_numpy(np.ascontiguousarray(wave, np.float32))[None])
            return head(tap.take()[0]).numpy()

    return dimensions


def mean_head(folders: Sequence[Path]) -> nn.Linear | None:
    """The head of the taggers in `folders`, with the mean of their weights; None if none of them has one.

    Raises `ModelError` if only some have one, if one is damaged, or if their shapes differ.
    """
    present = [(folder / HEAD).is_file() for folder in folders]
    if not any(present):
        return None
    if not all(present):
        raise ModelError(
            f"{folders[present.index(False)]}: found no {HEAD}, expected one as in the other folders"
        )
    heads = [load_head(folder) for folder in folders]
    if len({head.in_features for head in heads}) > 1:
        raise ModelError(f"found files {HEAD} of different shapes, expected those of one recipe")
    with torch.no_grad():
        for name, value in heads[0].named_parameters():
            value.copy_(torch.stack([head.get_parameter(name) for head in heads]).mean(0))
    return heads[0]
