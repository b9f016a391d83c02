"""ONNX taggers: the bundled model on real speech, model cards, and errors on other files."""

import json

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper

from sed.emotion.onnx import OnnxTagger
from sed.emotion.tagger import Tagger
from sed.errors import ModelError, OptionError
from sed.grid import frame_count

CARD = {"labels": ["neutral", "angry"], "frame_rate": 50, "window": 16000}


def write_model(path, card=CARD, output="posteriors"):
    """Write a model that returns its input, with the input and output names of a tagger, and a card."""
    nodes = [helper.make_node("Identity", ["waves"], [output])]
    waves = helper.make_tensor_value_info("waves", TensorProto.FLOAT, ["batch", "samples"])
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "samples"])
    graph = helper.make_graph(nodes, "g", [waves], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card is not None:
        helper.set_model_props(model, {"sed": card if isinstance(card, str) else json.dumps(card)})
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def tagger():
    return OnnxTagger.bundled()


@pytest.fixture(scope="module")
def speech(request):
    folder = request.config.rootpath / "tests" / "data"
    return [soundfile.read(path, dtype="float32")[0] for path in sorted(folder.glob("emodb_*.flac"))]


def test_bundled_is_a_tagger_with_the_documented_labels(tagger):
    assert isinstance(tagger, Tagger)
    assert tagger.labels == ("neutral", "happy", "angry", "sad")
    assert tagger.frame_rate == 50 and tagger.window == 48_000
    assert tagger.card["licence"].startswith("Apache-2.0") and tagger.path.stat().st_size < 25e6


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 16_001, 80_000])
def test_frames_and_sums(tagger, samples):
    wave = np.random.default_rng(samples).standard_normal((2, samples)).astype(np.float32) * 0.1
    posteriors = tagger.posteriors(wave)
    assert posteriors.shape == (2, frame_count(samples), 4) and posteriors.dtype == np.float32
    assert posteriors.sum(axis=2) == pytest.approx(1, abs=1e-5) and (posteriors >= 0).all()


@pytest.mark.parametrize(
    ("card", "max_samples"), [({}, 16_000), ({"longest": 40_000}, 40_000), ({"longest": None}, None)]
)
def test_max_samples_is_read_from_the_card(tmp_path, card, max_samples):
    assert OnnxTagger(write_model(tmp_path / "m.onnx", {**CARD, **card})).max_samples == max_samples


@pytest.mark.parametrize("max_samples", [15_999, "40000", 0])
def test_invalid_max_samples_are_rejected(tmp_path, max_samples):
    text = rf"found a maximum length of {max_samples!r} samples, expected at least"
    with pytest.raises(ModelError, match=text):
        OnnxTagger(write_model(tmp_path / "m.onnx", {**CARD, "longest": max_samples}))


def test_posteriors_of_silence_and_extremes_are_finite(tagger):
    waves = np.stack([np.zeros(5000), np.ones(5000), np.full(5000, 1e-20), np.resize([1.0, -1.0], 5000)])
    assert np.isfinite(tagger.posteriors(waves.astype(np.float32))).all()


def test_posteriors_do_not_depend_on_the_rest_of_the_batch(tagger, speech):
    wave = speech[0][:20_000]
    alone = tagger.posteriors(wave[None])[0]
    for other in (np.zeros_like(wave), 100 * speech[1][:20_000], wave):
        assert np.array_equal(tagger.posteriors(np.stack([other, wave]))[1], alone)


def test_results_are_reproducible(tagger, speech):
    again = OnnxTagger.bundled()
    assert np.array_equal(tagger.posteriors(speech[2][None]), again.posteriors(speech[2][None]))


def test_anger_and_sadness_are_distinguished(tagger, request):
    """Real speech: the bundled model distinguishes the most different pair of emotions."""
    folder = request.config.rootpath / "tests" / "data"
    for speaker in (15, 16):
        for emotion, other in (("angry", "sad"), ("sad", "angry")):
            wave, _ = soundfile.read(folder / f"emodb_{speaker}_{emotion}_1.flac", dtype="float32")
            mean = dict(zip(tagger.labels, tagger.posteriors(wave[None])[0].mean(axis=0), strict=True))
            assert mean[emotion] > mean[other], (speaker, emotion, mean)


def test_invalid_input_is_rejected(tagger):
    for shape in ((100,), (1, 0), (1, 2, 100)):
        with pytest.raises(OptionError, match="expected \\(batch, samples\\)"):
            tagger.posteriors(np.zeros(shape, np.float32))
    with pytest.raises(OptionError, match=r"10\.0000625 s of audio at once: expected at most 10\.0"):
        tagger.posteriors(np.zeros((1, 160_001), np.float32))
    with pytest.raises(OptionError, match="0 threads"):
        OnnxTagger.bundled(threads=0)


def test_any_model_with_a_card_is_loaded(tmp_path):
    tagger = OnnxTagger(write_model(tmp_path / "m.onnx", {**CARD, "name": "mine"}))
    assert tagger.labels == ("neutral", "angry") and tagger.window == 16_000 and tagger.card["name"] == "mine"


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(ModelError, match="no emotion model at"):
        OnnxTagger(tmp_path / "none.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(write_model(tmp_path / "m.onnx").read_bytes()[:40])
    with pytest.raises(ModelError, match=r"broken\.onnx is not a model"):
        OnnxTagger(broken)


@pytest.mark.parametrize(
    ("card", "text"),
    [
        (None, "has no card"),
        ("{", "card of .* is damaged"),
        ({"labels": ["a", "b"]}, "card of .* is damaged"),
        ({**CARD, "labels": ["a"]}, "at least two names"),
        ({**CARD, "labels": ["a", "a"]}, r"found labels \['a', 'a'\], expected distinct ones"),
        ({**CARD, "frame_rate": 100}, "found 100 frames per second"),
        ({**CARD, "window": 16001}, "window of 16001 samples"),
    ],
)
def test_invalid_cards_are_rejected(tmp_path, card, text):
    with pytest.raises(ModelError, match=text):
        OnnxTagger(write_model(tmp_path / "m.onnx", card))


def test_other_kinds_of_models_are_rejected(tmp_path):
    with pytest.raises(ModelError, match="not an emotion tagger: found inputs"):
        OnnxTagger(write_model(tmp_path / "m.onnx", output="other"))
