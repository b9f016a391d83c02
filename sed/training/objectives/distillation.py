"""Knowledge distillation: a smaller tagger is trained on the posteriors of teachers, which are trained taggers.

In: names of taggers (ONNX files, folders, anything that ``--tagger`` accepts). Out: an `Objective`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sed.emotion import load_tagger
from sed.emotion.tagger import Tagger
from sed.errors import OptionError
from sed.grid import HOP
from sed.training.data.clips import Batch, Speech
from sed.training.objectives.base import Objective
from sed.training.objectives.losses import distillation_loss
from sed.training.recipe.ranges import is_number

TEACHER_INPUTS = ("clean", "same")


def open_teacher(name: str | Path) -> Tagger:
    """The tagger `name`: anything that ``sed-run --tagger`` accepts, or ``bundled``."""
    return load_tagger(None if name == "bundled" else name)


class Ensemble:
    """Several taggers as one: the weighted mean of their posteriors, over the labels that all of them have.

    `weights` has one number per tagger (empty: equal weights). Raises `OptionError` if there is no tagger, the
    number of weights differs, or fewer than two labels are common.
    """

    def __init__(self, taggers: Sequence[Tagger], weights: Sequence[float] = ()) -> None:
        if not taggers:
            raise OptionError("distillation: found no teachers, expected at least one tagger")
        is_valid = len(weights) == len(taggers) and all(is_number(w) and 0 <= w < np.inf for w in weights)
        if len(weights) and not (is_valid and sum(weights) > 0):
            raise OptionError(
                f"teachers: found weights {list(weights)}, expected {len(taggers)} numbers, none below 0"
            )
        self.taggers = list(taggers)
        shares = np.array(weights or [1.0] * len(taggers), np.float64)
        self._shares = shares / shares.sum()
        self.labels = tuple(
            label for label in taggers[0].labels if all(label in tagger.labels for tagger in taggers)
        )
        if len(self.labels) < 2:
            raise OptionError(
                "teachers with labels "
                + "; ".join(" ".join(tagger.labels) for tagger in taggers)
                + ": expected at least two in common"
            )

    def __deepcopy__(self, memo: object) -> Ensemble:
        return self  # teachers do not change, and an onnxruntime session cannot be copied

    def posteriors(self, waves: np.ndarray) -> np.ndarray:
        """``(B, T)`` to ``(B, ceil(T / 320), labels)``, rows that sum to 1."""
        total: np.ndarray | float = 0.0
        for tagger, share in zip(self.taggers, self._shares, strict=True):
            columns = [tagger.labels.index(label) for label in self.labels]
            common = tagger.posteriors(waves)[:, :, columns].astype(np.float64)
            total = total + share * common / np.maximum(common.sum(axis=2, keepdims=True), 1e-12)
        return np.asarray(total, np.float32)


class Distillation(Objective):
    """Trains the student to match the teachers' posteriors, on labelled and on unlabelled audio.

    `teachers` are names or paths as for ``sed-run --tagger`` (``bundled``: the package's own). The target is their
    mean posterior, softened by `temperature` (Hinton et al. 2015). With `hears` ``clean`` the teachers receive the
    clip without augmentation, so that the student learns robustness to noise; with ``same`` they receive the
    student's input. Only the labels that teachers and student share are compared.
    """

    def __init__(
        self,
        weight: float = 1.0,
        teachers: Sequence[str | Path | Tagger] | str = (),
        teacher_weights: Sequence[float] = (),
        temperature: float = 2.0,
        hears: str = "clean",
    ) -> None:
        super().__init__(weight)
        if hears not in TEACHER_INPUTS or not (is_number(temperature) and 0 < temperature < np.inf):
            raise OptionError(
                f"distillation: found hears {hears!r} and temperature {temperature}, expected one of"
                f" {', '.join(TEACHER_INPUTS)} and a temperature above 0"
            )
        self.temperature, self.hears = temperature, hears
        self._names = [teachers] if isinstance(teachers, str) else list(teachers)
        self._weights = list(teacher_weights)

    def build(self, tagger: Any, speech: Speech) -> None:
        """Open the teachers and determine the labels in common with `tagger`."""
        opened = [open_teacher(name) if isinstance(name, (str, Path)) else name for name in self._names]
        self.ensemble = Ensemble(opened, self._weights)
        limits = [getattr(tagger, "max_samples", None) for tagger in opened]
        self.max_samples = min((limit for limit in limits if limit), default=None)
        self._common = [label for label in self.ensemble.labels if label in tagger.labels]
        if len(self._common) < 2:
            raise OptionError(
                f"distillation: found teachers' labels {' '.join(self.ensemble.labels)} and the student's"
                f" {' '.join(tagger.labels)}, expected at least two in common"
            )
        self._columns = [list(tagger.labels).index(label) for label in self._common]

    def teacher_posteriors(self, batch: Batch) -> np.ndarray:
        """The teachers' posteriors for a batch: ``(B, F, labels in common)``, NaN in padding."""
        waves = batch.waves if self.hears == "same" or batch.clean is None else batch.clean
        columns = [self.ensemble.labels.index(label) for label in self._common]
        posteriors = self.ensemble.posteriors(waves)[:, :, columns]
        posteriors /= np.maximum(posteriors.sum(axis=2, keepdims=True), 1e-12)
        if batch.lengths is not None:
            padding = np.arange(posteriors.shape[1]) * HOP >= batch.lengths[:, None]
            posteriors[padding] = np.nan
        return posteriors

    def forward(self, features: Tensor, logits: Tensor, batch: Batch, progress: float) -> Tensor:
        """`distillation_loss` over all frames."""
        with torch.no_grad():
            teacher = torch.from_numpy(self.teacher_posteriors(batch)).to(logits)
        return distillation_loss(logits[:, :, self._columns], teacher, self.temperature)
