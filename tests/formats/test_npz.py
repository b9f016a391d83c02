"""NPZ: what its arrays hold, and that they need no pickles."""

import io

import numpy as np
import pytest

from sed import Diarization, EmotionDiarizer, Segment, formats
from sed.errors import FormatError
from sed.result import SpeakerProfile

LABELS = ("neutral", "angry")


def loaded(result):
    return np.load(io.BytesIO(formats.dumps(result, "npz")), allow_pickle=False)


@pytest.fixture
def result():
    segments = [
        Segment(0.5, 2.0, "ann", "angry", 0.75, {"neutral": 0.25, "angry": 0.75}, {"arousal": 0.5}),
        Segment(1.0, 3.0, None, None),
        Segment(2.5, 3.0, "bo\udce9", "neutral", 0.6, {"neutral": 0.6, "angry": 0.4}),
    ]
    return Diarization(
        "my call",
        3.0,
        segments,
        LABELS,
        np.tile(np.float32([0.25, 0.75]), (150, 1)),
        dimensions=("arousal",),
        dimension_track=np.full((150, 1), 0.5, np.float32),
        profiles={"ann": SpeakerProfile(np.float32([0.6, 0.8]), 1.25)},
    )


def test_the_arrays_hold_the_whole_result(result):
    found = loaded(result)
    assert (str(found["uri"]), float(found["duration"]), int(found["frame_rate"])) == ("my call", 3.0, 50)
    assert found["labels"].tolist() == list(LABELS) and found["dimensions"].tolist() == ["arousal"]
    assert found["segment_start"].tolist() == [0.5, 1.0, 2.5] and found["segment_end"].tolist() == [2, 3, 3]
    assert found["segment_speaker"].tolist() == ["ann", "", "bo%E9"]
    assert found["segment_emotion"].tolist() == ["angry", "", "neutral"]
    np.testing.assert_array_equal(found["segment_confidence"], [0.75, np.nan, 0.6])
    np.testing.assert_array_equal(found["segment_probabilities"], [[0.25, 0.75], [np.nan] * 2, [0.6, 0.4]])
    np.testing.assert_array_equal(found["segment_dimensions"], [[0.5], [np.nan], [np.nan]])
    np.testing.assert_array_equal(found["posteriors"], result.posteriors)
    np.testing.assert_array_equal(found["dimension_track"], result.dimension_track)
    assert found["speaker"].tolist() == ["ann", "bo%E9"]
    np.testing.assert_array_equal(found["speaker_embedding"], np.float32([[0.6, 0.8], [np.nan, np.nan]]))
    assert found["speaker_seconds"].tolist() == [1.25, 0]


def test_what_a_result_lacks_is_absent_and_shapes_stay():
    found = loaded(Diarization("x", 1.0, [], LABELS))
    assert not {"posteriors", "dimension_track", "speaker_embedding", "speaker_seconds"} & set(found.files)
    shapes = {
        key: found[key].shape for key in ("segment_start", "segment_probabilities", "segment_dimensions")
    }
    assert shapes == {"segment_start": (0,), "segment_probabilities": (0, 2), "segment_dimensions": (0, 0)}


@pytest.mark.slow
def test_the_speakers_of_a_recording_have_embeddings(data):
    result = EmotionDiarizer()(data / "ami_trn00.flac")
    found = loaded(result)
    assert len(found["speaker"]) >= 2
    np.testing.assert_allclose(np.linalg.norm(found["speaker_embedding"], axis=1), 1, atol=1e-5)
    seconds = {name: sum(s.duration for s in result if s.speaker == name) for name in result.speaker_names}
    for name, clean in zip(found["speaker"], found["speaker_seconds"], strict=True):
        assert 0 < clean <= seconds[name] + 0.1
    assert formats.dumps(result, "npz") == formats.dumps(result, "npz")


@pytest.mark.slow
def test_given_turns_have_embeddings_in_the_file(data, tmp_path):
    from click.testing import CliRunner

    from sed.cli.run import main

    recording, turns = str(data / "ami_trn00.flac"), str(data / "ami_trn00.rttm")
    done = CliRunner().invoke(
        main, [recording, "--speech", turns, "-o", str(tmp_path / "x.npz"), "--posteriors"]
    )
    assert done.exit_code == 0, done.output
    found = np.load(tmp_path / "x.npz", allow_pickle=False)
    assert found["speaker_embedding"].shape == (len(formats.read(turns).speaker_names), 192)
    assert found["posteriors"].shape == (int(np.ceil(found["duration"] * 50)), 4)


def test_it_is_not_read(result, tmp_path):
    formats.write(result, tmp_path / "x.npz")
    with pytest.raises(FormatError, match=r"x.npz: npz can only be written, expected one of rttm, "):
        formats.read(tmp_path / "x.npz")
