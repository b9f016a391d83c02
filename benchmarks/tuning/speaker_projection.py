"""Trains the projection of speaker embeddings (`sed/models/speaker-projection.npz`).

    python -m benchmarks.tuning.speaker_projection --shared ../shared -o sed/models/speaker-projection.npz

Emotion, room, noise and line change the embedding of a voice. The projection shrinks the directions in which one
speaker varies and keeps those in which speakers differ: linear discriminant analysis with shrinkage, mixed with the
plain embedding. Within-speaker scatter is measured on speakers who act several emotions (CREMA-D, EMO-DB), differences
between speakers on these and on Common Voice and LibriSpeech. Only `train` speakers and only corpora whose licence
allows every use; RAVDESS, nEMO and KAIST are never seen. Every clip is embedded twice, in random conditions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sed.corpora.audio import read_manifest, read_wave
from sed.grid import HOP
from sed.simulation.acoustics import apply_line, noise, reverberate, room_responses
from sed.simulation.speech_pieces import speech_pieces
from sed.speakers.embedding import FeatureStream, SpeakerEmbedding

ACTED = ("cremad", "emodb")
READ = ("commonvoice6_multi", "commonvoice13delta_en", "librispeech")
DURATIONS = (0.6, 1.0, 1.5, 2.0, 3.0)  # of the embedded part, in seconds
ROOMS = 48  # number of impulse responses
MAX_CLIPS = 48  # clips per speaker


class Sample(NamedTuple):
    """The embedding `vector` of part of a clip."""

    corpus: str
    speaker: str
    vector: np.ndarray


def embedded(shared: Path, seed: int) -> Iterator[Sample]:
    """Embeddings of the training clips in random rooms, noise and lines."""
    rng = np.random.default_rng(seed)
    embed = SpeakerEmbedding()
    rooms = [
        room_responses(rng, float(rng.uniform(0.2, 0.5)), [float(rng.uniform(0.5, 1.5))])[0]
        for _ in range(ROOMS)
    ]
    clips: dict[str, int] = {}
    for folder, corpora in (("corpora", ACTED), ("natural", READ)):
        rows = [
            r
            for r in read_manifest(shared / folder / "manifest.csv", splits=["train"])
            if r.corpus in corpora
        ]
        for number in rng.permutation(len(rows)):
            row = rows[number]
            clips[row.speaker] = clips.get(row.speaker, 0) + 1
            if clips[row.speaker] > MAX_CLIPS:
                continue
            samples = read_wave(row.path)
            parts = [samples[start:end] for start, end in speech_pieces(samples)]
            if not parts:
                continue
            speech = np.concatenate(parts)
            for _ in range(2):
                features = features_of(in_condition(speech, rooms, rng))
                length = min(len(features), round(100 * float(rng.choice(DURATIONS))))
                if length >= 50:
                    start = int(rng.integers(0, len(features) - length + 1))
                    yield Sample(row.corpus, row.speaker, embed(features[start : start + length]))


def in_condition(speech: np.ndarray, rooms: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """`speech` ``(n,)`` in a random room, noise and line."""
    if rng.random() < 0.5:
        speech = reverberate(speech, rooms[rng.integers(len(rooms))])
    if rng.random() < 0.6:
        level = np.sqrt(np.mean(np.square(speech))) * 10 ** (-rng.uniform(12, 35) / 20)
        speech = speech + np.float32(level) * noise(rng, len(speech), float(rng.uniform(-6, 0)))
    line = str(rng.choice(["wide", "telephone", "opus"], p=[0.65, 0.25, 0.1]))
    return np.asarray(apply_line(np.asarray(speech, np.float32), line), np.float32)


def features_of(samples: np.ndarray) -> np.ndarray:
    """All features of `samples` ``(n,)``, ``(frames, 80)``."""
    stream = FeatureStream()
    stream.push(samples)
    stream.close()
    return stream.between(0, len(samples) // HOP)


def scatter(samples: list[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Scatter within speakers (mean over the acted corpora), and between speakers, ``(d, d)`` each."""
    vectors = np.stack([s.vector for s in samples]).astype(np.float64)
    corpora = np.array([s.corpus for s in samples])
    names = np.array([s.speaker for s in samples])
    for corpus in set(corpora):
        vectors[corpora == corpus] -= vectors[corpora == corpus].mean(0)
    within = []
    for corpus in ACTED:
        own, speakers = vectors[corpora == corpus], names[corpora == corpus]
        residuals = [own[speakers == name] - own[speakers == name].mean(0) for name in sorted(set(speakers))]
        count = sum(len(r) - 1 for r in residuals)
        within.append(sum(r.T @ r for r in residuals) / count)
    mean_within = sum(within) / len(within)
    found = sorted(set(names))
    means = np.stack([vectors[names == name].mean(0) for name in found])
    share = np.mean([1 / (names == name).sum() for name in found])
    return mean_within, np.cov(means.T) - mean_within * share


def projection(
    samples: list[Sample], dimensions: int = 128, shrinkage: float = 2.0, plain: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``(d,)`` and symmetric matrix ``(d, d)``: ``(vector - mean) @ matrix`` is the projected embedding.

    `shrinkage` is added to the within-speaker scatter, as a multiple of its mean variance; `plain` is the share of the
    plain embedding.
    """
    import scipy.linalg

    within, between = scatter(samples)
    names = sorted({s.corpus for s in samples})
    means = np.stack([np.mean([s.vector for s in samples if s.corpus == name], axis=0) for name in names])
    mean = means.mean(0)
    size = len(mean)
    within += shrinkage * np.trace(within) / size * np.eye(size)
    values, vectors = scipy.linalg.eigh(between, within)
    chosen = vectors[:, np.argsort(-values)[:dimensions]]
    centred = np.stack([s.vector for s in samples]) - mean
    scale_plain, scale_chosen = np.square(centred).sum(1).mean(), np.square(centred @ chosen).sum(1).mean()
    gram = plain / scale_plain * np.eye(size) + (1 - plain) / scale_chosen * chosen @ chosen.T
    values, vectors = np.linalg.eigh(gram)
    return mean, (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def main() -> None:
    """Embed the clips, compute the projection and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path, default=Path("sed/models/speaker-projection.npz"))
    arguments = parser.parse_args()
    samples = list(embedded(arguments.shared, arguments.seed))
    mean, matrix = projection(samples)
    np.savez_compressed(arguments.out, mean=np.float32(mean), matrix=np.float32(matrix))
    print(f"{len(samples)} embeddings of {len({s.speaker for s in samples})} speakers: {arguments.out}")


if __name__ == "__main__":
    main()
