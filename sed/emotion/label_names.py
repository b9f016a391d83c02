"""The labels of a model in its own spelling in, the labels of this project out, in the documented order."""

from __future__ import annotations

from collections.abc import Sequence

from sed.labels import LETTERS, normalise_emotion

LABEL_ORDER = ("neutral", "happy", "angry", "sad")
DIMENSION_NAMES = {
    "arousal": "arousal",
    "activation": "arousal",
    "valence": "valence",
    "dominance": "dominance",
}


def label_names(found: Sequence[str]) -> list[str]:
    """The names for the labels `found`, in the same order: known spellings (`sed.labels`) become this project's label,
    all others are kept. Of several spellings of one label in the same model none is changed.

    >>> label_names(["neu", "Happiness", "ang", "tired"]), label_names(["joy", "happiness", "sadness"])
    (['neutral', 'happy', 'angry', 'tired'], ['joy', 'happiness', 'sad'])
    >>> label_names(["s", "n"])
    ['sad', 'neutral']
    """
    if found and set(found) <= set(LETTERS):
        return [LETTERS[label] for label in found]
    names = [normalise_emotion(label) or label.strip() for label in found]
    return [name if names.count(name) == 1 else own.strip() for name, own in zip(names, found, strict=True)]


def sort_labels(labels: Sequence[str]) -> list[str]:
    """`labels` with those of `LABEL_ORDER` first, then the others in their own order.

    >>> sort_labels(["sad", "bored", "neutral", "happy"])
    ['neutral', 'happy', 'sad', 'bored']
    """
    known = [label for label in LABEL_ORDER if label in labels]
    return known + [label for label in labels if label not in LABEL_ORDER]


def renamed(found: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """The labels that have another name here: this project's name to the model's.

    >>> renamed(["neu", "sad"], ["neutral", "sad"])
    {'neutral': 'neu'}
    """
    return {name: own for own, name in zip(found, names, strict=True) if own != name}
