"""Training windows of stored states: batch number in, states and soft targets of frames out, reproducible by the seed.

Acted corpora are drawn by a power of their size, then their emotions, speakers and utterances uniformly; ordinary
speech is drawn by source, then by speaker. A window is the speech of one utterance or of two, whose boundary the heads
learn to find. A view of each utterance is drawn, too, so that the room and the line say nothing about the emotion.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.corpora.audio import Utterance
from sed.errors import OptionError
from sed.grid import FRAME_RATE
from sed.simulation.patterns import NEUTRAL
from sed.training.data.states import Part
from sed.training.recipe.ranges import check_numbers, check_ranges

RATE = FRAME_RATE / 2  # of stored states, a second
STYLE_ALPHA = 0.4  # of the beta distribution of the share of an utterance's own style


@dataclass(frozen=True)
class WindowOptions:
    """How windows are drawn and what their targets are. Times in seconds."""

    length: Sequence[float] = (1.5, 4.0)
    """Range of window lengths, drawn once a batch."""
    windows: int = 64
    """Windows a batch."""
    pairs: float = 0.5
    """Share of windows that join two utterances."""
    ordinary: float = 0.3
    """Share of utterances that are ordinary speech."""
    ordinary_neutral: float = 0.85
    """Target of neutral for ordinary speech; the rest is divided equally among the other labels."""
    plain: float = 0.34
    """Share of utterances as they were recorded; the others are a changed view of them."""
    corpus_power: float = 0.25
    """Acted corpora are drawn in proportion to this power of their number of utterances."""
    auxiliary_weight: float = 0.3
    """How often an emotion outside the main labels is drawn, relative to one of them."""
    neutral_weight: float = 1.0
    """How often acted neutral speech is drawn, relative to an emotion."""
    smoothing: float = 0.15
    """Share of an acted label's target that is divided equally among all labels."""
    votes: float = 0.5
    """Weight of the listeners' votes against the intended emotion, where there are votes."""
    least_votes: float = 0.1
    """Utterances whose intended emotion has a smaller share of the votes are left out."""
    styles: float = 0.0
    """MixStyle: share of utterances whose mean and deviation are mixed with those of one of another corpus."""
    styles_within: bool = True
    """Whether that other utterance has the same emotion."""

    def __post_init__(self) -> None:
        """Raise `OptionError` on invalid lengths and shares."""
        check_ranges(self, ["length"], 2 / RATE)
        shares = [
            "pairs",
            "ordinary",
            "ordinary_neutral",
            "plain",
            "smoothing",
            "votes",
            "least_votes",
            "styles",
        ]
        check_numbers(self, shares, 0, 1)
        check_numbers(self, ["windows", "auxiliary_weight", "neutral_weight"], 0)


@dataclass(frozen=True)
class Windows:
    """`states` ``(B, F, width)`` float32; `targets` ``(B, F, labels)`` float32, each row a distribution; `runs`
    ``(B, F)`` int64, where in the window the utterance of a frame begins; `sources` ``(B, F)`` int64, its corpus as
    index of `WindowSampler.sources`, and `emotions`, its emotion as index of the labels; `twins`, the same windows in
    another view of their utterances, as `states`, if they were asked for."""

    states: np.ndarray
    targets: np.ndarray
    runs: np.ndarray
    sources: np.ndarray
    emotions: np.ndarray
    twins: np.ndarray | None = None


@dataclass(frozen=True)
class _Source:
    """One corpus: the keys of its utterances by emotion and speaker, and their number."""

    by_emotion: dict[str, dict[str, list[int]]]
    size: int


class WindowSampler:
    """Draws batches from `acted` and `ordinary` parts (`compute_states`), with targets over `labels`.

    With `twins` each window also has its twin, the same speech in another view. Raises `OptionError` if there is
    nothing to draw, or no acted utterance of one of `main_labels`.
    """

    def __init__(
        self,
        acted: Sequence[Part],
        ordinary: Sequence[Part],
        labels: Sequence[str],
        main_labels: Sequence[str],
        options: WindowOptions | None = None,
        seed: int = 0,
        twins: bool = False,
    ) -> None:
        self._has_twins = twins
        self.labels, self.main_labels = tuple(labels), tuple(main_labels)
        self.options, self.seed = options or WindowOptions(), seed
        self._views: dict[int, list[np.ndarray]] = {}
        self._targets: dict[int, np.ndarray] = {}
        self._origins: dict[int, tuple[str, str]] = {}  # corpus and emotion
        self.acted = self._index(acted, is_ordinary=False)
        self.ordinary = self._index(ordinary, is_ordinary=True)
        if not self.acted:
            raise OptionError(f"no training speech with any of the emotions {', '.join(labels)}")
        known = {emotion for source in self.acted.values() for emotion in source.by_emotion}
        if missing := set(main_labels) - known:
            raise OptionError(f"no training speech with the emotions {', '.join(sorted(missing))}")
        self.sources = tuple(sorted({*self.acted, *self.ordinary}))
        """The corpora, acted and ordinary ones."""
        self._places = {
            key: (self.sources.index(corpus), self.labels.index(emotion))
            for key, (corpus, emotion) in self._origins.items()
        }

    def _index(self, parts: Sequence[Part], is_ordinary: bool) -> dict[str, _Source]:
        keys: dict[tuple[str, str], int] = {}
        found: dict[str, dict[str, dict[str, list[int]]]] = {}
        for part in parts:
            for number, utterance in enumerate(part.utterances):
                target = self._target(utterance, is_ordinary)
                if target is None or len(part.frames(number)) == 0:
                    continue
                row = f"{utterance.path} {utterance.start}"
                key = keys.setdefault((utterance.corpus, row), len(self._views))
                self._views.setdefault(key, []).append(part.frames(number))
                if key in self._targets:
                    continue
                self._targets[key] = target
                emotion = NEUTRAL if is_ordinary else utterance.emotion
                self._origins[key] = utterance.corpus, emotion
                corpus = found.setdefault(utterance.corpus, defaultdict(lambda: defaultdict(list)))
                corpus[emotion][utterance.speaker].append(key)
        return {
            corpus: _Source(emotions, sum(len(k) for s in emotions.values() for k in s.values()))
            for corpus, emotions in found.items()
        }

    def _target(self, utterance: Utterance, is_ordinary: bool) -> np.ndarray | None:
        """The distribution over the labels, None if the utterance is not used."""
        o, count = self.options, len(self.labels)
        target = np.zeros(count, np.float32)
        if is_ordinary:
            target[:] = (1 - o.ordinary_neutral) / (count - 1)
            target[self.labels.index(NEUTRAL)] = o.ordinary_neutral
            return target
        if utterance.emotion not in self.labels:
            return None
        target[self.labels.index(utterance.emotion)] = 1
        votes = utterance.ratings.votes if utterance.ratings else {}
        total = sum(votes.values())
        if total:
            if votes.get(utterance.emotion, 0) < o.least_votes * total:
                return None
            heard = np.array([votes.get(label, 0) for label in self.labels], np.float32) / total
            target = (1 - o.votes) * target + o.votes * heard
        return (1 - o.smoothing) * target / target.sum() + o.smoothing / count

    def batch(self, number: int) -> Windows:
        """Batch `number`."""
        rng = np.random.default_rng([self.seed, number])
        o = self.options
        shortest, longest = o.length
        frames = round(rng.uniform(shortest, longest) * RATE)
        width = next(iter(self._views.values()))[0].shape[1]
        states = np.empty((o.windows, frames, width), np.float32)
        twins = np.empty_like(states) if self._has_twins else None
        targets = np.empty((o.windows, frames, len(self.labels)), np.float32)
        runs, sources, emotions = (np.empty((o.windows, frames), np.int64) for _ in range(3))
        for row in range(o.windows):
            start = 0
            cut = int(rng.integers(frames // 4, frames - frames // 4)) if rng.random() < o.pairs else frames
            for end in (cut, frames):
                while start < end:  # an utterance shorter than its share is followed by others
                    key = self._draw(rng)
                    view, twin = self._two_views(rng, key)
                    # Views at another speed have another length: the same relative place of both.
                    count = min(end - start, len(view), len(twin))
                    place = rng.random()
                    stop = start + count
                    states[row, start:stop] = self._restyled(rng, key, view, _cut(view, place, count))
                    if twins is not None:
                        twins[row, start:stop] = _cut(twin, place, count)
                    targets[row, start:stop], runs[row, start:stop] = self._targets[key], start
                    sources[row, start:stop], emotions[row, start:stop] = self._places[key]
                    start = stop
        return Windows(states, targets, runs, sources, emotions, twins)

    def _restyled(
        self, rng: np.random.Generator, key: int, view: np.ndarray, states: np.ndarray
    ) -> np.ndarray:
        """`states` of utterance `key` in `view`, for a share of `styles` partly in the style of another corpus."""
        if not self.options.styles or rng.random() >= self.options.styles:
            return states
        other = self._draw_elsewhere(rng, key)
        if other is None:
            return states
        kept = rng.beta(STYLE_ALPHA, STYLE_ALPHA)
        return mix_style(states, view, self._two_views(rng, other)[0], kept)

    def _draw_elsewhere(self, rng: np.random.Generator, key: int) -> int | None:
        """An utterance of another corpus, drawn by corpus, speaker and utterance; None if there is none."""
        corpus, emotion = self._origins[key]
        within = self.options.styles_within
        found = [
            speakers
            for group in (self.acted, self.ordinary)
            for name, source in group.items()
            if name != corpus
            for label, speakers in source.by_emotion.items()
            if not within or label == emotion
        ]
        if not found:
            return None
        speakers = list(found[int(rng.integers(len(found)))].values())
        keys = speakers[int(rng.integers(len(speakers)))]
        return keys[int(rng.integers(len(keys)))]

    def _two_views(self, rng: np.random.Generator, key: int) -> tuple[np.ndarray, np.ndarray]:
        views = self._views[key]
        if len(views) == 1:
            return views[0], views[0]
        changed = views[1 + int(rng.integers(len(views) - 1))]
        return (views[0], changed) if rng.random() < self.options.plain else (changed, views[0])

    def _draw(self, rng: np.random.Generator) -> int:
        is_ordinary = bool(self.ordinary) and rng.random() < self.options.ordinary
        found = self.ordinary if is_ordinary else self.acted
        shares = np.array([source.size for source in found.values()], float) ** (
            0.5 if is_ordinary else self.options.corpus_power
        )
        source = list(found.values())[rng.choice(len(found), p=shares / shares.sum())]
        emotions = list(source.by_emotion)
        weights = np.array([self._weight(emotion) for emotion in emotions])
        emotion = emotions[rng.choice(len(emotions), p=weights / weights.sum())]
        speakers = list(source.by_emotion[emotion].values())
        keys = speakers[int(rng.integers(len(speakers)))]
        return keys[int(rng.integers(len(keys)))]

    def _weight(self, emotion: str) -> float:
        if emotion == NEUTRAL:
            return max(self.options.neutral_weight, 1e-6)
        return 1.0 if emotion in self.main_labels else max(self.options.auxiliary_weight, 1e-6)


def _cut(states: np.ndarray, place: float, count: int) -> np.ndarray:
    start = round(place * (len(states) - count))
    return states[start : start + count]


def mix_style(states: np.ndarray, own: np.ndarray, other: np.ndarray, kept: float) -> np.ndarray:
    """MixStyle (Zhou et al., ICLR 2021): `states` ``(F, width)`` of the utterance `own`, with a share `kept` of its
    mean and deviation over time and the rest from the utterance `other`, as if recorded partly where that was.

    >>> own, other = np.array([[0.0], [2.0]]), np.array([[10.0], [14.0]])
    >>> [mix_style(own, own, other, kept).ravel().round(1).tolist() for kept in (0.0, 0.5)]
    [[10.0, 14.0], [5.0, 8.0]]
    """
    (mean, deviation), (new_mean, new_deviation) = (_style(each) for each in (own, other))
    gain = kept + (1 - kept) * new_deviation / deviation
    return (states - mean) * gain + kept * mean + (1 - kept) * new_mean


def _style(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    states = states.astype(np.float32)
    return states.mean(0), states.std(0) + 1e-3
