"""Online clustering of voice samples, on synthetic vectors."""

import numpy as np
import pytest

from sed.errors import OptionError
from sed.speakers.registry import RegistryOptions, SpeakerRegistry, VoiceSample

OPTIONS = RegistryOptions(
    match_threshold=0.5, min_seconds_to_create=1.0, continuity_bonus=0.15, merge_threshold=0.8
)


def vector(*parts):
    v = np.zeros(8, np.float32)
    v[: len(parts)] = parts
    return v / np.linalg.norm(v)


ANN, BEN, CAT = vector(1), vector(0, 1), vector(0, 0, 1)


def assigned(registry, direction, seconds=2.0, overlapping=(), expected=None):
    sample = VoiceSample(direction, seconds)
    registry.assign(sample, overlapping, expected)
    return sample


def test_a_returning_voice_has_the_same_speaker():
    registry = SpeakerRegistry(OPTIONS)
    first, second = assigned(registry, ANN), assigned(registry, BEN)
    registry.finalise(first)
    registry.finalise(second)
    assert first.speaker is not second.speaker
    assert assigned(registry, vector(1, 0.2, 0.3)).speaker is first.speaker
    assert assigned(registry, vector(0.2, 1, 0.3)).speaker is second.speaker
    assert len(registry.speakers) == 2


def test_overlapping_samples_have_different_speakers_even_if_they_are_equal():
    registry = SpeakerRegistry(OPTIONS)
    first = assigned(registry, ANN)
    second = assigned(registry, ANN, overlapping=[first])
    assert first.speaker is not second.speaker


def test_a_short_sample_is_assigned_to_the_expected_speaker_and_creates_none():
    registry = SpeakerRegistry(OPTIONS)
    ann, ben = assigned(registry, ANN), assigned(registry, BEN)
    ben.speaker.last = 100
    assert assigned(registry, None, 0.0).speaker is ben.speaker  # the last active speaker
    assert assigned(registry, None, 0.0, overlapping=[ben]).speaker is ann.speaker
    assert assigned(registry, CAT, 0.2, expected=ann.speaker).speaker is ann.speaker
    assert assigned(registry, CAT, 0.7).speaker in (ann.speaker, ben.speaker)
    assert assigned(registry, CAT, 1.0).speaker not in (ann.speaker, ben.speaker)


def test_the_expected_speaker_is_preferred_if_the_similarities_are_close():
    for direction, name in ((vector(1, 0.9), "ben"), (vector(1, 0.2), "ann")):  # both are closer to Ann
        registry = SpeakerRegistry(OPTIONS)
        speakers = {"ann": assigned(registry, ANN).speaker, "ben": assigned(registry, BEN).speaker}
        sample = assigned(registry, direction)
        assert sample.speaker is speakers["ann"]
        registry.assign(sample, [], expected=speakers["ben"])
        assert sample.speaker is speakers[name]


def test_a_sample_is_reassigned_when_its_embedding_changes():
    registry = SpeakerRegistry(OPTIONS)
    ann, ben = assigned(registry, ANN), assigned(registry, BEN)
    sample = assigned(registry, vector(1, 0.8), 0.5)
    assert sample.speaker is ann.speaker
    sample.vector, sample.seconds = vector(0.2, 1), 2.0
    registry.assign(sample, [])
    assert sample.speaker is ben.speaker
    assert sample not in ann.speaker.samples


def test_a_speaker_without_evidence_is_removed():
    registry = SpeakerRegistry(OPTIONS)
    first = assigned(registry, None, 0.0)  # creates a speaker because there is none
    assert len(registry.speakers) == 1
    registry.finalise(first)
    assert registry.speakers == []


def test_max_speakers():
    registry = SpeakerRegistry(RegistryOptions(max_speakers=2))
    samples = [assigned(registry, v) for v in (ANN, BEN, CAT, vector(0, 0.1, 0, 1))]
    assert len(registry.speakers) == 2 and all(sample.speaker for sample in samples)
    assert samples[3].speaker is samples[1].speaker  # the more similar of the two
    with pytest.raises(OptionError, match="max_speakers is 0: expected 1 or more"):
        RegistryOptions(max_speakers=0)


def test_similar_speakers_are_merged_into_the_older_one():
    registry = SpeakerRegistry(OPTIONS)
    first = assigned(registry, ANN)
    second = assigned(registry, ANN, overlapping=[first])
    older, younger = first.speaker, second.speaker
    older.number, younger.number = 0, 1
    registry.merge_similar()
    assert len(registry.speakers) == 2  # both are active
    registry.finalise(first)
    registry.finalise(second)
    registry.merge_similar()
    assert registry.speakers == [older] and older.number == 0


def test_past_evidence_fades_and_is_bounded():
    registry = SpeakerRegistry(RegistryOptions(memory=10.0, match_threshold=0.1))
    for angle in np.linspace(0, np.pi / 2, 60):  # a voice that slowly changes into another
        sample = assigned(registry, vector(np.cos(angle), np.sin(angle)))
        registry.finalise(sample)
    [speaker] = registry.speakers
    assert speaker.seconds == 10.0
    assert speaker.summed_embedding() @ BEN > speaker.summed_embedding() @ ANN
