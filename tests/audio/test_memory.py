"""Any file takes little memory: its claims are bounded, and so are the bytes decoded at once."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sed.audio import Resampler, open_audio
from sed.errors import AudioError

MEASURE = """
import sys
from sed.audio import open_audio

def peak():  # of this process only; getrusage includes its parent
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) >> 10

def read(path, channels):
    with open_audio(path, channels) as audio:
        return sum(map(len, audio)) / 16000

read(sys.argv[1], "mix")
before = peak()
choice = sys.argv[3]
print(read(sys.argv[2], int(choice) if choice.isdigit() else choice), peak() - before)
"""


def wav(path, channels, rate, frames, subtype="PCM_16"):
    with soundfile.SoundFile(path, "w", rate, channels, subtype=subtype) as file:
        file.write(np.zeros((frames, channels), np.int16))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc for the peak memory")
@pytest.mark.parametrize(
    "name, channels, rate, seconds, subtype, choice",
    [
        # A few kilobytes that took 355 MB when ten seconds were read at once.
        ("a.flac", 8, 384_000, 20, "PCM_24", "mix"),
        ("a.wav", 32, 384_000, 10, "PCM_U8", "mix"),
        ("a.wav", 32, 96_000, 12, "DOUBLE", 32),
        ("a.wav", 32, 16_000, 12, "PCM_16", "split"),
        ("a.mov", 32, 192_000, 10, "PCM_16", "mix"),
    ],
)
def test_many_channels_at_a_high_rate_take_little_memory(
    tmp_path, data, need_program, name, channels, rate, seconds, subtype, choice
):
    path = tmp_path / name
    wav(path.with_suffix(".wav" if name == "a.mov" else path.suffix), channels, rate, rate * seconds, subtype)
    if name == "a.mov":
        make = [need_program("ffmpeg"), "-v", "error", "-i", path.with_suffix(".wav"), "-c:a", "copy", path]
        subprocess.run(make, check=True)
    command = [sys.executable, "-c", MEASURE, data / "emodb_16_sad_1.flac", path, str(choice)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert float(found[0]) == seconds
    assert int(found[1]) < 150


@pytest.mark.parametrize(
    "name, channels, rate, found",
    [
        ("a.wav", 1024, 16_000, "found 1024 channels, expected at most 32$"),
        ("a.wav", 33, 16_000, "found 33 channels, expected at most 32$"),
        ("a.flac", 8, 655_350, "sample rate 655350 Hz: expected 1000 to 384000 Hz$"),
        ("a.mov", 64, 48_000, "found 64 channels, expected at most 32$"),
    ],
)
def test_more_channels_or_a_higher_rate_are_refused_before_decoding(
    tmp_path, need_program, name, channels, rate, found
):
    path = tmp_path / name
    wav(path.with_suffix(".wav" if name == "a.mov" else path.suffix), channels, rate, 500)
    if name == "a.mov":
        make = [need_program("ffmpeg"), "-v", "error", "-i", path.with_suffix(".wav"), "-c:a", "copy", path]
        subprocess.run(make, check=True)
    with pytest.raises(AudioError, match=f"^{path}: {found}"):
        open_audio(path)


def test_arrays_and_live_input_have_the_same_limits():
    with pytest.raises(AudioError, match=r"^array: found 33 channels, expected at most 32$"):
        open_audio((np.zeros((99, 33), np.float32), 16_000))
    with pytest.raises(AudioError, match=r"^array: sample rate 384001 Hz: expected 1000 to 384000 Hz$"):
        open_audio((np.zeros(99, np.float32), 384_001))
    with pytest.raises(AudioError, match=r"^found 33 channels"):
        Resampler(48_000, 33)
    with open_audio((np.zeros((3840, 32), np.float32), 384_000), "split") as audio:
        assert sum(map(len, audio)) == 160


@pytest.mark.parametrize("choice", ["mix", 2, "split"])
def test_blocks_do_not_depend_on_the_bytes_decoded_at_once(monkeypatch, choice):
    from sed.audio import stream

    rate, channels = 44_100, 7
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (rate * 25, channels)).astype(np.float32)

    def blocks():
        with open_audio((noise, rate), choice) as audio:
            return list(audio)

    whole = blocks()
    monkeypatch.setattr(stream, "MAX_DECODED_BYTES", 4 * channels * 10_007)
    for one, other in zip(whole, blocks(), strict=True):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr(stream, "MAX_DECODED_BYTES", 1 << 30)  # ten seconds at once
    for one, other in zip(whole, blocks(), strict=True):
        np.testing.assert_array_equal(one, other)
