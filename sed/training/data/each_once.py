"""The paper's training set: each emotional utterance once an epoch, joined with neutral speech of its speaker.

In: prepared speech (`sed.corpora.audio.SpeechOptions`) and the number of a batch. Out: a padded batch, a pure function
of seed and number. Wang et al. (2023, arXiv 2306.12991) join the clips once and train on the same ones in every epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sed.corpora.stored import lengths_of
from sed.errors import OptionError
from sed.grid import HOP, samples_to_seconds, seconds_to_samples
from sed.simulation.patterns import NEUTRAL, PATTERNS, Event, join
from sed.training.data.augment import Augmentation
from sed.training.data.clips import Batch, Clip, Speech, Waves, collate
from sed.training.recipe.ranges import check_numbers


@dataclass(frozen=True)
class EachOnceOptions:
    """How clips are made and batched; the defaults are the paper's."""

    batch_clips: int = 2
    """Clips per batch; 0: as many similarly long ones as fit into `batch_seconds`."""
    batch_seconds: float = 0.0
    """With `batch_clips` 0: most seconds of a batch, padding included."""
    same_every_epoch: bool = True
    """Whether a clip is the same in every epoch, as in the paper, or gets another pattern and neutral speech."""
    match_level: bool = True
    """Whether the parts of a clip get the mean level of its first part."""
    longest: float = 0.0
    """Seconds after which a clip is cut, to bound the memory of a GPU; 0: never, as in the paper."""

    def __post_init__(self) -> None:
        """Raise `OptionError` on invalid values."""
        check_numbers(self, ["batch_clips", "batch_seconds", "longest"], 0)
        if not self.batch_clips and not (self.batch_seconds and self.same_every_epoch):
            raise OptionError(
                f"batch_clips 0 with batch_seconds {self.batch_seconds} and same_every_epoch"
                f" {self.same_every_epoch}: expected batch_seconds above 0 and same_every_epoch True"
            )
        if 0 < self.longest < samples_to_seconds(HOP):
            raise OptionError(f"longest: found {self.longest} s, expected 0 or at least a frame")


class Parts(NamedTuple):
    """The utterances of a clip in order, and the label of each."""

    numbers: tuple[int, ...]
    labels: tuple[str, ...]


class EachOnce:
    """Batches of an epoch of `speech`; ``len()`` is the number of clips, one for each utterance of an emotion.

    `labels` defines the order of the targets and the emotions to use. A speaker without neutral speech gives clips of
    the emotion only. `epoch_batches` is the number of batches of an epoch; with several processes it may be raised
    to a multiple of their number, and the first batches are repeated. Raises `OptionError` without any emotion.
    """

    def __init__(
        self,
        speech: Speech,
        labels: Sequence[str],
        options: EachOnceOptions | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.speech, self.labels = speech, tuple(labels)
        self.options, self.augmentation, self.seed = options or EachOnceOptions(), augmentation, seed
        self._lengths: list[int] = []
        self._neutral: dict[str, list[int]] = {}
        self._emotional: dict[str, list[int]] = {}
        self._label: list[str] = []
        for number, (utterance, samples) in enumerate(lengths_of(speech)):
            self._lengths.append(samples)
            self._label.append(utterance.emotion)
            if utterance.emotion in self.labels:
                kind = self._neutral if utterance.emotion == NEUTRAL else self._emotional
                kind.setdefault(utterance.speaker, []).append(number)
        if not self._emotional:
            emotions = ", ".join(label for label in self.labels if label != NEUTRAL)
            raise OptionError(f"found no speech of {emotions}, expected some of each")
        self._plan = lru_cache(2)(self._make_plan)
        self._batches = self._make_batches()
        self.epoch_batches = len(self._batches)

    def __len__(self) -> int:
        return sum(map(len, self._emotional.values()))

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_plan"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._plan = lru_cache(2)(self._make_plan)

    def batch(self, number: int) -> Batch:
        """Batch `number`; the order of the clips differs between epochs."""
        epoch, position = divmod(number, self.epoch_batches)
        rng = np.random.default_rng([self.seed, 1, epoch])
        if self.options.batch_clips:
            order = rng.permutation(len(self))
            chosen = [order[index] for index in self._batches[position % len(self._batches)]]
        else:
            order = rng.permutation(len(self._batches))
            chosen = self._batches[order[position % len(self._batches)]]
        clips = [
            self.clip(int(index), epoch, np.random.default_rng([self.seed, 2, number])) for index in chosen
        ]
        return collate(clips, self.labels, padded=True)

    def clip(self, index: int, epoch: int = 0, rng: np.random.Generator | None = None) -> Clip:
        """Clip `index` of an epoch, augmented with `rng`."""
        parts = self._plan(0 if self.options.same_every_epoch else epoch)[index]
        waves = list(Waves(self.speech, parts.numbers))
        if self.options.match_level:
            waves = [wave * np.float32(level(waves[0]) / max(level(wave), 1e-9)) for wave in waves]
        clean, events = join(waves, parts.labels, sources=parts.numbers)
        if (longest := seconds_to_samples(self.options.longest)) and len(clean) > longest:
            clean = clean[:longest]
            events = [replace(e, end=min(e.end, longest)) for e in events if e.start < longest]
        wave = clean
        if self.augmentation is not None and rng is not None:
            babble = Waves(self.speech, [int(n) for n in rng.integers(len(self.speech), size=3)])
            wave = self.augmentation(rng, clean, babble)
        return wave, clean, events

    def _make_plan(self, epoch: int) -> list[Parts]:
        """The parts of every clip of an epoch: patterns are drawn uniformly, neutral utterances in rotation."""
        rng = np.random.default_rng([self.seed, 0, epoch])
        plan = []
        for speaker, emotional in self._emotional.items():
            neutral = [
                self._neutral[speaker][n] for n in rng.permutation(len(self._neutral.get(speaker, ())))
            ]
            used = 0
            for number in rng.permutation(emotional).tolist():
                pattern = PATTERNS[list(PATTERNS)[rng.integers(len(PATTERNS))] if neutral else "emotion"]
                numbers = []
                for is_emotion in pattern:
                    numbers.append(number if is_emotion else neutral[used % len(neutral)])
                    used += not is_emotion
                plan.append(Parts(tuple(numbers), tuple(self._label[n] for n in numbers)))
        return plan

    def _make_batches(self) -> list[list[int]]:
        """The indices of the clips of each batch; with `batch_clips`, positions in the order of the epoch."""
        size = self.options.batch_clips
        if size:
            return [list(range(first, min(first + size, len(self)))) for first in range(0, len(self), size)]
        from speechbrain.dataio.sampler import DynamicBatchSampler

        limit = seconds_to_samples(self.options.longest) or max(1, 10**9)
        lengths = [min(sum(self._lengths[n] for n in parts.numbers), limit) for parts in self._plan(0)]
        if max(lengths) > (most := seconds_to_samples(self.options.batch_seconds)):
            raise OptionError(
                f"batch_seconds: found {self.options.batch_seconds}, expected at least the"
                f" {samples_to_seconds(max(lengths)):.1f} s of the longest clip, or a smaller `longest`"
            )
        sampler = DynamicBatchSampler(
            range(len(lengths)), most, num_buckets=50, shuffle=False, lengths_list=lengths
        )
        return [list(map(int, batch)) for batch in sampler]


class EachOnceClips(Sequence[tuple[np.ndarray, list[Event]]]):
    """The clips of an `EachOnce` for evaluation, evenly spaced ones if there are more than `most`; read when used."""

    def __init__(self, source: EachOnce, most: int | None = None) -> None:
        self.source = source
        count = min(len(source), most or len(source))
        self.chosen = np.linspace(0, len(source) - 1, count).round().astype(int).tolist()

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> tuple[np.ndarray, list[Event]]:  # type: ignore[override]
        """A clip without augmentation, and its events."""
        wave, _, events = self.source.clip(self.chosen[index])
        return wave, events


def level(wave: np.ndarray) -> float:
    """The root mean square of `wave`, silence included."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
