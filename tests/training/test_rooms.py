import numpy as np
import pytest

from sed.errors import OptionError
from sed.training.rooms import LINES, noise, reverberate, room_response, through_line

RATE = 16_000


def decay_time(response):
    """Seconds to -60 dB from the slope between -5 and -25 dB of Schroeder's backward integral."""
    energy = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0])
    return 3 * (np.argmax(level < -25) - np.argmax(level < -5)) / RATE


@pytest.mark.parametrize("wanted", [0.25, 0.4, 0.6])
def test_room_decays_as_told_and_starts_with_the_direct_sound(wanted):
    responses = [room_response(np.random.default_rng(seed), wanted) for seed in range(4)]
    assert all(response[0] == 1 for response in responses)
    assert np.mean([decay_time(response) for response in responses]) == pytest.approx(wanted, rel=0.2)


def test_nearer_is_drier():
    def direct_share(distance):
        rng = np.random.default_rng(3)
        return 1 / float((room_response(rng, 0.4, (6, 5, 3), distance) ** 2).sum())

    assert direct_share(0.3) > 2 * direct_share(1.5)


def test_impossible_room_says_what_is_possible():
    with pytest.raises(OptionError, match=r"reverberation time of 0.02 s .* expected more than 0.1"):
        room_response(np.random.default_rng(0), 0.02)


def test_reverberation_is_convolution_of_the_same_length():
    rng = np.random.default_rng(0)
    samples, response = rng.normal(size=1000).astype(np.float32), rng.normal(size=300).astype(np.float32)
    wanted = np.convolve(samples, response)[:1000]
    assert np.allclose(reverberate(samples, response), wanted, atol=1e-4)


def test_noise_has_power_one_and_its_slope():
    for slope in (0.0, -3.0, -6.0):
        signal = noise(np.random.default_rng(1), 160_000, slope)
        power = np.abs(np.fft.rfft(signal)) ** 2
        octaves = [10 * np.log10(power[low * 10 : low * 20].mean()) for low in (250, 500, 1000, 2000)]
        assert (signal**2).mean() == pytest.approx(1, abs=1e-4)
        assert np.diff(octaves).mean() == pytest.approx(slope, abs=0.3)


def speechlike(samples=40_000):
    rng = np.random.default_rng(5)
    envelope = 0.5 + 0.5 * np.sin(np.arange(samples) / 900.0)
    return (0.1 * envelope * noise(rng, samples, -4.0)).astype(np.float32)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("samples", [0, 1, 8_001, 40_000])
def test_lines_keep_the_length(line, samples):
    out = through_line(speechlike(40_000)[:samples], line)
    assert len(out) == samples and out.dtype == np.float32


@pytest.mark.parametrize("line", LINES)
def test_lines_do_not_move_the_sound(line):
    samples = speechlike()
    size = 1 << 17
    product = np.conj(np.fft.rfft(samples, size)) * np.fft.rfft(through_line(samples, line), size)
    assert np.argmax(np.fft.irfft(product, size)) == 0


def test_telephone_keeps_300_to_3400_hertz_only():
    def gain(frequency):
        samples = (0.2 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)).astype(np.float32)
        return 10 * np.log10((through_line(samples, "telephone")[2000:-2000] ** 2).mean() / 0.02 + 1e-9)

    assert abs(gain(500)) < 0.3 and abs(gain(3000)) < 0.3
    assert gain(100) < -30 and gain(5000) < -30


def test_codecs_change_something():
    samples = speechlike()
    assert all(
        not np.allclose(through_line(samples, line), samples, atol=1e-3) for line in ("telephone", "opus")
    )
    assert through_line(samples, "wide") is samples


def test_unknown_line_is_refused():
    with pytest.raises(OptionError, match="line 'carrier pigeon': expected one of wide, telephone, opus"):
        through_line(np.zeros(10, np.float32), "carrier pigeon")
