"""EDER: constructed cases, identity with pyannote's IER, and properties of any exact EDER."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.result import Diarization, Segment
from sed.scoring import eder
from sed.scoring.intervals import EPSILON, gaps, support

LABELS = ("neutral", "happy", "angry", "sad")


def segments(*rows):
    """Segments from (start, end, emotion) rows."""
    return [Segment(start, end, emotion=emotion) for start, end, emotion in rows]


def random_annotation(rng, duration, *, overlapping):
    """Random emotions: adjacent segments with gaps, or arbitrary overlapping segments."""
    if overlapping:
        bounds = np.sort(rng.uniform(0, duration, (rng.integers(0, 9), 2)), 1)
    else:
        cuts = np.sort(rng.uniform(0, duration, rng.integers(2, 12)))
        bounds = np.stack([cuts[:-1], cuts[1:]], 1)[rng.random(len(cuts) - 1) < 0.7]
    return segments(*((a, b, LABELS[rng.integers(4)]) for a, b in bounds))


def pyannote_ier(reference, hypothesis, region, collar=0.0, end=None):
    """IdentificationErrorRate with gaps filled by neutral."""
    from pyannote.core import Annotation, Timeline
    from pyannote.core import Segment as Interval
    from pyannote.metrics.identification import IdentificationErrorRate

    def annotation(rows):
        by_label = {
            label: support([(s.start, s.end) for s in rows if s.emotion == label]) for label in LABELS
        }
        free = gaps(support(np.concatenate(list(by_label.values()))), 0.0, end)
        by_label["neutral"] = support(np.concatenate([by_label["neutral"], free]))
        result = Annotation()
        for label, track in by_label.items():
            for start, stop in track:
                result[Interval(start, stop), label] = label
        return result

    metric = IdentificationErrorRate(collar=2 * collar)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return metric.compute_components(
            annotation(reference), annotation(hypothesis), uem=Timeline([Interval(a, b) for a, b in region])
        ), metric


def test_the_overlap_example():
    reference = segments((2, 8, "happy"))
    hypothesis = segments((0, 3, "neutral"), (3, 7, "angry"), (6, 9, "happy"), (9, 10, "neutral"))
    result = eder(reference, hypothesis, duration=10)
    assert (result.missed_emotion, result.confusion, result.overlap, result.false_alarm) == (1, 3, 1, 1)
    assert result.rate == pytest.approx(0.6, abs=1e-15)
    assert result.correct == 5  # [0,2], [6,8], [9,10]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "parts"),
    [  # FA, ME, CF, OL, correct
        ([], [], (0, 0, 0, 0, 10)),
        ([], [(0, 10, "sad")], (10, 0, 0, 0, 0)),
        ([(0, 10, "sad")], [], (0, 10, 0, 0, 0)),
        ([(0, 10, "sad")], [(0, 10, "surprised")], (0, 0, 10, 0, 0)),
        ([(1, 2, "neutral")], [(4, 6, "neutral")], (0, 0, 0, 0, 10)),
        ([(0, 4, "sad"), (2, 6, "sad")], [(0, 6, "sad")], (0, 0, 0, 0, 10)),
        ([(0, 5, "sad"), (5, 10, "happy")], [(0, 6, "sad"), (6, 10, "happy")], (0, 0, 1, 0, 9)),
        ([], [(0, 2, "sad"), (1, 2, "happy")], (2, 0, 0, 1, 8)),
        ([], [(0, 2, "sad"), (0, 2, "neutral")], (0, 0, 0, 2, 10)),
        ([(0, 2, "sad"), (0, 2, "happy")], [(0, 2, "sad")], (0, 2, 0, 0, 10)),
        ([(0, 2, "sad"), (0, 2, "happy")], [(0, 2, "angry")], (0, 2, 2, 0, 8)),
        ([(0, 2, "neutral"), (0, 2, "happy")], [(0, 2, "angry")], (0, 2, 2, 0, 8)),
        ([(0, 2, "neutral"), (0, 2, "happy")], [(0, 2, "happy")], (0, 2, 0, 0, 10)),
    ],
)
def test_parts_of_small_cases(reference, hypothesis, parts):
    result = eder(segments(*reference), segments(*hypothesis), duration=10)
    found = (result.false_alarm, result.missed_emotion, result.confusion, result.overlap, result.correct)
    assert found == pytest.approx(parts)


def test_emotions_of_speakers_are_united():
    """Two speakers with an emotion each, at once: order and names of speakers do not matter."""
    reference = [Segment(0, 4, "A", "happy"), Segment(2, 6, "B", "sad")]
    hypothesis = [Segment(0, 4, "spk01", "happy"), Segment(2, 6, "spk01", "sad")]
    result = eder(reference, hypothesis, duration=8)
    assert result.rate == 0
    assert result.total == 4 + 4 + 2


def test_three_emotions_at_once_without_errors():
    """Rounding gives -1e-16 s of confusion, which must not raise an error."""
    side = segments((0.0, 0.1, "happy"), (0.0, 0.1, "angry"), (0.0, 0.7000000000000001, "sad"))
    found = eder(side, [*side, *segments((20, 21, "zeal"))], duration=20)
    assert found.rate == 0 and found.confusion == 0


def test_labels_are_renamed_and_compared_as_whole_words():
    reference, hypothesis = segments((0, 4, "hap"), (4, 8, "exc")), segments((0, 8, "happy"))
    assert eder(reference, hypothesis, duration=8).rate == 1
    assert eder(reference, hypothesis, duration=8, labels={"hap": "happy", "exc": "happy"}).rate == 0
    assert eder(segments((0, 8, "calm")), [], duration=8, neutral="calm").rate == 0


def test_collar_and_regions():
    reference, hypothesis = segments((2, 6, "sad")), segments((2.2, 6.4, "sad"))
    assert eder(reference, hypothesis, duration=10).errors == pytest.approx(0.6)
    collared = eder(reference, hypothesis, duration=10, collar=0.25)
    assert collared.errors == pytest.approx(0.15)
    assert collared.total == pytest.approx(10 - 4 * 0.25 - 2 * 0.25)  # 0, 10 (one side each), 2, 6 (both)
    inside = eder(reference, hypothesis, uem=[(2, 3), (5, 6.1)])
    assert (inside.total, inside.errors) == (pytest.approx(2.1), pytest.approx(0.3))
    touching = eder(reference, hypothesis, uem=[(2, 3), (2.5, 4), (4, 5), (7, 7)])
    assert touching.total == pytest.approx(3)


def test_segments_after_the_end_are_not_scored(caplog):
    reference = Diarization("call", 4.5, segments((1, 4.5, "sad")))
    assert eder(reference, segments((1, 4.52, "sad"))).rate == 0
    assert not caplog.records
    late = eder(reference, segments((1, 6.0, "sad")))
    assert late.total == 4.5
    assert "call: 1.50 s of the hypothesis lie after its end" in caplog.text


def test_rounding_gaps_are_not_boundaries():
    """Frames of 20 ms with gaps from rounding are scored like one segment, with or without a collar."""
    frames = [Segment(0.02 * i, 0.02 * i + 0.02, emotion="sad") for i in range(50, 400)]
    assert any(a.end != b.start for a, b in pairwise(frames))
    whole = segments((frames[0].start, frames[-1].end, "sad"))
    for collar in (0.0, 0.1):
        by_frames = eder(frames, [], duration=10, collar=collar)
        assert by_frames.parts == pytest.approx(eder(whole, [], duration=10, collar=collar).parts, abs=1e-9)


@pytest.mark.parametrize("overlapping", [False, True])
@pytest.mark.parametrize("collar", [0.0, 0.25])
def test_equals_pyannote_identification_error_rate(overlapping, collar):
    """1,000 random cases in total, half of them with a random scored region."""
    rng = np.random.default_rng(10 * overlapping + round(4 * collar))
    largest = 0.0
    for case in range(250):
        duration = float(rng.uniform(1, 30))
        reference, hypothesis = (random_annotation(rng, duration, overlapping=overlapping) for _ in range(2))
        cuts = np.sort(rng.uniform(0, duration, 4))
        uem = [(cuts[0], cuts[1]), (cuts[2], cuts[3])] if case % 2 else None
        ours = eder(reference, hypothesis, duration=duration, uem=uem, collar=collar)
        parts, metric = pyannote_ier(reference, hypothesis, uem or [(0, duration)], collar, duration)
        theirs = metric.compute_metric(parts)
        largest = max(largest, abs(ours.rate - theirs), abs(ours.total - parts["total"]) / duration)
    assert largest < 1e-9


tenths = st.integers(0, 100)
rows = st.lists(st.tuples(tenths, st.integers(1, 60), st.sampled_from(LABELS)), max_size=8)


def annotation(rows, scale=0.1, shift=0.0):
    return segments(*((scale * a + shift, scale * (a + b) + shift, label) for a, b, label in rows))


@given(rows, rows)
@settings(max_examples=150, deadline=None)
def test_parts_sum_and_identity_and_swap(reference, hypothesis):
    ours = eder(annotation(reference), annotation(hypothesis), duration=20)
    assert ours.correct + ours.false_alarm + ours.missed_emotion + ours.confusion == pytest.approx(ours.total)
    assert ours.matrix.seconds.sum() == pytest.approx(ours.total + ours.overlap)
    swapped = eder(annotation(hypothesis), annotation(reference), duration=20)
    assert swapped.errors == pytest.approx(ours.errors)
    assert swapped.correct == pytest.approx(ours.correct)
    assert swapped.confusion == pytest.approx(ours.confusion)
    np.testing.assert_allclose(swapped.matrix.seconds, ours.matrix.seconds.T, atol=1e-9)
    assert eder(annotation(reference), annotation(reference), duration=20).rate == 0


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from(LABELS)), min_size=1, max_size=6), st.data())
@settings(max_examples=100, deadline=None)
def test_swapping_swaps_false_alarm_and_missed(tiles, data):
    """With one emotion at a time on both sides, swapping the sides swaps FA and ME."""

    def adjacent(parts):
        ends = np.cumsum([length for length, _ in parts])
        return annotation([(int(e - n), n, label) for e, (n, label) in zip(ends, parts, strict=True)])

    others = data.draw(st.permutations(tiles))
    a, b = adjacent(tiles), adjacent(others)
    forward, back = eder(a, b, duration=20), eder(b, a, duration=20)
    assert (forward.false_alarm, forward.missed_emotion) == pytest.approx(
        (back.missed_emotion, back.false_alarm)
    )
    assert forward.overlap == back.overlap == 0
    assert forward.total == pytest.approx(20)


@given(rows, rows, st.floats(0.05, 0.95), st.floats(0.1, 5), st.floats(0, 50))
@settings(max_examples=100, deadline=None)
def test_invariant_under_splitting_shift_and_scale(reference, hypothesis, cut, scale, shift):
    plain = eder(annotation(reference), annotation(hypothesis), uem=[(0, 20)], collar=0.1)

    def split(items):
        for s in items:
            middle = s.start + cut * (s.end - s.start)
            yield from segments((s.start, middle, s.emotion), (middle, s.end, s.emotion))

    halves = eder(split(annotation(reference)), split(annotation(hypothesis)), uem=[(0, 20)], collar=0.1)
    assert halves.parts == pytest.approx(plain.parts, abs=1e-6)

    free = eder(annotation(reference), annotation(hypothesis), uem=[(0, 20)])
    moved = eder(
        annotation(reference, 0.1 * scale, shift),
        annotation(hypothesis, 0.1 * scale, shift),
        uem=[(shift, shift + 20 * scale)],
    )
    for name, value in free.parts.items():
        assert moved.parts[name] == pytest.approx(scale * value, abs=100 * EPSILON)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected `duration` or `uem`"),
        ({"duration": -1}, "a duration of -1 s"),
        ({"duration": 3, "collar": -0.1}, "a collar of -0.1 s"),
        ({"uem": [(2, 1)]}, "scored region from 2 to 1 s"),
        ({"duration": 3, "compat": "other"}, "expected None or 'speechbrain'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(OptionError, match=message):
        eder(segments((0, 1, "sad")), [], **options)
