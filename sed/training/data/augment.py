"""Augmentation of training audio: mono float32 waves at 16 kHz in, waves of the same length out.

Only `change_speed` changes the length. Random functions take a numpy Generator; none modifies its input.
`Augmentation` defines how often each is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sed.errors import OptionError
from sed.grid import SAMPLE_RATE
from sed.simulation.codecs import apply_codec, low_pass
from sed.training.recipe.ranges import check_numbers, check_ranges


def _fft_size(samples: int) -> int:
    """The next ``2**n`` or ``3 * 2**n``: numpy's FFT is slow on large prime factors."""
    size = 1 << max(samples - 1, 1).bit_length()
    return size * 3 // 4 if size * 3 // 4 >= samples else size


def _level(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(wave.astype(np.float64) ** 2))) if len(wave) else 0.0


def change_speed(wave: np.ndarray, factor: float) -> np.ndarray:
    """Play `factor` times as fast, which also shifts pitch and formants and so resembles another speaker.

    >>> len(change_speed(np.zeros(16000, np.float32), 1.25))
    12800
    """
    import soxr

    if factor == 1:
        return wave
    return soxr.resample(wave.astype(np.float32), SAMPLE_RATE, SAMPLE_RATE / factor, quality="MQ")


def apply_gain(wave: np.ndarray, decibels: float) -> np.ndarray:
    """`wave` louder by `decibels`."""
    return (wave * 10 ** (decibels / 20)).astype(np.float32)


def coloured_noise(rng: np.random.Generator, samples: int, slope: float = 0.0) -> np.ndarray:
    """Noise of level 1 whose power falls by `slope` dB per octave: 0 is white, 3 pink, 6 brown."""
    size = _fft_size(samples)
    spectrum = np.fft.rfft(rng.standard_normal(size).astype(np.float32))
    spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** (-slope / 20 / np.log10(2))
    noise = np.fft.irfft(spectrum, size)[:samples]
    return (noise / max(_level(noise), 1e-12)).astype(np.float32)


def babble(rng: np.random.Generator, samples: int, utterances: Sequence[np.ndarray]) -> np.ndarray:
    """Noise of level 1 made of all `utterances`, each repeated from a random point on, at equal levels."""
    total = np.zeros(samples, np.float32)
    for speech in utterances:
        if (level := _level(speech)) > 0:
            start = int(rng.integers(len(speech)))
            total += np.take(speech, np.arange(start, start + samples), mode="wrap") / np.float32(level)
    return total / np.float32(max(_level(total), 1e-12))


def add_noise(wave: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """`wave` with `noise` at `snr` dB below its mean level.

    >>> wave, noise = np.ones(100, np.float32), np.ones(100, np.float32)
    >>> round(float(add_noise(wave, noise, 20.0)[0]), 3)
    1.1
    """
    scale = _level(wave) / max(_level(noise), 1e-12) * 10 ** (-snr / 20)
    return (wave + noise * scale).astype(np.float32)


def equalise_bands(rng: np.random.Generator, wave: np.ndarray, tilt: float, spread: float) -> np.ndarray:
    """Simulate another microphone: a tilt of up to `tilt` dB per octave around 1 kHz, and gains with a deviation of
    `spread` dB at eight points from 60 Hz to 8 kHz, interpolated linearly over octaves."""
    size = _fft_size(len(wave))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 30) / 1000)
    points = np.linspace(-4, 3, 8)
    decibels = rng.uniform(-tilt, tilt) * octaves
    decibels += np.interp(octaves, points, rng.standard_normal(len(points)) * spread)
    shaped = np.fft.irfft(np.fft.rfft(wave, size) * 10 ** (np.clip(decibels, -30, 30) / 20), size)[
        : len(wave)
    ]
    return shaped.astype(np.float32)


def telephone(wave: np.ndarray, low: float = 300.0, high: float = 3400.0) -> np.ndarray:
    """Simulate a telephone line: band-pass from `low` to `high` Hz, then 8-bit mu-law (ITU-T G.711's curve)."""
    size = _fft_size(len(wave))
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    response = 1 / (1 + (low / np.maximum(frequency, 1)) ** 8) / (1 + (frequency / high) ** 24)
    narrow = np.fft.irfft(np.fft.rfft(wave, size) * response, size)[: len(wave)]
    peak = max(float(np.abs(narrow).max(initial=0)), 1e-9)
    compressed = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / peak) / np.log(256)
    quantised = np.round(compressed * 127) / 127
    return (np.sign(quantised) * np.expm1(np.abs(quantised) * np.log(256)) / 255 * peak).astype(np.float32)


def reverberate(
    rng: np.random.Generator, wave: np.ndarray, seconds: float, wet: float, lead: float = 0.0
) -> np.ndarray:
    """Simulate a room with a reverberation time (60 dB) of `seconds`: exponentially decaying noise with `wet` times
    the direct sound's energy, `lead` seconds after it. The direct sound is not delayed."""
    length = max(int(seconds * SAMPLE_RATE), 1)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail *= np.sqrt(wet / np.sum(tail**2))
    response = np.concatenate([[1.0], np.zeros(int(lead * SAMPLE_RATE)), tail])
    size = _fft_size(len(wave) + len(response))
    echoed = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)[: len(wave)]
    return echoed.astype(np.float32)


def clip_peaks(wave: np.ndarray, share: float) -> np.ndarray:
    """Simulate clipping: the loudest `share` of the samples is limited to one level."""
    limit = float(np.quantile(np.abs(wave), 1 - share)) if len(wave) else 0.0
    return np.clip(wave, -limit, limit).astype(np.float32) if limit > 0 else wave


def _mean_powers(wave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean power spectra ``(257,)`` of the loud and of the quiet frames of `wave`, smoothed to thirds of octaves."""
    size = 512
    padded = np.pad(wave, (0, max(0, 2 * size - len(wave))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    powers = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2 / size
    order = np.argsort(powers.sum(1))
    tenth, half = max(1, len(order) // 10), max(1, len(order) // 2)
    octaves = np.log2(np.maximum(np.arange(size // 2 + 1), 1))
    near = np.abs(octaves[:, None] - octaves) <= 1 / 6
    smoothing = near / near.sum(1, keepdims=True)
    loud, quiet = powers[order[-half:]].mean(0), powers[order[:tenth]].mean(0)
    return smoothing @ loud + 1e-12, smoothing @ quiet + 1e-12


def borrow_channel(
    rng: np.random.Generator, wave: np.ndarray, other: np.ndarray, most: float = 25.0
) -> np.ndarray:
    """`wave` as if recorded where `other` was: with its mean spectrum (gains up to `most` dB) and its noise in pauses.

    What the words and the voice add to the mean spectrum goes along, which is no more than another voice would do.
    """
    own, _ = _mean_powers(wave)
    wanted, noise = _mean_powers(other)
    size = _fft_size(len(wave))
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    points = np.fft.rfftfreq(512, 1 / SAMPLE_RATE)
    decibels = np.interp(frequency, points, 10 * np.log10(wanted / own))
    level = np.average(decibels, weights=np.interp(frequency, points, own))
    gains = 10 ** (np.clip(decibels - level, -most, most) / 20)
    shaped = np.fft.irfft(np.fft.rfft(wave, size) * gains, size)[: len(wave)]
    white = np.fft.rfft(rng.standard_normal(size))
    floor = np.fft.irfft(white * np.sqrt(np.interp(frequency, points, noise)), size)[: len(wave)]
    quiet = np.sqrt(noise.sum() / wanted.sum())  # the level of the noise against the speech there
    floor *= quiet * max(_level(shaped), 1e-12) / max(_level(floor), 1e-12)
    return (shaped + floor).astype(np.float32)


@dataclass(frozen=True)
class Augmentation:
    """How often each effect is applied (shares, 0 to 1), and the ranges of its parameters."""

    speed: float = 0.6
    """Share of speakers whose speech is played faster or slower."""
    speed_range: tuple[float, float] = (0.85, 1.15)
    reverberation: float = 0.25
    decay_range: tuple[float, float] = (0.15, 0.8)
    """Reverberation time (60 dB), seconds."""
    noise: float = 0.5
    snr_range: tuple[float, float] = (5.0, 35.0)
    """Signal-to-noise ratio, dB."""
    equaliser: float = 0.5
    tilt: float = 3.0
    spread: float = 3.0
    telephone: float = 0.12
    clipping: float = 0.08
    gain_range: tuple[float, float] = (-20.0, 6.0)
    """dB, always applied."""
    band_limit: float = 0.0
    """Share that is low-pass filtered at a frequency of `band_range` (Hz)."""
    band_range: Sequence[float] = (2500.0, 7000.0)
    codec: float = 0.0
    """Share that is coded with one of `codecs` (`sed.simulation.codecs.CODECS`)."""
    codecs: Sequence[str] = ("opus", "vorbis", "mp3", "gsm", "adpcm", "mulaw")
    channel: float = 0.0
    """Share that takes over the mean spectrum and the noise of another recording (`borrow_channel`)."""

    def __post_init__(self) -> None:
        """Raise `OptionError` on invalid shares and ranges."""
        shares = (
            "speed",
            "reverberation",
            "noise",
            "equaliser",
            "telephone",
            "clipping",
            "band_limit",
            "codec",
            "channel",
        )
        check_numbers(self, shares, 0, 1)
        check_numbers(self, ["tilt", "spread"], 0)
        check_ranges(self, ["snr_range", "gain_range"])
        check_ranges(self, ["speed_range"], 0.1)
        check_ranges(self, ["decay_range"], 0)
        check_ranges(self, ["band_range"], 1)
        if self.codec and not self.codecs:
            raise OptionError("codecs: found none, expected some for a share `codec` above 0")

    def draw_speed(self, rng: np.random.Generator) -> float:
        """A factor for `change_speed`; 1 for speech that is not changed."""
        return float(rng.uniform(*self.speed_range)) if rng.random() < self.speed else 1.0

    def __call__(
        self,
        rng: np.random.Generator,
        wave: np.ndarray,
        babble_speech: Sequence[np.ndarray] = (),
        channels: Sequence[np.ndarray] = (),
    ) -> np.ndarray:
        """Apply random effects to `wave`, in the order of a real recording: room, noise, microphone, line.

        Babble noise is made of `babble_speech`, and not used without it; `channels` are recordings of which one lends
        its channel. Speed is changed elsewhere (`draw_speed`), since it moves the reference times.
        """
        if rng.random() < self.reverberation:
            wet = 10 ** rng.uniform(-1.5, 0.3)
            wave = reverberate(rng, wave, rng.uniform(*self.decay_range), wet, rng.uniform(0.002, 0.02))
        if rng.random() < self.noise:
            if len(babble_speech) and rng.random() < 0.35:
                wave = add_noise(
                    wave, babble(rng, len(wave), babble_speech), rng.uniform(*self.snr_range) + 3
                )
            else:
                noise = coloured_noise(rng, len(wave), rng.uniform(0, 6))
                wave = add_noise(wave, noise, rng.uniform(*self.snr_range))
        if rng.random() < self.equaliser:
            wave = equalise_bands(rng, wave, self.tilt, self.spread)
        if rng.random() < self.clipping:
            wave = clip_peaks(wave, rng.uniform(0.001, 0.05))
        if rng.random() < self.telephone:
            wave = telephone(wave, rng.uniform(150, 350), rng.uniform(3000, 3800))
        # No random numbers are drawn while these are disabled, which keeps older runs reproducible.
        if self.channel and len(channels) and rng.random() < self.channel:
            wave = borrow_channel(rng, wave, channels[int(rng.integers(len(channels)))])
        if self.band_limit and rng.random() < self.band_limit:
            low, high = self.band_range
            wave = low_pass(wave, rng.uniform(low, high))
        if self.codec and rng.random() < self.codec:
            name = self.codecs[int(rng.integers(len(self.codecs)))]
            wave = apply_codec(wave, name, rng.random())
        return apply_gain(wave, rng.uniform(*self.gain_range))
