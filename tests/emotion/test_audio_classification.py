"""Audio classification models in their published layouts: the same output as the original code, offline."""

import json
import shutil

import numpy as np
import pytest
import torch
from classification_layouts import audeering_model, odyssey_model, transformers_classifier

from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.emotion.tagger import Tagger
from sed.errors import ModelError
from sed.formats import dumps, names
from sed.grid import frame_count
from sed.networks.utterance import HOP_LENGTH, LENGTH

NAMES = ("wavlm", "wavlm-large", "hubert", "wav2vec2", "wav2vec2-large", "data2vec-audio", "whisper")
ORDER = [2, 1, 0, 3]  # of LABELS: neutral, happy, angry, tired
ODYSSEY = ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral")


def clip(seconds, seed=0):
    """Noise of varying loudness and colour after 50 ms of silence (Whisper's features mirror the first 12 ms)."""
    rng = np.random.default_rng(seed)
    samples = round(seconds * 16_000)
    noise = np.convolve(rng.standard_normal(samples), [1, -0.6, 0.3])[:samples]
    wave = (0.02 + 0.2 * np.abs(np.sin(np.arange(samples) / 4000))) * noise
    wave[:800] = 0
    return wave.astype(np.float32)


def own_frames(name, samples):
    """Frames that the encoder itself returns."""
    return frame_count(samples) if name == "whisper" else (samples - 400) // 320 + 1


@pytest.fixture(scope="module", params=[(n, s) for n in NAMES for s in (False, True)], ids=str)
def pair(request, tmp_path_factory):
    name, weighted = request.param
    folder = tmp_path_factory.mktemp(name)
    model, extractor = transformers_classifier(folder, name, use_weighted_layer_sum=weighted)
    return name, load_tagger(folder), model, extractor


@pytest.mark.parametrize("seconds", [0.6, 3.013])
def test_the_frames_agree_with_transformers(pair, seconds):
    """The mean of the frames' log-posteriors is the original's log-posterior, up to a constant."""
    name, tagger, model, extractor = pair
    wave = clip(seconds)
    with torch.no_grad():
        logits = model(**extractor(wave, sampling_rate=16_000, return_tensors="pt")).logits[0]
    expected = logits.softmax(0).numpy()[ORDER]
    found = tagger.posteriors(wave[None])[0]
    assert found.shape == (frame_count(len(wave)), 4) and found.std(0).max() > 1e-3
    logs = np.log(found[: own_frames(name, len(wave))].astype(np.float64)).mean(0)
    assert np.exp(logs) / np.exp(logs).sum() == pytest.approx(expected, abs=1e-5)


def test_labels_are_renamed_and_all_are_kept(pair):
    tagger = pair[1]
    assert isinstance(tagger, Tagger)
    assert tagger.labels == ("neutral", "happy", "angry", "tired")
    assert tagger.settings == {"label_names": {"neutral": "neu", "happy": "Happiness", "angry": "ang"}}


@pytest.mark.parametrize("seconds", [0.4, 2.2])
def test_audeerings_model_gives_its_own_dimensions(tmp_path, seconds):
    original = audeering_model(tmp_path)
    tagger = load_tagger(tmp_path)
    wave = clip(seconds)
    expected = original(torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))[None])[0].numpy()
    posteriors, dimensions = tagger.outputs(wave[None])
    assert (tagger.labels, tagger.dimensions) == ((), ("arousal", "valence", "dominance"))
    assert posteriors.shape == (1, frame_count(len(wave)), 0)
    assert np.abs(dimensions[0] - expected[[0, 2, 1]]).max() < 1e-4
    assert np.ptp(expected) > 0.02 and 0 < expected.min() < expected.max() < 1


@pytest.mark.parametrize("layers", [1, 2])
def test_odysseys_baseline_gives_its_own_posteriors(tmp_path, layers):
    original = odyssey_model(tmp_path, ODYSSEY, layers)
    tagger = load_tagger(tmp_path)
    wave = clip(2.5)
    expected = original((torch.from_numpy(wave)[None] + 8e-5) / (0.085 + 1e-6)).softmax(0).numpy()
    found = tagger.posteriors(wave[None])[0]
    assert tagger.labels[:4] == ("neutral", "happy", "angry", "sad") and "fearful" in tagger.labels
    columns = [tagger.labels.index(label) for label in ("angry", "sad", "happy", "surprised")]
    assert np.abs(found[:, columns] - expected[:4]).max() < 1e-5 and np.ptp(expected) > 0.01


def test_in_longer_audio_each_frame_has_the_window_around_it(tmp_path):
    odyssey_model(tmp_path, ODYSSEY)
    found = load_tagger(tmp_path).posteriors(clip(8)[None])[0]
    changes = np.flatnonzero(np.abs(np.diff(found, axis=0)).max(1) > 1e-7) + 1
    half, hop = round(LENGTH * 25), round(HOP_LENGTH * 50)
    assert changes[0] == half + hop // 2 + 1 and set(np.diff(changes)[:-1]) == {hop}
    assert frame_count(8 * 16_000) - changes[-1] >= half


@pytest.mark.slow
def test_without_labels_segments_follow_the_turns(tmp_path, data):
    audeering_model(tmp_path)
    diarizer = EmotionDiarizer(tagger=str(tmp_path))
    path = data / "emodb_16_sad_1.flac"
    result = diarizer(path)
    assert result.labels == () and result.dimensions == ("arousal", "valence", "dominance") and len(result)
    for segment in result:
        assert segment.emotion is None and segment.confidence is None and not segment.probabilities
        assert set(segment.dimensions) == {"arousal", "valence", "dominance"}
    bundled = EmotionDiarizer()(path).speakers
    assert [(s.start, s.speaker) for s in result] == [
        (span.start, name) for span, _, name in bundled.itertracks(True)
    ]
    live = EmotionDiarizer(tagger=str(tmp_path), latency=1.0)(path)
    assert len(live) and all(s.emotion is None and s.dimensions for s in live)
    for kind in set(names()) - {"emotionml", "speechbrain"}:  # these two need emotions and say so
        assert dumps(result, kind)


def edited(folder, target, **changes):
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, **changes}))
    return target


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier") / "m"
    transformers_classifier(folder, "wav2vec2")
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id2label": {"0": "a"}}, "found labels a, expected two or more distinct ones, or arousal"),
        ({"id2label": {"0": "a", "1": "a"}}, "found labels a, a, expected two or more distinct ones"),
        ({"id2label": None}, "found no id2label"),
        ({"problem_type": "multi_label_classification"}, "labels that do not exclude each other"),
        ({"problem_type": "regression"}, "found labels ang, Happiness, neu, tired, expected"),
        ({"model_type": "bert"}, "m: found an encoder of type 'bert', expected WavLM"),
        ({"num_hidden_layers": 1}, "found 2 layers, expected 1"),
    ],
)
def test_other_models_are_refused(classifier, tmp_path, changes, message):
    with pytest.raises(ModelError, match=message) as caught:
        load_tagger(edited(classifier, tmp_path / "m", **changes))
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_or_with_another_head(classifier, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(classifier, tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"found no weights in .*m, expected model.safetensors or"):
        load_tagger(folder)
    other = {n.replace("classifier", "classifier.layers"): w for n, w in weights.items()}
    save_file(other, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"found classifier\.layers\.bias, .* expected the head of"):
        load_tagger(folder)
    small = {**weights, "classifier.weight": weights["classifier.weight"][:3]}
    save_file(small, folder / "model.safetensors")
    with pytest.raises(ModelError, match="m: the head has 3 outputs, expected 4"):
        load_tagger(folder)
