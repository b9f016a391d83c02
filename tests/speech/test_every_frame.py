"""`--vad none`: every frame is speech, offline and live, with each diarizer; invalid combinations are rejected."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from sed import EmotionDiarizer
from sed.cli.run import main
from sed.errors import OptionError
from sed.grid import frame_count
from sed.scoring import eder
from sed.speakers import make_diarizer
from sed.speakers.given import OneSpeaker
from sed.speech.every_frame import EveryFrame


@pytest.fixture(scope="module")
def recording(data):
    """2 s of silence, then 10 s of a meeting; the last frame is incomplete."""
    samples, rate = sf.read(data / "ami_dev00.flac", dtype="float32")
    assert rate == 16_000
    return np.concatenate([np.zeros(32_000, np.float32), samples[: 10 * rate + 77]])


@pytest.mark.parametrize("cuts", [[], [1], [320, 321, 5_000], list(range(0, 9_000, 333))])
def test_each_frame_is_returned_once(cuts):
    session = EveryFrame().begin()
    found = [session.push(part) for part in np.split(np.zeros(10_001, np.float32), cuts)]
    assert np.concatenate([*found, session.close()]).tolist() == [True] * frame_count(10_001)


@pytest.mark.slow
@pytest.mark.parametrize("latency", [None, 0.5, 1.0])
@pytest.mark.parametrize("diarizer", ["none", "segmentation"])
def test_segments_cover_the_whole_recording(recording, diarizer, latency):
    found = EmotionDiarizer(vad="none", diarizer=diarizer, latency=latency)((recording, 16_000))
    segments = sorted(found.segments)
    assert segments[0].start == 0 and segments[-1].end == found.duration
    assert all(after.start == before.end for before, after in itertools.pairwise(segments))
    if diarizer == "none":
        assert found.speaker_names == ("spk00",)


@pytest.mark.slow
def test_a_stream_has_the_same_result_as_the_recording(recording):
    diarizer = EmotionDiarizer(vad="none", diarizer="none")
    stream = diarizer.stream(latency=1.0)
    events = [e for part in np.split(recording, [7, 50_000, 50_001]) for e in stream.push(part)]
    events += stream.close()
    live = sorted(e.segment for e in events if e.final and e.segment)
    assert live == list(EmotionDiarizer(vad="none", diarizer="none", latency=1.0)((recording, 16_000)))


@pytest.mark.parametrize("samples", [1, 500, 1_601])
def test_very_short_recordings(samples):
    for diarizer in ("none", "segmentation"):
        turns = make_diarizer(diarizer, vad="none").begin()
        turns.push(np.zeros(samples, np.float32))
        assert turns.close().active.all(1).sum() == frame_count(samples)


def test_command_line(recording, tmp_path):
    sf.write(tmp_path / "call.wav", recording, 16_000)
    done = CliRunner().invoke(
        main, [str(tmp_path / "call.wav"), "--vad", "none", "--diarizer", "none", "-o", "json"]
    )
    assert done.exit_code == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["segments"][0]["start"], row["segments"][-1]["end"]) == (0, row["duration"])
    assert "every frame is speech" in CliRunner().invoke(main, ["--help"]).stdout.replace("\n", " ").replace(
        "  ", ""
    )


def test_eder_is_the_share_of_frames_with_a_wrong_label(recording):
    """No frame is excluded as silence."""
    diarizer = EmotionDiarizer(vad="none", diarizer="none", decoder="argmax")
    found = diarizer((recording[:160_000], 16_000))
    reference = [type(found.segments[0])(3.0, 6.0, None, "happy")]
    labels = np.array(found.labels)[found.posteriors.argmax(1)]
    truth = np.where((np.arange(500) >= 150) & (np.arange(500) < 300), "happy", "neutral")
    assert eder(reference, found, duration=10.0).rate == pytest.approx((labels != truth).mean(), abs=1e-9)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"vad": "none", "channels": "split"}, "channels='split' cannot be combined with vad='none'"),
        (
            {"vad": "none", "diarizer": OneSpeaker(EveryFrame())},
            "vad='none' cannot be combined with a diarizer",
        ),
        ({"vad": "none", "diarizer": "pyannote"}, "diarizer 'pyannote' cannot be combined with vad 'none'"),
        (
            {"vad": "none", "diarizer": "segmentation:x.onnx"},
            "a segmentation model cannot be combined with vad 'none'",
        ),
        ({"vad": "nothing"}, "expected one of segmentation, webrtc, silero, none"),
    ],
)
def test_invalid_combinations(settings, text):
    with pytest.raises(OptionError, match=text):
        EmotionDiarizer(**settings)
