"""A speaker's own baseline: how posteriors of the speaker's usual speech differ from those of other speakers.

In: posteriors of speech in which a speaker sounds as usual (an enrolment). Out: an offset of the log posteriors.

Some speakers sound sad or angry to a tagger whatever they express. The mean log posterior of their usual speech, less
that of many speakers, is subtracted from their log posteriors, not whole but `SHARE` of it. As less neutral speech then
passes for an emotion, the threshold of neutral can be lower (`NEUTRAL_SHIFT`) while as much ordinary speech is called
neutral. Which emotions a recording has makes no difference, since the baseline is not taken from it.

The numbers were chosen by `benchmarks/tuning/speaker_baseline.py` on `train` and `valid` speakers of corpora that the
bundled tagger never learnt from (RAVDESS, nEMO, KAIST, speechocean762), and on meetings and calls of its own training;
`docs/training.md` has the table. They hold for that tagger and its labels; other taggers have no baseline.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sed.emotion.bundled import bundled_path
from sed.emotion.decoding import FLOOR
from sed.emotion.priors import NEUTRAL
from sed.emotion.tagger import Tagger

USUAL = {"neutral": 1.46, "happy": -0.52, "angry": -0.53, "sad": -0.41}
"""Mean log posterior of neutral speech of many speakers, less its mean over the labels."""
SHARE = 0.75
"""Share of a speaker's deviation that is subtracted."""
NEUTRAL_SHIFT = -0.5
"""Added to the log posterior of neutral."""


def has_baseline(tagger: Tagger) -> bool:
    """Whether `tagger` is the bundled one, for which `USUAL` holds."""
    path = getattr(tagger, "path", None)
    return path is not None and path == bundled_path() and set(tagger.labels) == set(USUAL)


def centred_log_mean(posteriors: np.ndarray) -> np.ndarray:
    """Mean log posterior ``(labels,)`` of ``(frames, labels)``, less its mean over the labels.

    >>> centred_log_mean(np.array([[0.8, 0.2], [0.8, 0.2]])).round(3).tolist()
    [0.693, -0.693]
    """
    mean = np.log(np.maximum(posteriors, FLOOR)).mean(0, dtype=np.float64)
    return mean - mean.mean()


def speaker_offset(usual: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """What to add to the log posteriors of a speaker, ``(labels,)``; `usual` is the `centred_log_mean` of usual speech.

    >>> speaker_offset(np.array([USUAL["neutral"], USUAL["sad"] + 1.0]), ("neutral", "sad")).tolist()
    [-0.5, -0.75]
    """
    offset = SHARE * (np.array([USUAL[label] for label in labels]) - usual)
    return offset + np.array([NEUTRAL_SHIFT if label == NEUTRAL else 0.0 for label in labels])


def shifted(posteriors: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """`posteriors` ``(frames, labels)`` with `offset` ``(labels,)`` added to their logarithm, normalised again.

    >>> shifted(np.array([[0.5, 0.5]]), np.log([3.0, 1.0])).tolist()
    [[0.75, 0.25]]
    """
    weighted = posteriors * np.exp(offset - offset.max())
    return weighted / np.maximum(weighted.sum(-1, keepdims=True), 1e-30)
