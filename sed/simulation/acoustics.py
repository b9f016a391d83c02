"""What lies between mouth and recorder: a room, noise, a telephone line, a lossy codec.

In and out: ``(n,)`` float32 at 16 kHz. Nothing here moves the sound in time or changes its length, so exact
references stay exact: a room response starts with the direct sound, filters have zero phase, codecs are
aligned.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sed.errors import MissingDependencyError, OptionError, install_hint
from sed.grid import SAMPLE_RATE

SPEED_OF_SOUND = 343.0  # metres a second
LINES = ("wide", "telephone", "opus")


def room_responses(
    rng: np.random.Generator,
    reverberation: float,
    distances: Sequence[float | None],
    size: tuple[float, float, float] = (5.0, 4.0, 2.7),
) -> list[np.ndarray]:
    """The responses of one shoebox room from several mouths to one microphone, ``(n,)`` float32 each.

    By pyroomacoustics: the image method (Allen and Berkley, 1979), with images moved by up to 8 cm, which keeps
    their regular grid from whistling (De Sena et al., 2015). `reverberation` is the time in seconds in which the
    sound decays by 60 dB (Sabine's formula gives the absorption). `size` is in metres; `distances` are those from
    mouth to microphone; None puts the mouth anywhere half a metre from the walls. Distances are rounded to whole
    samples of sound (2.1 cm), so that the first sample of a response is the direct sound, all of it, at amplitude 1.
    The same generator gives the same bytes.

    Raises `OptionError` where no wall absorbs that much or the room has no place for a distance, and
    `MissingDependencyError` without pyroomacoustics.

    >>> response, = room_responses(np.random.default_rng(0), 0.3, [1.0])
    >>> float(response[0]), len(response)
    (1.0, 4800)
    """
    pra = _pyroomacoustics()
    walls = np.array(size)
    volume, surface = walls.prod(), 2 * (walls[0] * walls[1] + walls[0] * walls[2] + walls[1] * walls[2])
    if not reverberation > (least := 0.161 * volume / surface) * 1.001:
        raise OptionError(
            f"a reverberation time of {reverberation} s in a room of {size} m: expected more than {least:.2f} s"
        )
    absorption, order = pra.inverse_sabine(reverberation, size, c=SPEED_OF_SOUND)
    microphone = 0.5 + rng.random(3) * (walls - 1)
    return [
        _response(pra, rng, size, microphone, distance, pra.Material(absorption), order, reverberation)
        for distance in distances
    ]


def room_response(
    rng: np.random.Generator,
    reverberation: float,
    size: tuple[float, float, float] = (5.0, 4.0, 2.7),
    distance: float | None = None,
) -> np.ndarray:
    """The response of a room from one mouth to a microphone; see `room_responses`."""
    return room_responses(rng, reverberation, [distance], size)[0]


def _response(
    pra: Any,
    rng: np.random.Generator,
    size: tuple[float, float, float],
    microphone: np.ndarray,
    distance: float | None,
    material: Any,
    order: int,
    reverberation: float,
) -> np.ndarray:
    mouth, delay = _mouth(rng, np.array(size), microphone, distance)
    length = round(reverberation * SAMPLE_RATE)
    with _one_thread(pra):
        room = pra.ShoeBox(size, fs=SAMPLE_RATE, materials=material, max_order=order, air_absorption=False)
        room.set_sound_speed(SPEED_OF_SOUND)
        room.add_source(mouth)
        room.add_microphone(microphone)
        room.image_source_model()
        source = room.sources[0]  # its images are moved here: the package's own generator is the process's
        echoes = source.orders > 0
        source.images[:, echoes] += rng.uniform(-0.08, 0.08, (3, int(echoes.sum())))
        away = np.linalg.norm(source.images - microphone[:, None], axis=0)
        room.visibility[0][0, away > (delay + length) / SAMPLE_RATE * SPEED_OF_SOUND] = 0  # heard too late
        room.compute_rir()
    response = np.zeros(length)
    heard = room.rir[0][0][delay + pra.constants.get("frac_delay_length") // 2 :][:length]
    response[: len(heard)] = heard
    return (response / response[0]).astype(np.float32)


def _mouth(
    rng: np.random.Generator, walls: np.ndarray, microphone: np.ndarray, distance: float | None
) -> tuple[np.ndarray, int]:
    """Where the mouth is, and how many samples the sound takes from there."""
    for _ in range(200):
        way = (0.5 + rng.random(3) * (walls - 1)) - microphone if distance is None else rng.normal(size=3)
        metres = float(np.linalg.norm(way))
        delay = max(1, round((metres if distance is None else distance) / SPEED_OF_SOUND * SAMPLE_RATE))
        mouth = microphone + way / metres * delay * SPEED_OF_SOUND / SAMPLE_RATE
        if np.all((mouth >= 0.1) & (mouth <= walls - 0.1)):
            return mouth, delay
    raise OptionError(
        f"a mouth {distance} m from a microphone in a room of {tuple(walls.tolist())} m: found no place for it,"
        " expected a shorter distance"
    )


def _pyroomacoustics() -> Any:
    try:
        import pyroomacoustics
    except ImportError:
        raise MissingDependencyError(
            f"simulated rooms take the package pyroomacoustics: {install_hint('train')} (or no rooms)"
        ) from None
    return pyroomacoustics


@contextlib.contextmanager
def _one_thread(pra: Any) -> Iterator[None]:
    """Threads add up their shares of a response in an order that depends on how many there are: so one only."""
    before = pra.constants.get("num_threads")
    pra.constants.set("num_threads", 1)
    try:
        yield
    finally:
        pra.constants.set("num_threads", before)


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
