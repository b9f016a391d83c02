"""`Word`, `Sentence` and `Transcript`: the words of a recording and, after `add_words`, speaker and emotion of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Attribution:
    """Speaker, emotion and mean posteriors of a word or sentence; None and empty where they are unknown.

    `emotion` is that of the diarization's segments, so it persists as they do; `probabilities` maps every label to its
    mean posterior over the own frames, and its most probable label may be another one. `dimensions` are means, too.
    """

    speaker: str | None = None
    emotion: str | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    dimensions: Mapping[str, float] = field(default_factory=dict)


UNATTRIBUTED = Attribution()


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the transcript has it. `start` and `end` are seconds, None if the transcript does not time the word.

    `source` are the fields of the transcript, such as ``score``, kept for JSON.
    """

    text: str
    start: float | None = None
    end: float | None = None
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    by: Attribution = UNATTRIBUTED


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, caption or run of words: `start` and `end` in seconds, its text, and its words if they are known."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    by: Attribution = UNATTRIBUTED


@dataclass(frozen=True)
class Transcript:
    """The sentences of one recording, in the order of the transcript.

    uri: name of the recording; None if the transcript does not state it.
    sentences: as the transcript divides the speech.
    turns: the same sentences, divided where the speaker changes: each has one speaker. Empty before `add_words`.
    grouped: False if the transcript has no sentences (CTM): its words were grouped by pauses.
    source: other fields of the transcript, such as ``language``, kept for JSON.
    """

    uri: str | None
    sentences: tuple[Sentence, ...]
    turns: tuple[Sentence, ...] = ()
    grouped: bool = True
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def words(self) -> Iterator[Word]:
        """Every word, in order."""
        return (word for sentence in self.sentences for word in sentence.words)
