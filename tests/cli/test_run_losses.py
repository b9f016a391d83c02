"""Warnings of `sed-run` and `sed-live` about unused tracks and channels of opposite polarity."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

RATE = 16000
COMMANDS = {"run": [], "live": ["--fast", "--input"]}


@pytest.fixture(params=COMMANDS)
def command(request):
    def call(*options):
        arguments = [sys.executable, "-m", f"sed.cli.{request.param}", *COMMANDS[request.param], *options]
        done = subprocess.run(
            [*map(str, arguments), "-o", "rttm"], capture_output=True, text=True, check=True
        )
        warnings = [line for line in done.stderr.splitlines() if "x." in line]
        return done.stdout, warnings

    return call


@pytest.mark.slow
def test_opposite_channels_give_the_result_of_one(command, data, tmp_path):
    samples = soundfile.read(data / "emodb_15_angry_1.flac", dtype="float32")[0]
    soundfile.write(tmp_path / "x.wav", np.stack([samples, -samples], 1), RATE, subtype="FLOAT")
    mixed, warnings = command(tmp_path / "x.wav")
    assert len(warnings) == 1 and "x.wav: its 2 channels have opposite polarity" in warnings[0]
    one, warnings = command(tmp_path / "x.wav", "--channels", "1")
    assert one == mixed and one.count("SPEAKER") and not warnings


@pytest.mark.slow
def test_unused_tracks_are_reported_once(command, data, tmp_path, need_program):
    sources = [data / f"emodb_15_{name}_1.flac" for name in ("angry", "sad")]
    inputs = ["-i", sources[0], "-i", sources[1], "-map", "0:a", "-map", "1:a", "-c:a", "pcm_s16le"]
    flags = ["-disposition:a:0", "0", "-disposition:a:1", "default"]
    subprocess.run([need_program("ffmpeg"), "-v", "error", *inputs, *flags, tmp_path / "x.mkv"], check=True)
    soundfile.write(tmp_path / "y.wav", soundfile.read(sources[1])[0], RATE)
    found, warnings = command(tmp_path / "x.mkv")
    assert found.replace("x ", "y ") == command(tmp_path / "y.wav")[0]
    assert len(warnings) == 1 and "number 2 (pcm_s16le, 1 channel, default) is used, 1 other" in warnings[0]
