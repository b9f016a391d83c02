"""Online clustering of voice samples, on synthetic vectors."""

import numpy as np
import pytest

from sed.errors import OptionError
from sed.result import SpeakerProfile
from sed.speakers.evidence import Candidate, Evidence, Sighting, Speaker, VoiceSample
from sed.speakers.matching import MATCH_THRESHOLD
from sed.speakers.recent_runs import RecentRuns
from sed.speakers.registry import RegistryOptions, SpeakerRegistry


def vector(*parts):
    v = np.zeros(8, np.float32)
    v[: len(parts)] = parts
    return v / np.linalg.norm(v)


ANN, BEN, CAT = vector(1), vector(0, 1), vector(0, 0, 1)


class Stream:
    """A registry with the samples that are not final, and a clock."""

    def __init__(self, enrolled=None, **options):
        self.registry = SpeakerRegistry(RegistryOptions(**options), enrolled)
        self.now, self.numbers = 0.0, 0

    def add(self, direction, seconds=2.0, overlapping=(), expected=None):
        """A sample, assigned and not final."""
        sample = VoiceSample(direction, seconds)
        self.now += seconds
        self.registry.assign([Candidate(sample, overlapping, expected)], self.now)
        return sample

    def say(self, direction, seconds=2.0):
        """The speaker of a final sample, who has a number from then on."""
        sample = self.add(direction, seconds)
        if not sample.speaker.reported:
            sample.speaker.number, self.numbers = self.numbers, self.numbers + 1
        self.registry.finalise(sample)
        return sample.speaker


def test_a_returning_voice_has_the_same_speaker():
    stream = Stream()
    ann, ben = stream.say(ANN), stream.say(BEN)
    assert ann is not ben
    assert stream.say(vector(1, 0.2, 0.3)) is ann
    assert stream.say(vector(0.2, 1, 0.3)) is ben
    assert len(stream.registry.speakers) == 2


@pytest.mark.parametrize(
    ("direction", "seconds", "same"), [(ANN, 1.0, True), (BEN, 1.0, False), (ANN, 0.2, False)]
)
def test_interleaved_samples_have_one_speaker_only_if_they_are_similar(direction, seconds, same):
    stream = Stream(threshold=-1.0)  # one cluster, so that only the assignment can separate them
    stream.say(ANN)
    first, sample = stream.add(ANN), VoiceSample(direction, seconds)
    stream.registry.assign([Candidate(sample, interleaved=[first])], stream.now + seconds)
    assert (sample.speaker is first.speaker) == same


def test_overlapping_samples_have_different_speakers_even_if_they_are_equal():
    stream = Stream()
    stream.say(BEN)
    first = stream.add(ANN)
    assert stream.add(ANN, overlapping=[first]).speaker is not first.speaker


def test_short_speech_joins_and_never_creates_a_speaker():
    stream = Stream()
    ann, ben = stream.say(ANN), stream.say(BEN)
    ben.last = 100
    assert stream.add(None, 0.0).speaker is ben  # the last active speaker
    assert stream.add(None, 0.0, expected=ann).speaker is ann
    assert stream.add(CAT, 0.2, expected=ann).speaker is ann
    assert stream.add(CAT, 0.5).speaker in (ann, ben)
    assert len(stream.registry.speakers) == 2
    assert stream.add(CAT, 0.6).speaker not in (ann, ben)


def test_speech_too_short_to_embed_follows_its_track_when_the_speaker_before_it_changes():
    stream = Stream()
    ann, ben = stream.say(ANN), stream.say(BEN)
    tail = stream.add(None, 0.0, expected=ben)
    stream.registry.assign([Candidate(tail, expected=ann)], stream.now)
    assert tail.speaker is ann


def test_a_new_speaker_needs_more_speech_the_more_it_resembles_a_known_one():
    seconds = {}
    for name, direction in {"other": vector(0.05, 1), "similar": vector(0.25, 1)}.items():
        stream = Stream()
        ann = stream.say(ANN, 5.0)
        seconds[name] = 0.0
        while stream.say(direction, 0.65) is ann:
            seconds[name] += 0.65
    assert seconds["other"] < 0.7 < 1.2 < seconds["similar"] < 4.0


def test_speech_that_resembles_a_known_speaker_more_as_it_grows_creates_none():
    stream = Stream()
    ann = stream.say(ANN, 5.0)
    sample = stream.add(vector(0.05, 1), 1.1)
    assert sample.speaker is not ann
    sample.vector, sample.seconds = vector(0.22, 1), 1.5
    stream.registry.assign([Candidate(sample)], stream.now)
    assert sample.speaker is ann


def test_too_little_speech_goes_to_the_last_speaker_who_is_not_in_another_track():
    stream = Stream()
    ann, ben = stream.say(ANN), stream.say(BEN)
    ann.last, ben.last = 50, 100
    sample = VoiceSample()
    stream.registry.assign([Candidate(sample, elsewhere=(ben,))], stream.now)
    assert sample.speaker is ann
    only = VoiceSample()
    stream.registry.assign([Candidate(only, elsewhere=(ann, ben))], stream.now)
    assert only.speaker is ben


def near(one, other, together=0.0, apart=0.0, times=1):
    """Let windows see both samples, as one local speaker or as two."""
    for number in range(times):
        sighting = one.near.get(other) or Sighting(250 * number)
        sighting.add(np.array([together, apart]), 250 * number)
        one.near[other] = other.near[one] = sighting


def test_windows_decide_whose_a_doubtful_sample_is():
    stream = Stream()
    first, second = VoiceSample(ANN, 5.0), VoiceSample(BEN, 5.0)
    stream.registry.assign([Candidate(first, [second]), Candidate(second, [first])], 5.0)
    doubtful = VoiceSample(vector(1, 0.9), 0.5)
    stream.registry.assign([Candidate(doubtful)], 6.0)
    assert doubtful.speaker is first.speaker is not second.speaker
    near(doubtful, second, together=1.0, times=5)
    stream.registry.assign([Candidate(doubtful)], 7.0)
    assert doubtful.speaker is second.speaker


def test_the_voice_of_one_local_speaker_needs_more_speech_to_be_a_new_speaker():
    for cosine, together, apart, same in (
        (0.1, 1, 0, True),
        (0.1, 0, 0, False),
        (0.2, 0, 0, True),
        (0.2, 0, 1, False),
    ):
        stream = Stream()
        first = stream.add(ANN, 5.0)
        first.speaker.number = 0
        sample = VoiceSample(vector(cosine, np.sqrt(1 - cosine**2)), 1.3)
        near(sample, first, together, apart, times=3)
        stream.registry.finalise(first)
        stream.registry.assign([Candidate(sample)], stream.now)
        assert (sample.speaker is first.speaker) == same, (cosine, together, apart)


def test_evidence_keeps_the_windows_of_merged_pieces():
    evidence, ann, ben = Evidence(2), Speaker(0), Speaker(1)
    samples = [VoiceSample(v, 1.0, s) for v, s in ((ANN, ann), (BEN, ben), (vector(1, 0.1), ann))]
    near(samples[0], samples[1], apart=1.0)
    near(samples[2], samples[1], apart=0.5, times=2)
    for sample in samples:
        evidence.add(sample)
    assert evidence.pieces == 2
    last = VoiceSample(CAT, 1.0)
    near(last, samples[2], together=1.0)
    near(last, samples[1], apart=1.0)
    windows = evidence.clusters([last], []).windows
    np.testing.assert_allclose(windows[0], [[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(windows[1], [[0, 2, 0], [2, 0, 1], [0, 1, 0]])


def test_runs_that_the_window_has_passed_are_forgotten():
    recent, window = RecentRuns(), np.repeat([[1.0, 0.0], [0.0, 1.0]], 250, axis=0)
    early, middle, late = (VoiceSample() for _ in range(3))
    recent.step(window, 0, [(early, np.arange(0, 100)), (middle, np.arange(240, 360))])
    assert list(early.near) == [middle]
    recent.step(window, 200, [(late, np.arange(500, 600))])
    assert not early.near and late in middle.near and middle in late.near
    assert np.ptp(late.near[middle].windows) > 0.5


def test_the_first_speech_creates_a_speaker_however_short_it_is():
    assert Stream().add(None, 0.0).speaker is not None


def test_the_expected_speaker_is_preferred_if_the_similarities_are_close():
    stream = Stream()
    ann, ben = stream.say(ANN, 5.0), stream.say(BEN, 5.0)
    assert stream.add(vector(1, 0.95), 0.5, expected=ben).speaker is ben
    assert stream.add(vector(1, 0.2), 0.5, expected=ben).speaker is ann


def test_a_sample_changes_its_speaker_while_it_grows():
    stream = Stream()
    ann, ben = stream.say(ANN), stream.say(BEN)
    sample = stream.add(vector(1, 0.8), 0.5)
    assert sample.speaker is ann
    sample.vector, sample.seconds = BEN, 1.5
    stream.registry.assign([Candidate(sample)], stream.now)
    assert sample.speaker is ben


def test_a_speaker_that_two_voices_share_is_split():
    stream = Stream()
    ann = stream.say(ANN)
    for _ in range(3):  # too short for a new speaker, so Ben's speech goes out under Ann's name
        assert stream.say(BEN, 0.9) is ann or stream.registry.speakers[-1] is not ann
    ben = stream.say(BEN)
    assert ben is not ann
    assert stream.say(ANN) is ann and stream.say(BEN) is ben


def test_two_speakers_with_one_voice_are_merged_and_reported_once():
    stream = Stream(merge_patience=5.0)
    one, two = stream.say(vector(1, 0, 0.8), 1.0), stream.say(vector(0, 1, -0.1), 1.0)
    assert one is not two
    for _ in range(8):  # voices between both show that these are one
        stream.say(vector(1, 1, 0.4), 2.0)
    (pair,) = stream.registry.merged
    assert set(pair) == {one, two}
    assert stream.registry.speakers == [pair[1]]


def known(*directions):
    return {name: SpeakerProfile(v, 10.0) for name, v in zip(("ann", "ben"), directions, strict=False)}


def test_enrolled_speakers_have_their_names_and_others_stay_unknown():
    stream = Stream(known(ANN, BEN))
    assert stream.registry.speakers == []
    assert stream.say(CAT).enrolled_name is None
    ann = stream.say(vector(1, 0, 0.5))
    assert ann.enrolled_name == "ann" and ann.number is None
    assert stream.say(vector(0, 1, 0.2)).enrolled_name == "ben"
    assert stream.say(vector(0.9, 0.1)) is ann
    below = MATCH_THRESHOLD - 0.02
    assert Stream(known(ANN)).say(vector(below, np.sqrt(1 - below**2))).enrolled_name is None
    above = MATCH_THRESHOLD + 0.02
    assert Stream(known(ANN)).say(vector(above, np.sqrt(1 - above**2))).enrolled_name == "ann"


def test_two_clusters_of_one_name_are_one_speaker_unless_they_overlap():
    one, two = vector(1, 0.9), vector(1, -0.9)  # too dissimilar for one cluster
    stream = Stream(known(ANN))
    assert stream.say(one).enrolled_name == stream.say(two).enrolled_name == "ann"
    stream = Stream(known(ANN))
    first, second = VoiceSample(one, 2.0), VoiceSample(vector(1, -1.1), 2.0)
    stream.registry.assign([Candidate(first, [second]), Candidate(second, [first])], 2.0)
    assert (first.speaker.enrolled_name, second.speaker.enrolled_name) == ("ann", None)
    assert second.speaker.centroid @ second.vector == pytest.approx(1)  # has that cluster


def test_an_unknown_speaker_who_turns_out_to_be_enrolled_is_reported():
    stream = Stream(known(ANN), merge_patience=5.0)
    unknown = stream.say(vector(0.45, 1), 1.0)
    assert unknown.enrolled_name is None
    for _ in range(8):
        ann = stream.say(vector(1, 0.8), 2.0)
    assert ann.enrolled_name == "ann"
    assert stream.registry.merged == [(unknown, ann)]
    assert stream.registry.speakers == [ann]


def test_the_maximum_number_of_speakers_holds():
    stream = Stream(max_speakers=2)
    found = {stream.say(direction) for direction in (ANN, BEN, CAT, vector(0, 0, 0, 1))}
    assert len(found) == 2
    with pytest.raises(OptionError, match="max_speakers is 0"):
        RegistryOptions(max_speakers=0)


def test_memory_is_bounded_and_the_speakers_stay():
    stream = Stream(max_evidence=10)
    rng = np.random.default_rng(0)
    truth = {}
    for number in range(120):
        name = number % 3
        noisy = np.eye(8)[name] + 0.1 * rng.normal(size=8)
        speaker = stream.say((noisy / np.linalg.norm(noisy)).astype(np.float32))
        assert truth.setdefault(name, speaker) is speaker
    assert stream.registry.evidence.pieces == 10
    assert stream.registry.evidence.seconds == pytest.approx(240)
