"""Profiles of speakers whose turns are given or detected by another stage."""

import numpy as np
import pytest
import soundfile as sf

from sed.formats import read
from sed.grid import frame_count
from sed.speakers import ReferenceTurns, SegmentationDiarizer, make_diarizer
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.profiling import MAX_SECONDS, ProfileCollector


@pytest.fixture(scope="module")
def meeting(data):
    return sf.read(data / "ami_trn00.flac", dtype="float32")[0]


def diarize(diarizer, audio, cuts=()):
    session = diarizer.begin()
    for part in np.split(audio, list(cuts)):
        session.push(part)
    return session.close()


def test_given_turns_have_the_profiles_that_diarization_finds(data, meeting):
    reference = read(data / "ami_trn00.rttm")
    given = diarize(ReferenceTurns(reference, SpeakerEmbedding()), meeting)
    plain = diarize(ReferenceTurns(reference), meeting)
    assert plain.profiles is None and given.names == plain.names
    assert all(np.array_equal(one, other) for one, other in zip(given.spans, plain.spans, strict=True))
    found = diarize(SegmentationDiarizer(), meeting)
    main = max(given.profiles, key=lambda name: given.profiles[name].seconds)
    likeness = {name: given.profiles[main].similarity(own) for name, own in found.profiles.items()}
    same = max(likeness, key=lambda name: likeness[name])
    assert likeness[same] > 0.8
    both = given.active[:, given.names.index(main)] & found.active[:, found.names.index(same)]
    assert both.sum() > 0.8 * found.active[:, found.names.index(same)].sum()


@pytest.mark.parametrize("name", ["reference", "none"])
def test_profiles_do_not_depend_on_the_blocks(data, meeting, name):
    given = ReferenceTurns(read(data / "ami_trn00.rttm"), SpeakerEmbedding())
    diarizer = given if name == "reference" else make_diarizer("none", vad="webrtc")
    whole = diarize(diarizer, meeting).profiles
    parts = diarize(diarizer, meeting, [1_000, 77_777, 160_000, 160_001, 333_333]).profiles
    assert list(whole) == list(parts) and whole
    for speaker, profile in whole.items():
        assert profile.seconds == parts[speaker].seconds
        np.testing.assert_array_equal(profile.vector, parts[speaker].vector)


def test_a_quarter_of_a_minute_is_enough(meeting):
    calls = []

    class Counting(SpeakerEmbedding):
        def __call__(self, features):
            calls.append(len(features) / 100)
            return super().__call__(features)

    audio = np.tile(meeting, 3)
    collector = ProfileCollector(1, Counting())
    for start in range(0, len(audio), 160_000):
        part = audio[start : start + 160_000]
        collector.push(part)
        collector.decide(np.ones((frame_count(len(part)), 1), bool))
    (profile,) = collector.close()
    assert profile.seconds == sum(calls) == MAX_SECONDS


def test_overlapped_speech_is_no_evidence(meeting):
    collector = ProfileCollector(2)
    collector.push(meeting[: 10 * 16_000])
    active = np.ones((500, 2), bool)
    active[:250, 1] = False
    collector.decide(active)
    one, other = collector.close()
    assert one.seconds == 5 and other is None
