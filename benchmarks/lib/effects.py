"""Typical damage to recordings, one kind at a time: clean audio in, damaged audio out.

In and out: ``(n,)`` float32 at 16 kHz, full scale 1, of equal length unless `Damage.speed` is not 1; the output is
rounded to 16 bit. Every effect is seeded by the number of the recording, so results are reproducible. Most effects are
from `sed.training.data.augment`, here at fixed strengths.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sed.grid import HOP, SAMPLE_RATE
from sed.training.data import augment

MP3_LEVEL = 0.95  # libsndfile's compression level that gives 16 kbit/s at 16 kHz
MP3_DELAY = 1105  # samples of delay of LAME and its decoder; a test of the effect below checks it

Effect = Callable[[np.random.Generator, np.ndarray], np.ndarray]


class Damage(NamedTuple):
    """An effect with its name, description and playback speed."""

    name: str
    words: str
    effect: Effect
    speed: float = 1.0

    def __call__(self, wave: np.ndarray, number: int) -> np.ndarray:
        """`wave`, recording number `number`, damaged and rounded to 16 bit."""
        damaged = self.effect(np.random.default_rng([number, len(wave)]), wave)
        return (np.round(np.clip(damaged, -1, 32767 / 32768) * 32768) / 32768).astype(np.float32)


def noise(snr: float) -> Effect:
    """Pink noise `snr` dB below the recording's mean level."""
    return lambda rng, wave: augment.add_noise(wave, augment.coloured_noise(rng, len(wave), 3.0), snr)


def reverberation(rng: np.random.Generator, wave: np.ndarray) -> np.ndarray:
    """A hall: 0.8 s of decay, echoes as strong as the direct sound."""
    return augment.reverberate(rng, wave, 0.8, 1.0, 0.01)


def distance(rng: np.random.Generator, wave: np.ndarray) -> np.ndarray:
    """A microphone across the room: echoes 6 dB above the direct sound, 20 dB quieter, noise 20 dB below that."""
    far = augment.apply_gain(augment.reverberate(rng, wave, 0.5, 4.0, 0.003), -20)
    return augment.add_noise(far, augment.coloured_noise(rng, len(wave), 3.0), 20)


def mp3(_: np.random.Generator, wave: np.ndarray) -> np.ndarray:
    """Encoding and decoding with MP3 at 16 kbit/s (LAME, constant rate), with the delay removed.

    >>> wave = np.sin(np.arange(32_000) ** 1.3 / 300).astype(np.float32) / 4
    >>> back = mp3(np.random.default_rng(0), wave)
    >>> len(back), bool(np.corrcoef(wave, back)[0, 1] > 0.8)
    (32000, True)
    """
    import soundfile

    file = io.BytesIO()
    soundfile.write(
        file,
        np.pad(np.clip(wave, -1, 1), (0, MP3_DELAY)),
        SAMPLE_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=MP3_LEVEL,
    )
    file.seek(0)
    back = soundfile.read(file, dtype="float32")[0][MP3_DELAY : MP3_DELAY + len(wave)]
    return np.pad(back, (0, len(wave) - len(back)))


def packet_loss(
    rng: np.random.Generator, wave: np.ndarray, share: float = 0.1, burst: float = 3
) -> np.ndarray:
    """`share` of the 20 ms packets are silence, in bursts of `burst` on average (Gilbert's model).

    >>> lost = packet_loss(np.random.default_rng(0), np.ones(320_000, np.float32))
    >>> bool(0.06 < (lost == 0).mean() < 0.14)
    True
    """
    packets = -(-len(wave) // HOP)
    draws = rng.random(packets)
    lost = np.zeros(packets, bool)
    state = False
    for number, draw in enumerate(draws):
        state = draw >= 1 / burst if state else draw < share / (1 - share) / burst
        lost[number] = state
    return np.where(np.repeat(lost, HOP)[: len(wave)], np.float32(0), wave)


DAMAGES = (
    Damage("clean", "as it is", lambda _, wave: wave),
    Damage("noise 20 dB", "pink noise 20 dB below the mean level", noise(20)),
    Damage("noise 10 dB", "pink noise 10 dB below", noise(10)),
    Damage("noise 0 dB", "pink noise as loud as the mean level", noise(0)),
    Damage("reverberation", "0.8 s of decay, echoes as strong as the direct sound", reverberation),
    Damage("distance", "echoes 6 dB above the direct sound, 20 dB quieter, noise 20 dB below", distance),
    Damage("telephone", "300 to 3,400 Hz and 8 bit mu-law", lambda _, wave: augment.telephone(wave)),
    Damage("MP3 16 kbit/s", "there and back", mp3),
    Damage("packet loss", "10 % of 20 ms packets silent, in bursts of 3", packet_loss),
    Damage("clipping", "the loudest 5 % of the samples cut", lambda _, wave: augment.clip_peaks(wave, 0.05)),
    Damage("gain +20 dB", "and clipped at full scale", lambda _, wave: augment.apply_gain(wave, 20)),
    Damage("gain -20 dB", "then rounded to 16 bit", lambda _, wave: augment.apply_gain(wave, -20)),
    Damage("speed 0.9", "slower and deeper", lambda _, wave: augment.change_speed(wave, 0.9), 0.9),
    Damage("speed 1.1", "faster and higher", lambda _, wave: augment.change_speed(wave, 1.1), 1.1),
)
