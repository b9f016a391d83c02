"""Audio of corpora: utterances of a manifest in, mono float32 samples at 16 kHz out.

Also exports the manifest functions of `sed.corpora.manifest`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sed.corpora.levels import equalise_loudness, trim_silence
from sed.corpora.manifest import Utterance, find_manifest, read_manifest, write_manifest
from sed.corpora.silence import cut_silence
from sed.errors import AudioError, OptionError
from sed.grid import SAMPLE_RATE

logger = logging.getLogger("sed")

SILENCE = ("trim", "cut", "keep")

__all__ = [
    "SpeechOptions",
    "Utterance",
    "find_manifest",
    "load_speech",
    "prepared_samples",
    "read_manifest",
    "read_utterance",
    "read_wave",
    "to_float",
    "write_manifest",
]


def read_wave(path: str | Path, start: float | None = None, stop: float | None = None) -> np.ndarray:
    """The samples of a recording from `start` to `stop` seconds, ``(n,)`` float32 at 16 kHz, downmixed to mono.

    Formats that libsndfile cannot read, such as MP4, are decoded with the ffmpeg program. Raises `AudioError` if the
    file cannot be read or has NaN or infinite samples, `MissingDependencyError` if ffmpeg is needed but not
    installed.
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
        return _decode(path, start, stop)
    check_finite(path, wave)
    mono = wave.mean(axis=1)
    return mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE)


def check_finite(path: str | Path, wave: np.ndarray) -> None:
    """Raise `AudioError` if `wave`, read from `path`, has a NaN or infinite sample."""
    if not np.isfinite(wave).all():
        raise AudioError(
            f"cannot read {path}: found a sample that is not a finite number, expected finite samples"
        )


def _decode(path: str | Path, start: float | None, stop: float | None) -> np.ndarray:
    from sed.audio import open_audio

    with open_audio(path) as stream:
        blocks = [np.zeros(0, np.float32), *(block.reshape(-1) for block in stream)]
    wave = np.concatenate(blocks)
    return wave[round((start or 0) * SAMPLE_RATE) : None if stop is None else round(stop * SAMPLE_RATE)]


def read_utterance(utterance: Utterance) -> np.ndarray:
    """The samples of one row of a manifest. Raises as `read_wave` does."""
    return read_wave(utterance.path, utterance.start, utterance.stop)


@dataclass(frozen=True)
class SpeechOptions:
    """How an utterance is prepared for training. The defaults are those of this project's models."""

    silence: str = "trim"
    """``trim`` at both ends, ``cut`` everywhere (`sed.corpora.silence`, as the paper does), or ``keep``."""
    aggressiveness: int = 3
    """Of ``cut``: 0 to 3; higher values remove more."""
    corpus_aggressiveness: Mapping[str, int] = field(default_factory=dict)
    """The same for single corpora."""
    equalise: bool = True
    """Whether loudness is equalised (`sed.corpora.levels`)."""

    def __post_init__(self) -> None:
        """Raise `OptionError` on invalid values."""
        if self.silence not in SILENCE:
            raise OptionError(f"silence {self.silence!r}: expected one of {', '.join(SILENCE)}")
        for value in (self.aggressiveness, *self.corpus_aggressiveness.values()):
            if value not in range(4):
                raise OptionError(f"aggressiveness {value}: expected 0, 1, 2 or 3")


def prepared_samples(utterance: Utterance, options: SpeechOptions | None = None) -> np.ndarray:
    """The samples of an utterance, prepared as `options` say, ``(n,)`` int16; empty without speech.

    Raises as `read_wave` does.
    """
    options = options or SpeechOptions()
    wave = read_utterance(utterance)
    if options.silence == "cut":
        wave = cut_silence(wave, options.corpus_aggressiveness.get(utterance.corpus, options.aggressiveness))
    elif options.silence == "trim":
        wave = trim_silence(wave)
    if options.equalise:
        wave = equalise_loudness(wave)
    return np.round(wave.clip(-1, 1) * 32767).astype(np.int16)


def load_speech(
    utterances: Iterable[Utterance], options: SpeechOptions | None = None
) -> list[tuple[Utterance, np.ndarray]]:
    """Each utterance with its prepared samples, by default trimmed and equalised, as int16 to halve the memory.

    Utterances without speech are omitted; a warning states their number.
    """
    speech = []
    silent = 0
    for utterance in utterances:
        samples = prepared_samples(utterance, options)
        silent += not len(samples)
        if len(samples):
            speech.append((utterance, samples))
    warn_of_silence(silent)
    return speech


def warn_of_silence(utterances: int) -> None:
    """Log a warning if `utterances`, the number of those without speech, is not 0."""
    if utterances:
        logger.warning("omitted %d utterances without speech", utterances)


def to_float(samples: np.ndarray) -> np.ndarray:
    """Convert int16 samples to float32 with full scale 1."""
    return samples.astype(np.float32) / np.float32(32768)
