"""Several taggers as one, by ``A+B``: the mean, the same operating point, and what does not fit."""

import numpy as np
import pytest
import soundfile
from loud_tagger import write_tagger

from sed import EmotionDiarizer
from sed.archive.journal import fingerprint
from sed.emotion import load_tagger
from sed.emotion.ensemble import EnsembleTagger, tagger_names
from sed.emotion.priors import model_prior, reweighted
from sed.emotion.tagger import Tagger
from sed.emotion.windows import posteriors_of
from sed.errors import OptionError


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """A tagger with other posteriors than the bundled one, and its prior."""
    prior = dict(zip(load_tagger().labels, model_prior(load_tagger()).tolist(), strict=True))
    folder = tmp_path_factory.mktemp("loud")
    return str(write_tagger(folder / "loud.onnx", dimensions=(), prior=prior))


@pytest.fixture(scope="module")
def clips(data):
    return {
        (emotion, speaker): soundfile.read(data / f"emodb_{speaker}_{emotion}_1.flac", dtype="float32")[0]
        for emotion in ("neutral", "happy", "angry", "sad")
        for speaker in (15, 16)
    }


class Fixed:
    frame_rate, window = 50, 16_000

    def __init__(self, **posteriors):
        self.labels = tuple(posteriors)
        self.row = np.array(list(posteriors.values()), np.float32)

    def posteriors(self, waves):
        return np.tile(self.row, (len(waves), -(-waves.shape[1] // 320), 1))


@pytest.mark.slow
def test_it_is_the_mean_of_the_two(loud, clips):
    both = load_tagger(f"bundled+{loud}")
    wave = clips["happy", 15][None]
    one, two = load_tagger().posteriors(wave), load_tagger(loud).posteriors(wave)
    assert isinstance(both, Tagger) and both.labels == load_tagger().labels
    assert np.abs(one - two).max() > 0.1
    assert both.posteriors(wave) == pytest.approx((one + two) / 2, abs=1e-6)
    assert both.settings == {"ensemble": ["bundled", loud]}
    assert both.window == min(load_tagger().window, 32_000)


def test_its_likelihood_is_above_that_of_the_worse_one(loud, clips):
    taggers = [load_tagger(), load_tagger(loud)]

    def nll(tagger):
        rows = [(tagger.labels.index(e), posteriors_of(tagger, w).mean(0)) for (e, _), w in clips.items()]
        return -np.mean([np.log(row[e]) for e, row in rows])

    one, two = map(nll, taggers)
    assert nll(EnsembleTagger(taggers)) < max(one, two) and abs(one - two) > 0.1


def test_labels_in_another_order_and_another_prior_are_those_of_the_first(loud, clips):
    both = EnsembleTagger([Fixed(sad=0.8, happy=0.2), Fixed(happy=0.6, sad=0.4)])
    assert both.labels == ("sad", "happy")
    assert both.posteriors(np.zeros((1, 500)))[0, 1].tolist() == pytest.approx([0.6, 0.4])
    first, second = load_tagger(), Fixed(neutral=0.25, happy=0.25, angry=0.25, sad=0.25)
    found = EnsembleTagger([first, second])
    wave = clips["sad", 16][None]
    moved = reweighted(second, dict(zip(first.labels, model_prior(first).tolist(), strict=True)))
    assert found.posteriors(wave) == pytest.approx(
        (first.posteriors(wave) + moved.posteriors(wave)) / 2, abs=1e-6
    )
    assert np.ptp(moved.posteriors(wave)[0, 0]) > 0.1
    assert model_prior(found) == pytest.approx(model_prior(first))


def test_dimensions_are_averaged(tmp_path, clips):
    path = write_tagger(tmp_path / "a.onnx")
    one = load_tagger(path)
    both = load_tagger(f"{path}+{path}")
    wave = clips["happy", 15][None]
    for found, expected in zip(both.outputs(wave), one.outputs(wave), strict=True):
        assert found == pytest.approx(expected, abs=1e-6)
    assert both.dimensions == one.dimensions


@pytest.mark.slow
def test_the_pipeline_and_the_journal_know_it(loud, data, tmp_path):
    result = EmotionDiarizer(tagger=f"bundled+{loud}")(data / "emodb_16_sad_1.flac")
    assert result.settings == {"ensemble": ["bundled", loud]} and result.segments
    moved = write_tagger(tmp_path / "loud.onnx", dimensions=(), prior=load_tagger(loud).card["prior"])
    keys = [fingerprint({"tagger": f"bundled+{path}"}) for path in (loud, moved)]
    assert keys[0] == keys[1] and keys[0] != fingerprint({"tagger": loud}) != fingerprint({})


def test_a_file_whose_name_has_a_plus_is_one_tagger(tmp_path):
    path = write_tagger(tmp_path / "a+b.onnx", dimensions=())
    assert tagger_names(path) == [str(path)] and load_tagger(str(path)).labels == load_tagger().labels


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Fixed(neutral=0.5, sad=0.5),
            "two has the labels neutral, sad, expected angry, happy, neutral, sad as one",
        ),
        (
            {"dimensions": ("arousal", "valence")},
            "two has the dimensions arousal, valence, expected none as one",
        ),
        ({"frame_rate": 25}, "frame rate"),
    ],
)
def test_taggers_that_differ_are_refused(other, message):
    second = other
    if isinstance(other, dict):
        second = Fixed(neutral=0.25, happy=0.25, angry=0.25, sad=0.25)
        for name, value in other.items():
            setattr(second, name, value)
    with pytest.raises(OptionError, match=message):
        EnsembleTagger([load_tagger(), second], ["one", "two"])


def test_one_is_no_ensemble():
    with pytest.raises(OptionError, match="an ensemble of one: expected two taggers or more"):
        EnsembleTagger([load_tagger()], ["one"])
