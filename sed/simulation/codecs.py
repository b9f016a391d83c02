"""Lossy codecs for augmentation: mono float32 samples at 16 kHz in, the same number of samples out.

libsndfile encodes and decodes in memory and compensates the codec delay, so references stay exact.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from sed.errors import OptionError
from sed.grid import SAMPLE_RATE


@dataclass(frozen=True)
class Codec:
    """A codec of libsndfile: its names, sample rate, and compression levels of the best and the lowest quality."""

    container: str
    subtype: str
    rate: int = SAMPLE_RATE
    compression: tuple[float, float] | None = None


CODECS = {
    "opus": Codec("OGG", "OPUS", SAMPLE_RATE, (0.5, 1.0)),
    "vorbis": Codec("OGG", "VORBIS", SAMPLE_RATE, (0.5, 1.0)),
    "mp3": Codec("MP3", "MPEG_LAYER_III", SAMPLE_RATE, (0.5, 0.95)),
    "gsm": Codec("WAV", "GSM610", 8000),  # GSM full rate: early mobile telephones, voice mail
    "adpcm": Codec("WAV", "IMA_ADPCM", 8000),
    "mulaw": Codec("WAV", "ULAW", 8000),
}


def apply_codec(wave: np.ndarray, name: str, compression: float = 1.0) -> np.ndarray:
    """`wave` after encoding and decoding with codec `name` (a key of `CODECS`); same length, no delay.

    `compression` ranges from 0 (best quality) to 1 (lowest), in codecs with compression levels. Raises `OptionError`
    for an unknown name.

    >>> len(apply_codec(np.zeros(12345, np.float32), "gsm"))
    12345
    """
    if name not in CODECS:
        raise OptionError(f"codec {name!r}: expected one of {', '.join(CODECS)}")
    if len(wave) == 0:
        return wave
    decoded = _round_trip(wave, CODECS[name], compression)[: len(wave)]
    return np.pad(decoded, (0, len(wave) - len(decoded))).astype(np.float32)


def _round_trip(wave: np.ndarray, codec: Codec, compression: float) -> np.ndarray:
    import soundfile
    import soxr

    resampled = wave if codec.rate == SAMPLE_RATE else soxr.resample(wave, SAMPLE_RATE, codec.rate)
    level = None
    if codec.compression is not None:
        best, lowest = codec.compression
        level = best + compression * (lowest - best)
    file = io.BytesIO()
    clipped = np.clip(resampled, -1, 1).astype(np.float32)
    soundfile.write(
        file, clipped, codec.rate, format=codec.container, subtype=codec.subtype, compression_level=level
    )
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32")[0]
    return decoded if codec.rate == SAMPLE_RATE else soxr.resample(decoded, codec.rate, SAMPLE_RATE)


def low_pass(wave: np.ndarray, cutoff: float) -> np.ndarray:
    """`wave` without the band above `cutoff` Hz, as after a lower sample rate; zero phase."""
    size = 1 << max(len(wave) - 1, 1).bit_length()
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    gain = 1 / (1 + (frequency / cutoff) ** 40)
    return np.fft.irfft(np.fft.rfft(wave, size) * gain, size)[: len(wave)].astype(np.float32)
