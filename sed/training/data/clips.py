"""Training clips: batch number in, waves and frame targets out, reproducible by the seed.

Every batch is a pure function of the seed and its number, so runs resume exactly, and processes can share the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sed.corpora.audio import Utterance, to_float
from sed.corpora.stored import lengths_of, utterances_of
from sed.errors import OptionError
from sed.grid import HOP, SAMPLE_RATE, frame_count, samples_to_seconds, seconds_to_samples
from sed.simulation.patterns import NEUTRAL, Event, frame_labels, join, transition_pattern
from sed.training.data.augment import Augmentation, change_speed
from sed.training.recipe.ranges import check_numbers, check_ranges

Speech = Sequence[tuple[Utterance, np.ndarray]]
Clip = tuple[np.ndarray, np.ndarray, list[Event]]  # augmented wave, clean wave, events


@dataclass(frozen=True)
class ClipOptions:
    """How clips are drawn. Times in seconds."""

    length: Sequence[float] = (2.0, 5.5)
    """Range of clip lengths; drawn once per batch, so that nothing is padded."""
    batch_seconds: float = 36.0
    """Amount of audio per batch, rounded to whole clips."""
    pattern_share: float = 0.45
    """Share of clips with one of the paper's four transition patterns; the others concatenate utterances of any
    speakers and emotions, as in a window of a conversation."""
    same_speaker: float = 0.3
    """Of the other clips: share with a single speaker."""
    corpus_power: float = 0.25
    """Corpora are drawn in proportion to this power of their duration: 0 is uniform, 1 proportional."""
    auxiliary_weight: float = 0.3
    """How often an emotion outside the main labels is drawn, relative to one of them."""
    neutral_weight: float = 1.0
    """How often neutral is drawn, relative to an emotion; a pattern then consists of neutral only."""
    gap: tuple[float, float] = (0.0, 0.5)
    """Silence between utterances; frames in it have no target."""
    edge: float = 0.4
    """Largest silence before and after the speech."""
    level_spread: float = 3.0
    """Standard deviation of the level of utterances, dB."""
    batch_clips: int = 0
    """Clips per batch; 0: determined by `batch_seconds`."""
    whole: bool = False
    """Whether clips keep their own length, up to the maximum of `length`; shorter clips of a batch are padded, and
    padding has no target. Without `batch_clips`, as many clips as fit into `batch_seconds` with their padding."""

    def __post_init__(self) -> None:
        """Raise `OptionError` on invalid lengths, shares and weights."""
        check_ranges(self, ["length"], samples_to_seconds(HOP))
        check_ranges(self, ["gap"], 0)
        check_numbers(self, ["pattern_share", "same_speaker"], 0, 1)
        check_numbers(self, ["corpus_power"], -math.inf)
        check_numbers(
            self,
            ["batch_seconds", "auxiliary_weight", "neutral_weight", "edge", "level_spread", "batch_clips"],
            0,
        )


@dataclass(frozen=True)
class Batch:
    """`waves` ``(B, T)`` float32; `targets` ``(B, ceil(T / 320))`` int64, -1 where there is no target.

    `clean` are the waves before augmentation, time-aligned with `waves`; `events` lists for each clip the emotions with
    start and end in samples, and as `source` the index of the utterance in the sampler's speech; `lengths` are the
    samples of each clip before padding, None if nothing is padded.
    """

    waves: np.ndarray
    targets: np.ndarray
    clean: np.ndarray | None = None
    events: Sequence[Sequence[Event]] = ()
    lengths: np.ndarray | None = None


class ClipSampler:
    """Draws balanced batches from loaded speech (`sed.corpora.audio.load_speech`).

    Corpora are drawn by a power of their duration, emotions uniformly within a corpus (those not in
    `main_labels` by `ClipOptions.auxiliary_weight`), then speakers and utterances uniformly. `labels` defines
    the order of the targets. Raises `OptionError` if no utterance has any of `labels`.
    """

    def __init__(
        self,
        speech: Speech,
        labels: Sequence[str],
        main_labels: Sequence[str],
        options: ClipOptions | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.labels = tuple(labels)
        self.main_labels = tuple(main_labels)
        self.options = options or ClipOptions()
        self.augmentation = augmentation or Augmentation()
        self.seed = seed
        self.speech = speech
        # Indices of utterances by corpus, emotion, speaker.
        self.tree: dict[str, dict[str, dict[str, list[int]]]] = {}
        lengths: dict[str, int] = {}
        for number, (utterance, samples) in enumerate(lengths_of(speech)):
            if utterance.emotion in self.labels:
                emotions = self.tree.setdefault(utterance.corpus, {})
                emotions.setdefault(utterance.emotion, {}).setdefault(utterance.speaker, []).append(number)
                lengths[utterance.corpus] = lengths.get(utterance.corpus, 0) + samples
        if not self.tree:
            raise OptionError(f"no training speech with any of the emotions {', '.join(self.labels)}")
        shares = np.array([lengths[corpus] for corpus in self.tree], float) ** self.options.corpus_power
        self._shares = shares / shares.sum()

    def batch(self, number: int) -> Batch:
        """Batch `number`."""
        rng = np.random.default_rng([self.seed, number])
        shortest, longest = (seconds_to_samples(seconds) // HOP for seconds in self.options.length)
        frames = int(rng.integers(shortest, longest, endpoint=True))
        samples = frames * HOP
        count = self.options.batch_clips or max(1, round(self.options.batch_seconds * SAMPLE_RATE / samples))
        if self.options.whole:
            return collate(self._whole_clips(rng, longest * HOP), self.labels, padded=True)
        return collate([self.clip(rng, samples) for _ in range(count)], self.labels)

    def _whole_clips(self, rng: np.random.Generator, samples: int) -> list[Clip]:
        """`batch_clips` clips of at most `samples` samples, or as many as fit into `batch_seconds`, at least one."""
        if self.options.batch_clips:
            return [self.clip(rng, samples) for _ in range(int(self.options.batch_clips))]
        clips: list[Clip] = []
        longest = 0
        while True:
            clip = self.clip(rng, samples)
            longest = max(longest, len(clip[0]))
            if clips and (len(clips) + 1) * longest > seconds_to_samples(self.options.batch_seconds):
                return clips
            clips.append(clip)

    def clip(self, rng: np.random.Generator, samples: int) -> Clip:
        """One augmented clip of `samples` samples (with `whole` of its own length, at most `samples`)."""
        corpus, emotion, speaker = self._draw(rng)
        if rng.random() < self.options.pattern_share and speaker in self.tree[corpus].get(NEUTRAL, {}):
            clean, events = self._pattern(rng, corpus, emotion, speaker)
        else:
            clean, events = self._mixture(rng, corpus, emotion, speaker, samples)
        if not self.options.whole or len(clean) > samples:
            clean, events = self._crop(rng, clean, events, samples)
        babble = Waves(self.speech, [self._utterance(rng, *self._draw(rng)) for _ in range(3)])
        return self.augmentation(rng, clean, babble), clean, events

    def _draw(self, rng: np.random.Generator) -> tuple[str, str, str]:
        corpus = list(self.tree)[rng.choice(len(self.tree), p=self._shares)]
        emotions = list(self.tree[corpus])
        weights = np.array(
            [
                (1.0 if e in self.main_labels else self.options.auxiliary_weight)
                * (self.options.neutral_weight if e == NEUTRAL else 1.0)
                for e in emotions
            ]
        )
        if not weights.any():  # a corpus with neutral speech only
            weights[:] = 1.0
        emotion = emotions[rng.choice(len(emotions), p=weights / weights.sum())]
        speakers = list(self.tree[corpus][emotion])
        return corpus, emotion, speakers[rng.integers(len(speakers))]

    def _utterance(self, rng: np.random.Generator, corpus: str, emotion: str, speaker: str) -> int:
        candidates = self.tree[corpus][emotion][speaker]
        return candidates[rng.integers(len(candidates))]

    def _varied(self, rng: np.random.Generator, number: int, speed: float) -> np.ndarray:
        level = 10 ** (rng.normal(0, self.options.level_spread) / 20)
        return change_speed(to_float(self.speech[number][1]), speed) * np.float32(level)

    def _pattern(
        self, rng: np.random.Generator, corpus: str, emotion: str, speaker: str
    ) -> tuple[np.ndarray, list[Event]]:
        speed = self.augmentation.draw_speed(rng)
        pools, numbers = [], []
        for label in (NEUTRAL, emotion):
            pool = self.tree[corpus][label][speaker]
            numbers.append([pool[chosen] for chosen in rng.permutation(len(pool))[:2]])
            pools.append([self._varied(rng, number, speed) for number in numbers[-1]])
        name = "emotion" if emotion == NEUTRAL else None
        sources = (numbers[0], numbers[1])
        return transition_pattern(rng, pools[0], pools[1], emotion, name, self.options.gap, sources=sources)

    def _mixture(
        self, rng: np.random.Generator, corpus: str, emotion: str, speaker: str, samples: int
    ) -> tuple[np.ndarray, list[Event]]:
        one_speaker = rng.random() < self.options.same_speaker
        speed = self.augmentation.draw_speed(rng)
        waves: list[np.ndarray] = []
        labels: list[str] = []
        numbers: list[int] = []
        while sum(len(wave) for wave in waves) < 1.5 * samples:
            numbers.append(self._utterance(rng, corpus, emotion, speaker))
            waves.append(self._varied(rng, numbers[-1], speed))
            labels.append(emotion)
            if one_speaker:
                available = [e for e in self.tree[corpus] if speaker in self.tree[corpus][e]]
                emotion = available[rng.integers(len(available))]
            else:
                corpus, emotion, speaker = self._draw(rng)
                speed = self.augmentation.draw_speed(rng)
        gaps = [seconds_to_samples(rng.uniform(*self.options.gap)) for _ in waves[1:]]
        return join(waves, labels, gaps, fade=80, sources=numbers)

    def _crop(
        self, rng: np.random.Generator, wave: np.ndarray, events: list[Event], samples: int
    ) -> tuple[np.ndarray, list[Event]]:
        """An excerpt of `samples` samples at a random position, with silence beyond the ends of `wave`."""
        edge = seconds_to_samples(self.options.edge)
        low, high = -int(rng.integers(edge + 1)), len(wave) - samples + int(rng.integers(edge + 1))
        start = int(rng.integers(min(low, high), max(low, high) + 1))
        clip = np.zeros(samples, np.float32)
        first, last = max(start, 0), min(start + samples, len(wave))
        clip[first - start : last - start] = wave[first:last]
        moved = [replace(event, start=event.start - start, end=event.end - start) for event in events]
        return clip, moved


def collate(clips: Sequence[Clip], labels: Sequence[str], padded: bool = False) -> Batch:
    """`clips` as one batch, padded with zeros at the end; `lengths` is set only with `padded`."""
    longest = max(len(wave) for wave, _, _ in clips)
    waves, clean = np.zeros((2, len(clips), longest), np.float32)
    targets = np.full((len(clips), frame_count(longest)), -1, np.int64)
    for row, (wave, original, events) in enumerate(clips):
        waves[row, : len(wave)], clean[row, : len(wave)] = wave, original
        targets[row, : frame_count(len(wave))] = frame_labels(events, len(wave), labels)
    lengths = np.array([len(wave) for wave, _, _ in clips]) if padded else None
    return Batch(waves, targets, clean, [events for _, _, events in clips], lengths)


class Waves(Sequence[np.ndarray]):
    """The waves of some utterances of `speech`, float32, each read when it is used."""

    def __init__(self, speech: Speech, numbers: Sequence[int]) -> None:
        self.speech, self.numbers = speech, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: Any) -> Any:
        """The wave of utterance ``numbers[index]``."""
        return to_float(self.speech[self.numbers[index]][1])


def pattern_clips(
    speech: Speech, labels: Sequence[str], clips: int, seed: int
) -> list[tuple[np.ndarray, list[Event]]]:
    """A fixed set of evaluation clips with the paper's four patterns, without augmentation or gaps.

    Patterns, emotions of `labels` and speakers are used in rotation, so that all are equally frequent. Raises
    `OptionError` if `clips` is above 0 and no speaker has both neutral and an emotion of `labels`.
    """
    if not clips:
        return []
    rng = np.random.default_rng(seed)
    by_speaker: dict[str, dict[str, list[int]]] = {}
    for number, utterance in enumerate(utterances_of(speech)):
        if utterance.emotion in labels:
            by_speaker.setdefault(utterance.speaker, {}).setdefault(utterance.emotion, []).append(number)
    pairs = [
        (speaker, emotion)
        for speaker, emotions in by_speaker.items()
        if NEUTRAL in emotions
        for emotion in labels
        if emotion != NEUTRAL and emotion in emotions
    ]
    if not pairs:
        sets = ", ".join(
            sorted({f"{utterance.corpus} ({utterance.split})" for utterance in utterances_of(speech)})
        )
        raise OptionError(
            f"found no speaker of {sets or 'an empty set'} with both {NEUTRAL} and one of"
            f" {', '.join(label for label in labels if label != NEUTRAL)}, expected one for the transition patterns"
        )
    patterns = ("neutral-emotion", "emotion-neutral", "neutral-emotion-neutral", "emotion")
    order: list[tuple[str, str]] = []
    while len(order) < clips:
        order += [pairs[number] for number in rng.permutation(len(pairs))]
    return [
        transition_pattern(
            rng,
            Waves(speech, by_speaker[speaker][NEUTRAL]),
            Waves(speech, by_speaker[speaker][emotion]),
            emotion,
            patterns[n % 4],
        )
        for n, (speaker, emotion) in enumerate(order[:clips])
    ]
