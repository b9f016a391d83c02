"""One speaker of a simulated conversation: available utterances, current emotion and the speech placed so far.

In: the utterances of the speaker, options, a random generator. Out: turns (float32 samples at 16 kHz) and their
speech pieces: start and end in samples, and the emotion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sed.errors import OptionError
from sed.grid import samples_to_seconds, seconds_to_samples
from sed.result import Segment
from sed.simulation.options import ConversationOptions
from sed.simulation.speech_pieces import fade_ends, quietest_cut, speech_level, speech_pieces

_MAX_CUT_SHIFT = seconds_to_samples(0.3)  # maximum distance of a cut from the target length
_MIN_CLIP = seconds_to_samples(0.6)  # minimum target length of a clip; 1 of the 180 events of ZED is shorter
_CANDIDATES = 4  # next utterances in the queue among which the length decides
_MIN_SILENCE = seconds_to_samples(0.3)  # shorter silences of one speaker count as speech (NIST)

Piece = tuple[int, int, str]
"""A speech piece: start and end in samples, emotion."""


@dataclass(frozen=True, eq=False)
class Utterance:
    """Speech in one `emotion`: `samples` ``(n,)`` float32 at 16 kHz without noise.

    (`sed.corpora.manifest.Utterance` is a row of a manifest, which refers to such samples.)
    """

    emotion: str
    samples: np.ndarray

    @cached_property
    def pieces(self) -> list[tuple[int, int]]:
        """The speech pieces in `samples`; see `speech_pieces`."""
        return speech_pieces(self.samples)

    @cached_property
    def level(self) -> float:
        """The level of the speech in dB relative to full scale."""
        return speech_level(self.samples)


def log_normal(rng: np.random.Generator, median: float, spread: float) -> int:
    """Draw a log-normal duration in samples, clipped to two spreads (log standard deviations) to avoid outliers."""
    return seconds_to_samples(median * math.exp(spread * float(np.clip(rng.normal(), -2, 2))))


class SimulatedSpeaker:
    """A speaker `name` with `utterances`, which draws turns and collects the speech placed in the conversation.

    `clips` are the placed samples with their start, `end` is the last sample with speech. Raises `OptionError` if
    there is no audible neutral utterance, which every speaker needs.
    """

    def __init__(
        self,
        name: str,
        utterances: Sequence[Utterance],
        options: ConversationOptions,
        rng: np.random.Generator,
    ) -> None:
        self.name, self.options, self.rng = name, options, rng
        audible = [u for u in utterances if u.pieces]
        self._queues = {
            emotion: [group[i] for i in rng.permutation(len(group))]
            for emotion in (options.neutral, *options.emotions)
            if (group := [u for u in audible if u.emotion == emotion])
        }
        if options.neutral not in self._queues:
            raise OptionError(
                f"speaker {name} has no audible {options.neutral} utterance, expected at least one"
            )
        self._mean_level = float(np.mean([u.level for u in audible]))
        self._gain = options.level + options.level_spread * float(rng.normal())
        shares = {pattern: share for pattern, (share, _) in options.patterns.items()}
        odds = (1 - options.neutral_turns) * (shares["en"] + shares["e"]) / (shares["ne"] + shares["nen"])
        self._emotion = self._draw_emotion() if rng.random() < odds / (1 + odds) else options.neutral
        self.clips: list[tuple[int, np.ndarray]] = []
        self._pieces: list[Piece] = []
        self.end = 0

    def _draw_emotion(self) -> str:
        weights = {e: w for e, w in self.options.emotions.items() if e in self._queues}
        if not weights:
            return self.options.neutral
        return str(self.rng.choice(list(weights), p=np.array(list(weights.values())) / sum(weights.values())))

    def next_turn(self) -> tuple[np.ndarray, list[Piece]]:
        """Samples and speech pieces of the next turn, in a pattern that continues the current emotion."""
        options, rng, neutral = self.options, self.rng, self.options.neutral
        starts_neutral = self._emotion == neutral
        if starts_neutral and rng.random() < options.neutral_turns:
            return self._build_turn([(neutral, options.neutral_turn)])
        names = ("ne", "nen") if starts_neutral else ("en", "e")
        weights = np.array([options.patterns[name][0] for name in names])
        name = names[int(rng.random() < weights[1] / weights.sum())]
        emotion = self._draw_emotion() if starts_neutral else self._emotion
        parts = zip(name, options.patterns[name][1], strict=True)
        turn = self._build_turn([(neutral if sign == "n" else emotion, length) for sign, length in parts])
        ends_neutral = name.endswith("n") or rng.random() < options.emotion_end_probability
        self._emotion = neutral if ends_neutral else emotion
        return turn

    def _build_turn(self, parts: list[tuple[str, tuple[float, float]]]) -> tuple[np.ndarray, list[Piece]]:
        clips: list[np.ndarray] = []
        pieces: list[Piece] = []
        position = 0
        for emotion, length in parts:
            target = position + log_normal(self.rng, *length)
            has_clip = False
            while True:
                silence = log_normal(self.rng, *self.options.pause) if clips else 0
                if has_clip and target - position - silence < _MIN_CLIP:
                    break
                has_clip = True
                clips.append(np.zeros(silence, np.float32))
                position += silence
                clip, clip_pieces = self._next_clip(emotion, max(target - position, _MIN_CLIP))
                clips.append(clip)
                pieces += [(position + start, position + end, emotion) for start, end in clip_pieces]
                position += len(clip)
        return np.concatenate(clips), pieces

    def _next_clip(self, emotion: str, target: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """An utterance of `emotion`, trimmed, levelled, and cut near `target` samples if it is longer.

        Among the next utterances in the queue, the one with the closest length is used, so that few words are cut.
        """
        queue = self._queues[emotion]
        utterance = min(queue[:_CANDIDATES], key=lambda u: abs(u.pieces[-1][1] - u.pieces[0][0] - target))
        queue.remove(utterance)
        queue.append(utterance)
        first = utterance.pieces[0][0]
        samples = utterance.samples[first : utterance.pieces[-1][1]]
        max_shift = min(_MAX_CUT_SHIFT, target // 4)
        if len(samples) > target + max_shift:
            samples = samples[: quietest_cut(samples, target, max_shift)]
        pieces = [(s - first, min(e - first, len(samples))) for s, e in utterance.pieces]
        pieces = [(start, end) for start, end in pieces if end > start]
        samples = samples[: pieces[-1][1]]  # no silence at the end after a cut in a silence
        kept = self.options.loudness_kept * float(np.clip(utterance.level - self._mean_level, -10, 10))
        gain = 10 ** ((self._gain + kept - utterance.level) / 20)
        return fade_ends(samples * np.float32(gain)), pieces

    def add_backchannel(self, start: int) -> None:
        """Add half a second of speech at sample `start`, 3 dB softer than a turn."""
        clip, pieces = self._next_clip(self._emotion, seconds_to_samples(0.5))
        self.add_speech(start, clip * np.float32(0.7), [(s, e, self._emotion) for s, e in pieces])

    def add_speech(self, start: int, samples: np.ndarray, pieces: list[Piece]) -> None:
        """Add `samples` with their speech pieces to the conversation, from sample `start`."""
        self.clips.append((start, samples))
        self._pieces += [(start + first, start + last, emotion) for first, last, emotion in pieces]
        self.end = start + len(samples)

    def segments(self) -> list[Segment]:
        """The reference segments: speech pieces with short silences closed, merged if the emotion is the same."""
        merged: list[Piece] = []
        for start, end, emotion in sorted(self._pieces):
            if merged and start - merged[-1][1] < _MIN_SILENCE:
                previous = merged.pop()
                if previous[2] == emotion:
                    start = previous[0]
                else:
                    merged.append((previous[0], start, previous[2]))
            merged.append((start, end, emotion))
        return [
            Segment(samples_to_seconds(start), samples_to_seconds(end), self.name, emotion)
            for start, end, emotion in merged
        ]
