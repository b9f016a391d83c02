import csv
from dataclasses import replace

import numpy as np
import pytest

from sed.corpora.audio import read_wave
from sed.corpora.manifest import OFFICIAL, Utterance
from sed.corpora.manifest import write_manifest as write_json
from sed.errors import AudioError, FormatError, OptionError
from sed.simulation.conversation import ConversationOptions
from sed.simulation.sets import cast, conversation_set, load_speakers, speakers_of

OPTIONS = ConversationOptions(duration=8)


@pytest.fixture
def corpora(tmp_path, data):
    """Two corpora of the EMO-DB utterances that travel with the tests: one speaker each, and one in train."""
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


PEOPLE = {"one": [f"one/{n}" for n in range(8)], "two": ["two/0", "two/1"], "three": ["three/0"]}


def test_castings_keep_to_their_people_and_alternate_corpora():
    castings = cast(PEOPLE, "valid", 60)
    assert [len(c.speakers) for c in castings] == [2, 3, 4] * 20
    assert len({c.uri for c in castings}) == len({c.seed for c in castings}) == 60
    for casting in castings:
        corpora = {name.split("/")[0] for name in casting.speakers}
        assert set(casting.speakers) <= {name for names in PEOPLE.values() for name in names}
        assert len(set(casting.speakers)) == len(casting.speakers)
        assert (len(corpora) > 1) == casting.mixed
    assert sum(c.mixed for c in castings) == 30
    alone = {c.speakers[0].split("/")[0] for c in castings if not c.mixed and len(c.speakers) == 2}
    assert alone == {"one", "two"}


def test_castings_depend_on_seed_and_split_only():
    assert cast(PEOPLE, "valid", 9, seed=1) == cast(PEOPLE, "valid", 9, seed=1)
    assert cast(PEOPLE, "valid", 9, seed=1) == cast(PEOPLE, "valid", 12, seed=1)[:9]
    assert cast(PEOPLE, "valid", 9, seed=1) != cast(PEOPLE, "valid", 9, seed=2)
    others = {c.seed for c in cast(PEOPLE, "test", 9)}
    assert others.isdisjoint(c.seed for c in cast(PEOPLE, "valid", 9))


def test_speakers_keep_to_their_split(corpora):
    assert speakers_of(corpora, "test") == {"left": ["left/15_test"], "right": ["right/16_test"]}
    assert speakers_of(corpora, "train") == {"right": ["right/16_train"]}


def test_too_few_speakers_is_an_error(corpora):
    with pytest.raises(OptionError, match="split 'test' has 2 speakers: expected at least 4"):
        next(conversation_set(corpora, "test", 1))


def test_set_is_the_same_twice_and_uses_its_split_only(corpora):
    first, again = (list(conversation_set(corpora, "test", 3, options=OPTIONS, sizes=(2,))) for _ in range(2))
    for (casting, samples, reference), (_, samples2, reference2) in zip(first, again, strict=True):
        assert np.array_equal(samples, samples2) and reference == reference2
        assert reference.uri == casting.uri
        assert reference.speaker_names == casting.speakers == ("left/15_test", "right/16_test")
        assert casting.mixed


def test_only_wanted_emotions_are_loaded(corpora):
    options = ConversationOptions(emotions={"sad": 1})
    people = load_speakers(corpora, ["left/15_test"], options, "test")
    assert sorted(u.emotion for u in people["left/15_test"]) == ["neutral", "sad"]


def test_what_is_missing_is_named(corpora, tmp_path):
    with pytest.raises(OptionError, match="no utterances of nemo/XX0"):
        load_speakers(corpora, ["nemo/XX0"])
    with pytest.raises(FormatError, match=r"nowhere/manifest\.csv"):
        speakers_of(tmp_path / "nowhere", "test")
    (tmp_path / "here").mkdir()
    row = {"corpus": "a", "path": "x.wav", "speaker": "s", "emotion": "neutral", "split": "test"}
    write_manifest(tmp_path / "here", [row])
    with pytest.raises(AudioError, match=r"x\.wav"):
        load_speakers(tmp_path / "here", ["a/s"])


def test_shared_splits_make_conversations(shared):
    casting, samples, reference = next(conversation_set(shared / "corpora", "valid", 1, options=OPTIONS))
    valid = [name for names in speakers_of(shared / "corpora", "valid").values() for name in names]
    assert set(reference.speaker_names) == set(casting.speakers) <= set(valid)
    assert len(samples) == round(reference.duration * 16_000)


def test_one_speaker_of_each_conversation_comes_from_any_corpus():
    assert {len(c.speakers) for c in cast(PEOPLE, "valid", 8, sizes=(1,))} == {1}


def test_a_speaker_in_two_splits_says_what_is_in_the_one_asked_for_only(corpora, data):
    """As in MELD, whose own splits share speakers."""
    rows = [
        Utterance(
            "m", data / "emodb_15_neutral_1.flac", "m/ann", "neutral", "train", id="1", split_rule=OFFICIAL
        )
    ]
    rows.append(replace(rows[0], path=data / "emodb_15_sad_1.flac", emotion="sad", split="test", id="2"))
    rows.append(replace(rows[0], path=data / "emodb_16_neutral_1.flac", split="test", id="3"))
    write_json(rows, corpora / "shared.json")
    options = ConversationOptions(duration=3, room=0, noise=None, emotions={"sad": 1})
    heard = load_speakers(corpora / "shared.json", ["m/ann"], options, "test")["m/ann"]
    assert sorted(u.emotion for u in heard) == ["neutral", "sad"]
    neutral = next(u.samples for u in heard if u.emotion == "neutral")
    assert np.array_equal(neutral, read_wave(data / "emodb_16_neutral_1.flac"))
    made = next(conversation_set(corpora / "shared.json", "test", 1, options=options, sizes=(1,)))
    assert made[2].speaker_names == ("m/ann",)
