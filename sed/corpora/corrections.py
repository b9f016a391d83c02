"""Labels that the release of a corpus has wrong, and what is right.

KAIST and Selvas AI: of a file's five digits the hundreds tell the emotion. 1-100 are neutral, 101-200 happy, 201-300
sad, 301-400 angry. The release's own README has the last two the other way round, and so do manifests that follow it.
The sentences of 201-300 mourn and those of 301-400 scold, voices are darker and lower in the former, and who built on
the release at KAIST counts as here (hash2430/emotion_tts); ``benchmarks/results/leave_one_out.md`` has the
evidence.
"""

from __future__ import annotations

import re

KAIST_NAME = re.compile(r"(em[a-z]|ne[a-z])(\d{5})", re.IGNORECASE)
_EMOTIONS = ("neutral", "happy", "sad", "angry")
# What the README says, and of which hundred: what is right.
_CONFUSED = {("angry", 2): "sad", ("sad", 3): "angry"}


def kaist_emotion(number: int) -> str:
    """The emotion of the KAIST recording of that number, from 1 to 400.

    Raises `ValueError` for another number.

    >>> kaist_emotion(100), kaist_emotion(201), kaist_emotion(301)
    ('neutral', 'sad', 'angry')
    """
    if not 1 <= number <= 400:
        raise ValueError(f"found number {number}, expected one from 1 to 400")
    return _EMOTIONS[(number - 1) // 100]


def corrected(corpus: str, stem: str, emotion: str) -> str:
    """The emotion of the file `stem`, where a manifest that follows the release of `corpus` says `emotion`.

    Only what the release is known to confuse changes; what is right already stays. Whoever has labelled such files anew
    gives the corpus another name.

    >>> corrected("kaist", "nea00250", "angry"), corrected("kaist", "nea00250", "sad")
    ('sad', 'sad')
    >>> corrected("kaist", "nea00250", "happy"), corrected("mine", "nea00250", "angry")
    ('happy', 'angry')
    """
    name = KAIST_NAME.fullmatch(stem) if corpus == "kaist" else None
    return _CONFUSED.get((emotion, (int(name[2]) - 1) // 100), emotion) if name else emotion
