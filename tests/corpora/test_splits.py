"""Properties of random splits: each speaker in one split, the same result for the same seed and any order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.prepare import Options, prepare
from sed.corpora.splits import balance_labels, draw_splits, label_distance
from sed.errors import OptionError
from sed.labels import normalise_emotion

SPEAKERS = st.dictionaries(
    st.text("abcé/_1", min_size=1, max_size=4), st.sampled_from(["F", "M", "None"]), min_size=1, max_size=25
)


@settings(deadline=None)
@given(SPEAKERS, st.integers(0, 9), st.randoms())
def test_splits_cover_all_speakers_in_any_order(speakers, seed, random):
    shuffled = list(speakers.items())
    random.shuffle(shuffled)
    drawn = draw_splits(speakers, seed)
    assert drawn == draw_splits(dict(shuffled), seed)
    assert set(drawn) == set(speakers) and set(drawn.values()) <= {"train", "valid", "test"}


@settings(deadline=None)
@given(SPEAKERS, st.integers(0, 9), st.floats(0, 0.45), st.floats(0, 0.45))
def test_split_sizes_differ_from_the_shares_by_at_most_one_speaker(speakers, seed, valid, test):
    drawn = list(draw_splits(speakers, seed, valid=valid, test=test).values())
    count = len(speakers)
    assert abs(drawn.count("test") - test * count) <= 1
    assert abs(drawn.count("valid") - valid * count) <= 1
    assert "train" in drawn


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 99))
def test_held_out_splits_balance_genders(pairs, seed):
    speakers = {f"{gender}{n}": gender for n in range(pairs) for gender in "FM"}
    drawn = draw_splits(speakers, seed, valid=0.2, test=0.2)
    for split in ("valid", "test"):
        held = [speakers[name] for name, own in drawn.items() if own == split]
        assert abs(held.count("F") - held.count("M")) <= 1


def test_seed_changes_the_splits_and_few_speakers_fill_the_splits():
    speakers = {str(n): "F" for n in range(20)}
    assert len({tuple(sorted(draw_splits(speakers, seed).items())) for seed in range(5)}) == 5
    assert sorted(draw_splits({"a": "F", "b": "F", "c": "F"}).values()) == ["test", "train", "valid"]
    assert sorted(draw_splits({"a": "F", "b": "F"}).values()) == ["test", "train"]
    assert draw_splits({"a": "F"}) == {"a": "train"}


def test_splits_are_stable_across_versions():
    """Another draw would move test speakers of existing manifests into train."""
    drawn = draw_splits({name: "F" for name in "abcdefghij"}, seed=0)
    assert {name: split for name, split in drawn.items() if split != "train"} == {
        "d": "test",
        "f": "test",
        "c": "valid",
    }


COUNTS = st.lists(
    st.tuples(
        st.sampled_from("FM"), st.dictionaries(st.sampled_from("nhas"), st.integers(1, 40), min_size=1)
    ),
    min_size=3,
    max_size=24,
)


@settings(deadline=None, max_examples=60)
@given(COUNTS, st.integers(0, 9), st.randoms())
def test_balanced_splits_have_closer_label_shares_and_the_same_sizes_and_genders(speakers, seed, random):
    strata = {str(n): gender for n, (gender, _) in enumerate(speakers)}
    labels = {str(n): counts for n, (_, counts) in enumerate(speakers)}
    drawn = draw_splits(strata, seed, valid=0.2, test=0.2)
    found = balance_labels(drawn, strata, labels)
    assert label_distance(found, labels) <= label_distance(drawn, labels) + 1e-9
    of_split = [sorted((split, strata[name]) for name, split in each.items()) for each in (drawn, found)]
    assert of_split[0] == of_split[1]
    order = random.sample(sorted(labels), len(labels))
    assert found == balance_labels({n: drawn[n] for n in order}, strata, {n: labels[n] for n in order})


def test_balanced_splits_come_close_to_the_best_ones():
    """Two kinds of speakers, one of which is hardly ever sad: a fair draw has both in every split."""
    labels = {
        f"{n:02}": {"sad": 30, "happy": 30} if n % 4 == 0 else {"sad": 1, "happy": 59} for n in range(40)
    }
    strata = dict.fromkeys(labels, "F")
    before, after = [], []
    for seed in range(5):
        drawn = draw_splits(strata, seed, valid=0.2, test=0.2)
        found = balance_labels(drawn, strata, labels)
        before.append(label_distance(drawn, labels))
        after.append(label_distance(found, labels))
        rare = [split for name, split in found.items() if int(name) % 4 == 0]
        assert (rare.count("test"), rare.count("valid"), rare.count("train")) == (2, 2, 6)
    assert max(after) < 1e-12 < max(before)


def test_speakers_with_equal_labels_stay_where_they_were_drawn():
    speakers = dict.fromkeys("abcdefghij", "F")
    drawn = draw_splits(speakers, 3)
    assert balance_labels(drawn, speakers, {name: {"sad": 5, "happy": 5} for name in speakers}) == drawn


def test_prepare_balances_renamed_labels(tmp_path):
    from published_trees import WAV

    (tmp_path / "a.wav").write_bytes(WAV)
    kinds = {speaker: ("excited", "happy", "sad")[n % 3] for n, speaker in enumerate("abcdefghijkl")}
    entries = [Entry(f"{s}{n}", "a.wav", s, kind) for s, kind in kinds.items() for n in range(2)]
    reader = CorpusReader("x", "X", "", "", "", lambda tree, problems: iter(entries))
    options = Options(split="balanced", valid=0.25, test=0.25, rename={"excited": "happy"})
    rows = prepare(reader, tmp_path, tmp_path / "m.json", options).utterances
    assert {row.split_rule for row in rows} == {"balanced"}
    for split in ("train", "valid", "test"):
        own = [row.emotion for row in rows if row.split == split]
        assert own.count("happy") == 2 * own.count("sad")


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.2), (0.1, 1.0)])
def test_shares_without_training_speakers_raise(shares):
    with pytest.raises(OptionError, match="expected a sum below 1"):
        draw_splits({"a": "F"}, valid=shares[0], test=shares[1])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 99)), min_size=1, max_size=30, unique=True),
    st.integers(0, 5),
    st.randoms(),
)
def test_manifests_keep_each_speaker_in_one_split_in_any_order(tmp_path_factory, utterances, seed, random):
    from published_trees import WAV

    folder = tmp_path_factory.mktemp("m")
    (folder / "a.wav").write_bytes(WAV)

    def write(name, order):
        entries = [Entry(f"{speaker}{n}", "a.wav", speaker, "sad") for speaker, n in order]
        reader = CorpusReader("x", "X", "", "", "", lambda tree, problems: iter(entries))
        return prepare(reader, folder, folder / name, Options(seed=seed)).utterances

    shuffled = list(utterances)
    random.shuffle(shuffled)
    rows = write("one.json", utterances)
    write("two.json", shuffled)
    assert (folder / "one.json").read_bytes() == (folder / "two.json").read_bytes()
    splits = {}
    for row in rows:
        assert splits.setdefault(row.speaker, row.split) == row.split


def test_emotion_labels_ignore_case_and_know_synonyms():
    assert [normalise_emotion(text) for text in ("ANGRY", "fear", " Joy ", "xxx", "")] == [
        "angry",
        "fearful",
        "happy",
        "undecided",
        None,
    ]


def test_problem_messages_list_five_names():
    problems = ProblemLog()
    for n in range(9):
        problems.add("unknown emotion", f"{n}.wav")
    problems.add_message("README is missing")
    assert problems.messages() == [
        "README is missing",
        "unknown emotion (9): 0.wav, 1.wav, 2.wav, 3.wav, 4.wav and 4 more",
    ]
