"""One person in a simulated conversation: what he can say, how his mood moves on, what he has said.

In: his utterances, options, a random generator. Out: turns of speech (float32 at 16 kHz) and pieces: where
in them is speech, and in which emotion, to the sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sed.errors import OptionError
from sed.grid import samples_to_seconds, seconds_to_samples
from sed.result import Segment
from sed.simulation.speech_pieces import faded, quietest_cut, speech_level, speech_pieces

if TYPE_CHECKING:
    from sed.simulation.conversation import ConversationOptions

_REACH = seconds_to_samples(0.3)  # how far from the wanted length an utterance may be cut
_SHORTEST = seconds_to_samples(0.6)  # no shorter stretch of an utterance; 1 of ZED's 180 events is shorter
_CHOICE = 4  # utterances among which the best-fitting one is taken
_JOIN = seconds_to_samples(0.3)  # shorter silences of one speaker belong to his speech (NIST)

Piece = tuple[int, int, str]  # start and end in samples, emotion


@dataclass(frozen=True, eq=False)
class Utterance:
    """What somebody says in one `emotion`: `samples` ``(n,)`` float32 at 16 kHz without noise.

    (`sed.corpora.audio.Utterance` is a row of a manifest, which knows where such samples are.)
    """

    emotion: str
    samples: np.ndarray

    @cached_property
    def pieces(self) -> list[tuple[int, int]]:
        """Speech inside `samples`, as `speech_pieces` finds it."""
        return speech_pieces(self.samples)

    @cached_property
    def level(self) -> float:
        """Level of the speech in dB full scale."""
        return speech_level(self.samples)


def log_normal(rng: np.random.Generator, median: float, spread: float) -> int:
    """Samples; at most two spreads off, so that no odd draw decides a conversation."""
    return seconds_to_samples(median * math.exp(spread * float(np.clip(rng.normal(), -2, 2))))


class Talker:
    """A speaker called `name` with his utterances `own`: what he can say, how he feels, what he has said.

    His `end` is the sample at which he was last heard, `sounds` what he said where. Raises `OptionError`
    where he has no audible neutral utterance: everybody is neutral at times.
    """

    def __init__(
        self, name: str, own: Sequence[Utterance], options: ConversationOptions, rng: np.random.Generator
    ) -> None:
        self.name, self.options, self.rng = name, options, rng
        usable = [u for u in own if u.pieces]
        self._decks = {
            emotion: [group[i] for i in rng.permutation(len(group))]
            for emotion in (options.neutral, *options.emotions)
            if (group := [u for u in usable if u.emotion == emotion])
        }
        if options.neutral not in self._decks:
            raise OptionError(f"speaker {name} has no audible {options.neutral} utterance: expected some")
        self._mean_level = float(np.mean([u.level for u in usable]))
        self._gain = options.level + options.level_spread * float(rng.normal())
        shares = {pattern: share for pattern, (share, _) in options.patterns.items()}
        odds = (1 - options.neutral_turns) * (shares["en"] + shares["e"]) / (shares["ne"] + shares["nen"])
        self._mood = self._emotion() if rng.random() < odds / (1 + odds) else options.neutral
        self.sounds: list[tuple[int, np.ndarray]] = []
        self._pieces: list[Piece] = []
        self.end = 0  # samples: when he was last heard

    def _emotion(self) -> str:
        weights = {e: w for e, w in self.options.emotions.items() if e in self._decks}
        if not weights:
            return self.options.neutral
        return str(self.rng.choice(list(weights), p=np.array(list(weights.values())) / sum(weights.values())))

    def turn(self) -> tuple[np.ndarray, list[Piece]]:
        """The next turn's samples and pieces, by the pattern that the mood allows; the mood moves on."""
        options, rng, neutral = self.options, self.rng, self.options.neutral
        calm = self._mood == neutral
        if calm and rng.random() < options.neutral_turns:
            return self._speak([(neutral, options.neutral_turn)])
        names = ("ne", "nen") if calm else ("en", "e")
        weights = np.array([options.patterns[name][0] for name in names])
        name = names[int(rng.random() < weights[1] / weights.sum())]
        emotion = self._emotion() if calm else self._mood
        parts = zip(name, options.patterns[name][1], strict=True)
        turn = self._speak([(neutral if sign == "n" else emotion, length) for sign, length in parts])
        ends_calm = name.endswith("n") or rng.random() < options.calming
        self._mood = neutral if ends_calm else emotion
        return turn

    def _speak(self, parts: list[tuple[str, tuple[float, float]]]) -> tuple[np.ndarray, list[Piece]]:
        sounds: list[np.ndarray] = []
        pieces: list[Piece] = []
        at = 0
        for emotion, length in parts:
            wanted = at + log_normal(self.rng, *length)
            begun = False
            while True:
                silence = log_normal(self.rng, *self.options.pause) if sounds else 0
                if begun and wanted - at - silence < _SHORTEST:
                    break
                begun = True
                sounds.append(np.zeros(silence, np.float32))
                at += silence
                sound, own = self._clip(emotion, max(wanted - at, _SHORTEST))
                sounds.append(sound)
                pieces += [(at + start, at + end, emotion) for start, end in own]
                at += len(sound)
        return np.concatenate(sounds), pieces

    def _clip(self, emotion: str, wanted: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """An utterance of `emotion`, trimmed, levelled, and cut near `wanted` samples where it is longer.

        Of the next few in the deck it is the one whose length fits best: fewer words are cut off.
        """
        deck = self._decks[emotion]
        utterance = min(deck[:_CHOICE], key=lambda u: abs(u.pieces[-1][1] - u.pieces[0][0] - wanted))
        deck.remove(utterance)
        deck.append(utterance)
        first = utterance.pieces[0][0]
        samples = utterance.samples[first : utterance.pieces[-1][1]]
        reach = min(_REACH, wanted // 4)
        if len(samples) > wanted + reach:
            samples = samples[: quietest_cut(samples, wanted, reach)]
        pieces = [(s - first, min(e - first, len(samples))) for s, e in utterance.pieces]
        pieces = [(start, end) for start, end in pieces if end > start]
        samples = samples[: pieces[-1][1]]  # a cut in a silence leaves no silence behind
        kept = self.options.loudness_kept * float(np.clip(utterance.level - self._mean_level, -10, 10))
        gain = 10 ** ((self._gain + kept - utterance.level) / 20)
        return faded(samples * np.float32(gain)), pieces

    def backchannel(self, at: int) -> None:
        """Drop a word of half a second in at sample `at`, a little softer."""
        sound, pieces = self._clip(self._mood, seconds_to_samples(0.5))
        self.say(at, sound * np.float32(0.7), [(s, e, self._mood) for s, e in pieces])

    def say(self, at: int, sound: np.ndarray, pieces: list[Piece]) -> None:
        """Put `sound` on the time line at sample `at`."""
        self.sounds.append((at, sound))
        self._pieces += [(at + start, at + end, emotion) for start, end, emotion in pieces]
        self.end = at + len(sound)

    def segments(self) -> list[Segment]:
        """The reference: pieces with short silences closed, joined where the emotion stays."""
        joined: list[Piece] = []
        for start, end, emotion in sorted(self._pieces):
            if joined and start - joined[-1][1] < _JOIN:
                before = joined.pop()
                if before[2] == emotion:
                    start = before[0]
                else:
                    joined.append((before[0], start, before[2]))
            joined.append((start, end, emotion))
        return [
            Segment(samples_to_seconds(start), samples_to_seconds(end), self.name, emotion)
            for start, end, emotion in joined
        ]
