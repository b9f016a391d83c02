"""Emotions as corpora name them -> the whole English words of this project; case and blanks don't count."""

from __future__ import annotations

_WORDS = {
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
_KNOWN = {form: word for word, forms in _WORDS.items() for form in forms.split()}


def emotion_word(label: str) -> str | None:
    """The word for `label`; None where it is not known.

    >>> emotion_word("Anger"), emotion_word(" HAPPINESS"), emotion_word("exc"), emotion_word("hungry")
    ('angry', 'happy', 'excited', None)
    """
    return _KNOWN.get(label.strip().casefold().replace(" ", "_"))


def gender_letter(text: str | None) -> str | None:
    """``F`` or ``M`` for what a corpus writes; None where it says neither.

    >>> gender_letter("Female"), gender_letter("m"), gender_letter("?")
    ('F', 'M', None)
    """
    return {"f": "F", "w": "F", "m": "M"}.get((text or "").strip().casefold()[:1])
