"""One label per utterance: utterances of a manifest and a tagger in, `sed.scoring.evaluation.Prediction` out.

The label of an utterance is that of its mean posterior from the first to the last frame of speech, at equal loudness,
as in training and validation. One utterance is in memory at a time.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from sed.corpora.audio import Utterance, read_utterance
from sed.corpora.levels import equalise_loudness, trim_silence
from sed.emotion.tagger import Tagger, dimensions_of
from sed.emotion.windows import rows_of
from sed.errors import OptionError
from sed.result import DIMENSIONS
from sed.scoring.evaluation import Prediction

logger = logging.getLogger("sed")

FOLDS = {"session": r"[Ss]es(?:sion)?_?0*(\d+)", "speaker": "(.*)"}
"""Names of patterns for `fold_of`: IEMOCAP's sessions (``Ses01F``), single speakers."""


def label_utterances(
    tagger: Tagger,
    utterances: Iterable[Utterance],
    *,
    rename: Mapping[str, str] | None = None,
    folds: str | None = None,
) -> Iterator[Prediction]:
    """Run `tagger` on `utterances`, in order.

    `rename` changes emotions of the manifest and labels of the tagger alike; see `label_columns` for the posteriors.
    With `folds`, a key of `FOLDS` or a pattern for `fold_of`, each prediction has its fold. Utterances without speech
    are left out with a warning. Raises `AudioError` if audio cannot be read.
    """
    rename = rename or {}
    columns = label_columns(tagger.labels, rename)
    empty = 0
    for utterance in utterances:
        wave = equalise_loudness(trim_silence(read_utterance(utterance)))
        if not len(wave):
            empty += 1
            continue
        mean = rows_of(tagger, wave).mean(0, dtype=np.float64)
        groups = {
            "corpus": utterance.corpus,
            "language": utterance.language,
            "gender": utterance.gender,
            "speaker": utterance.speaker,
            "fold": fold_of(utterance, folds) if folds else None,
        }
        yield Prediction(
            id=utterance.id,
            emotion=rename.get(utterance.emotion, utterance.emotion),
            posterior=mean[: len(tagger.labels)] @ columns,
            speaker=utterance.speaker,
            groups={name: value for name, value in groups.items() if value},
            ratings=_ratings(utterance),
            dimensions=_dimensions(tagger, mean[len(tagger.labels) :]),
        )
    if empty:
        logger.warning("left out %d utterances without speech", empty)


def renamed_labels(labels: Sequence[str], rename: Mapping[str, str]) -> tuple[str, ...]:
    """The distinct labels of a tagger after renaming, in order.

    >>> renamed_labels(("neutral", "calm", "sad"), {"calm": "neutral"})
    ('neutral', 'sad')
    """
    return tuple(dict.fromkeys(rename.get(label, label) for label in labels))


def label_columns(labels: Sequence[str], rename: Mapping[str, str]) -> np.ndarray:
    """``(labels, renamed labels)`` of 0 and 1: the posteriors of labels that are renamed to one are added.

    >>> label_columns(("neutral", "calm", "sad"), {"calm": "neutral"}).astype(int).tolist()
    [[1, 0], [1, 0], [0, 1]]
    """
    new = renamed_labels(labels, rename)
    return np.array([[rename.get(label, label) == name for name in new] for label in labels], float)


def fold_of(utterance: Utterance, folds: str) -> str:
    """The fold of an utterance: what the first group of the pattern `folds` finds in its speaker's name.

    `folds` is a key of `FOLDS` or a regular expression. Raises `OptionError` if it is invalid or does not match.

    >>> from pathlib import Path
    >>> fold_of(Utterance("iemocap", Path("Ses03F_impro01_F000.wav"), "iemocap/Ses03F", "sad", "test"), "session")
    '3'
    """
    name = utterance.speaker.partition("/")[2]
    try:
        pattern = re.compile(FOLDS.get(folds, folds))
    except re.error as error:
        raise OptionError(f"folds {folds!r}: not a valid pattern ({error})") from None
    if not pattern.groups:
        raise OptionError(
            f"folds {folds!r}: expected {', '.join(FOLDS)} or a pattern with a group such as '^([^_]+)_'"
        )
    match = pattern.search(name)
    if match is None or match[1] is None:
        raise OptionError(f"folds {folds!r}: does not match speaker {name}, expected a fold for each speaker")
    return match[1]


def by_fold(utterances: Iterable[Utterance], folds: str) -> dict[str, list[Utterance]]:
    """The utterances of each fold, by its sorted name."""
    found: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        found.setdefault(fold_of(utterance, folds), []).append(utterance)
    return dict(sorted(found.items()))


def predictions_by_fold(
    load: Callable[[str], Tagger],
    utterances: Sequence[Utterance],
    folds: str,
    rename: Mapping[str, str] | None = None,
) -> Iterator[tuple[Tagger, Iterator[Prediction]]]:
    """For each fold the tagger that `load` gives for its name, and the predictions for its utterances.

    Raises `OptionError` if the taggers of two folds differ in their labels.
    """
    first: tuple[str, ...] | None = None
    for fold, own in by_fold(utterances, folds).items():
        tagger = load(fold)
        first = first or tuple(tagger.labels)
        if tuple(tagger.labels) != first:
            raise OptionError(
                f"the tagger of fold {fold} has labels {', '.join(tagger.labels)}, expected {', '.join(first)}"
            )
        yield tagger, label_utterances(tagger, own, rename=rename, folds=folds)


def _ratings(utterance: Utterance) -> tuple[float, ...]:
    """Ratings of the manifest, -1 to 1, as 0 to 1. Raises `OptionError` for another scale."""
    values = utterance.ratings.dimensions if utterance.ratings else (math.nan,) * len(DIMENSIONS)
    if any(abs(value) > 1 for value in values):
        shown = ", ".join(f"{value:g}" for value in values)
        raise OptionError(f"{utterance.id}: found ratings {shown}, expected values from -1 to 1")
    return tuple((value + 1) / 2 for value in values)


def _dimensions(tagger: Tagger, values: np.ndarray) -> tuple[float, ...]:
    found = dict(zip(dimensions_of(tagger), values.tolist(), strict=True))
    return tuple(found.get(name, math.nan) for name in DIMENSIONS)
