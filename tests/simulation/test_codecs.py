import numpy as np
import pytest
from tones import tone

from sed.corpora.audio import read_wave
from sed.errors import OptionError
from sed.simulation.codecs import CODECS, apply_codec, low_pass
from sed.training.data.augment import Augmentation

NONE = {
    "speed": 0,
    "reverberation": 0,
    "noise": 0,
    "equaliser": 0,
    "telephone": 0,
    "clipping": 0,
    "gain_range": (0, 0),
}


def level(wave):
    return 10 * np.log10(np.mean(np.asarray(wave, np.float64) ** 2) + 1e-12)


@pytest.mark.parametrize("name", CODECS)
def test_codecs_are_lossy_without_delay(name, data):
    wave = read_wave(data / "emodb_15_happy_1.flac")[:30_001]
    coded = apply_codec(wave, name, 0.8)
    assert coded.shape == wave.shape and coded.dtype == np.float32
    size = 1 << 16
    correlation = np.fft.irfft(np.fft.rfft(coded, size) * np.conj(np.fft.rfft(wave, size)))
    shift = int(correlation.argmax())
    assert min(shift, size - shift) <= 1
    assert 3 < level(wave) - level(coded - wave) < 45, "lossy, but the same speech"


def test_more_compression_gives_a_larger_error(data):
    wave = read_wave(data / "emodb_15_happy_1.flac")
    for name in ("opus", "vorbis"):
        errors = [level(apply_codec(wave, name, c) - wave) for c in (0.0, 1.0)]
        assert errors[1] > errors[0] + 3, name


@pytest.mark.parametrize("name", ["gsm", "adpcm", "mulaw"])
def test_telephone_codecs_remove_frequencies_above_4_khz(name):
    high, low = tone(6000, level=0.3), tone(1000, level=0.3)
    assert level(high) - level(apply_codec(high, name)) > 20
    assert abs(level(low) - level(apply_codec(low, name))) < 2


@pytest.mark.parametrize("samples", [0, 1, 200])
def test_codecs_keep_the_length_of_short_waves(samples):
    for name in CODECS:
        assert len(apply_codec(np.zeros(samples, np.float32), name)) == samples


def test_unknown_codec_raises():
    with pytest.raises(OptionError, match="codec 'wax': expected one of opus"):
        apply_codec(np.zeros(9, np.float32), "wax")


def test_low_pass_cutoff():
    for pitch, kept in ((500, True), (2000, True), (4000, False), (7000, False)):
        loss = level(tone(pitch, level=0.3)) - level(low_pass(tone(pitch, level=0.3), 3000))
        assert (loss < 0.5) if kept else (loss > 20), pitch


def test_augmentation_applies_codecs_by_their_share_and_draws_nothing_if_disabled():
    wave = tone(5000, level=0.3)
    narrow = Augmentation(**NONE, band_limit=1.0, band_range=(3000, 3000))
    assert level(wave) - level(narrow(np.random.default_rng(0), wave)) > 20
    half = Augmentation(**NONE, codec=0.5, codecs=("gsm",))
    rng = np.random.default_rng(0)
    changed = [not np.array_equal(half(rng, wave), wave) for _ in range(60)]
    assert 15 < sum(changed) < 45
    off, on = np.random.default_rng(3), np.random.default_rng(3)
    Augmentation(**NONE)(off, wave)
    Augmentation(**NONE, codec=0.0, band_limit=0.0)(on, wave)
    assert off.random() == on.random()
