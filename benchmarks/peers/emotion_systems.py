"""Emotion classifiers with one interface, ours and peers: posteriors of utterances and of the frames of clips.

In: ``(n,)`` float32 waves at 16 kHz, trimmed and equalised. Out: ``(recordings, labels)`` and, for each clip,
``(frames, labels)`` at 50 per second. Utterance-level systems process a clip in windows of 1.5 s, two per second,
with a second classifier that was trained on the middle window of each utterance. Systems are trained on `train`
speakers and tuned (layer, strength of regularisation, epoch, temperature) on `valid` ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.peers.emotion_features import (
    CLIP_STEP,
    Features,
    LogMel,
    cached,
    frames_of,
    middle,
    to_frames,
    windows,
)
from sed.corpora.audio import to_float
from sed.emotion import load_tagger
from sed.emotion.tagger import Tagger
from sed.emotion.windows import posteriors_of
from sed.grid import HOP
from sed.scoring.recall import mean_recall_by
from sed.training.data.clips import Speech

SPECTROGRAM_HOP = HOP // 2  # samples from one spectrogram frame to the next
CELL_POWER = 0.75  # an emotion with n utterances in a corpus weighs n ** 0.25 in total, as in our recipe
EPOCHS = 20
STRENGTHS = {"svm": (0.3, 1.0, 3.0, 10.0), "linear": (1e-4, 1e-3, 1e-2, 1e-1)}
TEMPERATURES = np.geomspace(0.05, 20, 60)


class System(Protocol):
    """A trained classifier."""

    name: str
    how: str
    """A description of one line for the notes of the table."""

    def utterances(self, waves: Sequence[np.ndarray], cache: Path | None = None) -> np.ndarray:
        """``(recordings, labels)``."""
        ...

    def clips(self, waves: Sequence[np.ndarray], cache: Path | None = None) -> list[np.ndarray]:
        """``(frames, labels)`` of each."""
        ...


class FrameTagger:
    """A `Tagger`; the posterior of an utterance is the mean over its frames. `labels` selects and orders."""

    def __init__(self, name: str, tagger: Tagger, labels: Sequence[str], how: str) -> None:
        self.name, self.how, self._tagger = name, how, tagger
        self._columns = [tagger.labels.index(label) for label in labels]

    def utterances(self, waves: Sequence[np.ndarray], cache: Path | None = None) -> np.ndarray:
        """Mean posteriors; never from the cache."""
        return np.stack([frames.mean(0) for frames in self.clips(waves)])

    def clips(self, waves: Sequence[np.ndarray], cache: Path | None = None) -> list[np.ndarray]:
        """Frame posteriors; never from the cache."""
        found = [posteriors_of(self._tagger, wave)[:, self._columns] for wave in waves]
        return [frames / np.maximum(frames.sum(1, keepdims=True), 1e-9) for frames in found]


def published(name: str, folder: Path, labels: Sequence[str]) -> FrameTagger:
    """A published model in a folder of its layout (SpeechBrain's WavLM, FunASR's emotion2vec), through
    `sed.emotion.load_tagger`; of its labels ours are used."""
    return FrameTagger(name, load_tagger(folder), labels, "the folder's, as it comes, by frames")


def softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def temperature_of(scores: np.ndarray, true: np.ndarray) -> float:
    """The temperature at which ``softmax(scores / temperature)`` has the highest likelihood."""
    losses = [-np.log(softmax(scores / t)[np.arange(len(true)), true] + 1e-12).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])


def truth_of(speech: Speech, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label numbers, corpora and training weights of utterances."""
    true = np.array([list(labels).index(utterance.emotion) for utterance, _ in speech])
    corpora = np.array([utterance.corpus for utterance, _ in speech])
    return true, corpora, cell_weights(true, corpora, CELL_POWER)


def cell_weights(true: np.ndarray, corpora: np.ndarray, power: float) -> np.ndarray:
    """Training weights, mean 1: an utterance of an emotion with n utterances in its corpus weighs ``n ** -power``."""
    cells = Counter(zip(corpora, true, strict=True))
    weights = np.array([cells[cell] ** -power for cell in zip(corpora, true, strict=True)])
    return weights / weights.mean()


class _Classifier:
    """Features of one layer, scaled, to scores: a support vector machine or logistic regression."""

    def __init__(self, kind: str, layer: int, strength: float) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        self.layer, self.strength, self.temperature = layer, strength, 1.0
        self._scale = StandardScaler()
        self._model: Any = (
            SVC(C=strength, decision_function_shape="ovr")
            if kind == "svm"
            else LogisticRegression(C=strength, max_iter=400)
        )

    def fit(self, features: np.ndarray, true: np.ndarray, weights: np.ndarray) -> _Classifier:
        self._model.fit(self._scale.fit_transform(features[:, self.layer]), true, sample_weight=weights)
        return self

    def scores(self, features: np.ndarray) -> np.ndarray:
        return self._model.decision_function(self._scale.transform(features[:, self.layer]))

    def posteriors(self, features: np.ndarray) -> np.ndarray:
        return softmax(self.scores(features) / self.temperature)


class Pooled:
    """A classifier on frozen features: `kind` is ``svm`` (radial basis) or ``linear`` (logistic regression)."""

    def __init__(self, name: str, features: Features, kind: str) -> None:
        self.name, self.how = name, ""
        self._features, self._kind = features, kind

    def fit(self, train: Speech, valid: Speech, labels: Sequence[str], cache: Path | None) -> Pooled:
        """Train on `train`, choose layer, strength and temperatures on `valid`."""
        sets = []
        for speech in (train, valid):
            waves = [to_float(samples) for _, samples in speech]
            spans = [[(0, len(wave)), middle(len(wave))] for wave in waves]
            found = np.stack(cached(self._features, waves, spans, cache))
            sets.append((found[:, 0], found[:, 1], *truth_of(speech, labels)))
        whole, parts, true, _, weights = sets[0]
        held, held_parts, held_true, held_corpora, _ = sets[1]
        best: tuple[float, _Classifier] | None = None
        for layer in range(whole.shape[1]):
            for strength in STRENGTHS[self._kind]:
                tried = _Classifier(self._kind, layer, strength).fit(whole, true, weights)
                recall = mean_recall_by(held_true, tried.scores(held).argmax(1), held_corpora, len(labels))
                if best is None or recall > best[0]:
                    best = recall, tried
        assert best is not None
        self._whole = best[1]
        self._window = _Classifier(self._kind, self._whole.layer, self._whole.strength)
        self._window.fit(parts, true, weights)
        self._whole.temperature = temperature_of(self._whole.scores(held), held_true)
        self._window.temperature = temperature_of(self._window.scores(held_parts), held_true)
        layers = f"layer {self._whole.layer} of 0-{whole.shape[1] - 1}, " if whole.shape[1] > 1 else ""
        self.how = f"{whole.shape[2]} numbers, {layers}C = {self._whole.strength:g}"
        return self

    def utterances(self, waves: Sequence[np.ndarray], cache: Path | None = None) -> np.ndarray:
        """Posteriors of whole utterances."""
        found = cached(self._features, waves, [[(0, len(wave))] for wave in waves], cache)
        return self._whole.posteriors(np.concatenate(found))

    def clips(self, waves: Sequence[np.ndarray], cache: Path | None = None) -> list[np.ndarray]:
        """Posteriors of windows, interpolated."""
        spans = [windows(len(wave), CLIP_STEP) for wave in waves]
        found = cached(self._features, waves, spans, cache)
        return [
            to_frames(self._window.posteriors(rows), own, frames_of(len(wave)))
            for rows, own, wave in zip(found, spans, waves, strict=True)
        ]


class Cnn:
    """The network of `emotion_cnn` on log-mel spectrograms; the same one for utterances and windows."""

    name = "log-mel CNN"

    def __init__(self) -> None:
        self.how = ""
        self._features = LogMel()
        self._temperatures = {"whole": 1.0, "window": 1.0}

    def fit(self, train: Speech, valid: Speech, labels: Sequence[str], cache: Path | None, seed: int) -> Cnn:
        """Train on `train` for a fixed number of epochs, keep the one with the best recall on `valid`."""
        from benchmarks.peers.emotion_cnn import LogMelCnn, logits
        from benchmarks.peers.emotion_cnn import train as train_network

        spectrograms, held = (
            self._spectrograms([to_float(s) for _, s in speech], cache) for speech in (train, valid)
        )
        true, _, weights = truth_of(train, labels)
        held_true, held_corpora, _ = truth_of(valid, labels)

        def validate(model: LogMelCnn) -> float:
            predicted = np.array([logits(model, one[None])[0].argmax() for one in held])
            return mean_recall_by(held_true, predicted, held_corpora, len(labels))

        self._model = train_network(spectrograms, true, weights, validate, EPOCHS, seed)
        whole = np.concatenate([logits(self._model, spectrogram[None]) for spectrogram in held])
        parts = [
            self._windows(spectrogram, [middle(len(s))])
            for spectrogram, (_, s) in zip(held, valid, strict=True)
        ]
        self._temperatures["whole"] = temperature_of(whole, held_true)
        self._temperatures["window"] = temperature_of(np.concatenate(parts), held_true)
        size = sum(p.numel() for p in self._model.parameters())
        self.how = f"{size / 1000:.0f} k parameters, at most {EPOCHS} epochs of 2 s crops, SpecAugment"
        return self

    def _spectrograms(self, waves: Sequence[np.ndarray], cache: Path | None) -> list[np.ndarray]:
        return [rows[0] for rows in cached(self._features, waves, [[(0, len(w))] for w in waves], cache)]

    def _windows(self, spectrogram: np.ndarray, spans: Sequence[tuple[int, int]]) -> np.ndarray:
        from benchmarks.peers.emotion_cnn import logits

        parts = [spectrogram[start // SPECTROGRAM_HOP : end // SPECTROGRAM_HOP] for start, end in spans]
        shortest = min(map(len, parts))
        return logits(self._model, np.stack([part[:shortest] for part in parts]))

    def utterances(self, waves: Sequence[np.ndarray], cache: Path | None = None) -> np.ndarray:
        """Posteriors of whole utterances."""
        from benchmarks.peers.emotion_cnn import logits

        rows = [logits(self._model, spectrogram[None]) for spectrogram in self._spectrograms(waves, cache)]
        return softmax(np.concatenate(rows) / self._temperatures["whole"])

    def clips(self, waves: Sequence[np.ndarray], cache: Path | None = None) -> list[np.ndarray]:
        """Posteriors of windows, interpolated."""
        found = []
        for wave, spectrogram in zip(waves, self._spectrograms(waves, cache), strict=True):
            spans = windows(len(wave), CLIP_STEP)
            rows = softmax(self._windows(spectrogram, spans) / self._temperatures["window"])
            found.append(to_frames(rows, spans, frames_of(len(wave))))
        return found
