"""DER against pyannote.metrics and exhaustive mappings; the joint error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sed.errors import OptionError
from sed.result import Segment
from sed.scoring import der, joint_error
from sed.scoring.assignment import best_pairs, most_pairs


def turns(rows):
    return [Segment(start, end, name) for name, start, end in rows]


REFERENCE = turns([("A", 0, 10), ("B", 12, 20), ("A", 24, 27), ("C", 30, 40)])
HYPOTHESIS = turns([("a", 2, 13), ("d", 13, 14), ("b", 14, 20), ("c", 22, 38), ("d", 38, 40)])


def random_turns(rng, names, emotions=("neutral", "happy", "sad")):
    return [
        Segment(float(a), float(a + rng.uniform(0.1, 8)), str(rng.choice(names)), str(rng.choice(emotions)))
        for a in rng.uniform(0, 40, rng.integers(0, 12))
    ]


@pytest.mark.parametrize("engine", ["sed", "pyannote"])
def test_the_published_example(engine):
    result = der(REFERENCE, HYPOTHESIS, duration=40, engine=engine)
    parts = (result.total, result.correct, result.confusion, result.false_alarm, result.missed_detection)
    assert parts == pytest.approx((31, 22, 7, 7, 2))
    assert result.rate == pytest.approx(0.5161290322580645, abs=1e-15)


@pytest.mark.slow
def test_equals_pyannote_on_random_cases():
    rng = np.random.default_rng(1)
    largest = 0.0
    for case in range(400):
        reference, hypothesis = (random_turns(rng, list(names)) for names in ("ABCD", "abcde"))
        options = {"collar": (0.0, 0.25)[case % 2], "skip_overlap": case % 3 == 0, "duration": 50}
        ours = der(reference, hypothesis, **options)
        theirs = der(reference, hypothesis, engine="pyannote", **options)
        largest = max(largest, *(abs(ours.parts[name] - theirs.parts[name]) for name in ours.parts))
    assert largest < 1e-9


def test_best_pairs_is_optimal():
    rng = np.random.default_rng(2)
    for _ in range(300):
        rows, columns = rng.integers(0, 6, 2)
        weights = rng.integers(0, 9, (rows, columns)).astype(float)
        small, large = sorted(map(int, (rows, columns)))
        table = weights if rows <= columns else weights.T
        best = max(
            sum(table[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(large), small)
        )
        pairs = best_pairs(weights)
        assert sum(weights[pair] for pair in pairs) == best
        assert all(weights[pair] > 0 for pair in pairs)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


def test_most_pairs_has_the_size_of_the_assignment():
    rng = np.random.default_rng(3)
    for _ in range(300):
        table = rng.random(rng.integers(1, 8, 2)) < 0.35
        found = most_pairs({i: np.flatnonzero(row).tolist() for i, row in enumerate(table)})
        assert len(found) == len(best_pairs(table.astype(float)))
        assert all(table[pair] for pair in found.items())
        assert len(set(found.values())) == len(found)


def test_most_pairs_of_a_long_chain():
    """The last node fits only the first partner, so that every other pair has to change."""
    size = 5000
    candidates = {i: [i, i + 1] for i in range(size)}
    candidates[size] = [0]
    assert len(most_pairs(candidates)) == size + 1


def test_joint_error_of_constructed_conversations():
    reference = [Segment(0, 4, "A", "happy"), Segment(4, 8, "B", "sad"), Segment(8, 10, "A", "neutral")]
    right = [Segment(s.start, s.end, {"A": "x", "B": "y"}[s.speaker], s.emotion) for s in reference]
    assert joint_error(reference, right, duration=10).rate == 0

    wrong_emotion = [right[0], Segment(4, 8, "y", "angry"), right[2]]
    result = joint_error(reference, wrong_emotion, duration=10)
    assert (result.emotion_rate, result.speaker_rate, result.detection_rate) == (0.4, 0, 0)

    one_speaker = [Segment(s.start, s.end, "x", s.emotion) for s in reference]
    result = joint_error(reference, one_speaker, duration=10)
    assert (result.emotion_rate, result.speaker_rate, result.detection_rate) == (0, 0.4, 0)

    late = [Segment(2, 4, "x", "happy"), right[1], Segment(8, 11, "x", "neutral")]
    result = joint_error(reference, late, duration=12)
    assert (result.missed_detection, result.false_alarm, result.rate) == (2, 1, 0.3)

    both_talk = [*right, Segment(5, 6, "x", "happy")]
    assert joint_error(reference, both_talk, duration=10).false_alarm == 1


@pytest.mark.slow
def test_joint_error_is_der_plus_emotions():
    rng = np.random.default_rng(4)
    for _ in range(200):
        reference, hypothesis = (one_emotion_at_a_time(rng, list(names)) for names in ("ABC", "abcd"))
        joint = joint_error(reference, hypothesis, duration=50)
        speakers = der(reference, hypothesis, duration=50, engine="pyannote")
        assert joint.total == pytest.approx(speakers.total, abs=1e-9)
        assert joint.false_alarm == pytest.approx(speakers.false_alarm, abs=1e-9)
        assert joint.missed_detection == pytest.approx(speakers.missed_detection, abs=1e-9)
        assert joint.speaker_confusion == pytest.approx(speakers.confusion, abs=1e-6)
        same_reference = [Segment(s.start, s.end, s.speaker, "same") for s in reference]
        same_hypothesis = [Segment(s.start, s.end, s.speaker, "same") for s in hypothesis]
        assert joint_error(same_reference, same_hypothesis, duration=50).emotion_confusion == pytest.approx(
            0, abs=1e-9
        )


def one_emotion_at_a_time(rng, names):
    """Turns of several speakers that overlap, each speaker with one emotion at a time."""
    result = []
    for name in names:
        cuts = np.sort(rng.uniform(0, 45, 2 * rng.integers(0, 5)))
        result += [
            Segment(float(a), float(b), name, str(rng.choice(["happy", "sad"])))
            for a, b in zip(cuts[::2], cuts[1::2], strict=True)
        ]
    return result


def test_agreement_of_emotions_breaks_ties():
    reference = [Segment(0, 2, "A", "happy"), Segment(2, 4, "A", "sad")]
    for first, second in (("sad", "sad"), ("happy", "happy")):
        hypothesis = [Segment(0, 2, "x", first), Segment(2, 4, "y", second)]
        result = joint_error(reference, hypothesis, duration=4)
        assert (result.correct, result.speaker_confusion, result.emotion_confusion) == (2, 2, 0)


def test_two_emotions_of_one_speaker():
    reference = [Segment(0, 2, "A", "happy"), Segment(0, 2, "A", "sad")]
    hypothesis = [Segment(0, 2, "x", "happy"), Segment(0, 2, "x", "angry")]
    result = joint_error(reference, hypothesis, duration=2)
    assert (result.total, result.correct, result.emotion_confusion) == (4, 2, 2)


def test_collar_and_overlap():
    reference = turns([("A", 0, 4), ("B", 3, 6)])
    hypothesis = turns([("a", 0, 3.1), ("b", 3.1, 6)])
    assert der(reference, hypothesis, duration=6).errors == pytest.approx(1.0)
    assert der(reference, hypothesis, duration=6, skip_overlap=True).errors == 0
    assert der(reference, hypothesis, duration=6, collar=0.5).total == pytest.approx(2 + 1)


@pytest.mark.parametrize("engine", ["sed", "pyannote"])
def test_the_collar_surrounds_every_segment_of_the_reference(engine):
    """As in md-eval, adjacent segments of one speaker have a boundary between them."""
    whole, halves = turns([("A", 1, 5)]), turns([("A", 1, 3), ("A", 3, 5)])
    options = {"duration": 6, "collar": 0.25, "engine": engine}
    assert der(whole, [], **options).total == pytest.approx(3.5)
    assert der(halves, [], **options).total == pytest.approx(3.0)
    assert der(whole, halves, **options).total == pytest.approx(3.5)
    overlapping = turns([("A", 1, 3.2), ("A", 3, 5)])
    assert der(overlapping, [], **options).total == pytest.approx(3.5)


@pytest.mark.parametrize("side", [0, 1])
def test_missing_names_are_refused(side):
    sides = [[Segment(0, 1, "A", "sad")], [Segment(0, 1, "x", "sad")]]
    for measure, segment in ((der, Segment(0, 1, None, "sad")), (joint_error, Segment(0, 1, "A", None))):
        sides[side] = [segment]
        with pytest.raises(OptionError, match="segment at 0 s has no"):
            measure(*sides, duration=2)


def test_unknown_engine():
    with pytest.raises(OptionError, match="expected 'sed' or 'pyannote'"):
        der([], [], duration=1, engine="other")


def test_empty_sides():
    assert der([], HYPOTHESIS, duration=40).parts == pytest.approx(
        {"correct": 0, "total": 0, "false_alarm": 36, "missed_detection": 0, "confusion": 0}
    )
    assert der(REFERENCE, [], duration=40).missed_detection == 31
    assert der([], [], duration=5).rate == 0
    assert np.isnan(der([], [], duration=0).rate)  # no time is scored
    assert joint_error([], [], duration=1).rate == 0
