"""Simulated conversations with exact references: who felt what, and when.

In: utterances of several people, each acted in one emotion (16 kHz mono float32), a seed, options. Out: the
samples ``(n,)`` float32 and a `Diarization` whose times are exact to the sample. The same seed gives the same
bytes. Every statistic is a field of `ConversationOptions`, with where it comes from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sed.errors import OptionError
from sed.grid import SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from sed.result import Diarization
from sed.simulation.acoustics import LINES, noise, reverberate, room_responses, through_line
from sed.simulation.simulated_speaker import Talker, Utterance, log_normal

__all__ = ["ConversationOptions", "Utterance", "simulate_conversation"]


@dataclass(frozen=True)
class ConversationOptions:
    """How people talk. Times are seconds; "median" and "spread" are those of a log-normal distribution.

    duration: the conversation ends with the first turn that passes this, and when everybody has spoken.
    neutral: the label of no emotion; every speaker needs utterances with it.
    emotions: how often each emotion is the one of an event. ZED: happy 62, angry 52, sad 66 of 180.
    patterns: how often the emotion comes (ne), goes (en), stays (e), comes and goes (nen) within a turn,
        and the median and spread of each part in order. Maximum likelihood on the 180 annotations of ZED.
    neutral_turns: share of turns without any emotion among those that begin without. ZED has none, because
        its utterances were picked for their emotion; people at rest are a choice of ours.
    neutral_turn: median and spread of such a turn. Ours.
    pause: median and spread of the pauses within a turn. Campione and Veronis (2002): most read and
        spontaneous pauses lie between 0.2 and 1 s.
    offset: mean and deviation of the floor-transfer offset, normal; negative is overlap. Stivers et al.
        (2009): mean 0.2 s over ten languages; Heldner and Edlund (2010): a third to 40 % are overlaps.
    lapse, lapse_pause: share of transfers after a longer silence, and that silence's mean (exponential).
    longest_overlap: limit of the overlap at a transfer; half of the shorter turn is the other limit.
    hold, hold_pause: share of turns after which the same person goes on, and median and spread of the pause.
    backchannels: share of turns over 3 s into which a listener drops half a second of his own. Ours.
    level, level_spread: mean speech level in dB full scale, and its deviation between people.
    loudness_kept: how much of an utterance's own loudness against the speaker's mean stays (0 none, 1 all):
        the angry are louder, but actors before a fixed microphone exaggerate (27 dB in RAVDESS).
    room, reverberation: share of conversations in a room, and the range of its reverberation time.
    room_size, distance: ranges of length, width and height of the room, and of the way from mouth to microphone,
        in metres. Living and meeting rooms, with the recorder on the table. Ours.
    noise: range of the signal-to-noise ratio in dB of the speech; None for no noise.
    lines: how often the recording is wide-band, through a telephone, through the Opus codec.
    """

    duration: float = 60.0
    neutral: str = "neutral"
    emotions: Mapping[str, float] = field(default_factory=lambda: {"happy": 62, "angry": 52, "sad": 66})
    patterns: Mapping[str, tuple[float, tuple[tuple[float, float], ...]]] = field(
        default_factory=lambda: {
            "ne": (94, ((2.26, 0.60), (2.54, 0.58))),
            "en": (35, ((2.25, 0.65), (2.08, 0.54))),
            "e": (30, ((4.34, 0.48),)),
            "nen": (21, ((1.31, 0.58), (1.76, 0.63), (1.29, 0.58))),
        }
    )
    neutral_turns: float = 0.25
    neutral_turn: tuple[float, float] = (3.0, 0.6)
    pause: tuple[float, float] = (0.35, 0.5)
    offset: tuple[float, float] = (0.2, 0.6)
    lapse: float = 0.1
    lapse_pause: float = 1.0
    longest_overlap: float = 1.5
    hold: float = 0.2
    hold_pause: tuple[float, float] = (0.7, 0.4)
    backchannels: float = 0.25
    level: float = -26.0
    level_spread: float = 3.0
    loudness_kept: float = 0.3
    room: float = 0.5
    reverberation: tuple[float, float] = (0.2, 0.5)
    room_size: tuple[tuple[float, float], ...] = ((4.0, 6.5), (3.5, 5.0), (2.5, 3.0))
    distance: tuple[float, float] = (0.5, 1.5)
    noise: tuple[float, float] | None = (12.0, 35.0)
    lines: Mapping[str, float] = field(default_factory=lambda: {"wide": 0.7, "telephone": 0.2, "opus": 0.1})

    def __post_init__(self) -> None:
        if not 0 < self.duration < math.inf:
            raise OptionError(f"conversation duration {self.duration}: expected seconds above 0")
        if set(self.patterns) != {"ne", "en", "e", "nen"}:
            raise OptionError(f"patterns {sorted(self.patterns)}: expected ne, en, e and nen")
        for name in ("neutral_turns", "lapse", "hold", "backchannels", "loudness_kept", "room"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"conversation option {name} is {getattr(self, name)}: expected 0 to 1")
        low, high = (0.0, 0.0) if self.noise is None else self.noise
        if not -100 <= low <= high <= 200:
            raise OptionError(f"noise {self.noise}: expected a range in dB such as 5 30, within -100 and 200")
        if len(self.room_size) != 3:
            raise OptionError(f"room_size {self.room_size}: expected ranges of length, width and height")
        if unknown := set(self.lines) - set(LINES):
            raise OptionError(f"lines {sorted(unknown)}: expected some of {', '.join(LINES)}")

    @property
    def calming(self) -> float:
        """Chance that an emotion a turn ended with is over when the same person speaks next.

        It follows from the patterns: of turns in a long conversation, as many must begin with an emotion as
        ZED has (en and e), although more end with one (ne and e).

        >>> round(ConversationOptions().calming, 3)
        0.476
        """
        share = {name: weight for name, (weight, _) in self.patterns.items()}
        return max(0.0, 1 - (share["en"] + share["e"]) / (share["ne"] + share["e"]))


def simulate_conversation(
    utterances: Mapping[str, Sequence[Utterance]],
    seed: int | np.random.Generator,
    options: ConversationOptions | None = None,
    *,
    uri: str = "conversation",
) -> tuple[np.ndarray, Diarization]:
    """A conversation of everybody in `utterances` (speaker name -> utterances), and its exact reference.

    Returns ``(n,)`` float32 samples at 16 kHz within full scale, and a `Diarization` named `uri` with the
    speakers' names, whose labels are the neutral one and then `options.emotions` in their order.
    Raises `OptionError` where there is nobody, or somebody without neutral utterances, and
    `MissingDependencyError` where a room is drawn and pyroomacoustics isn't installed.

    >>> t = np.arange(32000) / 16000
    >>> people = {name: [Utterance(emotion, 0.1 * np.sin(2 * np.pi * f * k * t).astype(np.float32))
    ...                  for k, emotion in enumerate(("neutral", "happy", "sad"), 1)]
    ...           for name, f in (("ann", 220), ("bob", 110))}
    >>> samples, reference = simulate_conversation(people, 1, ConversationOptions(duration=20))
    >>> reference.speaker_names, len(samples) == round(reference.duration * 16000)
    (('ann', 'bob'), True)
    """
    options = options or ConversationOptions()
    rng = np.random.default_rng(seed)
    if not utterances:
        raise OptionError("a conversation of nobody: expected at least one speaker with utterances")
    people = {name: Talker(name, own, options, rng) for name, own in utterances.items()}
    _converse(list(people.values()), options, rng)
    length = max(person.end for person in people.values()) + seconds_to_samples(0.5)
    samples = _mix(list(people.values()), length, options, rng)
    labels = (options.neutral, *options.emotions)
    segments = [segment for person in people.values() for segment in person.segments()]
    return samples, Diarization(uri, samples_to_seconds(length), segments, labels)


def _converse(people: list[Talker], options: ConversationOptions, rng: np.random.Generator) -> None:
    """Hand the floor round until the time is over: fills each person's sounds and pieces."""
    order = [people[i] for i in rng.permutation(len(people))]  # everybody once, then as it comes
    last: Talker | None = None
    before: Talker | None = None
    start, end = 0, seconds_to_samples(rng.uniform(0.3, 1.0))
    while order or samples_to_seconds(end) < options.duration:
        person = order.pop() if order else _next_speaker(people, last, before, options, rng)
        sounds, pieces = person.turn()
        if last is None:
            begin = end
        elif person is last:
            begin = end + log_normal(rng, *options.hold_pause)
        else:
            limit = min(seconds_to_samples(options.longest_overlap), len(sounds) // 2, (end - start) // 2)
            begin = end + max(_offset(rng, options), -limit)
            before = last
        begin = max(begin, person.end + seconds_to_samples(0.1) if person.end else 0)
        person.say(begin, sounds, pieces)
        start, end, last = begin, max(end, begin + len(sounds)), person
        if len(sounds) > 3 * SAMPLE_RATE and rng.random() < options.backchannels:
            listeners = [p for p in people if p is not person and p.end < start]
            if listeners:
                at = start + int(rng.uniform(0.3, 0.7) * len(sounds))
                listeners[rng.integers(len(listeners))].backchannel(at)


def _next_speaker(
    people: list[Talker],
    last: Talker | None,
    before: Talker | None,
    options: ConversationOptions,
    rng: np.random.Generator,
) -> Talker:
    """Whoever spoke before the last one is twice as likely as the others: talk goes back and forth."""
    others = [person for person in people if person is not last]
    if not others or (last is not None and rng.random() < options.hold):
        return last or people[0]
    weights = np.array([2.0 if person is before else 1.0 for person in others])
    return others[rng.choice(len(others), p=weights / weights.sum())]


def _offset(rng: np.random.Generator, options: ConversationOptions) -> int:
    if rng.random() < options.lapse:
        return seconds_to_samples(0.5 + rng.exponential(options.lapse_pause))
    return seconds_to_samples(rng.normal(*options.offset))


def _draw_size(rng: np.random.Generator, options: ConversationOptions) -> tuple[float, float, float]:
    length, width, height = (float(rng.uniform(*extent)) for extent in options.room_size)
    return length, width, height


def _mix(
    people: list[Talker], length: int, options: ConversationOptions, rng: np.random.Generator
) -> np.ndarray:
    """Everybody's sound in one room at one microphone, with noise, within full scale, through the line."""
    responses: list[np.ndarray] = []
    if rng.random() < options.room:
        size = _draw_size(rng, options)
        distances = [float(rng.uniform(*options.distance)) for _ in people]
        responses = room_responses(rng, float(rng.uniform(*options.reverberation)), distances, size)
    mix = np.zeros(length, np.float32)
    for number, person in enumerate(people):
        track = np.zeros(length, np.float32)
        for start, sound in person.sounds:
            track[start : start + len(sound)] += sound
        mix += reverberate(track, responses[number]) if responses else track
    if options.noise is not None:
        below = options.level - float(rng.uniform(*options.noise))
        mix += np.float32(10 ** (below / 20)) * noise(rng, length, float(rng.uniform(-6, 0)))
    if (peak := float(np.abs(mix).max())) > 0.97:
        mix *= np.float32(0.97 / peak)
    weights = np.array(list(options.lines.values()), float)
    line = list(options.lines)[rng.choice(len(weights), p=weights / weights.sum())]
    return np.clip(through_line(mix, line), -1, 1).astype(np.float32)
