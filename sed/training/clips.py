"""Training clips: batch number in, waves and frame targets out, the same ones for the same seed.

Every batch is a pure function of the seed and its number, so a resumed run sees what an uninterrupted one
would have seen, and several processes share the numbers out among themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.errors import OptionError
from sed.grid import HOP, SAMPLE_RATE, seconds_to_samples
from sed.training.augment import Augmentation, change_speed
from sed.training.corpora import Utterance, to_float
from sed.training.patterns import NEUTRAL, Event, frame_labels, join, transition_pattern

Speech = Sequence[tuple[Utterance, np.ndarray]]


@dataclass(frozen=True)
class ClipOptions:
    """How clips are drawn. Times in seconds."""

    length: Sequence[float] = (2.0, 5.5)
    """Of a clip; drawn once a batch, so nothing is padded to the longest."""
    batch_seconds: float = 36.0
    """Audio in a batch, rounded to whole clips."""
    pattern_share: float = 0.45
    """Clips in one of the paper's four patterns; the others join utterances of any speakers and emotions, as
    a window of a conversation does."""
    same_speaker: float = 0.3
    """Of the other clips: share in which one person speaks all of them."""
    corpus_power: float = 0.25
    """Corpora are drawn by this power of their length: 0 is evenly, 1 as they come."""
    auxiliary_weight: float = 0.3
    """How often an emotion beyond the tagger's own labels is drawn, relative to one of those."""
    gap: tuple[float, float] = (0.0, 0.5)
    """Silence between utterances; frames in it have no target."""
    edge: float = 0.4
    """Silence that may precede and follow."""
    level_spread: float = 3.0
    """Deviation of the level of each utterance, dB."""


@dataclass(frozen=True)
class Batch:
    """`waves` ``(B, T)`` float32; `targets` ``(B, ceil(T / 320))`` int64, -1 where there is no target."""

    waves: np.ndarray
    targets: np.ndarray


class ClipSampler:
    """Draws balanced batches from loaded speech (`sed.training.corpora.load_speech`).

    Corpora are drawn by a power of their length, emotions evenly within a corpus (those not in
    `main_labels` by `ClipOptions.auxiliary_weight`), then speakers evenly, then utterances. `labels` gives
    the order of the targets. Raises `OptionError` where no utterance has any of `labels`.
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
        self.tree: dict[str, dict[str, dict[str, list[np.ndarray]]]] = {}  # corpus, emotion, speaker
        lengths: dict[str, int] = {}
        for utterance, samples in speech:
            if utterance.emotion in self.labels:
                emotions = self.tree.setdefault(utterance.corpus, {})
                emotions.setdefault(utterance.emotion, {}).setdefault(utterance.speaker, []).append(samples)
                lengths[utterance.corpus] = lengths.get(utterance.corpus, 0) + len(samples)
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
        clips = max(1, round(self.options.batch_seconds * SAMPLE_RATE / samples))
        waves = np.empty((clips, samples), np.float32)
        targets = np.empty((clips, frames), np.int64)
        for row in range(clips):
            waves[row], targets[row] = self.clip(rng, samples)
        return Batch(waves, targets)

    def clip(self, rng: np.random.Generator, samples: int) -> tuple[np.ndarray, np.ndarray]:
        """One augmented clip of `samples` samples and its targets, ``(ceil(samples / 320),)``."""
        corpus, emotion, speaker = self._draw(rng)
        if rng.random() < self.options.pattern_share and speaker in self.tree[corpus].get(NEUTRAL, {}):
            wave, events = self._pattern(rng, corpus, emotion, speaker)
        else:
            wave, events = self._mixture(rng, corpus, emotion, speaker, samples)
        wave, events = self._crop(rng, wave, events, samples)
        voices = [self._utterance(rng, *self._draw(rng)) for _ in range(3)]
        wave = self.augmentation(rng, wave, [to_float(voice) for voice in voices])
        return wave, frame_labels(events, samples, self.labels)

    def _draw(self, rng: np.random.Generator) -> tuple[str, str, str]:
        corpus = list(self.tree)[rng.choice(len(self.tree), p=self._shares)]
        emotions = list(self.tree[corpus])
        weights = np.array(
            [1.0 if e in self.main_labels else self.options.auxiliary_weight for e in emotions]
        )
        emotion = emotions[rng.choice(len(emotions), p=weights / weights.sum())]
        speakers = list(self.tree[corpus][emotion])
        return corpus, emotion, speakers[rng.integers(len(speakers))]

    def _utterance(self, rng: np.random.Generator, corpus: str, emotion: str, speaker: str) -> np.ndarray:
        candidates = self.tree[corpus][emotion][speaker]
        return candidates[rng.integers(len(candidates))]

    def _voice(self, rng: np.random.Generator, samples: np.ndarray, speed: float) -> np.ndarray:
        level = 10 ** (rng.normal(0, self.options.level_spread) / 20)
        return change_speed(to_float(samples), speed) * np.float32(level)

    def _pattern(
        self, rng: np.random.Generator, corpus: str, emotion: str, speaker: str
    ) -> tuple[np.ndarray, list[Event]]:
        speed = self.augmentation.draw_speed(rng)
        pools = []
        for label in (NEUTRAL, emotion):
            pool = self.tree[corpus][label][speaker]
            chosen = rng.permutation(len(pool))[:2]
            pools.append([self._voice(rng, pool[number], speed) for number in chosen])
        name = "emotion" if emotion == NEUTRAL else None
        return transition_pattern(rng, pools[0], pools[1], emotion, name, self.options.gap)

    def _mixture(
        self, rng: np.random.Generator, corpus: str, emotion: str, speaker: str, samples: int
    ) -> tuple[np.ndarray, list[Event]]:
        alone = rng.random() < self.options.same_speaker
        speed = self.augmentation.draw_speed(rng)
        waves: list[np.ndarray] = []
        labels: list[str] = []
        while sum(len(wave) for wave in waves) < 1.5 * samples:
            waves.append(self._voice(rng, self._utterance(rng, corpus, emotion, speaker), speed))
            labels.append(emotion)
            if alone:
                known = [e for e in self.tree[corpus] if speaker in self.tree[corpus][e]]
                emotion = known[rng.integers(len(known))]
            else:
                corpus, emotion, speaker = self._draw(rng)
                speed = self.augmentation.draw_speed(rng)
        gaps = [seconds_to_samples(rng.uniform(*self.options.gap)) for _ in waves[1:]]
        return join(waves, labels, gaps, fade=80)

    def _crop(
        self, rng: np.random.Generator, wave: np.ndarray, events: list[Event], samples: int
    ) -> tuple[np.ndarray, list[Event]]:
        """A stretch of `samples` samples from a random point on, silence where it passes the ends."""
        edge = seconds_to_samples(self.options.edge)
        low, high = -int(rng.integers(edge + 1)), len(wave) - samples + int(rng.integers(edge + 1))
        start = int(rng.integers(min(low, high), max(low, high) + 1))
        clip = np.zeros(samples, np.float32)
        first, last = max(start, 0), min(start + samples, len(wave))
        clip[first - start : last - start] = wave[first:last]
        moved = [Event(event.start - start, event.end - start, event.label) for event in events]
        return clip, moved


def pattern_clips(
    speech: Speech, labels: Sequence[str], clips: int, seed: int
) -> list[tuple[np.ndarray, list[Event]]]:
    """A fixed set of clips in the paper's four patterns for evaluation, without augmentation or gaps.

    The patterns, the emotions of `labels` and the speakers who have them take turns, so each gets its share.
    Raises `OptionError` where no speaker has both neutral and an emotion of `labels`.
    """
    rng = np.random.default_rng(seed)
    voices: dict[str, dict[str, list[np.ndarray]]] = {}
    for utterance, samples in speech:
        if utterance.emotion in labels:
            voices.setdefault(utterance.speaker, {}).setdefault(utterance.emotion, []).append(
                to_float(samples)
            )
    pairs = [
        (s, e) for s in voices if NEUTRAL in voices[s] for e in labels if e != NEUTRAL and e in voices[s]
    ]
    if not pairs:
        raise OptionError("no speaker has both neutral and emotional speech")
    patterns = ("neutral-emotion", "emotion-neutral", "neutral-emotion-neutral", "emotion")
    order: list[tuple[str, str]] = []
    while len(order) < clips:
        order += [pairs[number] for number in rng.permutation(len(pairs))]
    return [
        transition_pattern(rng, voices[speaker][NEUTRAL], voices[speaker][emotion], emotion, patterns[n % 4])
        for n, (speaker, emotion) in enumerate(order[:clips])
    ]
