"""Emotion and gender labels: the spellings of published corpora in, the labels of this project out."""

from __future__ import annotations

_SPELLINGS = {
    "neutral": "neutral neu neutrality normal",
    "calm": "calm calmness",
    "happy": "happy hap happiness joy joyful freude",
    "sad": "sad sadness",
    "angry": "angry ang anger",
    "fearful": "fearful fea fear",
    "disgust": "disgust dis disgusted",
    "surprised": "surprised sur surprise pleasant_surprise",
    "bored": "bored boredom",
    "amused": "amused amusement",
    "sleepy": "sleepy sleepiness",
    "excited": "excited exc excitement",
    "frustrated": "frustrated fru frustration",
    "anxious": "anxious anxiety",
    "apologetic": "apologetic",
    "assertive": "assertive",
    "concerned": "concerned concern",
    "encouraging": "encouraging",
    "contempt": "contempt contemptuous",
    "other": "other oth",
    "undecided": "undecided xxx",
}
LETTERS = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}
"""SpeechBrain's letters; EMO-DB's letters, in upper case, have other meanings."""
_EMOTIONS = {spelling: label for label, spellings in _SPELLINGS.items() for spelling in spellings.split()}


def normalise_emotion(label: str) -> str | None:
    """The label of this project for `label`, None if it is unknown. Case is ignored, blanks equal underscores.

    >>> normalise_emotion("Anger"), normalise_emotion(" HAPPINESS")
    ('angry', 'happy')
    >>> normalise_emotion("exc"), normalise_emotion("hungry")
    ('excited', None)
    """
    return _EMOTIONS.get(label.strip().casefold().replace(" ", "_"))


def normalise_gender(text: str | None) -> str | None:
    """``F`` or ``M`` for the gender in `text`, None for anything else.

    >>> normalise_gender("Female"), normalise_gender("m"), normalise_gender("?")
    ('F', 'M', None)
    """
    return {"f": "F", "w": "F", "m": "M"}.get((text or "").strip().casefold()[:1])
