import csv
from dataclasses import replace

import numpy as np
import pytest

from sed.corpora.audio import read_wave
from sed.corpora.manifest import OFFICIAL, Utterance
from sed.corpora.manifest import write_manifest as write_json
from sed.errors import AudioError, FormatError, OptionError
from sed.simulation.conversation import ConversationOptions
from sed.simulation.sets import conversation_set, load_speakers, plan_conversations, speakers_in_split

OPTIONS = ConversationOptions(duration=8)


@pytest.fixture
def corpora(tmp_path, data):
    """Two corpora with EMO-DB utterances of the test data: one test speaker each, and one train speaker."""
    rows = []
    for speaker, corpus, split in (("15", "left", "test"), ("16", "right", "test"), ("16", "right", "train")):
        for emotion in ("neutral", "happy", "angry", "sad"):
            path = data / f"emodb_{speaker}_{emotion}_1.flac"
            name = f"{speaker}_{split}"
            rows.append(dict(corpus=corpus, path=str(path), speaker=name, emotion=emotion, split=split))
    write_manifest(tmp_path, rows)
    return tmp_path


def write_manifest(folder, rows):
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


SPEAKERS = {"one": [f"one/{n}" for n in range(8)], "two": ["two/0", "two/1"], "three": ["three/0"]}


def test_plans_use_the_given_speakers_and_alternate_corpora():
    plans = plan_conversations(SPEAKERS, "valid", 60)
    assert [len(plan.speakers) for plan in plans] == [2, 3, 4] * 20
    assert len({plan.uri for plan in plans}) == len({plan.seed for plan in plans}) == 60
    for plan in plans:
        corpora = {name.split("/")[0] for name in plan.speakers}
        assert set(plan.speakers) <= {name for names in SPEAKERS.values() for name in names}
        assert len(set(plan.speakers)) == len(plan.speakers)
        assert (len(corpora) > 1) == plan.mixed
    assert sum(plan.mixed for plan in plans) == 30
    unmixed = {plan.speakers[0].split("/")[0] for plan in plans if not plan.mixed and len(plan.speakers) == 2}
    assert unmixed == {"one", "two"}


def test_plans_depend_on_seed_and_split_only():
    plans = plan_conversations(SPEAKERS, "valid", 9, seed=1)
    assert plans == plan_conversations(SPEAKERS, "valid", 9, seed=1)
    assert plans == plan_conversations(SPEAKERS, "valid", 12, seed=1)[:9]
    assert plans != plan_conversations(SPEAKERS, "valid", 9, seed=2)
    test_seeds = {plan.seed for plan in plan_conversations(SPEAKERS, "test", 9)}
    assert test_seeds.isdisjoint(plan.seed for plan in plan_conversations(SPEAKERS, "valid", 9))


def test_speakers_in_split_are_those_of_the_split(corpora):
    assert speakers_in_split(corpora, "test") == {"left": ["left/15_test"], "right": ["right/16_test"]}
    assert speakers_in_split(corpora, "train") == {"right": ["right/16_train"]}


def test_too_few_speakers_raise(corpora):
    with pytest.raises(OptionError, match="split 'test' has 2 speakers, expected at least 4"):
        next(conversation_set(corpora, "test", 1))


@pytest.mark.slow
def test_set_is_reproducible_and_uses_its_split_only(corpora):
    first, second = (
        list(conversation_set(corpora, "test", 3, options=OPTIONS, sizes=(2,))) for _ in range(2)
    )
    for (plan, samples, reference), (_, samples2, reference2) in zip(first, second, strict=True):
        assert np.array_equal(samples, samples2) and reference == reference2
        assert reference.uri == plan.uri
        assert reference.speaker_names == plan.speakers == ("left/15_test", "right/16_test")
        assert plan.mixed


def test_only_emotions_of_the_options_are_loaded(corpora):
    options = ConversationOptions(emotions={"sad": 1})
    utterances = load_speakers(corpora, ["left/15_test"], options, "test")
    assert sorted(u.emotion for u in utterances["left/15_test"]) == ["neutral", "sad"]


def test_missing_speakers_manifests_and_audio_are_named(corpora, tmp_path):
    with pytest.raises(OptionError, match="found no utterances of nemo/XX0"):
        load_speakers(corpora, ["nemo/XX0"])
    with pytest.raises(FormatError, match=r"nowhere/manifest\.csv"):
        speakers_in_split(tmp_path / "nowhere", "test")
    (tmp_path / "here").mkdir()
    row = {"corpus": "a", "path": "x.wav", "speaker": "s", "emotion": "neutral", "split": "test"}
    write_manifest(tmp_path / "here", [row])
    with pytest.raises(AudioError, match=r"x\.wav"):
        load_speakers(tmp_path / "here", ["a/s"])


@pytest.mark.slow
def test_conversation_of_the_shared_corpora(shared):
    plan, samples, reference = next(conversation_set(shared / "corpora", "valid", 1, options=OPTIONS))
    valid = [name for names in speakers_in_split(shared / "corpora", "valid").values() for name in names]
    assert set(reference.speaker_names) == set(plan.speakers) <= set(valid)
    assert len(samples) == round(reference.duration * 16_000)


def test_plans_with_one_speaker():
    assert {len(plan.speakers) for plan in plan_conversations(SPEAKERS, "valid", 8, sizes=(1,))} == {1}


def test_speakers_in_two_splits_only_use_utterances_of_the_split(corpora, data):
    """As in MELD, whose published splits share speakers."""
    rows = [
        Utterance(
            "m", data / "emodb_15_neutral_1.flac", "m/ann", "neutral", "train", id="1", split_rule=OFFICIAL
        )
    ]
    rows.append(replace(rows[0], path=data / "emodb_15_sad_1.flac", emotion="sad", split="test", id="2"))
    rows.append(replace(rows[0], path=data / "emodb_16_neutral_1.flac", split="test", id="3"))
    write_json(rows, corpora / "shared.json")
    options = ConversationOptions(duration=3, room=0, noise=None, emotions={"sad": 1})
    utterances = load_speakers(corpora / "shared.json", ["m/ann"], options, "test")["m/ann"]
    assert sorted(u.emotion for u in utterances) == ["neutral", "sad"]
    neutral = next(u.samples for u in utterances if u.emotion == "neutral")
    assert np.array_equal(neutral, read_wave(data / "emodb_16_neutral_1.flac"))
    _, _, reference = next(conversation_set(corpora / "shared.json", "test", 1, options=options, sizes=(1,)))
    assert reference.speaker_names == ("m/ann",)
