"""Files whose headers promise more or less than there is: nothing is lost unseen, nothing hangs."""

import io
import os
import struct
import subprocess
import tempfile
import threading

import numpy as np
import pytest
import soundfile

from sed.audio import open_audio
from sed.audio.decoders import SoundFileDecoder
from sed.audio.ffmpeg import FfmpegDecoder, describe
from sed.audio.headers import mp3_head, wav_data
from sed.errors import AudioError, OptionError

RATE = 16000


def noise(seconds):
    return np.random.default_rng(0).uniform(-0.5, 0.5, round(RATE * seconds)).astype(np.float32)


def whole(source, channels="mix"):
    with open_audio(source, channels) as audio:
        blocks = list(audio)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def ffmpeg(program, source, target, *options):
    subprocess.run([program, "-v", "error", "-i", source, *options, target], check=True)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(20), RATE, subtype="PCM_16")
    return path


def with_sizes(path, size):
    """The WAV with other sizes in its header."""
    content = bytearray(path.read_bytes())
    place = content.find(b"data") + 4
    content[4:8] = content[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)


def test_a_recorder_that_crashed_loses_nothing(wav, caplog):
    expected = whole(wav)
    with_sizes(wav, 0)
    assert np.array_equal(whole(wav), expected)
    assert "its header was never completed; all 640000 bytes are used" in caplog.text


def test_a_wav_written_to_a_pipe_is_read_to_its_end(wav, caplog):
    expected = whole(wav)
    with_sizes(wav, 0xFFFFFFFF)
    assert np.array_equal(whole(wav), expected)
    assert not caplog.records


def test_a_wav_without_audio_is_empty(tmp_path, caplog):
    soundfile.write(tmp_path / "x.wav", noise(0), RATE)
    assert len(whole(tmp_path / "x.wav")) == 0
    content = (tmp_path / "x.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(content + b"LIST\x04\x00\x00\x00INFO")
    assert wav_data(str(tmp_path / "x.wav")).there == 0
    assert len(whole(tmp_path / "x.wav")) == 0
    assert not caplog.records


@pytest.mark.parametrize(
    "container, text",
    [
        ("WAV", "of 640000 bytes are there"),
        ("FLAC", "x.flac: damaged; the 11."),
        ("OGG", "without an end"),
        ("MP3", "its header promises 20.00 s"),
    ],
)
def test_a_file_that_breaks_off_is_told_once(tmp_path, caplog, container, text):
    path = tmp_path / f"x.{container.lower()}"
    soundfile.write(path, noise(20), RATE, format=container)
    whole(path)
    assert not caplog.records
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    assert RATE * 8 < len(whole(path)) < RATE * 14
    assert len(caplog.records) == 1 and text in caplog.text


def test_a_compressed_file_is_the_same_however_it_is_read(tmp_path, need_program):
    """An MP3 borrows bits from earlier frames: a decoder that seeks between two reads leaves a gap there."""
    for suffix in ("mp3", "ogg", "opus", "flac"):
        path = tmp_path / f"x.{suffix}"
        soundfile.write(path, noise(25), RATE, format="OGG" if suffix == "opus" else suffix.upper())
        expected = soundfile.read(path, dtype="float32")[0]
        assert np.abs(whole(path) - expected).max() < 1e-6, suffix
        decoder = SoundFileDecoder(str(path), "x")
        parts = []
        while len(part := decoder.read(1000)):
            parts.append(part[:, 0])
        decoder.close()
        assert np.array_equal(np.concatenate(parts), whole(path)), suffix


@pytest.mark.parametrize("with_ffmpeg", [True, False])
def test_a_flac_that_breaks_off_loses_what_is_missing_and_no_more(
    tmp_path, monkeypatch, with_ffmpeg, need_program
):
    need_program("ffmpeg")
    path = tmp_path / "x.flac"
    soundfile.write(path, noise(8), RATE)
    expected, content = whole(path), path.read_bytes()
    path.write_bytes(content[: len(content) // 2])  # inside the first ten seconds, which are read at once
    if not with_ffmpeg:
        monkeypatch.setenv("PATH", str(tmp_path))
    found = whole(path)
    assert 3.4 * RATE < len(found) <= 4.1 * RATE
    assert np.array_equal(found[: int(3.4 * RATE)], expected[: int(3.4 * RATE)])


def test_damage_inside_a_flac_becomes_silence_and_the_rest_keeps_its_place(tmp_path, need_program, caplog):
    need_program("ffmpeg")
    path = tmp_path / "x.flac"
    soundfile.write(path, noise(20), RATE)
    expected, content = whole(path), bytearray(path.read_bytes())
    for place in (len(content) // 2, len(content) // 2 + 1):
        content[place] ^= 0xFF
    path.write_bytes(content)
    found = whole(path)
    assert len(found) == len(expected)
    wrong = np.flatnonzero(found != expected)
    assert wrong.size and wrong[-1] - wrong[0] < RATE  # one frame of the coder and its neighbour at most
    assert len(caplog.records) == 1 and "x.flac: damaged; the 20.00 s that could be decoded" in caplog.text


def wav_of(channels=1, rate=RATE, bits=16, form=1, data=32000):
    width = channels * bits // 8
    chunk = struct.pack("<HHIIHH", form, channels, rate, rate * width, width, bits)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + data)
        + b"WAVEfmt \x10\0\0\0"
        + chunk
        + b"data"
        + struct.pack("<I", data)
    )


@pytest.mark.parametrize(
    "header, text",
    [
        ({"channels": 0}, "found a WAV header with 0 channels at 16000 Hz, expected at least 1 of each"),
        ({"rate": 0}, "found a WAV header with 1 channels at 0 Hz, expected at least 1 of each"),
        ({"bits": 0}, "found sound in an unknown codec, expected one that libsndfile or ffmpeg decodes"),
        ({"form": 0x7777}, "found sound in an unknown codec, expected one that libsndfile or ffmpeg decodes"),
    ],
)
def test_a_header_that_makes_no_sense(tmp_path, need_program, header, text, caplog):
    need_program("ffmpeg")
    (tmp_path / "x.wav").write_bytes(wav_of(**header) + bytes(32000))
    with pytest.raises(AudioError, match=text):
        whole(tmp_path / "x.wav")
    assert not caplog.records


def test_sound_behind_what_the_header_promises_is_told(wav, caplog):
    with_sizes(wav, 32000)
    assert len(whole(wav)) == RATE
    assert "promises 32000 bytes of sound; 608000 further ones behind them are not used" in caplog.text
    caplog.clear()
    content = wav.read_bytes()[: 44 + 32000]
    wav.write_bytes(content + b"LIST" + struct.pack("<I", 9000) + bytes(9000))  # a chunk is no sound
    assert len(whole(wav)) == RATE and not caplog.records


def test_a_message_is_one_line_and_names_the_path(tmp_path):
    (tmp_path / "two\nlines.wav").write_text("no sound")
    with pytest.raises(AudioError, match=r"two\\nlines.wav': found text, expected audio") as caught:
        whole(tmp_path / "two\nlines.wav")
    assert "\n" not in str(caught.value)
    bad = np.zeros(900, np.float32)
    bad[450] = np.nan
    soundfile.write(tmp_path / "x.wav", bad, 1000, subtype="FLOAT")
    with pytest.raises(AudioError, match=rf"{tmp_path}/x.wav: found a sample that is not .* at 0.450 s"):
        whole(tmp_path / "x.wav")
    with pytest.raises(AudioError, match=rf"{tmp_path}/x.wav: found 1 channel, expected a channel 2"):
        open_audio(tmp_path / "x.wav", 2)


def test_an_mp3_of_varying_bit_rate_without_a_table_is_read_to_its_end(wav, tmp_path, need_program):
    """libsndfile guesses its length from the first frame, and stops there: 8 of these 20 seconds."""
    path = tmp_path / "x.mp3"
    half = noise(20)
    half[: RATE * 8] *= 0.001  # quiet first, so that the guess is wrong
    soundfile.write(wav, half, RATE)
    ffmpeg(need_program("ffmpeg"), wav, path, "-q:a", "5", "-write_xing", "0")
    assert mp3_head(str(path)).has_table is False
    with open_audio(path) as audio:
        assert audio.duration is None  # nobody knows before the end
        assert 20 <= sum(len(block) for block in audio) / RATE < 20.2
    path.write_bytes(path.read_bytes() * 20)  # more than a pipe holds
    threads = threading.active_count()
    for _ in range(3):  # a stream that is left early leaves nothing behind
        with open_audio(path) as audio:
            next(iter(audio))
    for thread in threading.enumerate():
        if thread.name == "sed-mp3":
            thread.join(2)
    assert threading.active_count() <= threads


def test_mp3_files_joined_end_to_end_are_read_whole(tmp_path, monkeypatch, caplog):
    path = tmp_path / "x.mp3"
    soundfile.write(path, noise(5), RATE, format="MP3")
    path.write_bytes(path.read_bytes() * 3)
    assert mp3_head(str(path)).goes_on
    assert 15 <= len(whole(path)) / RATE < 15.5
    monkeypatch.setenv("PATH", str(tmp_path))  # without ffmpeg too
    assert 15 <= len(whole(path)) / RATE < 15.5
    assert not caplog.records


def test_an_id3_tag_before_an_mp3_changes_nothing(tmp_path):
    path = tmp_path / "x.mp3"
    soundfile.write(path, noise(2), RATE, format="MP3")
    expected, head = whole(path), mp3_head(str(path))
    tag = b"ID3\x04\x00\x00\x00\x00\x10\x00" + bytes(16 << 7)
    path.write_bytes(tag + path.read_bytes())
    assert mp3_head(str(path)) == head
    assert np.array_equal(whole(path), expected)


def test_a_suffix_is_not_believed(wav, tmp_path):
    expected = whole(wav)
    for suffix in ("raw", "mp3", "txt"):
        path = tmp_path / f"y.{suffix}"
        path.write_bytes(wav.read_bytes())
        assert np.array_equal(whole(path), expected)
    path = tmp_path / "samples.raw"
    path.write_bytes(bytes(1000))
    with pytest.raises(AudioError, match=r"samples.raw: found samples without a header"):
        whole(path)


def test_a_named_pipe_is_read_once(wav, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(wav.read_bytes()))
    writer.start()
    assert len(whole(path)) == RATE * 20
    writer.join()


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:20,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"]
)
def test_a_playlist_opens_no_other_file(wav, tmp_path, need_program, text):
    other, path = tmp_path / "other.mp3", tmp_path / "list.m3u8"
    ffmpeg(need_program("ffmpeg"), wav, other)
    path.write_text(text.format(other.name))
    with pytest.raises(AudioError, match="found text, expected audio"):
        whole(path)


def test_a_badly_damaged_recording_does_not_block(wav, tmp_path, need_program, caplog):
    """ffmpeg complains about every frame; nobody empties a pipe of its complaints while it decodes."""
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


def test_a_film_without_sound(tmp_path, need_program):
    path = tmp_path / "x.mp4"
    make = ["-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=32x32", "-an"]
    subprocess.run([need_program("ffmpeg"), *make, path], check=True)
    with pytest.raises(AudioError, match=r"x.mp4: found a film without sound, expected audio"):
        whole(path)


def test_text_cut_inside_a_character_is_text(tmp_path):
    path = tmp_path / "x"
    path.write_text("x" + "é" * 600, encoding="utf-8")
    assert describe(path) == "found text"


class Tensor:
    """Refuses as one of torch does that has a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("requires grad")


class WriteOnly(io.RawIOBase):
    def read(self, size=-1):
        raise io.UnsupportedOperation("write")


@pytest.mark.parametrize(
    "source, text",
    [
        ("a\0b", "no name of a file"),
        (os.devnull, "found no bytes, expected audio"),
        ((np.zeros((5, 0)), RATE), r"shape \(5, 0\): expected \(samples,\)"),
        ((np.zeros(5), float("inf")), "sample rate inf: expected a whole number"),
        ((np.zeros(5), float("nan")), "sample rate nan: expected a whole number"),
        ((np.arange(5), RATE), "array of int64: expected floats at full scale 1, or 8 to 32-bit"),
        (([[1.0, 2.0], [3.0]], RATE), "rows of different lengths"),
        ((Tensor(), RATE), r"Tensor: expected what numpy can take \(requires grad\)"),
        (np.zeros(5), r"ndarray: expected a path, .* or \(samples, sample_rate\), an array with its rate"),
        ((np.zeros(5), 0), "sample rate 0 Hz: expected more than 0"),
        (WriteOnly(), r"stream: cannot be read \(write\)"),
        ((RATE, np.zeros(5)), r"array of shape \(\): expected"),
    ],
)
def test_more_that_is_refused(source, text):
    with pytest.raises(AudioError, match=text) as caught:
        whole(source)
    assert "\n" not in str(caught.value)


def test_no_room_for_what_comes_through_a_pipe(tmp_path, monkeypatch):
    def full(*_, **__):
        return open("/dev/full", "wb")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with pytest.raises(AudioError, match=r"^stream: cannot be copied to .* \(No space left on device\)$"):
        open_audio(io.BytesIO(bytes(100)))


@pytest.mark.parametrize("choice", [None, 1.5, np.int64(1)])
def test_channels_of_another_kind_are_refused(choice):
    with pytest.raises(OptionError, match="expected mix, split or the number"):
        open_audio((np.zeros(5), RATE), choice)


def test_ten_minutes_do_not_drift():
    """A click at their end is where it was, at a rate that is no neat multiple."""
    samples = np.zeros(11025 * 600, np.int16)
    samples[11025 * 599] = 20000
    out = whole((samples, 11025))
    assert len(out) == RATE * 600
    assert int(np.abs(out).argmax()) == RATE * 599
