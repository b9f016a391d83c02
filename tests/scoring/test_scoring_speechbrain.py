"""`compat="speechbrain"` is bit-identical to SpeechBrain's function."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sed.errors import OptionError
from sed.result import Diarization, Segment
from sed.scoring import Options, eder, score
from sed.scoring.speechbrain import frame_segments

FULL = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}


def original_function():
    """SpeechBrain's function from its own file, which needs neither torch nor torchaudio."""
    package = importlib.util.find_spec("speechbrain")
    if package is None:
        pytest.skip("speechbrain is not installed")
    path = Path(package.submodule_search_locations[0]) / "utils" / "EDER.py"
    spec = importlib.util.spec_from_file_location("speechbrain_eder_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EDER


def test_the_documented_example():
    frames = frame_segments("nnnaaa", 0.2, 0.2)
    result = eder([Segment(0.39, 1.10, emotion="angry")], frames, duration=1.22, compat="speechbrain")
    assert result.rate == 0.2704918032786885


def test_equals_the_original_function():
    """1,000 random predictions, windows, strides and references give identical floats."""
    original = original_function()
    rng = np.random.default_rng(5)
    below_zero = 0
    for case in range(1000):
        duration = float(np.round(rng.uniform(0.3, 15), int(rng.integers(1, 6))))
        stride = (0.02, 0.2, float(rng.uniform(0.01, 0.5)))[case % 3]
        window = stride * (1.0, 1.5, float(rng.uniform(0.5, 3)))[(case // 3) % 3]
        count = int(rng.integers(1, 2 + int(1.1 * duration / stride)))
        letters = np.repeat(rng.choice(list("nhas"), count), rng.integers(1, 9, count))[:count].tolist()
        start, end = np.sort(rng.uniform(0, duration * (1.1 if case % 5 else 1.0), 2)).tolist()
        start = 0.0 if case % 7 == 0 else start
        emotion = FULL[str(rng.choice(list("has")))]
        if case % 11 == 0:  # full agreement: negative if the reference exceeds the duration
            letters, start = [emotion[0]] * count, 0.0
        theirs = original(
            list(letters), "u", duration, [{"emo": emotion, "start": start, "end": end}], window, stride
        )
        reference = [Segment(start, end, emotion=emotion)]
        frames = frame_segments(letters, window, stride)
        ours = eder(reference, frames, duration=duration, labels=FULL, compat="speechbrain").rate
        assert ours == theirs, (case, ours, theirs)
        below_zero += ours < 0
    assert below_zero  # its negative values are reproduced


def test_only_the_compatible_version_compares_first_letters():
    reference = Diarization("u", 4.0, [Segment(0, 4, emotion="sad")])
    hypothesis = [Segment(0, 4, emotion="surprised")]
    assert eder(reference, hypothesis, compat="speechbrain").rate == 0
    assert eder(reference, hypothesis).rate == 1


def test_compatible_rates_combine():
    frames = [Segment(0, 2, emotion="sad")]
    parts = [eder([Segment(0, e, emotion="sad")], frames, duration=4, compat="speechbrain") for e in (2, 4)]
    assert [p.rate for p in parts] == [0, 0.5]  # gaps of the hypothesis are neutral
    assert sum(parts).rate == 0.25


@pytest.mark.parametrize(
    ("reference", "hypothesis", "duration", "options", "message"),
    [
        ([], [Segment(0, 1)], 4, {}, "0 emotions in a recording: expected one"),
        ([Segment(0, 1, None, "sad"), Segment(2, 3, None, "sad")], [Segment(0, 1)], 4, {}, "2 emotions"),
        ([Segment(0, 1, None, "sad")], [Segment(0, 1)], 0, {}, "expected more than 0 s"),
        ([Segment(0, 1, None, "sad")], [Segment(0, 1)], None, {}, "expected more than 0 s"),
        (
            [Segment(0, 1, None, "sad")],
            [Segment(0, 1)],
            4,
            {"collar": 0.1},
            "cannot be combined with a collar",
        ),
    ],
)
def test_errors_where_the_original_function_fails(reference, hypothesis, duration, options, message):
    with pytest.raises(OptionError, match=message):
        eder(reference, hypothesis, duration=duration, compat="speechbrain", **options)


def zed(shared):
    rows = csv.DictReader((shared / "corpora" / "zed_boundaries.csv").open())
    return [
        Diarization(
            row["id"],
            float(row["duration"]),
            [Segment(float(row["start"]), float(row["end"]), None, row["emo"])],
        )
        for row in rows
    ]


def test_a_reference_against_itself_has_no_error(shared):
    """ZED has events only, and its gaps are neutral; if gaps agreed with nothing, the error would be 41 %."""
    references = zed(shared)
    report = score(references, references, metrics=["eder"], options=Options(compat="speechbrain"))
    assert report["eder"].value == pytest.approx(0, abs=1e-12)
    assert report["eder"].macro == pytest.approx(0, abs=1e-12)


def test_gaps_are_scored_like_neutral_frames(shared):
    """Segments with gaps, and none, against the original function on frames of 20 ms that are neutral in the gaps."""
    original, rng = original_function(), np.random.default_rng(7)
    letter = {word: key for key, word in FULL.items()}
    for reference in zed(shared)[::6]:
        duration = round(reference.duration / 0.02) * 0.02
        count = round(duration / 0.02)
        cuts = np.sort(rng.choice(count, 6, replace=False)) if rng.random() > 0.1 else []
        hypothesis = [
            Segment(0.02 * int(a), 0.02 * int(b), str(n), FULL[str(rng.choice(list("hasn")))])
            for n, (a, b) in enumerate(zip(cuts[::2], cuts[1::2], strict=True))
        ]
        frames = ["n"] * count
        for s in hypothesis:
            first, last = round(s.start / 0.02), round(s.end / 0.02)
            frames[first:last] = letter[s.emotion] * (last - first)
        (event,) = reference
        truth = [{"emo": event.emotion, "start": event.start, "end": event.end}]
        theirs = original(frames, "u", duration, truth, 0.02, 0.02)
        ours = eder(reference.segments, hypothesis, duration=duration, compat="speechbrain").rate
        assert ours == pytest.approx(theirs, abs=1e-9)
        named = [*hypothesis, Segment(0, duration)]  # a segment without an emotion changes nothing
        assert eder(reference.segments, named, duration=duration, compat="speechbrain").rate == ours


def test_an_empty_hypothesis_is_neutral(shared):
    references = zed(shared)[:20]
    options = Options(compat="speechbrain")
    rates = score(references, references[1:], metrics=["eder"], options=options)["eder"].files
    event = references[0].segments[0]
    assert rates["spk1_1"].rate == pytest.approx(event.duration / references[0].duration)
    assert sum(rate.rate for rate in rates.values()) == pytest.approx(rates["spk1_1"].rate)


def test_segments_of_one_emotion_are_united_over_speakers():
    reference = Diarization("u", 10.0, [Segment(0, 10, emotion="happy")])
    hypothesis = [Segment(0, 10, "a", "happy"), Segment(2, 8, "b", "happy")]
    assert eder(reference, hypothesis, compat="speechbrain").rate == 0
