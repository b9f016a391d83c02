"""Corrections of labels that are wrong in the published release of a corpus.

KAIST and Selvas AI: the hundreds of the five-digit file number encode the emotion: 1-100 neutral, 101-200 happy,
201-300 sad, 301-400 angry. The README of the release exchanges the last two, and so do manifests that follow it. The
evidence: the sentences of 201-300 express grief and those of 301-400 reproach, voices in 201-300 are darker and lower,
and other work at KAIST uses the order given here (hash2430/emotion_tts); see
``benchmarks/results/leave_one_out.md``.
"""

from __future__ import annotations

import re

KAIST_NAME = re.compile(r"(em[a-z]|ne[a-z])(\d{5})", re.IGNORECASE)
_EMOTIONS = ("neutral", "happy", "sad", "angry")
# (label in the README, hundred of the file number) -> correct label
_EXCHANGED = {("angry", 2): "sad", ("sad", 3): "angry"}


def kaist_emotion(number: int) -> str:
    """The emotion of the KAIST recording with this number.

    Raises `ValueError` for a number outside 1 to 400.

    >>> kaist_emotion(100), kaist_emotion(201), kaist_emotion(301)
    ('neutral', 'sad', 'angry')
    """
    if not 1 <= number <= 400:
        raise ValueError(f"found number {number}, expected one from 1 to 400")
    return _EMOTIONS[(number - 1) // 100]


def corrected_emotion(corpus: str, stem: str, emotion: str) -> str:
    """The correct emotion of the file `stem`, which a manifest of `corpus` labels `emotion`.

    Only known errors of the release are corrected; all other labels are returned unchanged. To keep your own labels
    of these files, give the corpus another name.

    >>> corrected_emotion("kaist", "nea00250", "angry"), corrected_emotion("kaist", "nea00250", "sad")
    ('sad', 'sad')
    >>> corrected_emotion("kaist", "nea00250", "happy"), corrected_emotion("mine", "nea00250", "angry")
    ('happy', 'angry')
    """
    name = KAIST_NAME.fullmatch(stem) if corpus == "kaist" else None
    return _EXCHANGED.get((emotion, (int(name[2]) - 1) // 100), emotion) if name else emotion
