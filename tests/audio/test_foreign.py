"""ffmpeg opens only the given file, as an audio container, and no file that it refers to."""

import logging
import subprocess
import sys

import numpy as np
import pytest
from foreign_files import OpenedFiles, mov_with_external_audio, write_attacks, write_secrets

from sed.audio import open_audio
from sed.audio.ffmpeg import FfmpegDecoder
from sed.errors import AudioError

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs inotify")


@pytest.mark.slow
@linux
def test_no_file_makes_ffmpeg_open_another_recording(tmp_path, data, need_program, caplog):
    """Non-text bytes once hid playlists from the check for text, and the result was that of the other recording."""
    need_program("ffmpeg")
    (tmp_path / "secrets").mkdir()
    secrets = write_secrets(tmp_path / "secrets", data / "emodb_16_sad_1.flac")
    attacks = write_attacks(tmp_path, secrets)
    assert len(attacks) == 16
    caplog.set_level(logging.ERROR)
    with OpenedFiles(tmp_path / "secrets") as opened:
        for path in attacks:
            if path.suffix == ".mkv":  # contains 0.1 s of audio
                with open_audio(path) as audio:
                    assert sum(map(len, audio)) < 16000
            else:
                with pytest.raises(AudioError), open_audio(path) as audio:
                    list(audio)
            assert opened.names() == set(), path.read_bytes()[:400]


@pytest.mark.slow
@linux
def test_the_attacks_are_real(tmp_path, data, need_program):
    """Without those options ffmpeg does open the files they refer to."""
    ffmpeg = need_program("ffmpeg")
    (tmp_path / "secrets").mkdir()
    secrets = write_secrets(tmp_path / "secrets", data / "emodb_16_sad_1.flac")
    texts = {
        "hls": b"#EXTM3U\n#\xff\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecrets/secret.ts\n#EXT-X-ENDLIST\n",
        "concat": b"ffconcat version 1.0\n#\xff\nfile secrets/secret.wav\n",
        "mov": mov_with_external_audio(secrets[2]),
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
        more = ["-enable_drefs", "1"] if name == "mov" else []
        with OpenedFiles(tmp_path / "secrets") as opened:
            command = [ffmpeg, "-v", "error", *more, "-i", tmp_path / name, "-t", "0.1", "-f", "null", "-"]
            subprocess.run(command, check=True)
            assert opened.names(), name


def test_a_container_without_its_samples_is_refused(tmp_path, need_program):
    need_program("ffmpeg")
    (tmp_path / "a.mov").write_bytes(mov_with_external_audio(tmp_path / "nowhere.wav"))
    with open_audio(tmp_path / "a.mov") as audio:
        assert audio.duration == 1
        with pytest.raises(AudioError, match=r"nothing could be decoded \(its header states 1.00 s\)$"):
            list(audio)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, options",
    [
        ("a.m4a", "-c:a aac"),
        ("a.3gp", "-c:a aac"),
        ("a.mkv", "-c:a ac3"),
        ("a.webm", "-c:a libopus"),
        ("a.ts", "-c:a mp2"),
        ("a.avi", "-c:a adpcm_ms"),
        ("a.wma", "-c:a wmav2"),
        ("a.flv", "-c:a pcm_s16le -ar 44100"),
        ("a.aac", "-c:a aac"),
        ("a.caf", "-c:a alac"),
        ("a.wv", "-c:a wavpack"),
        ("a.tta", "-c:a tta"),
        ("a.ac3", "-c:a ac3"),
        ("a.dts", "-c:a dca -strict -2 -ar 48000"),
        ("a.wav", "-c:a adpcm_g722"),
        ("a.g722", "-c:a g722"),
        ("a.ra", "-c:a real_144 -ar 8000 -f rm"),
        ("a.mxf", "-c:a pcm_s16le -ar 48000 -f mxf_opatom"),
        ("a.swf", "-c:a mp3 -ar 22050"),
    ],
)
def test_audio_containers_are_still_decoded(tmp_path, need_program, name, options):
    ffmpeg, path = need_program("ffmpeg"), tmp_path / name
    make = ["-f", "lavfi", "-i", "anoisesrc=d=0.5:r=16000:a=0.3:seed=1", "-ac", "1", *options.split()]
    subprocess.run([ffmpeg, "-v", "error", *make, path], check=True)
    plain = [ffmpeg, "-v", "error", "-i", path, "-map", "0:a:0", "-ac", "1", "-f", "f32le", "-"]
    expected = np.frombuffer(subprocess.run(plain, check=True, capture_output=True).stdout, np.float32)
    decoder = FfmpegDecoder(str(path), str(path))
    found = [decoder.read(4096)]
    while len(found[-1]):
        found.append(decoder.read(4096))
    decoder.close()
    np.testing.assert_array_equal(np.concatenate(found)[:, 0], expected)
    assert len(expected) / decoder.rate == pytest.approx(0.5, abs=0.2)
