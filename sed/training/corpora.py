"""Corpora as one schema: a manifest in, `Utterance` rows out; audio read as 16 kHz mono float32.

A manifest is a CSV file with at least the columns corpus, path, speaker, emotion and split (further ones:
`sed.training.ratings`); paths are relative to its folder. Preparers of single corpora write such a manifest.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sed.errors import AudioError, FormatError
from sed.grid import SAMPLE_RATE
from sed.training.patterns import equalise_loudness, trim_silence
from sed.training.ratings import Ratings, read_ratings

COLUMNS = ("corpus", "path", "speaker", "emotion", "split")


@dataclass(frozen=True)
class Utterance:
    """One recording of one emotion: where it is, and who shows what."""

    corpus: str
    path: Path
    speaker: str
    emotion: str
    split: str
    ratings: Ratings | None = None


def read_manifest(
    path: str | Path,
    splits: Collection[str] = (),
    emotions: Collection[str] = (),
    leave_out: Collection[str] = (),
) -> list[Utterance]:
    """Rows of a manifest in its order, only those of `splits` and `emotions` (empty: all), less the corpora
    in `leave_out`. Raises `FormatError` where the file is missing, lacks a column, has a row without a
    value, or has nothing that was asked for, and where a speaker is in two splits.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise FormatError(f"cannot read the manifest {path}: {error.strerror}") from error
    found: list[Utterance] = []
    home: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        if lacking := [name for name in COLUMNS if not row.get(name)]:
            raise FormatError(
                f"{path}, line {number}: no {', '.join(lacking)}: expected {', '.join(COLUMNS)}"
            )
        speaker = f"{row['corpus']}/{row['speaker']}"
        if home.setdefault(speaker, row["split"]) != row["split"]:
            raise FormatError(
                f"{path}, line {number}: speaker {speaker} is in splits {home[speaker]} and {row['split']}:"
                " expected each speaker in one split"
            )
        ratings = read_ratings(row, f"{path}, line {number}")
        utterance = Utterance(
            row["corpus"], path.parent / row["path"], speaker, row["emotion"], row["split"], ratings
        )
        if (
            (not splits or utterance.split in splits)
            and (not emotions or utterance.emotion in emotions)
            and utterance.corpus not in leave_out
        ):
            found.append(utterance)
    if not found:
        raise FormatError(f"{path}: no utterance of splits {sorted(splits)} and emotions {sorted(emotions)}")
    return found


def read_wave(path: str | Path) -> np.ndarray:
    """A whole mono recording as float32 at 16 kHz. Raises `AudioError` where it cannot be read."""
    import soundfile
    import soxr

    try:
        wave, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"cannot read {path}: {error}") from error
    mono = wave.mean(axis=1)
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE)


def load_speech(utterances: Iterable[Utterance]) -> list[tuple[Utterance, np.ndarray]]:
    """Each utterance with its speech: silence trimmed, loudness equalised, int16 to halve the memory.

    Utterances without speech are left out.
    """
    speech = []
    for utterance in utterances:
        wave = equalise_loudness(trim_silence(read_wave(utterance.path)))
        if len(wave):
            speech.append((utterance, np.round(wave * 32767).astype(np.int16)))
    return speech


def to_float(samples: np.ndarray) -> np.ndarray:
    """int16 samples as float32, full scale 1."""
    return samples.astype(np.float32) / np.float32(32768)
