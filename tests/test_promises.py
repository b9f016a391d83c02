"""Properties of the whole package: no network access, no torch, fast start, bounded memory, reproducible results."""

import hashlib
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from own_frames import own_frames

from sed import EmotionDiarizer
from sed.errors import OptionError
from sed.grid import frame_count
from sed.result import Diarization
from sed.speakers import ReferenceTurns
from sed.speakers.turns import Turns

ROOT = Path(__file__).resolve().parents[1]
NO_NETWORK = """
import socket, sys
def refuse(*_, **__): raise AssertionError("network access")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""


def python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_diarization_needs_neither_network_nor_torch(data):
    heavy = "torch transformers speechbrain pyannote.audio scipy matplotlib"
    child = python(
        NO_NETWORK
        + "from sed import EmotionDiarizer\n"
        + "print(len(EmotionDiarizer()(sys.argv[1])))\n"
        + f"print([name for name in '{heavy}'.split() if name in sys.modules])",
        data / "emodb_15_angry_1.flac",
    )
    assert child.returncode == 0, child.stderr
    segments, loaded = child.stdout.splitlines()
    assert int(segments) > 0 and loaded == "[]"


def cpu_seconds(*command):
    """Processor time of a child process; the minimum of five runs, as other processes disturb."""
    times = []
    for _ in range(5):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        assert status == 0
        times.append(usage.ru_utime + usage.ru_stime)
        time.sleep(0.01)
    return min(times)


@pytest.mark.slow
def test_import_and_help_are_fast():
    bare = cpu_seconds(sys.executable, "-c", "")
    assert cpu_seconds(sys.executable, "-c", "import sed") - bare < 0.2
    for command in ("run", "score", "live", "serve", "train", "export"):
        code = (
            f"import sys; sys.argv = ['sed-{command}', '--help']; from sed.cli.{command} import main; main()"
        )
        assert cpu_seconds(sys.executable, "-c", code) < 0.3, command


class NoSpeech:
    """A tagger and a diarizer that need no memory, so that the test measures the pipeline's."""

    labels, frame_rate, window = ("neutral", "sad"), 50, 80_000

    def posteriors(self, waves):
        return np.full((len(waves), frame_count(waves.shape[1]), 2), 0.5, np.float32)

    def begin(self):
        self.samples = 0
        return self

    def push(self, samples):
        self.samples += len(samples)

    def close(self):
        return Turns.from_active(np.zeros((frame_count(self.samples), 0), bool), ())


@pytest.mark.slow
@pytest.mark.parametrize(("minutes", "posteriors"), [(10, True), (200, True), (200, False)])
def test_memory_grows_by_a_few_bytes_a_frame(tmp_path, minutes, posteriors):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, subtype="PCM_U8") as file:
        for _ in range(minutes):
            file.write(np.zeros(480_000, np.int16))
    diarizer = EmotionDiarizer(tagger=NoSpeech(), diarizer=NoSpeech())
    tracemalloc.start()
    result = diarizer(path, posteriors=posteriors)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    frames = minutes * 60 * 50
    assert (result.posteriors is not None) == posteriors
    assert peak < 12e6 + (20 if posteriors else 3) * frames


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"channels": "split"}, {"latency": 1.0}], ids=str)
def test_segments_are_the_same_without_posteriors(data, options):
    diarizer = EmotionDiarizer(**options)
    found, bare = (diarizer(data / "emodb_15_sad_1.flac", posteriors=wanted) for wanted in (True, False))
    assert found.posteriors.shape == (frame_count(round(found.duration * 16_000)), 4)
    assert bare.posteriors is None and bare.segments == found.segments and len(bare) > 0
    assert [s.probabilities for s in bare] == [s.probabilities for s in found]


@pytest.mark.slow
def test_one_object_processes_many_recordings_with_equal_results(data):
    diarizer, again = EmotionDiarizer(), EmotionDiarizer(threads=2)
    first = diarizer(data / "ami_trn00.flac")
    diarizer(data / "emodb_15_sad_1.flac")
    assert diarizer(data / "ami_trn00.flac") == first
    assert again(data / "ami_trn00.flac") == first


@pytest.mark.slow
def test_result_is_complete(data):
    path = data / "ami_trn00.flac"
    result = EmotionDiarizer()(path, uri="meeting")
    assert result.uri == "meeting" and result.duration == soundfile.info(path).duration
    assert result.posteriors.shape == (frame_count(round(result.duration * 16000)), 4)
    assert np.allclose(result.posteriors.sum(1), 1, atol=1e-4)
    assert result.speakers.labels() == list(result.speaker_names)
    assert set(result.emotions.labels()) <= set(result.labels)
    assert_probabilities_are_mean_posteriors(result)


def assert_probabilities_are_mean_posteriors(result):
    """Over the frames without overlap; a segment without any uses those of another one."""
    assert len(result)
    for s in result:
        frames = own_frames(result, s)
        if len(frames):
            own = result.posteriors[frames].mean(0, dtype=np.float64)
            assert np.allclose([s.probabilities[label] for label in result.labels], own, rtol=0, atol=6e-5)
        assert s.confidence == s.probabilities[s.emotion]


class Drifting(NoSpeech):
    """A tagger whose posteriors differ from frame to frame; one speaker throughout."""

    def posteriors(self, waves):
        frames = frame_count(waves.shape[1])
        sad = np.linspace(0.6, 1.0, frames, dtype=np.float32) ** 2
        return np.broadcast_to(np.stack([1 - sad, sad], 1), (len(waves), frames, 2))

    def close(self):
        return Turns.from_active(np.ones((frame_count(self.samples), 1), bool), ("spk00",))


@pytest.mark.parametrize("samples", [16_000, 16_001, 16_319, 31_999, 100])
def test_an_incomplete_last_frame_counts(samples):
    result = EmotionDiarizer(tagger=Drifting(), diarizer=Drifting())((np.zeros(samples, np.float32), 16000))
    assert result.segments[-1].end == result.duration == samples / 16000
    assert len(result.posteriors) == -(-samples // 320)
    assert_probabilities_are_mean_posteriors(result)


@pytest.mark.slow
def test_progress(data):
    rows = []
    EmotionDiarizer(diarizer="none")(data / "ami_trn00.flac", progress=lambda *row: rows.append(row))
    assert [done for done, _ in rows] == sorted(done for done, _ in rows)
    assert rows[-1][0] == pytest.approx(30.0, abs=0.1) and rows[-1][1] == pytest.approx(30.0, abs=0.1)


@pytest.mark.slow
def test_invalid_options():
    with pytest.raises(OptionError, match="0 threads: expected 1 or more"):
        EmotionDiarizer(threads=0)
    with pytest.raises(OptionError, match="latency cannot be combined with channels='split'"):
        EmotionDiarizer(latency=1.0, channels="split")
    with pytest.raises(OptionError, match="latency cannot be combined with min_speakers"):
        EmotionDiarizer(latency=1.0, min_speakers=2)
    with pytest.raises(OptionError, match="channels 'left': expected mix, split"):
        EmotionDiarizer(channels="left")
    for counts in ({"speakers": 2}, {"min_speakers": 1}, {"max_speakers": 3}):
        with pytest.raises(OptionError, match="cannot be combined with a number of speakers"):
            EmotionDiarizer(channels="split", **counts)
    with pytest.raises(OptionError, match="channels='split' cannot be combined with diarizer 'pyannote'"):
        EmotionDiarizer(channels="split", diarizer="pyannote")
    with pytest.raises(OptionError, match="turns cannot be combined with channels='split'"):
        EmotionDiarizer(channels="split", diarizer="none")(
            "no.wav", turns=ReferenceTurns(Diarization("no", 1.0, []))
        )


@pytest.mark.parametrize(
    "model", sorted((ROOT / "sed" / "models").glob("*.[on]*")), ids=lambda path: path.stem
)
def test_every_bundled_model_has_a_card(model):
    card = model.with_suffix(".md").read_text(encoding="utf-8")
    assert hashlib.sha256(model.read_bytes()).hexdigest() in card
    assert f"{model.stat().st_size / 1e6:.1f} MB" in card
    assert "licence" in card and "made by" in card


@pytest.mark.slow
def test_onnxruntime_writes_no_device_id(tmp_path):
    keep = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")  # not CI, which would disable it as well
    env = {name: os.environ[name] for name in keep if name in os.environ}
    env |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    code = "from sed import EmotionDiarizer; EmotionDiarizer()"
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert list(tmp_path.iterdir()) == []
