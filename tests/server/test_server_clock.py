"""An uploaded file keeps the timestamps of its container."""

import subprocess

import httpx
import numpy as np
import pytest
import soundfile
from live_server import LABELS

from sed.audio import open_audio
from sed.result import Diarization, Segment


def clicks(source, *, uri, progress):
    """One segment per click of a recording, read like the pipeline reads it."""
    with open_audio(source) as audio:
        samples = np.concatenate(list(audio))
    loud = np.flatnonzero(np.abs(samples) > 0.1) / 16000
    starts = [second for number, second in enumerate(loud) if not number or second - loud[number - 1] > 0.3]
    segments = [Segment(start, start + 0.1, "spk00", "angry", 0.5) for start in starts]
    return Diarization(uri, len(samples) / 16000, segments, LABELS)


@pytest.mark.slow
def test_an_uploaded_file_with_missing_packets(start_server, tmp_path, need_program):
    time = np.arange(4 * 16000) / 16000
    soundfile.write(tmp_path / "a.wav", 0.5 * np.sin(2000 * np.pi * time) * (time % 1 < 0.1), 16000)
    ffmpeg = [need_program("ffmpeg"), "-v", "error", "-i"]
    subprocess.run([*ffmpeg, tmp_path / "a.wav", "-c:a", "libopus", tmp_path / "a.webm"], check=True)
    drop = "noise=drop='gt(pts*tb,1.3)*lt(pts*tb,2.3)'"
    subprocess.run(
        [*ffmpeg, tmp_path / "a.webm", "-c", "copy", "-bsf:a", drop, tmp_path / "b.webm"], check=True
    )
    answer = httpx.post(
        f"{start_server(diarize=clicks).http}/diarize",
        content=(tmp_path / "b.webm").read_bytes(),
        timeout=60,  # ffmpeg on a busy machine
    )
    starts = [segment["start"] for segment in answer.json()["segments"]]
    assert starts == pytest.approx([0, 1, 3], abs=0.02)
