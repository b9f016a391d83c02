"""Promise 9: ordinary speech is neutral. Real recordings in which nobody acts, through the whole diarizer.

Those that models may be chosen by: the meetings' part train, calls for tuning, readers of split `valid`.
"""

import pytest

from benchmarks.accuracy.ordinary import TARGETS, recordings
from sed import EmotionDiarizer


@pytest.mark.slow
@pytest.mark.parametrize("source", TARGETS)
def test_ordinary_speech_is_called_neutral(shared, source):
    diarizer = EmotionDiarizer()
    paths = [path for name, path in recordings(shared, "valid") if name == source]
    seconds = dict.fromkeys(diarizer.labels, 0.0)
    for path in paths:
        for segment in diarizer(path):
            seconds[segment.emotion] += segment.end - segment.start
    total = sum(seconds.values())
    assert total > 60
    assert seconds["neutral"] / total >= TARGETS[source], seconds
    if source == "calls":
        assert (seconds["sad"] + seconds["angry"]) / total < 0.08
