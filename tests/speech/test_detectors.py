"""Speech detectors: one bool per frame, independent of the block sizes, and an error if a package is missing."""

from __future__ import annotations

import builtins
import importlib.util

import numpy as np
import pytest
import soundfile as sf

from sed.errors import MissingDependencyError, OptionError
from sed.grid import frame_count
from sed.speech.activity import SegmentationDetector
from sed.speech.silero import SileroDetector
from sed.speech.webrtc import WebRtcDetector

DETECTORS = {"segmentation": SegmentationDetector, "webrtc": WebRtcDetector, "silero": SileroDetector}


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request):
    if request.param == "silero" and importlib.util.find_spec("silero_vad") is None:
        pytest.skip("silero-vad is not installed")
    return DETECTORS[request.param]()


def detect(detector, audio, cuts=()):
    session = detector.begin()
    parts = [session.push(part) for part in np.split(audio, list(cuts))]
    return np.concatenate([*parts, session.close()])


@pytest.fixture(scope="module")
def speech(data):
    """An utterance with two seconds of faint noise before and after it."""
    samples, _ = sf.read(data / "emodb_15_neutral_1.flac", dtype="float32")
    quiet = 1e-4 * np.random.default_rng(0).normal(size=32_000).astype(np.float32)
    return np.concatenate([quiet, samples, quiet])


def test_speech_is_detected_and_silence_is_not(detector, speech):
    found = detect(detector, speech)
    assert found.dtype == bool and len(found) == frame_count(len(speech))
    inside = slice(100, len(found) - 100)
    assert found[inside].mean() > 0.6
    assert found[:85].mean() < 0.05 and found[-60:].mean() < 0.05


def test_the_result_does_not_depend_on_the_block_sizes(detector, speech):
    rng = np.random.default_rng(3)
    expected = detect(detector, speech)
    for _ in range(3):
        cuts = np.sort(rng.integers(0, len(speech), 7))
        np.testing.assert_array_equal(detect(detector, speech, cuts), expected)


@pytest.mark.parametrize("samples", [0, 1, 16, 319, 320, 321, 511, 513, 16_000, 160_001])
def test_every_frame_is_decided_and_silence_is_not_speech(detector, samples):
    for level in (0.0, 0.5):  # silence, and a DC offset
        found = detect(detector, np.full(samples, level, np.float32))
        assert len(found) == frame_count(samples)
        click = 15 if isinstance(detector, WebRtcDetector) and level else 0  # WebRTC detects the onset
        assert not found[click:].any()


def test_memory_is_bounded_in_long_recordings(speech):
    session = SegmentationDetector().begin()
    for _ in range(12):
        session.push(speech)
    assert len(session._stream._audio) < 500_000
    silero = SileroDetector().begin()
    for _ in range(3):
        silero.push(speech)
    assert len(silero._windows) < 5 and len(silero._audio) < 1_000


def test_hangover_extends_speech(speech):
    short, long = (detect(WebRtcDetector(hangover=h), speech) for h in (0.0, 0.2))
    assert (long >= short).all() and long.sum() > short.sum()


def test_missing_webrtcvad_raises_an_error(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name == "webrtcvad":
            raise ModuleNotFoundError("No module named 'pkg_resources'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=r"pkg_resources.*pip install webrtcvad-wheels"):
        WebRtcDetector()


def test_missing_silero_raises_an_error(monkeypatch):
    monkeypatch.setattr("sed.speech.silero.find_spec", lambda name: None)
    with pytest.raises(
        MissingDependencyError, match=r"no silero-vad: pip install 'speech-emotion-diarization\[silero\]'"
    ):
        SileroDetector()


def test_invalid_options_are_rejected():
    with pytest.raises(OptionError, match="aggressiveness 4"):
        WebRtcDetector(4)
    with pytest.raises(OptionError, match="hangover"):
        WebRtcDetector(hangover=-1)
    with pytest.raises(OptionError, match="onset"):
        SileroDetector(onset=0.3, offset=0.5)


def test_silero_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys; from sed.speech.silero import SileroDetector; SileroDetector(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
