"""Lossy codecs as augmentation: mono float32 at 16 kHz in, as many samples out, written and read in memory.

libsndfile does the coding, and takes out the delay of the codecs that have one, so references stay exact.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from sed.errors import OptionError
from sed.grid import SAMPLE_RATE


@dataclass(frozen=True)
class Codec:
    """How libsndfile calls it, the rate it runs at, and which of its levels are the best and the smallest."""

    container: str
    subtype: str
    rate: int = SAMPLE_RATE
    compression: tuple[float, float] | None = None


CODECS = {
    "opus": Codec("OGG", "OPUS", SAMPLE_RATE, (0.5, 1.0)),
    "vorbis": Codec("OGG", "VORBIS", SAMPLE_RATE, (0.5, 1.0)),
    "mp3": Codec("MP3", "MPEG_LAYER_III", SAMPLE_RATE, (0.5, 0.95)),
    "gsm": Codec("WAV", "GSM610", 8000),  # GSM full rate: mobile telephones of the nineties, and voice mail
    "adpcm": Codec("WAV", "IMA_ADPCM", 8000),
    "mulaw": Codec("WAV", "ULAW", 8000),
}


def through_codec(wave: np.ndarray, name: str, compression: float = 1.0) -> np.ndarray:
    """`wave` after coding and decoding by codec `name` (a key of `CODECS`); same length, not moved.

    `compression` goes from 0 (fair) to 1 (smallest) where the codec has a choice. Raises `OptionError` on another
    name.

    >>> len(through_codec(np.zeros(12345, np.float32), "gsm"))
    12345
    """
    if name not in CODECS:
        raise OptionError(f"codec {name!r}: expected one of {', '.join(CODECS)}")
    if len(wave) == 0:
        return wave
    coded = _round_trip(wave, CODECS[name], compression)[: len(wave)]
    return np.pad(coded, (0, len(wave) - len(coded))).astype(np.float32)


def _round_trip(wave: np.ndarray, codec: Codec, compression: float) -> np.ndarray:
    import soundfile
    import soxr

    narrow = wave if codec.rate == SAMPLE_RATE else soxr.resample(wave, SAMPLE_RATE, codec.rate)
    level = None
    if codec.compression is not None:
        best, smallest = codec.compression
        level = best + compression * (smallest - best)
    file = io.BytesIO()
    clipped = np.clip(narrow, -1, 1).astype(np.float32)
    soundfile.write(
        file, clipped, codec.rate, format=codec.container, subtype=codec.subtype, compression_level=level
    )
    file.seek(0)
    coded = soundfile.read(file, dtype="float32")[0]
    return coded if codec.rate == SAMPLE_RATE else soxr.resample(coded, codec.rate, SAMPLE_RATE)


def low_pass(wave: np.ndarray, cutoff: float) -> np.ndarray:
    """A narrower band: nothing above `cutoff` Hz is left, as after a lower sample rate; zero phase."""
    size = 1 << max(len(wave) - 1, 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    passed = 1 / (1 + (frequency / cutoff) ** 40)
    return np.fft.irfft(np.fft.rfft(wave, size) * passed, size)[: len(wave)].astype(np.float32)
