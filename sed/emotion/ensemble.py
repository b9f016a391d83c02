"""Several taggers as one: the mean of their posteriors.

``--tagger A+B`` is an `EnsembleTagger` of A and B. Both process the same windows, each at its own cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sed.emotion.priors import model_prior, reweighted
from sed.emotion.tagger import Tagger, dimensions_of
from sed.errors import OptionError

SEPARATOR = "+"


def tagger_names(name: str | Path | None) -> list[str]:
    """The names in the value of ``--tagger``: several if they are joined by ``+``, unless there is a file of that name.

    >>> tagger_names("bundled+runs/one"), tagger_names("bundled")
    (['bundled', 'runs/one'], ['bundled'])
    """
    text = "" if name is None else str(name)
    if SEPARATOR not in text or Path(text).exists():
        return [text]
    return [part.strip() for part in text.split(SEPARATOR)]


class EnsembleTagger:
    """A `sed.emotion.tagger.Tagger` with the mean of the posteriors (and dimensions) of `taggers`.

    They need the same labels, in any order, which are those of the first; the same dimensions, and the same frame rate.
    Posteriors that hold under another prior than those of the first are moved to it before (`sed.emotion.priors`). The
    window is the shortest of theirs. `names` are for messages and results.

    Raises `OptionError` if they differ, or if there are fewer than two.
    """

    def __init__(self, taggers: Sequence[Tagger], names: Sequence[str] = ()) -> None:
        names = list(names) or [f"tagger {number}" for number, _ in enumerate(taggers, 1)]
        if len(taggers) < 2 or len(names) != len(taggers):
            raise OptionError(
                f"an ensemble of {' and '.join(names) or 'nothing'}: expected two taggers or more"
            )
        first = taggers[0]
        for name, tagger in zip(names[1:], taggers[1:], strict=True):
            for what, own, other in (
                ("the labels", sorted(tagger.labels), sorted(first.labels)),
                ("the dimensions", list(dimensions_of(tagger)), list(dimensions_of(first))),
                ("the frame rate", [str(tagger.frame_rate)], [str(first.frame_rate)]),
            ):
                if own != other:
                    raise OptionError(
                        f"an ensemble: {name} has {what} {', '.join(own) or 'none'}, expected"
                        f" {', '.join(other) or 'none'} as {names[0]}"
                    )
        self.labels, self.frame_rate = first.labels, first.frame_rate
        self.dimensions = dimensions_of(first)
        self.window = min(tagger.window for tagger in taggers)
        limits = [limit for tagger in taggers if (limit := getattr(tagger, "max_samples", None))]
        self.max_samples: int | None = min(limits, default=None)
        self.batch = min(int(getattr(tagger, "batch", 4)) for tagger in taggers)
        self.card: dict[str, Any] = {"name": f" {SEPARATOR} ".join(names)}
        self.settings: dict[str, Any] = {"ensemble": list(names)}
        self.taggers = list(taggers)
        if first.labels:
            prior = dict(zip(first.labels, model_prior(first).tolist(), strict=True))
            self.card["prior"] = prior
            self.taggers = [first, *(reweighted(tagger, prior) for tagger in taggers[1:])]
        self._columns = [[tagger.labels.index(label) for label in first.labels] for tagger in taggers]

    def posteriors(self, waves: np.ndarray) -> np.ndarray:
        """As `Tagger.posteriors`."""
        pairs = zip(self.taggers, self._columns, strict=True)
        return _mean([tagger.posteriors(waves)[:, :, columns] for tagger, columns in pairs])

    def outputs(self, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The posteriors and the dimensions; only if the taggers estimate some."""
        found = [tagger.outputs(waves) for tagger in self.taggers]  # type: ignore[attr-defined]
        pairs = zip(found, self._columns, strict=True)
        return _mean([posteriors[:, :, columns] for (posteriors, _), columns in pairs]), _mean(
            [dimensions for _, dimensions in found]
        )


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(np.mean(arrays, axis=0, dtype=np.float64), np.float32)
