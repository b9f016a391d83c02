import numpy as np
import pytest

from sed.training.data.augment import (
    Augmentation,
    add_noise,
    apply_gain,
    babble,
    change_speed,
    clip_peaks,
    coloured_noise,
    equalise_bands,
    reverberate,
    telephone,
)

RATE = 16_000


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def tone(hertz, samples=RATE):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)).astype(np.float32)


def level(wave):
    return 10 * np.log10(np.mean(np.asarray(wave, np.float64) ** 2))


def strongest(wave):
    return np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * RATE / len(wave)


@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_speed_changes_length_and_pitch_together(factor):
    fast = change_speed(tone(400), factor)
    assert len(fast) == pytest.approx(RATE / factor, abs=2)
    assert strongest(fast) == pytest.approx(400 * factor, abs=2)


def test_gain_in_decibels():
    assert level(apply_gain(tone(300), -6)) - level(tone(300)) == pytest.approx(-6)


@pytest.mark.parametrize("slope", [0, 3, 6])
def test_noise_falls_by_its_slope(rng, slope):
    noise = coloured_noise(rng, 1 << 17, slope)
    assert level(noise) == pytest.approx(0, abs=0.01)
    power = np.abs(np.fft.rfft(noise)) ** 2
    at = len(power) // 16
    octave = 10 * np.log10(power[at : 2 * at].mean() / power[2 * at : 4 * at].mean())
    assert octave == pytest.approx(slope, abs=0.4)


@pytest.mark.parametrize("snr", [0, 10, 25])
def test_noise_is_added_at_its_ratio(rng, snr):
    wave, noise = tone(300), coloured_noise(rng, RATE)
    assert level(wave) - level(add_noise(wave, noise, snr) - wave) == pytest.approx(snr, abs=0.01)


def test_noise_on_silence_is_silence(rng):
    assert not add_noise(np.zeros(RATE, np.float32), coloured_noise(rng, RATE), 5).any()


def test_babble_contains_all_utterances_at_equal_levels(rng):
    mixed = babble(rng, RATE, [tone(300, 5000), 0.01 * tone(1000, 7000), np.zeros(10, np.float32)])
    power = np.abs(np.fft.rfft(mixed)) ** 2
    assert level(mixed) == pytest.approx(0, abs=0.01)
    assert power[200:400].sum() == pytest.approx(power[900:1100].sum(), rel=0.1)


def test_telephone_band_and_quantisation():
    for hertz, kept in ((100, False), (1000, True), (2500, True), (6000, False)):
        loss = level(tone(hertz)) - level(telephone(tone(hertz)))
        assert (loss < 1) if kept else (loss > 25), hertz
    assert 20 < level(tone(1000)) - level(telephone(tone(1000)) - tone(1000)) < 60, "8-bit quantisation noise"


def test_reverberation_keeps_the_onset_and_decays(rng):
    click = np.zeros(RATE, np.float32)
    click[1000] = 1
    echoed = reverberate(rng, click, seconds=0.5, wet=0.5, lead=0.01)
    assert np.abs(echoed[:1000]).max() < 1e-5 and echoed[1000] == pytest.approx(1, abs=1e-4)
    tail = echoed[1001:]
    assert np.sum(tail**2) == pytest.approx(0.5, rel=0.01)
    assert np.abs(tail[:150]).max() < 1e-5, "the lead is silent"
    early, late = tail[160 + 400 : 160 + 2400], tail[160 + 4400 : 160 + 6400]  # 0.25 s apart: 30 dB
    assert level(early) - level(late) == pytest.approx(30, abs=2)


def test_equaliser_changes_the_spectrum_not_the_length(rng):
    wave = rng.standard_normal(RATE).astype(np.float32)
    changed = equalise_bands(rng, wave, tilt=4, spread=4)
    assert changed.shape == wave.shape and not np.allclose(changed, wave, atol=0.05)
    assert equalise_bands(rng, wave, tilt=0, spread=0) == pytest.approx(wave, abs=1e-5)


def test_clipping_limits_the_given_share(rng):
    wave = rng.standard_normal(RATE).astype(np.float32)
    cut = clip_peaks(wave, 0.05)
    assert np.mean(np.abs(cut) == np.abs(cut).max()) == pytest.approx(0.05, abs=0.005)
    quiet = np.abs(wave) < np.abs(cut).max()
    assert np.array_equal(cut[quiet], wave[quiet])


NONE = Augmentation(
    speed=0, reverberation=0, noise=0, equaliser=0, telephone=0, clipping=0, gain_range=(0.0, 0.0)
)


def test_shares_of_0_change_nothing(rng):
    assert np.array_equal(NONE(rng, tone(300)), tone(300)) and NONE.draw_speed(rng) == 1


def test_all_effects_together_keep_the_length_and_depend_on_the_seed():
    every = Augmentation(speed=1, reverberation=1, noise=1, equaliser=1, telephone=1, clipping=1)

    def draw(seed):
        return every(np.random.default_rng(seed), tone(300, 12_345), [tone(200)])

    assert np.array_equal(draw(1), draw(1)) and not np.array_equal(draw(1), draw(2))
    assert draw(1).shape == (12_345,) and draw(1).dtype == np.float32 and np.isfinite(draw(1)).all()
    assert np.isfinite(every(np.random.default_rng(0), np.zeros(999, np.float32))).all()


def test_input_is_not_modified(rng):
    wave = tone(300)
    Augmentation(reverberation=1, noise=1, equaliser=1, telephone=1, clipping=1)(rng, wave)
    assert np.array_equal(wave, tone(300))


def test_speeds_are_in_range_and_some_are_1(rng):
    speeds = [Augmentation(speed=0.5).draw_speed(rng) for _ in range(200)]
    assert 60 < speeds.count(1.0) < 140 and min(speeds) >= 0.85 and max(speeds) <= 1.15
