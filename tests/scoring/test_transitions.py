"""Transitions of emotions within and across speakers, and the score of answers."""

import math

import numpy as np
import pytest

from sed import Diarization, Segment
from sed.errors import OptionError
from sed.scoring.transitions import cross_turn_score, transitions


def talk(*turns, labels=()):
    """One segment of a second for each ``speaker:emotion``."""
    segments = [Segment(n, n + 1, *turn.split(":")) for n, turn in enumerate(turns)]
    return Diarization("talk", len(turns), segments, labels)


def test_pairs_within_and_across_speakers_are_counted():
    found = transitions(talk("a:angry", "a:sad", "b:sad", "a:sad", "b:angry"), ["angry", "sad"])
    assert found.within.tolist() == [[0, 1], [1, 1]]  # a: angry sad sad; b: sad angry
    assert found.across.tolist() == [[0, 0], [1, 2]]  # sad sad, sad sad, sad angry
    assert np.allclose(found.shares(), [[np.nan, np.nan], [1 / 3, 2 / 3]], equal_nan=True)
    both = found + found
    assert both.across.sum() == 6 and both.labels == ("angry", "sad")


def test_contagion_and_inertia_are_1_always_and_0_by_chance():
    copied = transitions(talk("a:sad", "b:sad", "a:happy", "b:happy", "a:sad", "b:sad"))
    assert 0 < copied.contagion < 1, "only b copies"
    steady = transitions(talk("a:sad", "b:happy", "a:sad", "b:happy"))
    assert steady.inertia == 1 and steady.contagion == pytest.approx(-0.8)
    rng = np.random.default_rng(0)
    chance = transitions(talk(*(f"{'ab'[n % 2]}:{rng.choice(['sad', 'happy'])}" for n in range(4000))))
    assert abs(chance.contagion) < 0.05 and abs(chance.inertia) < 0.05
    assert math.isnan(transitions(talk("a:sad", "b:sad")).contagion), "one emotion tells nothing"
    assert math.isnan(transitions(talk()).inertia)


def test_answers_count_only_with_both_emotions_right():
    reference = talk("a:angry", "b:sad", "a:sad", "a:happy", "b:happy")
    assert cross_turn_score(reference, reference).f1 == 1
    wrong = talk("x:angry", "y:sad", "y:neutral", "x:happy", "x:happy")
    score = cross_turn_score(reference, wrong)
    assert (score.found, score.reference, score.hypothesis) == (2, 3, 3)
    assert score.by_label["sad > sad"].recall == 0 and score.by_label["angry > sad"].f1 == 1
    assert score.by_label["sad > neutral"].precision == 0
    nothing = Diarization("talk", 5, [])
    assert cross_turn_score(reference, nothing).recall == 0
    assert math.isnan(cross_turn_score(nothing, reference).recall)


def test_the_emotion_of_most_of_a_turn_counts_whatever_the_speakers_are_called():
    reference = Diarization("talk", 4, [Segment(0, 2, "a", "sad"), Segment(2, 4, "b", "angry")])
    system = Diarization("talk", 4, [Segment(0, 1.2, "x", "sad"), Segment(1.2, 4, "x", "angry")])
    assert cross_turn_score(reference, system).recall == 1


def test_unknown_emotions_and_other_labels_are_refused():
    with pytest.raises(OptionError, match="talk: found sad, expected only happy"):
        transitions(talk("a:sad"), ["happy"])
    with pytest.raises(OptionError, match="found transitions of sad, expected the labels happy"):
        transitions(talk("a:happy")) + transitions(talk("a:sad"))
    with pytest.raises(OptionError, match="found transitions 'up', expected within or across"):
        transitions(talk("a:happy")).shares("up")
