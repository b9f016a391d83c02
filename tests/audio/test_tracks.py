"""Files with several audio tracks: the one that a player selects is read, and the others are reported."""

import subprocess

import numpy as np
import pytest
import soundfile

from sed.audio import open_audio
from sed.audio.tracks import choose_track

RATE = 16000


def tone(frequency, seconds=2, rate=RATE):
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate).astype(np.float32)


def pitch(path):
    with open_audio(path) as audio:
        samples = np.concatenate(list(audio))
    return int(np.abs(np.fft.rfft(samples[:RATE])).argmax())


@pytest.fixture
def video(tmp_path, need_program):
    """A function that writes a file with one track per flag, of 300, 600, ... Hz."""

    def write(suffix, *flags, codec="aac", with_video=True):
        program, path = need_program("ffmpeg"), tmp_path / f"video.{suffix}"
        command = [program, "-v", "error", "-y"]
        for number in range(len(flags)):
            soundfile.write(tmp_path / f"{number}.wav", tone(300 * (number + 1)), RATE)
            command += ["-i", tmp_path / f"{number}.wav"]
        command += ["-f", "lavfi", "-i", "testsrc=d=2:s=32x32:r=5"] if with_video else []
        for number, flag in enumerate(flags):
            command += ["-map", f"{number}:a", f"-disposition:a:{number}", flag]
            command += [f"-metadata:s:a:{number}", "language=" + ("eng", "deu", "fra")[number % 3]]
        command += ["-map", f"{len(flags)}:v"] if with_video else []
        subprocess.run([*command, "-c:a", codec, path], check=True)
        return path

    return write


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix, codec",
    [("mkv", "aac"), ("mp4", "aac"), ("mov", "aac"), ("mkv", "libopus"), ("mka", "pcm_s16le")],
)
def test_the_default_track_is_read_and_others_are_reported(video, caplog, suffix, codec):
    path = video(suffix, "0", "default", "0", codec=codec, with_video=suffix != "mka")
    assert pitch(path) == 600
    assert len(caplog.records) == 1
    text = f"{path}: 3 audio tracks; number 2 ({codec.removeprefix('lib')}, 1 channel, "
    assert text in caplog.text and "default) is used, 2 others are left out (1: " in caplog.text
    assert "-map 0:a:0 extracts number 1" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("suffix, codec", [("mkv", "aac"), ("avi", "mp3"), ("ts", "aac"), ("nut", "aac")])
def test_without_a_flag_the_first_track_is_read(video, caplog, suffix, codec):
    assert pitch(video(suffix, "0", "0", codec=codec)) == 300
    assert len(caplog.records) == 1 and "1 other is left out (2: " in caplog.text


def test_a_single_track_gives_no_warning(video, caplog):
    assert pitch(video("mkv", "0")) == 300
    assert not caplog.records


def test_a_track_that_cannot_be_read_is_skipped():
    good = {"index": 2, "codec_type": "audio", "codec_name": "aac", "sample_rate": "8000", "channels": 1}
    bad = {"index": 1, "codec_type": "audio", "disposition": {"default": 1}}
    video = {"index": 0, "codec_type": "video"}
    track, text = choose_track([video, bad, good])
    assert (
        track is good and "number 2 (aac, 1 channel) is used, 1 other is left out (1: unknown codec" in text
    )
    assert choose_track([video]) == ({}, "")
    assert choose_track([video, bad]) == (bad, "")
    assert "; ...); " in choose_track([good] + [dict(good) for _ in range(9)])[1]
