"""Properties of drawn splits: every speaker on one side, the same for the same seed, whatever the order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.corpora.emotion_words import emotion_word
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.prepare import Options, prepare
from sed.corpora.splits import draw_splits
from sed.errors import OptionError

SPEAKERS = st.dictionaries(
    st.text("abcé/_1", min_size=1, max_size=4), st.sampled_from(["F", "M", "None"]), min_size=1, max_size=25
)


@settings(deadline=None)
@given(SPEAKERS, st.integers(0, 9), st.randoms())
def test_order_does_not_matter_and_everybody_has_a_split(speakers, seed, random):
    shuffled = list(speakers.items())
    random.shuffle(shuffled)
    drawn = draw_splits(speakers, seed)
    assert drawn == draw_splits(dict(shuffled), seed)
    assert set(drawn) == set(speakers) and set(drawn.values()) <= {"train", "valid", "test"}


@settings(deadline=None)
@given(SPEAKERS, st.integers(0, 9), st.floats(0, 0.45), st.floats(0, 0.45))
def test_shares_are_kept_to_a_speaker(speakers, seed, valid, test):
    drawn = list(draw_splits(speakers, seed, valid=valid, test=test).values())
    count = len(speakers)
    assert abs(drawn.count("test") - test * count) <= 1
    assert abs(drawn.count("valid") - valid * count) <= 1
    assert "train" in drawn


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 99))
def test_both_genders_are_held_out_where_two_are(pairs, seed):
    speakers = {f"{gender}{n}": gender for n in range(pairs) for gender in "FM"}
    drawn = draw_splits(speakers, seed, valid=0.2, test=0.2)
    for split in ("valid", "test"):
        held = [speakers[name] for name, own in drawn.items() if own == split]
        assert abs(held.count("F") - held.count("M")) <= 1


def test_the_seed_matters_and_few_speakers_are_shared_out():
    speakers = {str(n): "F" for n in range(20)}
    assert len({tuple(sorted(draw_splits(speakers, seed).items())) for seed in range(5)}) == 5
    assert sorted(draw_splits({"a": "F", "b": "F", "c": "F"}).values()) == ["test", "train", "valid"]
    assert sorted(draw_splits({"a": "F", "b": "F"}).values()) == ["test", "train"]
    assert draw_splits({"a": "F"}) == {"a": "train"}


def test_a_draw_is_what_it_was():
    """A change of the draw would move test speakers of manifests that people have trained on."""
    drawn = draw_splits({name: "F" for name in "abcdefghij"}, seed=0)
    assert {name: split for name, split in drawn.items() if split != "train"} == {
        "d": "test",
        "f": "test",
        "c": "valid",
    }


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.2), (0.1, 1.0)])
def test_shares_that_leave_nobody_are_refused(shares):
    with pytest.raises(OptionError, match="expected less than 1 together"):
        draw_splits({"a": "F"}, valid=shares[0], test=shares[1])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 99)), min_size=1, max_size=30, unique=True),
    st.integers(0, 5),
    st.randoms(),
)
def test_manifests_keep_speakers_apart_in_any_order(tmp_path_factory, utterances, seed, random):
    from published_trees import WAV

    folder = tmp_path_factory.mktemp("m")
    (folder / "a.wav").write_bytes(WAV)

    def write(name, order):
        entries = [Entry(f"{who}{n}", "a.wav", who, "sad") for who, n in order]
        preparer = Preparer("x", "X", "", "", "", lambda tree, notes: iter(entries))
        return prepare(preparer, folder, folder / name, Options(seed=seed)).utterances

    shuffled = list(utterances)
    random.shuffle(shuffled)
    rows = write("one.json", utterances)
    write("two.json", shuffled)
    assert (folder / "one.json").read_bytes() == (folder / "two.json").read_bytes()
    homes = {}
    for row in rows:
        assert homes.setdefault(row.speaker, row.split) == row.split


def test_words_know_case_and_forms():
    assert [emotion_word(text) for text in ("ANGRY", "fear", " Joy ", "xxx", "")] == [
        "angry",
        "fearful",
        "happy",
        "undecided",
        None,
    ]


def test_notes_are_short():
    notes = Notes()
    for n in range(9):
        notes.add("with holes", f"{n}.wav")
    notes.say("all of it is old")
    assert notes.sentences() == [
        "all of it is old",
        "9 with holes: 0.wav, 1.wav, 2.wav, 3.wav, 4.wav and 4 more",
    ]
