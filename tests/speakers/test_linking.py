"""Linking speakers across recordings: constructed profiles, then real speakers."""

import numpy as np
import pytest
import soundfile as sf

from sed import EmotionDiarizer
from sed.errors import OptionError
from sed.result import SpeakerProfile
from sed.speakers import link_speakers


def profile(*vector, seconds=9.0):
    return SpeakerProfile.from_sum(np.array(vector), seconds)


def test_speakers_of_one_recording_are_never_linked():
    alike = {"spk00": profile(1, 0), "spk01": profile(1, 0.01)}
    (names,) = link_speakers([alike])
    assert names == {"spk00": "person000", "spk01": "person001"}
    first, second = link_speakers([alike, {"spk00": profile(1, 0.02)}])
    assert second["spk00"] in first.values() and len(set(first.values())) == 2


def test_the_threshold_decides():
    one, other = {"a": profile(1, 0)}, {"a": profile(0.6, 0.8)}
    assert [own["a"] for own in link_speakers([one, other], 0.59)] == ["person000"] * 2
    assert [own["a"] for own in link_speakers([one, other], 0.61)] == ["person000", "person001"]


def test_recordings_without_speakers_and_other_networks():
    assert link_speakers([]) == [] and link_speakers([{}, {}]) == [{}, {}]
    assert link_speakers([{}, {"a": profile(1, 0)}]) == [{}, {"a": "person000"}]
    with pytest.raises(OptionError, match=r"profiles of \[2, 3\] dimensions"):
        link_speakers([{"a": profile(1, 0)}, {"a": profile(1, 0, 0)}])


@pytest.mark.slow
def test_real_speakers_in_other_emotions(data):
    diarizer = EmotionDiarizer()
    found = []
    for first, second in (("neutral", "happy"), ("sad", "angry")):
        parts = [
            sf.read(data / f"emodb_{speaker}_{first}_1.flac", dtype="float32")[0] for speaker in (15, 16)
        ]
        parts += [
            sf.read(data / f"emodb_{speaker}_{second}_1.flac", dtype="float32")[0] for speaker in (15, 16)
        ]
        found.append(diarizer((np.concatenate(parts), 16_000)).profiles)
    one, other = link_speakers(found)
    assert len(one) == 2 and set(one.values()) == set(other.values())
