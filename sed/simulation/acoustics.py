"""Room acoustics, noise, and telephone or codec lines.

In and out: ``(n,)`` float32 at 16 kHz. Nothing shifts the signal in time or changes its length, so references stay
exact: room impulse responses start with the direct sound, filters have zero phase, codec delays are compensated.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sed.errors import MissingDependencyError, OptionError, install_hint
from sed.grid import SAMPLE_RATE

SPEED_OF_SOUND = 343.0  # metres per second
LINES = ("wide", "telephone", "opus")


def room_responses(
    rng: np.random.Generator,
    reverberation: float,
    distances: Sequence[float | None],
    size: tuple[float, float, float] = (5.0, 4.0, 2.7),
) -> list[np.ndarray]:
    """Impulse responses of one shoebox room from several sources to one microphone, ``(n,)`` float32 each.

    Computed by pyroomacoustics with the image method (Allen and Berkley, 1979); image sources are moved randomly by
    up to 8 cm, which prevents sweeping echoes (De Sena et al., 2015). `reverberation` is the time in seconds in which
    sound decays by 60 dB (the absorption follows from Sabine's formula). `size` is in metres, as are the `distances`
    from source to microphone; None places the source anywhere at least half a metre from the walls. Distances are
    rounded to whole samples (2.1 cm), so that the first sample of a response is exactly the direct sound, with
    amplitude 1. The same generator gives the same bytes.

    Raises `OptionError` if the reverberation time is too short for the room or the room too small for a distance, and
    `MissingDependencyError` if pyroomacoustics is not installed.

    >>> response, = room_responses(np.random.default_rng(0), 0.3, [1.0])
    >>> float(response[0]), len(response)
    (1.0, 4800)
    """
    pra = _pyroomacoustics()
    walls = np.array(size)
    volume, surface = walls.prod(), 2 * (walls[0] * walls[1] + walls[0] * walls[2] + walls[1] * walls[2])
    if not reverberation > (minimum := 0.161 * volume / surface) * 1.001:
        raise OptionError(
            f"found a reverberation time of {reverberation} s for a room of {size} m, expected more than"
            f" {minimum:.2f} s"
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
    """The impulse response of a room from one source to a microphone; see `room_responses`."""
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
    position, delay = _draw_source(rng, np.array(size), microphone, distance)
    length = round(reverberation * SAMPLE_RATE)
    with _one_thread(pra):
        room = pra.ShoeBox(size, fs=SAMPLE_RATE, materials=material, max_order=order, air_absorption=False)
        room.set_sound_speed(SPEED_OF_SOUND)
        room.add_source(position)
        room.add_microphone(microphone)
        room.image_source_model()
        source = room.sources[0]  # images are moved here, because the package uses a global generator
        echoes = source.orders > 0
        source.images[:, echoes] += rng.uniform(-0.08, 0.08, (3, int(echoes.sum())))
        distances = np.linalg.norm(source.images - microphone[:, None], axis=0)
        max_distance = (delay + length) / SAMPLE_RATE * SPEED_OF_SOUND  # later echoes are not in the response
        room.visibility[0][0, distances > max_distance] = 0
        room.compute_rir()
    response = np.zeros(length)
    computed = room.rir[0][0][delay + pra.constants.get("frac_delay_length") // 2 :][:length]
    response[: len(computed)] = computed
    return (response / response[0]).astype(np.float32)


def _draw_source(
    rng: np.random.Generator, walls: np.ndarray, microphone: np.ndarray, distance: float | None
) -> tuple[np.ndarray, int]:
    """Draw the position of a source; also returns the delay to the microphone in samples."""
    for _ in range(200):
        direction = (
            (0.5 + rng.random(3) * (walls - 1)) - microphone if distance is None else rng.normal(size=3)
        )
        metres = float(np.linalg.norm(direction))
        delay = max(1, round((metres if distance is None else distance) / SPEED_OF_SOUND * SAMPLE_RATE))
        position = microphone + direction / metres * delay * SPEED_OF_SOUND / SAMPLE_RATE
        if np.all((position >= 0.1) & (position <= walls - 0.1)):
            return position, delay
    raise OptionError(
        f"found no position for a source {distance} m from the microphone in a room of {tuple(walls.tolist())} m,"
        " expected a shorter distance"
    )


def _pyroomacoustics() -> Any:
    try:
        import pyroomacoustics
    except ImportError:
        raise MissingDependencyError(
            f"simulated rooms need the package pyroomacoustics: {install_hint('train')}, or disable rooms"
        ) from None
    return pyroomacoustics


@contextlib.contextmanager
def _one_thread(pra: Any) -> Iterator[None]:
    """Run pyroomacoustics on one thread, because the result depends on the number of threads in the last bits."""
    threads = pra.constants.get("num_threads")
    pra.constants.set("num_threads", 1)
    try:
        yield
    finally:
        pra.constants.set("num_threads", threads)


def reverberate(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """`samples` convolved with a room `response`, truncated to the same length.

    >>> reverberate(np.array([1, 0, 0, 0], np.float32), np.array([1, 0, 0.5], np.float32)).round(3).tolist()
    [1.0, 0.0, 0.5, 0.0]
    """
    size = _fast_size(len(samples) + len(response))
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.fft.irfft(spectrum, size)[: len(samples)].astype(np.float32)


def noise(rng: np.random.Generator, samples: int, slope: float = -3.0) -> np.ndarray:
    """Stationary Gaussian noise ``(samples,)`` with power 1 and a spectrum of `slope` dB per octave above
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


def apply_line(samples: np.ndarray, line: str) -> np.ndarray:
    """`samples` after transmission over a line; same length, no delay.

    ``wide`` changes nothing; ``telephone`` is 300 to 3,400 Hz at 8 kHz with G.711 mu-law quantisation; ``opus`` is
    the Opus codec at its lowest quality. Raises `OptionError` for an unknown line.
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
    """The smallest fast FFT size of at least `samples`: 2**k, 3 * 2**k or 5 * 2**k."""
    return min(factor << max(0, (-(-samples // factor) - 1).bit_length()) for factor in (1, 3, 5))
