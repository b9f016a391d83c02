import numpy as np
import pytest

from sed.errors import MissingDependencyError, OptionError
from sed.simulation.acoustics import LINES, apply_line, noise, reverberate, room_response, room_responses

RATE = 16_000


def decay_time(response):
    """The decay time to -60 dB in seconds, from the Schroeder integral between -5 and -25 dB."""
    energy = np.cumsum(response[::-1].astype(float) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0])
    return 3 * (np.argmax(level < -25) - np.argmax(level < -5)) / RATE


@pytest.mark.slow
@pytest.mark.parametrize("reverberation", [0.25, 0.35, 0.5])
def test_room_has_its_decay_time_and_starts_with_the_direct_sound(reverberation):
    responses = [room_response(np.random.default_rng(seed), reverberation) for seed in range(3)]
    assert all(response[0] == 1 for response in responses)
    assert np.mean([decay_time(response) for response in responses]) == pytest.approx(reverberation, rel=0.2)


def test_shorter_distance_has_more_direct_sound():
    def direct_share(distance):
        rng = np.random.default_rng(3)
        return 1 / float((room_response(rng, 0.4, (6, 5, 3), distance) ** 2).sum())

    assert direct_share(0.3) > 2 * direct_share(1.5)


def test_room_depends_on_the_generator_only_and_restores_the_thread_count():
    import pyroomacoustics

    threads = pyroomacoustics.constants.get("num_threads")
    first = room_response(np.random.default_rng(4), 0.25)
    pyroomacoustics.random.seed(1)
    np.random.seed(2)
    assert np.array_equal(first, room_response(np.random.default_rng(4), 0.25))
    assert not np.array_equal(first, room_response(np.random.default_rng(5), 0.25))
    assert pyroomacoustics.constants.get("num_threads") == threads


def test_several_sources_share_a_room_and_a_microphone():
    """Late echoes are equally loud relative to the source; the first response does not depend on further sources."""
    near, far = room_responses(np.random.default_rng(2), 0.3, [0.5, 1.5])
    late = [float((response[1600:] ** 2).sum()) for response in (near, far)]
    assert (
        5 < late[1] / late[0] < 14
    )  # direct sound is scaled to 1: 9 times the power at a third of the distance
    single = room_response(np.random.default_rng(2), 0.3, distance=0.5)
    assert np.array_equal(near, single)


def test_reverberation_does_not_delay_the_direct_sound():
    click = np.zeros(8000, np.float32)
    click[1000] = 0.5
    for seed in range(5):
        reverberated = reverberate(click, room_response(np.random.default_rng(seed), 0.3))
        assert np.argmax(np.abs(reverberated)) == 1000 and abs(reverberated[:1000]).max() < 1e-6


def test_distance_larger_than_the_room_raises():
    message = r"a source 9\.0 m from the microphone .* expected a shorter distance"
    with pytest.raises(OptionError, match=message):
        room_response(np.random.default_rng(0), 0.3, distance=9.0)


def test_rooms_without_pyroomacoustics_raise(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'speech-emotion-diarization\[train\]'"):
        room_response(np.random.default_rng(0), 0.3)


def test_too_short_reverberation_raises():
    with pytest.raises(OptionError, match=r"reverberation time of 0.02 s .* expected more than 0.1"):
        room_response(np.random.default_rng(0), 0.02)


def test_reverberation_is_convolution_of_the_same_length():
    rng = np.random.default_rng(0)
    samples, response = rng.normal(size=1000).astype(np.float32), rng.normal(size=300).astype(np.float32)
    expected = np.convolve(samples, response)[:1000]
    assert np.allclose(reverberate(samples, response), expected, atol=1e-4)


def test_noise_has_unit_power_and_its_slope():
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
    out = apply_line(speechlike(40_000)[:samples], line)
    assert len(out) == samples and out.dtype == np.float32


@pytest.mark.parametrize("line", LINES)
def test_lines_do_not_delay_the_signal(line):
    samples = speechlike()
    size = 1 << 17
    spectrum = np.conj(np.fft.rfft(samples, size)) * np.fft.rfft(apply_line(samples, line), size)
    assert np.argmax(np.fft.irfft(spectrum, size)) == 0


def test_telephone_band_is_300_to_3400_hz():
    def gain(frequency):
        samples = (0.2 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)).astype(np.float32)
        return 10 * np.log10((apply_line(samples, "telephone")[2000:-2000] ** 2).mean() / 0.02 + 1e-9)

    assert abs(gain(500)) < 0.3 and abs(gain(3000)) < 0.3
    assert gain(100) < -30 and gain(5000) < -30


def test_lines_except_wide_change_the_signal():
    samples = speechlike()
    assert all(
        not np.allclose(apply_line(samples, line), samples, atol=1e-3) for line in ("telephone", "opus")
    )
    assert apply_line(samples, "wide") is samples


def test_unknown_line_raises():
    with pytest.raises(OptionError, match="line 'carrier pigeon': expected one of wide, telephone, opus"):
        apply_line(np.zeros(10, np.float32), "carrier pigeon")
