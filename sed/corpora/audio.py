"""The audio of corpora: utterances of a manifest in, float32 at 16 kHz mono out, and speech ready for training.

Which utterances there are is `sed.corpora.manifest`' matter, whose names are here, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sed.corpora.levels import equalise_loudness, trim_silence
from sed.corpora.manifest import Utterance, find_manifest, read_manifest, write_manifest
from sed.errors import AudioError
from sed.grid import SAMPLE_RATE

__all__ = [
    "Utterance",
    "find_manifest",
    "load_speech",
    "read_manifest",
    "read_utterance",
    "read_wave",
    "to_float",
    "write_manifest",
]


def read_wave(path: str | Path, start: float | None = None, stop: float | None = None) -> np.ndarray:
    """A mono recording as float32 at 16 kHz, or its part from `start` to `stop` seconds.

    What libsndfile doesn't read, such as MP4, is decoded by the ffmpeg program. Raises `AudioError` where it
    cannot be read or has samples that are no finite numbers, `MissingDependencyError` where that takes ffmpeg
    and it isn't installed.
    """
    import soundfile
    import soxr

    if not Path(path).exists():
        raise AudioError(f"cannot read {path}: no such file")
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate = file.samplerate
            first = min(round((start or 0) * rate), file.frames)
            frames = -1 if stop is None else max(round(stop * rate) - first, 0)
            file.seek(first)
            wave = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        if not Path(path).is_file():
            raise AudioError(f"cannot read {path}: {error}") from error
        return _decoded(path, start, stop)
    check_finite(path, wave)
    mono = wave.mean(axis=1)
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE)


def check_finite(path: str | Path, wave: np.ndarray) -> None:
    """Raise `AudioError` where `wave`, from the file at `path`, has a sample that is no finite number."""
    if not np.isfinite(wave).all():
        raise AudioError(
            f"cannot read {path}: found a sample that is not a finite number, expected only such"
        )


def _decoded(path: str | Path, start: float | None, stop: float | None) -> np.ndarray:
    from sed.audio import open_audio

    with open_audio(path) as stream:
        blocks = [np.zeros(0, np.float32), *(block.reshape(-1) for block in stream)]
    wave = np.concatenate(blocks)
    return wave[round((start or 0) * SAMPLE_RATE) : None if stop is None else round(stop * SAMPLE_RATE)]


def read_utterance(utterance: Utterance) -> np.ndarray:
    """The samples of one row of a manifest; raises what `read_wave` does."""
    return read_wave(utterance.path, utterance.start, utterance.stop)


def load_speech(utterances: Iterable[Utterance]) -> list[tuple[Utterance, np.ndarray]]:
    """Each utterance with its speech: silence trimmed, loudness equalised, int16 to halve the memory.

    Utterances without speech are left out.
    """
    speech = []
    for utterance in utterances:
        wave = equalise_loudness(trim_silence(read_utterance(utterance)))
        if len(wave):
            speech.append((utterance, np.round(wave * 32767).astype(np.int16)))
    return speech


def to_float(samples: np.ndarray) -> np.ndarray:
    """int16 samples as float32, full scale 1."""
    return samples.astype(np.float32) / np.float32(32768)
