"""What lies between mouth and recorder: a room, noise, a telephone line, a lossy codec.

In and out: ``(n,)`` float32 at 16 kHz. Nothing here moves the sound in time or changes its length, so exact
references stay exact: a room response starts with the direct sound, filters have zero phase, codecs are
aligned.
"""

from __future__ import annotations

import io

import numpy as np

from sed.errors import OptionError
from sed.grid import SAMPLE_RATE

SPEED_OF_SOUND = 343.0  # metres a second
LINES = ("wide", "telephone", "opus")


def room_response(
    rng: np.random.Generator,
    reverberation: float,
    size: tuple[float, float, float] = (5.0, 4.0, 2.7),
    distance: float | None = None,
) -> np.ndarray:
    """The response of a shoebox room from a random mouth to a random microphone, ``(n,)`` float32.

    The image method (Allen and Berkley, 1979) with sources moved by up to 8 cm, which keeps the regular grid
    of images from whistling. `reverberation` is the time in seconds in which the sound decays by 60 dB
    (Sabine's formula gives the absorption; raises `OptionError` where no wall absorbs that much). `size` is
    in metres; `distance` fixes mouth to microphone, else both are anywhere half a metre from the walls. The
    first sample is the direct sound at amplitude 1.

    >>> response = room_response(np.random.default_rng(0), 0.3)
    >>> float(response[0]), len(response)
    (1.0, 4800)
    """
    walls = np.array(size)
    volume, surface = walls.prod(), 2 * (walls[0] * walls[1] + walls[0] * walls[2] + walls[1] * walls[2])
    absorption = 0.161 * volume / (surface * reverberation)
    if not 0 < absorption < 1:
        raise OptionError(
            f"a reverberation time of {reverberation} s in a room of {size} m: expected more than "
            f"{0.161 * volume / surface:.2f} s"
        )
    microphone = 0.5 + rng.random(3) * (walls - 1)
    mouth = 0.5 + rng.random(3) * (walls - 1)
    if distance is not None:
        direction = rng.normal(size=3)
        mouth = np.clip(microphone + distance * direction / np.linalg.norm(direction), 0.1, walls - 0.1)
    length = round(reverberation * SAMPLE_RATE)
    direct = float(np.linalg.norm(mouth - microphone))
    reach = direct + length / SAMPLE_RATE * SPEED_OF_SOUND
    axes, bounces = [], []
    for axis in range(3):  # images along one axis: 2 n L + x after 2|n| bounces, 2 n L - x after |2n - 1|
        n = np.arange(-int(reach / (2 * walls[axis])) - 1, int(reach / (2 * walls[axis])) + 2)
        axes.append(np.concatenate([2 * n * walls[axis] + mouth[axis], 2 * n * walls[axis] - mouth[axis]]))
        bounces.append(np.concatenate([2 * abs(n), abs(2 * n - 1)]))
    x, y, z = np.meshgrid(*(a - m for a, m in zip(axes, microphone, strict=True)), indexing="ij")
    hits = np.sum(np.meshgrid(*bounces, indexing="ij"), axis=0)
    away = np.sqrt(x**2 + y**2 + z**2)
    away = np.where(hits > 0, away + rng.uniform(-0.08, 0.08, away.shape), away)
    delay = np.round((away - direct) / SPEED_OF_SOUND * SAMPLE_RATE).astype(int)
    heard = (delay >= 0) & (delay < length)
    loudness = np.sqrt(1 - absorption) ** hits[heard] * direct / np.maximum(away[heard], 0.1)
    sign = np.where(hits[heard] > 0, rng.choice([-1.0, 1.0], heard.sum()), 1.0)  # no build-up at 0 Hz
    response = np.bincount(delay[heard], loudness * sign, length)
    return (response / response[0]).astype(np.float32)


def reverberate(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """`samples` in the room of `response`; same length, the last echoes are cut off.

    >>> reverberate(np.array([1, 0, 0, 0], np.float32), np.array([1, 0, 0.5], np.float32)).round(3).tolist()
    [1.0, 0.0, 0.5, 0.0]
    """
    size = _fast_size(len(samples) + len(response))
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def noise(rng: np.random.Generator, samples: int, slope: float = -3.0) -> np.ndarray:
    """Stationary Gaussian noise ``(samples,)`` with power 1 and a spectrum of `slope` dB an octave above
    50 Hz (0 white, -3 pink, -6 brown).

    >>> round(float((noise(np.random.default_rng(0), 16000) ** 2).mean()), 6)
    1.0
    """
    if samples == 0:
        return np.zeros(0, np.float32)
    size = _fast_size(samples)
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), 50.0)
    shape = (frequencies / 50.0) ** (slope / (20 * np.log10(2)))
    signal = np.fft.irfft(np.fft.rfft(rng.standard_normal(size)) * shape, size)[:samples]
    return (signal / np.sqrt((signal**2).mean())).astype(np.float32)


def through_line(samples: np.ndarray, line: str) -> np.ndarray:
    """`samples` as they arrive at the other end of a line; same length, no delay.

    ``wide`` changes nothing; ``telephone`` is 300 to 3,400 Hz at 8 kHz with G.711 mu-law steps; ``opus`` is a
    round through the Opus codec at its lowest quality. Raises `OptionError` on another name.
    """
    if line == "telephone":
        return _telephone(samples)
    if line == "opus":
        return _opus(samples)
    if line != "wide":
        raise OptionError(f"line {line!r}: expected one of {', '.join(LINES)}")
    return samples


def _telephone(samples: np.ndarray) -> np.ndarray:
    import soxr

    size = _fast_size(len(samples) + SAMPLE_RATE)
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    rise = np.clip((frequencies - 200) / 100, 0, 1)
    fall = np.clip((3700 - frequencies) / 300, 0, 1)
    band = np.fft.irfft(np.fft.rfft(samples, size) * rise * fall, size)[: len(samples)]
    narrow = np.clip(soxr.resample(band, SAMPLE_RATE, 8000), -1, 1)
    mu = 255.0
    code = np.round(127 * np.sign(narrow) * np.log1p(mu * np.abs(narrow)) / np.log1p(mu))
    narrow = np.sign(code) * np.expm1(np.abs(code) / 127 * np.log1p(mu)) / mu
    return _same_length(soxr.resample(narrow, 8000, SAMPLE_RATE), len(samples))


def _opus(samples: np.ndarray) -> np.ndarray:
    import soundfile

    if len(samples) == 0:
        return samples
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=1.0)
    file.seek(0)
    return _same_length(soundfile.read(file, dtype="float32")[0], len(samples))


def _same_length(samples: np.ndarray, length: int) -> np.ndarray:
    return np.pad(samples[:length], (0, max(0, length - len(samples)))).astype(np.float32)


def _fast_size(samples: int) -> int:
    """The next size up with small factors only, where the FFT is fast: 2**k, 3 * 2**k or 5 * 2**k."""
    return min(factor << max(0, (-(-samples // factor) - 1).bit_length()) for factor in (1, 3, 5))
