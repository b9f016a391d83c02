"""Spellings of labels: unambiguous ones are read as one, and all differences are reported in a warning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed.labels import LETTERS
from sed.result import Diarization, Segment
from sed.scoring import Options, score
from sed.scoring.spelling import RELATED, SPELLINGS, reconcile, word

WORDS = ("neutral", "happy", "angry", "sad")


def corpus(*labels):
    """A recording of 10 s in which all labels have equal durations."""
    step = 10 / len(labels)
    return [
        Diarization(
            "call", 10.0, [Segment(n * step, (n + 1) * step, "x", label) for n, label in enumerate(labels)]
        )
    ]


@pytest.mark.parametrize(
    "spelling",
    [
        ("Neutral", "Happy", "Angry", "Sad"),
        ("NEUTRAL", "HAPPY", "ANGRY", "SAD"),
        ("neu", "hap", "ang", "sad"),  # IEMOCAP
        ("n", "h", "a", "s"),  # SpeechBrain
        ("neutral", "happiness", "anger", "sadness"),
    ],
)
@pytest.mark.parametrize("swap", [False, True])
def test_known_spellings_are_one_emotion(spelling, swap, caplog):
    sides = [corpus(*WORDS), corpus(*spelling)][:: -1 if swap else 1]
    report = score(*sides)
    assert report["eder"].value == report["joint"].value == 0
    assert report["events"].value == 1 and report["boundaries"].pooled.matched == 3
    assert caplog.text.count("labels read as others") == 1
    for old, new in zip(spelling, WORDS, strict=True):
        if old != new:
            pair = (new, old) if swap and new != "neutral" else (old, new)
            assert report.spelling.renamed[pair[0]] == pair[1] and "{}={}".format(*pair) in caplog.text
    assert not report.spelling.only_reference and not report.spelling.only_hypothesis


def test_nothing_is_renamed_if_both_sides_agree(caplog):
    report = score(corpus("hap", "exc", "frustrated"), corpus("hap", "exc", "frustrated"))
    assert not report.spelling.renamed and report["eder"].pooled.matrix.labels[1:] == (
        "exc",
        "frustrated",
        "hap",
    )
    assert not caplog.records


def test_gaps_match_other_spellings_of_neutral():
    """Otherwise a gap on one side would disagree with 'neu' on the other."""
    reference = [Diarization("call", 10.0, [Segment(0, 5, "x", "neu"), Segment(5, 10, "x", "sad")])]
    hypothesis = [Diarization("call", 10.0, [Segment(5, 10, "x", "sad")])]
    report = score(reference, hypothesis)
    assert report["eder"].value == 0 and dict(report.spelling.renamed) == {"neu": "neutral"}
    calm = score(reference, hypothesis, options=Options(neutral="calm"))
    assert calm["eder"].value == 0.5  # an explicit other neutral is kept


def test_ambiguous_labels_are_only_suggested(caplog):
    report = score(corpus("happy", "angry", "sad", "surprised"), corpus("excited", "A", "s", "surprised"))
    assert not report.spelling.renamed  # EMO-DB's A is fear, s is sad or surprised
    assert report["eder"].value == 0.75
    assert report.spelling.only_reference == ("angry", "happy", "sad")
    assert report.spelling.only_hypothesis == ("A", "excited", "s")
    assert "labels in the references only: angry, happy, sad" in caplog.text
    assert "labels in the hypotheses only: A, excited, s" in caplog.text
    assert "--labels A=angry,excited=happy,s=sad" in caplog.text


def test_given_labels_take_precedence():
    reference, hypothesis = corpus("happy", "sad"), corpus("Happy", "exc")
    assert score(reference, hypothesis, options=Options(labels={"exc": "Sad"}))["eder"].value == 0
    apart = score(reference, hypothesis, options=Options(labels={"Happy": "Happy", "exc": "sad"}))
    assert apart["eder"].value == 0.5 and not apart.spelling.renamed
    both = score(corpus("hap", "happy"), corpus("HAPPY", "happiness"), options=Options(labels={"hap": "joy"}))
    assert both["eder"].value == 0.5
    assert both.emotion("hap") == "joy" and both.emotion("HAPPY") == "happy" and both.emotion(None) is None


def test_only_labels_of_the_scored_time_count(caplog):
    reference = [Diarization("call", 10.0, [Segment(0, 5, "x", "sad"), Segment(5, 10, "x", "hap")])]
    hypothesis = [Diarization("call", 10.0, [Segment(0, 5, "x", "sad"), Segment(6, 10, "x", "zeal")])]
    report = score(reference, hypothesis, uem={"call": [(0, 5)]})
    assert report["eder"].value == 0 and report.spelling.only_reference == () and not caplog.records


def test_spelling_with_speechbrain_compatibility():
    reference = [Diarization("u", 10.0, [Segment(2, 8, None, "happy")])]
    hypothesis = [Diarization("u", 10.0, [Segment(2, 8, None, "Happy")])]
    assert (
        score(reference, hypothesis, options=Options(compat="speechbrain"), metrics=["eder"])["eder"].value
        == 0
    )


def test_the_tables_are_consistent():
    spellings = [spelling for standard, others in SPELLINGS.items() for spelling in (standard, *others)]
    assert len(spellings) == len(set(spellings)) and all(s == s.casefold() for s in spellings)
    assert all(new in SPELLINGS and word(old) != new for old, new in RELATED.items())
    assert all(word.startswith(letter) for letter, word in LETTERS.items())


labels = st.sets(
    st.sampled_from([*WORDS, "Happy", "hap", "h", "s", "surprised", "joy", "A", "neu", "", " sad"])
)


@given(labels, labels, st.sampled_from(["neutral", "calm", "hap"]))
def test_reconciling_again_changes_nothing(mine, theirs, neutral):
    found = reconcile(mine, theirs, neutral)
    sides = [{found.renamed.get(label, label) for label in side} for side in (mine, theirs)]
    assert not reconcile(*sides, neutral).renamed
    assert all(
        LETTERS.get(old, word(old)) == LETTERS.get(new, word(new)) for old, new in found.renamed.items()
    )
    assert neutral not in found.renamed
    assert set(found.only_reference) == sides[0] - sides[1] - {neutral}
    assert len(found.warnings()) == bool(found.renamed) + bool(found.only_reference) + bool(
        found.only_hypothesis
    )
