"""`compat="speechbrain"` against the real function, bit for bit."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sed.errors import OptionError
from sed.result import Diarization, Segment
from sed.scoring import eder
from sed.scoring.speechbrain import frame_segments

FULL = {"n": "neutral", "h": "happy", "a": "angry", "s": "sad"}


def real_function():
    """SpeechBrain's function from its own file, which needs neither torch nor torchaudio."""
    package = importlib.util.find_spec("speechbrain")
    if package is None:
        pytest.skip("speechbrain is not installed")
    path = Path(package.submodule_search_locations[0]) / "utils" / "EDER.py"
    spec = importlib.util.spec_from_file_location("speechbrain_eder_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EDER


def test_the_documented_vector():
    frames = frame_segments("nnnaaa", 0.2, 0.2)
    result = eder([Segment(0.39, 1.10, emotion="angry")], frames, duration=1.22, compat="speechbrain")
    assert result.rate == 0.2704918032786885


def test_equals_the_real_function():
    """1,000 random predictions, windows, strides and references: the same float every time."""
    original = real_function()
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
        if case % 11 == 0:  # everything agrees: below 0 where the reference overruns the duration
            letters, start = [emotion[0]] * count, 0.0
        theirs = original(
            list(letters), "u", duration, [{"emo": emotion, "start": start, "end": end}], window, stride
        )
        reference = [Segment(start, end, emotion=emotion)]
        hypothesis = [
            Segment(s.start, s.end, emotion=FULL[s.emotion]) for s in frame_segments(letters, window, stride)
        ]
        ours = eder(reference, hypothesis, duration=duration, compat="speechbrain").rate
        assert ours == theirs, (case, ours, theirs)
        below_zero += ours < 0
    assert below_zero  # its oddities are reproduced as well


def test_first_letters_only_is_kept_and_ours_is_not_so():
    reference = Diarization("u", 4.0, [Segment(0, 4, emotion="sad")])
    hypothesis = [Segment(0, 4, emotion="surprised")]
    assert eder(reference, hypothesis, compat="speechbrain").rate == 0
    assert eder(reference, hypothesis).rate == 1


def test_compatible_rates_combine():
    frames = [Segment(0, 2, emotion="sad")]
    parts = [eder([Segment(0, e, emotion="sad")], frames, duration=4, compat="speechbrain") for e in (2, 4)]
    assert [p.rate for p in parts] == [0.5, 0.5]
    assert sum(parts).rate == 0.5


@pytest.mark.parametrize(
    ("reference", "hypothesis", "duration", "options", "message"),
    [
        ([], [Segment(0, 1)], 4, {}, "0 emotions in a recording: expected one"),
        ([Segment(0, 1, None, "sad"), Segment(2, 3, None, "sad")], [Segment(0, 1)], 4, {}, "2 emotions"),
        ([Segment(0, 1, None, "sad")], [], 4, {}, "empty hypothesis"),
        ([Segment(0, 1, None, "sad")], [Segment(0, 1)], 0, {}, "expected more than 0 s"),
        ([Segment(0, 1, None, "sad")], [Segment(0, 1)], None, {}, "expected more than 0 s"),
        ([Segment(0, 1, None, "sad")], [Segment(0, 1)], 4, {"collar": 0.1}, "knows no collar"),
    ],
)
def test_where_that_function_fails_ours_says_so(reference, hypothesis, duration, options, message):
    with pytest.raises(OptionError, match=message):
        eder(reference, hypothesis, duration=duration, compat="speechbrain", **options)
