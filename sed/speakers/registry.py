"""Whose voice is this: online clustering of voices into people, revised as evidence comes.

In: stretches of one voice, embedded again as they grow, and who is likely to speak because he has just spoken
in the same track. Out: a `Person` for each stretch, the same one whenever the same voice returns. A stretch may
change its person while it is not final; a person is forgotten if nothing of him remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sed.errors import OptionError


@dataclass(frozen=True)
class GalleryOptions:
    """When a voice is taken for a person. Tuned on AMI clips of part train and on conversations simulated
    from `train` speakers (`benchmarks/tuning/online_speakers.py`).

    alike: cosine from which a voice is taken for a known person.
    early: seconds of clean speech; with less than that a voice is given to whom is expected.
    founding: seconds of clean speech with which a voice unlike everybody's makes somebody new.
    expected: cosine that is added for the person who is expected to speak.
    same: two people whose voices are more alike than this are taken for one from then on.
    memory: seconds of speech to which what is known of a person counts; older evidence fades.
    people: the most people that are told apart; the next voices are given to the most alike.
    """

    alike: float = 0.4
    early: float = 0.4
    founding: float = 1.5
    expected: float = 0.15
    same: float = 0.8
    memory: float = 120.0
    people: int = 32

    def __post_init__(self) -> None:
        if self.people < 1:
            raise OptionError(f"at most {self.people} speakers: expected 1 or more")


@dataclass(eq=False)
class Voice:
    """A stretch of speech of one voice: its unit `vector` (None before there is one), the `seconds` of clean
    speech behind it, and whose it seems to be."""

    vector: np.ndarray | None = None
    seconds: float = 0.0
    person: Person | None = None


@dataclass(eq=False)
class Person:
    """Somebody known: `past` sums vectors times seconds of his voices that have ended.

    `number` is given once, when he first has final speech; `last` is the latest frame in which he was heard.
    """

    key: int
    number: int | None = None
    past: np.ndarray | None = None
    seconds: float = 0.0
    last: int = -1
    voices: list[Voice] = field(default_factory=list)

    def known(self, without: Voice | None = None) -> np.ndarray | None:
        """Summed vectors of this person, leaving out one voice; None where there are none."""
        parts = [] if self.past is None else [self.past]
        for voice in self.voices:
            if voice is not without and voice.vector is not None:
                parts.append(voice.vector * voice.seconds)
        return np.sum(parts, axis=0) if parts else None


class Gallery:
    """Everybody who was heard so far.

    >>> gallery = Gallery()
    >>> a, b = (Voice(np.eye(3)[n], seconds=2) for n in range(2))
    >>> gallery.place(a, []); gallery.place(b, [a])
    >>> a.person is b.person
    False
    >>> gallery.leave(a); again = Voice(np.array([0.9, 0.1, 0.1]), seconds=1)
    >>> gallery.place(again, [b]); again.person is gallery.people[0]
    True
    """

    def __init__(self, options: GalleryOptions | None = None) -> None:
        self.options = options or GalleryOptions()
        self.people: list[Person] = []
        self._next = 0

    def place(self, voice: Voice, rivals: Sequence[Voice], expected: Person | None = None) -> None:
        """Decide whose `voice` it is, or decide anew.

        `rivals` are voices of other people; `expected` is who spoke just before in the same track.
        """
        options = self.options
        taken = [rival.person for rival in rivals]
        free = [person for person in self.people if person not in taken]
        if expected not in free:
            expected = None
        if voice.vector is None or voice.seconds < options.early:
            if voice.person is None or voice.person in taken:
                latest = max(free, key=lambda person: person.last, default=None)
                self._assign(voice, expected or latest or self._found())
            return
        scores = {}
        for person in free:
            if (known := person.known(without=voice)) is not None:
                bonus = options.expected if person is expected else 0.0
                scores[person] = _cosine(voice.vector, known) + bonus
        best = max(scores, key=lambda person: scores[person], default=None)
        if best and scores[best] >= options.alike:
            self._assign(voice, best)
        elif voice.person in free and voice.person not in scores:
            pass  # somebody known by this voice only, and unlike the others: he stays
        elif voice.seconds >= options.founding or not best:
            self._assign(voice, self._found() or best)
        else:
            self._assign(voice, best)

    def leave(self, voice: Voice) -> None:
        """The voice is final: what was heard of it stays with its person."""
        person = voice.person
        if person is None:
            return
        person.voices.remove(voice)
        if voice.vector is not None:
            vector = voice.vector * np.float32(voice.seconds)
            person.past = vector if person.past is None else person.past + vector
            person.seconds += voice.seconds
            if person.seconds > self.options.memory:
                person.past = person.past * np.float32(self.options.memory / person.seconds)
                person.seconds = self.options.memory
        self._tidy()

    def merge(self) -> None:
        """Take people for one whose voices have turned out alike, unless they are heard side by side."""
        for younger in self.people[::-1]:
            if younger.past is None or younger.seconds < self.options.founding:
                continue
            for older in self.people:
                if older is younger:
                    break
                if (
                    older.past is None
                    or older.seconds < self.options.founding
                    or (older.voices and younger.voices)
                ):
                    continue
                if _cosine(older.past, younger.past) >= self.options.same:
                    self._join(older, younger)
                    break

    def _join(self, older: Person, younger: Person) -> None:
        for voice in list(younger.voices):
            self._assign(voice, older)
        if younger.past is not None:
            older.past = younger.past if older.past is None else older.past + younger.past
            older.seconds += younger.seconds
        older.last = max(older.last, younger.last)
        if older.number is None:
            older.number = younger.number
        self.people.remove(younger)

    def _assign(self, voice: Voice, person: Person | None) -> None:
        if person is voice.person or person is None:
            return
        if voice.person:
            voice.person.voices.remove(voice)
        voice.person = person
        person.voices.append(voice)
        self._tidy()

    def _found(self) -> Person | None:
        if len(self.people) >= self.options.people:
            return None
        person = Person(self._next)
        self._next += 1
        self.people.append(person)
        return person

    def _tidy(self) -> None:
        self.people = [person for person in self.people if person.voices or person.past is not None]


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other) / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9)
