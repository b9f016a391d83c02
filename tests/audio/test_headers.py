"""Files whose headers state more or less than they contain: all loss is reported, and nothing hangs."""

import io
import os
import subprocess
import tempfile
import threading

import numpy as np
import pytest
import soundfile
from audio_reading import read_all
from broken_recordings import wav_header

from sed.audio import open_audio
from sed.audio.decoders import SoundFileDecoder
from sed.audio.ffmpeg import FfmpegDecoder, describe
from sed.audio.headers import mp3_head, wav_data
from sed.errors import AudioError, OptionError

RATE = 16000


def noise(seconds):
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(RATE * seconds)).astype(np.float32)


def ffmpeg(program, source, target, *options):
    subprocess.run([program, "-v", "error", "-i", source, *options, target], check=True)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(20), RATE, subtype="PCM_16")
    return path


def set_sizes(path, size):
    """Overwrite the sizes in the header of the WAV."""
    content = bytearray(path.read_bytes())
    sizes_at = content.find(b"data") + 4
    content[4:8] = content[sizes_at : sizes_at + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)


def test_an_unfinished_wav_loses_nothing(wav, caplog):
    expected = read_all(wav)
    set_sizes(wav, 0)
    assert np.array_equal(read_all(wav), expected)
    assert "its header was never completed; all 640000 bytes are used" in caplog.text


def test_a_wav_written_to_a_pipe_is_read_to_its_end(wav, caplog):
    expected = read_all(wav)
    set_sizes(wav, 0xFFFFFFFF)
    assert np.array_equal(read_all(wav), expected)
    assert not caplog.records


def test_a_wav_without_audio_is_empty(tmp_path, caplog):
    soundfile.write(tmp_path / "x.wav", noise(0), RATE)
    assert len(read_all(tmp_path / "x.wav")) == 0
    content = (tmp_path / "x.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(content + b"LIST\x04\x00\x00\x00INFO")
    assert wav_data(str(tmp_path / "x.wav")).available == 0
    assert len(read_all(tmp_path / "x.wav")) == 0
    assert not caplog.records


@pytest.mark.parametrize(
    "container, text",
    [
        ("WAV", "of 640000 bytes"),
        ("FLAC", "x.flac: damaged; the 11."),
        ("OGG", "found no last page of the OGG"),
        ("MP3", "its header states 20.00 s"),
    ],
)
def test_a_truncated_file_is_reported_once(tmp_path, caplog, container, text):
    path = tmp_path / f"x.{container.lower()}"
    soundfile.write(path, noise(20), RATE, format=container)
    read_all(path)
    assert not caplog.records
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    assert RATE * 8 < len(read_all(path)) < RATE * 14
    assert len(caplog.records) == 1 and text in caplog.text


def test_a_compressed_file_is_the_same_for_any_block_size(tmp_path, need_program):
    """An MP3 borrows bits from earlier frames: a decoder that seeks between two reads leaves a gap there."""
    for suffix in ("mp3", "ogg", "opus", "flac"):
        path = tmp_path / f"x.{suffix}"
        soundfile.write(path, noise(25), RATE, format="OGG" if suffix == "opus" else suffix.upper())
        expected = soundfile.read(path, dtype="float32")[0]
        assert np.abs(read_all(path) - expected).max() < 1e-6, suffix
        decoder = SoundFileDecoder(str(path), "x")
        parts = []
        while len(part := decoder.read(1000)):
            parts.append(part[:, 0])
        decoder.close()
        assert np.array_equal(np.concatenate(parts), read_all(path)), suffix


@pytest.mark.parametrize("with_ffmpeg", [True, False])
def test_a_truncated_flac_loses_only_what_is_missing(tmp_path, monkeypatch, with_ffmpeg, need_program):
    need_program("ffmpeg")
    path = tmp_path / "x.flac"
    soundfile.write(path, noise(8), RATE)
    expected, content = read_all(path), path.read_bytes()
    path.write_bytes(content[: len(content) // 2])  # inside the first ten seconds, which are read at once
    if not with_ffmpeg:
        monkeypatch.setenv("PATH", str(tmp_path))
    found = read_all(path)
    assert 3.4 * RATE < len(found) <= 4.1 * RATE
    assert np.array_equal(found[: int(3.4 * RATE)], expected[: int(3.4 * RATE)])


def test_damage_inside_a_flac_becomes_silence_of_the_same_length(tmp_path, need_program, caplog):
    need_program("ffmpeg")
    path = tmp_path / "x.flac"
    soundfile.write(path, noise(20), RATE)
    expected, content = read_all(path), bytearray(path.read_bytes())
    for place in (len(content) // 2, len(content) // 2 + 1):
        content[place] ^= 0xFF
    path.write_bytes(content)
    found = read_all(path)
    assert len(found) == len(expected)
    wrong = np.flatnonzero(found != expected)
    assert wrong.size and wrong[-1] - wrong[0] < RATE  # at most one frame of the codec and its neighbour
    assert len(caplog.records) == 1 and "x.flac: damaged; the 20.00 s that could be decoded" in caplog.text


@pytest.mark.parametrize(
    "header, text",
    [
        ({"channels": 0}, "found a WAV header with 0 channels at 16000 Hz, expected at least 1 of each"),
        ({"rate": 0}, "found a WAV header with 1 channels at 0 Hz, expected at least 1 of each"),
        ({"bits": 0}, "found audio in an unknown codec, expected one that libsndfile or ffmpeg decodes"),
        ({"form": 0x7777}, "found audio in an unknown codec, expected one that libsndfile or ffmpeg decodes"),
    ],
)
def test_an_invalid_header_is_refused(tmp_path, need_program, header, text, caplog):
    need_program("ffmpeg")
    (tmp_path / "x.wav").write_bytes(wav_header(**header) + bytes(32000))
    with pytest.raises(AudioError, match=text):
        read_all(tmp_path / "x.wav")
    assert not caplog.records


def test_audio_after_the_stated_length_is_reported(wav, caplog):
    set_sizes(wav, 32000)
    assert len(read_all(wav)) == RATE
    assert "states 32000 bytes of audio; the 608000 bytes after them are not used" in caplog.text
    caplog.clear()
    content = wav.read_bytes()[: 44 + 32000]
    wav.write_bytes(content + b"LIST" + (9000).to_bytes(4, "little") + bytes(9000))  # a chunk is not audio
    assert len(read_all(wav)) == RATE and not caplog.records


def test_a_message_is_one_line_and_names_the_path(tmp_path):
    (tmp_path / "two\nlines.wav").write_text("not audio")
    with pytest.raises(AudioError, match=r"two\\nlines.wav': found text, expected audio") as caught:
        read_all(tmp_path / "two\nlines.wav")
    assert "\n" not in str(caught.value)
    bad = np.zeros(900, np.float32)
    bad[450] = np.nan
    soundfile.write(tmp_path / "x.wav", bad, 1000, subtype="FLOAT")
    with pytest.raises(AudioError, match=rf"{tmp_path}/x.wav: found a sample that is not .* at 0.450 s"):
        read_all(tmp_path / "x.wav")
    with pytest.raises(AudioError, match=rf"{tmp_path}/x.wav: found 1 channel, expected a channel 2"):
        open_audio(tmp_path / "x.wav", 2)


def test_an_mp3_of_varying_bit_rate_without_a_table_is_read_to_its_end(wav, tmp_path, need_program):
    """libsndfile extrapolates its length from the first frame and stops there: at 8 of these 20 seconds."""
    path = tmp_path / "x.mp3"
    half = noise(20)
    half[: RATE * 8] *= 0.001  # quiet at first, so that the guess is wrong
    soundfile.write(wav, half, RATE)
    ffmpeg(need_program("ffmpeg"), wav, path, "-q:a", "5", "-write_xing", "0")
    assert mp3_head(str(path)).has_table is False
    with open_audio(path) as audio:
        assert audio.duration is None  # unknown before the end
        assert 20 <= sum(len(block) for block in audio) / RATE < 20.2
    path.write_bytes(path.read_bytes() * 20)  # more than a pipe holds
    threads = threading.active_count()
    for _ in range(3):  # a stream that is closed early leaves no thread
        with open_audio(path) as audio:
            next(iter(audio))
    for thread in threading.enumerate():
        if thread.name == "sed-mp3":
            thread.join(2)
    assert threading.active_count() <= threads


def test_mp3_files_joined_end_to_end_are_read_completely(tmp_path, monkeypatch, caplog):
    path = tmp_path / "x.mp3"
    soundfile.write(path, noise(5), RATE, format="MP3")
    path.write_bytes(path.read_bytes() * 3)
    assert mp3_head(str(path)).has_more
    assert 15 <= len(read_all(path)) / RATE < 15.5
    monkeypatch.setenv("PATH", str(tmp_path))  # without ffmpeg too
    assert 15 <= len(read_all(path)) / RATE < 15.5
    assert not caplog.records


def test_an_id3_tag_before_an_mp3_changes_nothing(tmp_path):
    path = tmp_path / "x.mp3"
    soundfile.write(path, noise(2), RATE, format="MP3")
    expected, head = read_all(path), mp3_head(str(path))
    tag = b"ID3\x04\x00\x00\x00\x00\x10\x00" + bytes(16 << 7)
    path.write_bytes(tag + path.read_bytes())
    assert mp3_head(str(path)) == head
    assert np.array_equal(read_all(path), expected)


def test_the_suffix_does_not_matter(wav, tmp_path):
    expected = read_all(wav)
    for suffix in ("raw", "mp3", "txt"):
        path = tmp_path / f"y.{suffix}"
        path.write_bytes(wav.read_bytes())
        assert np.array_equal(read_all(path), expected)
    path = tmp_path / "samples.raw"
    path.write_bytes(bytes(1000))
    with pytest.raises(AudioError, match=r"samples.raw: found samples without a header"):
        read_all(path)


def test_a_named_pipe_is_read(wav, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(wav.read_bytes()))
    writer.start()
    assert len(read_all(path)) == RATE * 20
    writer.join()


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:20,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"]
)
def test_a_playlist_opens_no_other_file(wav, tmp_path, need_program, text):
    other, path = tmp_path / "other.mp3", tmp_path / "list.m3u8"
    ffmpeg(need_program("ffmpeg"), wav, other)
    path.write_text(text.format(other.name))
    with pytest.raises(AudioError, match="found text, expected audio"):
        read_all(path)


@pytest.mark.slow
def test_a_badly_damaged_recording_does_not_block(wav, tmp_path, need_program, caplog):
    """ffmpeg writes a message about every frame; if nothing read them, the pipe would fill up and block it."""
    path = tmp_path / "x.aac"
    ffmpeg(need_program("ffmpeg"), wav, path, "-b:a", "16k")
    content = np.frombuffer(path.read_bytes() * 40, np.uint8).copy()
    content[3000::200] ^= 0x5A
    path.write_bytes(content.tobytes())
    decoder, samples = FfmpegDecoder(str(path), "x"), 0
    while len(part := decoder.read(RATE * 10)):
        samples += len(part)
    decoder.close()
    assert samples > RATE
    assert len(caplog.records) == 1 and "damaged; the" in caplog.text


def test_a_video_without_audio(tmp_path, need_program):
    path = tmp_path / "x.mp4"
    make = ["-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=32x32", "-an"]
    subprocess.run([need_program("ffmpeg"), *make, path], check=True)
    with pytest.raises(AudioError, match=r"x.mp4: found a video without audio, expected audio"):
        read_all(path)


def test_text_truncated_inside_a_character_is_text(tmp_path):
    path = tmp_path / "x"
    path.write_text("x" + "é" * 600, encoding="utf-8")
    assert describe(path) == "found text"


class Tensor:
    """Raises like a torch tensor that requires a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("requires grad")


class WriteOnly(io.RawIOBase):
    def read(self, size=-1):
        raise io.UnsupportedOperation("write")


@pytest.mark.parametrize(
    "source, text",
    [
        ("a\0b", "not a valid file name"),
        (os.devnull, "found no bytes, expected audio"),
        ((np.zeros((5, 0)), RATE), r"shape \(5, 0\): expected \(samples,\)"),
        ((np.zeros(5), float("inf")), "sample rate inf: expected a whole number"),
        ((np.zeros(5), float("nan")), "sample rate nan: expected a whole number"),
        ((np.arange(5), RATE), "array of int64: expected floats at full scale 1, or 8 to 32-bit"),
        (([[1.0, 2.0], [3.0]], RATE), "rows of different lengths"),
        ((Tensor(), RATE), r"Tensor: expected an array that numpy can convert \(requires grad\)"),
        (np.zeros(5), r"ndarray: expected a path, .* or \(samples, sample_rate\), an array with its rate"),
        ((np.zeros(5), 0), "sample rate 0 Hz: expected more than 0"),
        (WriteOnly(), r"stream: cannot be read \(write\)"),
        ((RATE, np.zeros(5)), r"array of shape \(\): expected"),
    ],
)
def test_more_invalid_sources_are_refused(source, text):
    with pytest.raises(AudioError, match=text) as caught:
        read_all(source)
    assert "\n" not in str(caught.value)


def test_a_full_disk_while_copying_a_stream(tmp_path, monkeypatch):
    def full(*_, **__):
        return open("/dev/full", "wb")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with pytest.raises(AudioError, match=r"^stream: cannot be copied to .* \(No space left on device\)$"):
        open_audio(io.BytesIO(bytes(100)))


@pytest.mark.parametrize("choice", [None, 1.5, np.int64(1)])
def test_channels_of_another_type_are_refused(choice):
    with pytest.raises(OptionError, match="expected mix, split or the number"):
        open_audio((np.zeros(5), RATE), choice)


def test_ten_minutes_do_not_drift():
    """A click at the end keeps its position, at a rate that is not a simple ratio of 16 kHz."""
    samples = np.zeros(11025 * 600, np.int16)
    samples[11025 * 599] = 20000
    out = read_all((samples, 11025))
    assert len(out) == RATE * 600
    assert int(np.abs(out).argmax()) == RATE * 599
