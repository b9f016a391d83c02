"""Speech on disk is the speech in memory: same samples, bounded memory, lengths measured once."""

import json
import os
import pickle

import numpy as np
import pytest
import soundfile

from sed.corpora import stored
from sed.corpora.audio import SpeechOptions, Utterance, load_speech
from sed.corpora.stored import StoredSpeech, lengths_of, utterances_of
from sed.errors import AudioError


@pytest.fixture()
def utterances(tmp_path):
    rows = []
    for number in range(6):
        rng = np.random.default_rng(number)
        tone = 0.1 * np.sin(np.arange(8000 + 1000 * number) / (5 + number)) + 0.001 * rng.standard_normal(1)
        wave = np.concatenate([np.zeros(2000), 0 * tone if number == 2 else tone, np.zeros(3000)])
        path = tmp_path / f"{number}.flac"
        soundfile.write(path, wave, 22_050 if number % 2 else 16_000)
        rows.append(Utterance("c", path, f"c/{number}", "sad", "train"))
    return rows


def test_it_equals_speech_in_memory(utterances, caplog):
    found, expected = StoredSpeech(utterances), load_speech(utterances)
    assert len(found) == len(expected) == 5 and "omitted 1 utterances" in caplog.text
    for (one, samples), (other, wave) in zip(found, expected, strict=True):
        assert one == other
        np.testing.assert_array_equal(samples, wave)
    assert lengths_of(found) == lengths_of(expected)
    assert utterances_of(found) == [u for u, _ in expected]
    assert len(found[1:3]) == 2 and found[-1][0] == expected[-1][0]
    with pytest.raises(IndexError):
        found[5]


def test_memory_is_bounded_and_left_out_of_pickles(utterances):
    speech = StoredSpeech(utterances, memory=40_000)
    for _ in range(3):
        for number in range(len(speech)):
            speech[number]
            assert sum(samples.nbytes for samples in speech._recent.values()) == speech._kept <= 40_000
    assert speech._recent and not pickle.loads(pickle.dumps(speech))._recent


def test_recent_utterances_are_not_read_again(utterances, monkeypatch):
    speech = StoredSpeech(utterances)
    first = speech[0][1]
    monkeypatch.setattr(stored, "prepared_samples", None)
    assert speech[0][1] is first


def test_lengths_are_measured_once_and_again_where_file_or_options_changed(utterances, tmp_path, monkeypatch):
    measured = []
    original = stored.prepared_samples
    monkeypatch.setattr(stored, "prepared_samples", lambda u, o: measured.append(u.path) or original(u, o))
    index = tmp_path / "index" / "lengths.json"

    def count(options=None):
        measured.clear()
        StoredSpeech(utterances, options, index)
        return len(measured)

    assert count() == 6 and count() == 0
    os.utime(utterances[3].path, ns=(1, 1))
    assert count() == 1 and count() == 0
    assert count(SpeechOptions(silence="keep")) == 6
    index.write_text("{")
    assert count() == 6
    assert json.loads(index.read_text())["options"]["silence"] == "trim"


def test_a_file_that_changes_while_training_is_an_error(utterances):
    speech = StoredSpeech(utterances)
    soundfile.write(utterances[0].path, 0.1 * np.sin(np.arange(5000)), 16_000)
    with pytest.raises(AudioError, match=r"0\.flac: found \d+ samples of speech, expected the \d+"):
        speech[0]
