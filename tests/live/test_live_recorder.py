"""Recordings: exact, always readable, and never overwriting existing files."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from sed.errors import OptionError
from sed.live.recorder import FlacRecorder, WavRecorder, open_recorder, to_int16

ALL = np.array([-32768, -32767, -1, 0, 1, 12345, 32767], np.int16)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_int16_round_trips_exactly(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(-32768, 32768, 50_000).astype(np.int16)
    recorder = open_recorder(tmp_path / f"a{suffix}", 44_100)
    for block in (ALL, noise[:1], noise[1:20_000], noise[20_000:]):
        recorder.write(block)
    recorder.close()
    got, rate = soundfile.read(tmp_path / f"a{suffix}", dtype="int16")
    assert rate == 44_100
    np.testing.assert_array_equal(got, np.concatenate([ALL, noise]))
    assert recorder.samples == len(got)


@given(st.lists(st.integers(-32768, 32767), min_size=1))
def test_float_round_trip(values):
    samples = np.array(values, np.int16)
    np.testing.assert_array_equal(to_int16(samples.astype(np.float32) / np.float32(32768)), samples)


def test_float_beyond_full_scale_is_clipped():
    assert to_int16(np.float32([-3, 3, 1])).tolist() == [-32768, 32767, 32767]


def test_the_wav_is_complete_after_every_block_without_closing(tmp_path):
    recorder = WavRecorder(tmp_path / "a.wav", 16_000)
    for number in range(1, 4):
        recorder.write(np.full(1000, number, np.int16))
        assert soundfile.info(tmp_path / "a.wav").frames == 1000 * number
    recorder.close()


def test_a_long_wav_becomes_rf64(tmp_path):
    recorder = WavRecorder(tmp_path / "a.wav", 16_000, limit=10_000)
    noise = np.random.default_rng(1).integers(-9, 9, 9000).astype(np.int16)
    recorder.write(noise[:4000])
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"
    recorder.write(noise[4000:])
    recorder.close()
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
    assert soundfile.info(tmp_path / "a.wav").format == "RF64"
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav", dtype="int16")[0], noise)


KILLED = """
import sys, time, numpy as np
from sed.live.recorder import open_recorder
recorder = open_recorder(sys.argv[1], 16000)
block = np.random.default_rng(0).integers(-3000, 3000, 800).astype(np.int16)
for _ in range(200):
    recorder.write(block)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("suffix", "least"), [(".wav", 160_000), (".flac", 143_000)])
def test_a_killed_recording_can_be_read(tmp_path, suffix, least):
    path = tmp_path / f"a{suffix}"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    with soundfile.SoundFile(path) as file:
        got = []
        while len(block := file.read(1600, dtype="int16")):
            got.append(block)
    got = np.concatenate(got)
    assert len(got) >= least
    block = np.random.default_rng(0).integers(-3000, 3000, 800).astype(np.int16)
    np.testing.assert_array_equal(got, np.tile(block, 200)[: len(got)])


def test_no_audio_creates_no_file(tmp_path):
    recorder = open_recorder(tmp_path / "a.wav", 16_000)
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_an_existing_recording_is_kept(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"precious")
    with pytest.raises(OptionError, match=r"a\.wav: the file exists; expected a new name, or --overwrite"):
        open_recorder(tmp_path / "a.wav", 16_000)
    recorder = open_recorder(tmp_path / "a.wav", 16_000, overwrite=True)
    assert (tmp_path / "a.wav").read_bytes() == b"precious"  # until the first block is written
    recorder.write(ALL)
    recorder.close()
    assert soundfile.info(tmp_path / "a.wav").frames == len(ALL)


def test_invalid_paths(tmp_path):
    with pytest.raises(OptionError, match=r"expected a name that ends in \.wav or \.flac"):
        open_recorder(tmp_path / "a.mp3", 16_000)
    with pytest.raises(OptionError, match="expected the folder"):
        open_recorder(tmp_path / "no" / "a.wav", 16_000)
    (tmp_path / "b.wav").mkdir()
    with pytest.raises(OptionError, match="the file exists"):
        open_recorder(tmp_path / "b.wav", 16_000, overwrite=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("kind", [WavRecorder, FlacRecorder])
def test_a_full_disk_is_an_oserror(kind):
    recorder = kind(Path("/dev/full"), 16_000)
    with pytest.raises(OSError):
        for _ in range(200):
            recorder.write(np.random.default_rng(0).integers(-9999, 9999, 16_000).astype(np.int16))
