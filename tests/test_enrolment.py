"""Enrolment: names of known speakers, their baselines, and files that cannot be enrolled."""

import json

import numpy as np
import pytest
import soundfile as sf

from sed import Diarization, EmotionDiarizer, Segment
from sed.emotion.baseline import SHARE, USUAL, shifted, speaker_offset
from sed.emotion.bundled import bundled_path
from sed.enrolment import enrol_speakers, parse_enrolments
from sed.errors import OptionError
from sed.result import SpeakerProfile
from sed.segmenting import join
from sed.speakers import ReferenceTurns, SegmentationDiarizer, Turns
from sed.speakers.matching import MATCH_THRESHOLD, name_channels, name_speakers

RATE = 16_000
# Seconds in `talk`: with 1 s of latency the half second before is final before its voice is known.
KNOWN_FROM = 7.9


def clip(data, speaker, emotion):
    return sf.read(data / f"emodb_{speaker}_{emotion}_1.flac", dtype="float32")[0]


@pytest.fixture(scope="module")
def talk(data):
    """Speakers 15 and 16 in turn, with other emotions than in their enrolments."""
    parts = [("15", "angry"), ("16", "sad"), ("15", "happy"), ("16", "angry")]
    pause = np.zeros(RATE // 2, np.float32)
    return np.concatenate([part for one in parts for part in (clip(data, *one), pause)])


@pytest.fixture(scope="module")
def enrolling(data):
    return EmotionDiarizer(enrol={"ann": str(data / "emodb_15_neutral_1.flac")})


def profile(*vector, seconds=5.0):
    return SpeakerProfile.from_sum(np.array(vector), seconds)


def turns_of(spans, profiles):
    names = tuple(f"spk{n:02d}" for n in range(len(spans)))
    found = {name: p for name, p in zip(names, profiles, strict=True) if p is not None}
    return Turns(tuple(np.array(own) for own in spans), names, 100, found)


def test_a_known_speaker_gets_the_name_and_an_unknown_one_does_not(enrolling, talk):
    result = enrolling((talk, RATE))
    assert result.speaker_names == ("ann", "spk00")
    first = [s.speaker for s in result if s.end < 3] + [s.speaker for s in result if 7.3 < s.start < 9.3]
    assert set(first) == {"ann"}
    assert {s.speaker for s in result if 3.1 < s.start < 6.5} == {"spk00"}
    assert result.settings == {"enrolled": ["ann"]}
    assert set(result.profiles) == {"ann", "spk00"}
    assert result.profiles["ann"].similarity(enrolling.enrolled["ann"].profile) >= MATCH_THRESHOLD


@pytest.mark.slow
def test_only_the_known_speaker_has_other_probabilities(enrolling, talk):
    plain, named = EmotionDiarizer()((talk, RATE)), enrolling((talk, RATE))
    np.testing.assert_array_equal(named.posteriors, plain.posteriors)
    before, after = ([s for s in r if s.start < 7] for r in (plain, named))
    assert [s.start for s in before] == [s.start for s in after]
    for old, new in zip(before, after, strict=True):
        assert (old.probabilities == new.probabilities) is (new.speaker != "ann")


def test_parts_of_one_speaker_are_joined_unless_they_overlap():
    ann = {"ann": profile(1, 0, 0)}
    like = [profile(1, 0.2, 0), profile(0, 1, 0), profile(1, 0, 0.1)]
    apart = turns_of([[[0, 10]], [[10, 20]], [[20, 50], [60, 70]]], like)
    named = name_speakers(apart, ann)
    assert named.names == ("ann", "spk00")
    assert [own.tolist() for own in named.spans] == [[[0, 10], [20, 50], [60, 70]], [[10, 20]]]
    assert named.profiles["ann"].seconds == 10
    overlapping = turns_of([[[0, 40]], [[40, 50]], [[5, 35]]], like)
    named = name_speakers(overlapping, ann)
    assert named.names == ("spk00", "ann", "spk01")  # the more similar one has the name
    assert named.spans[1].tolist() == [[5, 35]]


def test_two_channels_are_never_one_speaker():
    like = {"channel1": profile(1, 0.2), "channel2": profile(1, 0.1), "channel3": profile(0, 1)}
    turns = Turns(tuple(np.array([[n, n + 9]]) for n in range(3)), tuple(like), 100, like)
    named = name_channels(turns, {"ann": profile(1, 0)})
    assert named.names == ("channel1", "ann", "channel3") and set(named.profiles) == set(named.names)


def test_a_speaker_without_a_profile_or_below_the_threshold_stays_unknown():
    below = profile(MATCH_THRESHOLD - 0.01, np.sqrt(1 - (MATCH_THRESHOLD - 0.01) ** 2))
    turns = turns_of([[[0, 10]], [[20, 30]]], [below, None])
    named = name_speakers(turns, {"ann": profile(1, 0)})
    assert named.names == ("spk00", "spk01")
    assert set(named.profiles) == {"spk00"}
    above = profile(MATCH_THRESHOLD + 0.01, np.sqrt(1 - (MATCH_THRESHOLD + 0.01) ** 2))
    assert name_speakers(turns_of([[[0, 10]]], [above]), {"ann": profile(1, 0)}).names == ("ann",)


def test_an_offset_moves_one_speaker_and_leaves_dimensions():
    rows = np.tile(np.array([0.6, 0.4, 0.25], np.float32), (100, 1))
    turns = Turns((np.array([[0, 50]]), np.array([[50, 100]])), ("ann", "bob"), 100)
    offsets = {"ann": np.log([1.0, 6.0])}
    one, other = join(turns, rows, ("neutral", "sad"), 2.0, None, ("arousal",), offsets)
    assert (one.emotion, other.emotion) == ("sad", "neutral")
    assert one.probabilities == {"neutral": 0.2, "sad": 0.8} and one.dimensions == {"arousal": 0.25}


def test_the_offset_takes_back_a_share_of_how_a_speaker_always_sounds():
    labels = tuple(USUAL)
    usual = np.array([USUAL[label] for label in labels])
    plain = speaker_offset(usual, labels)
    biased = speaker_offset(usual + [0, 0, 0, 1.0], labels)
    np.testing.assert_allclose(biased - plain, [0, 0, 0, -SHARE])
    sums = shifted(np.full((3, 4), 0.25, np.float32), biased).sum(1)
    np.testing.assert_allclose(sums, 1, atol=1e-6)


@pytest.mark.slow
def test_the_baseline_is_that_of_the_bundled_tagger_only(data):
    class Other:
        labels, frame_rate, window = tuple(USUAL), 50, 80_000

        def posteriors(self, waves):
            return np.full((len(waves), -(-waves.shape[1] // 320), 4), 0.25, np.float32)

    file = data / "emodb_15_neutral_1.flac"
    assert enrol_speakers({"ann": file}, SegmentationDiarizer(), Other())["ann"].offset is None
    assert bundled_path().is_file()
    assert EmotionDiarizer(enrol={"ann": file}).enrolled["ann"].offset.shape == (4,)


@pytest.mark.slow
def test_several_recordings_of_a_speaker_count_together(data):
    files = [data / f"emodb_15_{emotion}_1.flac" for emotion in ("neutral", "sad")]
    one, two = (EmotionDiarizer(enrol={"ann": own}).enrolled["ann"].profile for own in (files[0], files))
    assert two.seconds > one.seconds + 1
    assert 0.5 < one.similarity(two) < 0.999


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ann": (np.zeros(3 * RATE, np.float32), RATE)}, "array: found no speech, expected that of 'ann'"),
        ({"ann": []}, "found no recordings, expected at least one"),
        ({" ": "a.wav"}, "expected a name that is not blank"),
        ({"spk01": "a.wav"}, "as unknown speakers are named like this"),
    ],
)
def test_what_cannot_be_enrolled_is_one_sentence(given, message):
    with pytest.raises(OptionError, match=message):
        EmotionDiarizer(enrol=given)


@pytest.mark.slow
def test_two_speakers_and_too_little_speech_are_refused(data, talk):
    with pytest.raises(OptionError, match=r"array: found 2 speakers \(.*\), expected 'ann' alone"):
        EmotionDiarizer(enrol={"ann": (talk, RATE)})
    with pytest.raises(
        OptionError, match=r"array: found [01]\.\d s of clean speech to enrol 'ann', expected"
    ):
        EmotionDiarizer(enrol={"ann": (clip(data, "15", "neutral")[: int(1.3 * RATE)], RATE)})


@pytest.mark.slow
def test_what_enrolment_cannot_be_combined_with(data, talk):
    ann = {"ann": data / "emodb_15_neutral_1.flac"}
    with pytest.raises(
        OptionError, match="OneSpeaker cannot name enrolled speakers in a live stream: expected"
    ):
        EmotionDiarizer(enrol=ann, latency=1.0, diarizer="none")

    class Plain:
        def begin(self):
            return ReferenceTurns(Diarization("x", 1.0, [Segment(0, 1, "a")])).begin()

    with pytest.raises(OptionError, match="gives no profiles of speakers"):
        EmotionDiarizer(enrol=ann, diarizer=Plain())((talk, RATE))


@pytest.mark.slow
def test_a_channel_of_a_call_gets_the_name_and_others_keep_theirs(data):
    parts = [clip(data, speaker, "happy") for speaker in ("16", "15")]
    call = np.stack([np.concatenate([parts[0], 0 * parts[1]]), np.concatenate([0 * parts[0], parts[1]])], 1)
    files = [data / f"emodb_15_{emotion}_1.flac" for emotion in ("neutral", "sad", "angry")]
    diarizer = EmotionDiarizer(enrol={"ann": files}, channels="split")
    result = diarizer((call, RATE))
    assert result.speaker_names == ("ann", "channel1") and set(result.profiles) == {"ann", "channel1"}
    assert min(s.start for s in result if s.speaker == "ann") > len(parts[0]) / RATE - 0.1
    plain = EmotionDiarizer(channels="split")((call, RATE))
    np.testing.assert_array_equal(result.posteriors, plain.posteriors)
    assert result.segments[0].probabilities == plain.segments[0].probabilities
    assert result.segments[-1].probabilities != plain.segments[-1].probabilities


@pytest.mark.slow
@pytest.mark.parametrize("other", [{"vad": "webrtc"}, {"diarizer": "none"}])
def test_other_diarizers_find_known_speakers_too(data, other):
    parts = [clip(data, "15", emotion) for emotion in ("happy", "angry", "sad")]
    diarizer = EmotionDiarizer(enrol={"ann": data / "emodb_15_neutral_1.flac"}, **other)
    assert diarizer((np.concatenate(parts), RATE)).speaker_names == ("ann",)


def test_given_turns_keep_their_names_and_use_baselines(data, enrolling):
    audio = (clip(data, "15", "happy"), RATE)
    given = {
        name: ReferenceTurns(Diarization("x", 2.0, [Segment(0.1, 1.8, name)])) for name in ("ann", "bob")
    }
    found = {name: enrolling(audio, turns=turns).segments[0] for name, turns in given.items()}
    assert [found[name].speaker for name in found] == ["ann", "bob"]
    assert found["ann"].probabilities != found["bob"].probabilities


@pytest.mark.slow
@pytest.mark.parametrize("latency", [1.0, 5.0])
def test_a_live_stream_names_the_known_speaker_and_no_other(enrolling, talk, latency):
    stream = enrolling.stream(latency, refine=True)
    assert stream.settings == {"enrolled": ["ann"]}
    events = [event for block in np.array_split(talk, 20) for event in stream.push(block)] + stream.close()
    found = [event.segment for event in events if event.final]
    known = 7.3 if latency == 5 else KNOWN_FROM
    assert {s.speaker for s in found if known < s.start < 9.3} == {"ann"}
    others = {s.speaker for s in found if 3.1 < s.start < 6.5 or s.start > 9.8}
    assert others and "ann" not in others
    refined = stream.refined()
    assert refined.speaker_names == ("ann", "spk00") and refined.settings == {"enrolled": ["ann"]}
    assert {s.speaker for s in refined if s.end < 3 or 7.3 < s.start < 9.3} == {"ann"}


@pytest.mark.slow
def test_a_live_stream_of_a_stranger_has_no_known_speaker(enrolling, data):
    stranger = np.concatenate([clip(data, "16", emotion) for emotion in ("sad", "angry", "happy")])
    stream = enrolling.stream()
    events = stream.push(stranger) + stream.close()
    assert {event.segment.speaker for event in events if event.segment} <= {"spk00", "spk01"}


def test_a_live_stream_uses_the_baseline_of_a_named_speaker_only(data, enrolling):
    audio, found, plain = clip(data, "15", "happy"), {}, EmotionDiarizer()
    for name in ("ann", "bob"):
        for known in (enrolling, plain):
            stream = known.stream(turns=ReferenceTurns(Diarization("x", 2.0, [Segment(0.1, 1.8, name)])))
            (last,) = [e.segment for e in stream.push(audio) + stream.close() if e.final]
            found[name, known is enrolling] = last
    assert {last.speaker for last in found.values()} == {"ann", "bob"}
    assert found["bob", True].probabilities == found["bob", False].probabilities
    assert found["ann", True].probabilities != found["ann", False].probabilities


def test_the_form_of_an_option():
    assert parse_enrolments(["a b=x.wav", "c=y", "a b=z"]) == {"a b": ["x.wav", "z"], "c": ["y"]}
    for wrong in ("anna.wav", "=a.wav", "anna="):
        with pytest.raises(OptionError, match="expected name=file"):
            parse_enrolments([wrong])


@pytest.mark.slow
def test_the_command_names_speakers_and_the_journal_knows_their_files(data, talk, tmp_path, invoke):
    sf.write(tmp_path / "talk.wav", talk, RATE)
    sf.write(tmp_path / "a.wav", clip(data, "15", "neutral"), RATE)
    command = [str(tmp_path / "talk.wav"), "-o", "json", "-d", str(tmp_path / "out"), "--enrol"]
    done = invoke([*command, f"ann={tmp_path / 'a.wav'}"])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "talk.json").read_text("utf-8"))
    assert {s["speaker"] for s in found["segments"]} == {"ann", "spk00"}
    sf.write(tmp_path / "a.wav", clip(data, "15", "sad"), RATE)
    again = invoke([*command, f"ann={tmp_path / 'a.wav'}"])
    assert again.exit_code != 0 and "holds results of other settings (enrol: " in again.output
    assert invoke([*command, "ann"]).exit_code == 2
    broken = invoke([str(tmp_path / "talk.wav"), "--enrol", f"ann={tmp_path / 'none.wav'}"])
    assert (
        broken.exit_code != 0 and broken.output.count("\n") == 1 and "none.wav: no such file" in broken.output
    )


@pytest.mark.slow
def test_the_live_command_names_speakers(data, talk, tmp_path):
    from click.testing import CliRunner

    from sed.cli.live import main

    sf.write(tmp_path / "talk.wav", talk, RATE)
    enrol = ["--enrol", f"ann={data / 'emodb_15_neutral_1.flac'}"]
    command = ["--input", str(tmp_path / "talk.wav"), "--fast", *enrol]
    done = CliRunner().invoke(main, [*command, "-q", "-o", "json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["settings"] == {"enrolled": ["ann"]}
    assert {s["speaker"] for s in found["segments"] if KNOWN_FROM < s["start"] < 9.3} == {"ann"}


@pytest.mark.slow
def test_the_server_names_speakers_and_lists_them(enrolling, talk):
    pytest.importorskip("starlette")
    from starlette.testclient import TestClient

    from sed.server.app import create_app
    from sed.server.options import ServerOptions

    app = create_app(ServerOptions(burst=60.0), make_stream=enrolling.stream, diarize=enrolling)
    client = TestClient(app, base_url="http://localhost")
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"type": "start"})
        assert socket.receive_json()["settings"] == {"enrolled": ["ann"]}
        for part in np.array_split((talk * 32767).astype("<i2"), 20):
            socket.send_bytes(part.tobytes())
        socket.send_json({"type": "end"})
        rows = []
        while not rows or rows[-1]["type"] != "end":
            rows.append(socket.receive_json())
    segments = [row["segment"] for row in rows if row["type"] == "segment" and row["final"]]
    assert {s["speaker"] for s in segments if KNOWN_FROM < s["start"] < 9.3} == {"ann"}


@pytest.fixture
def invoke():
    from click.testing import CliRunner

    from sed.cli.run import main

    return lambda arguments: CliRunner().invoke(main, arguments)
