"""Several recordings in one file, and WAV files that hold more than their header states: all is read or reported."""

import struct
import subprocess
import time

import numpy as np
import pytest
import soundfile
from audio_reading import read_all

from sed.audio import containers, joined, open_audio
from sed.audio.headers import open_sound, wav_data
from sed.errors import AudioError

RATE = 16000


def tone(frequency, seconds, rate=RATE, channels=1):
    samples = 0.3 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)
    return np.repeat(samples.astype(np.float32)[:, None], channels, 1)


def pitches(samples):
    """The frequencies of all pure tones of a second, each once, in order."""
    found = []
    for start in range(0, len(samples) - RATE + 1, RATE // 2):
        spectrum = np.abs(np.fft.rfft(samples[start : start + RATE]))
        if spectrum.max() > 0.8 * np.linalg.norm(spectrum) and spectrum.argmax() not in found:
            found.append(int(spectrum.argmax()))
    return found


def ogg_of(path, program, codec, serial):
    """The WAV as an OGG whose stream has the given serial number."""
    target = path.with_suffix(".ogg")
    options = ["-c:a", codec, "-fflags", "+bitexact", "-serial_offset", str(serial)]
    subprocess.run([program, "-v", "error", "-y", "-i", path, *options, target], check=True)
    return target.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["libvorbis", "libopus"])
@pytest.mark.parametrize("serials", [(7, 7), (7, 8)])
@pytest.mark.parametrize("rate, channels", [(RATE, 1), (44100, 2)])
def test_ogg_streams_one_after_another(tmp_path, need_program, caplog, codec, serials, rate, channels):
    program, content = need_program("ffmpeg"), b""
    for number, (serial, form) in enumerate(zip(serials, [(RATE, 1), (rate, channels)], strict=True)):
        soundfile.write(tmp_path / "a.wav", tone((300, 700)[number], 4 - number, *form), form[0])
        content += ogg_of(tmp_path / "a.wav", program, codec, serial)
    (tmp_path / "both.ogg").write_bytes(content)
    found = read_all(tmp_path / "both.ogg")
    assert len(found) == pytest.approx(7 * RATE, abs=2) and pitches(found) == [300, 700]
    assert not caplog.records


def test_parallel_ogg_streams_are_reported(tmp_path, need_program, caplog):
    program = need_program("ffmpeg")
    for number in (1, 2):
        soundfile.write(tmp_path / f"{number}.wav", tone(300 * number, 2), RATE)
    inputs = ["-i", tmp_path / "1.wav", "-i", tmp_path / "2.wav", "-map", "0:a", "-map", "1:a"]
    subprocess.run([program, "-v", "error", *inputs, "-c:a", "libvorbis", tmp_path / "x.ogg"], check=True)
    assert pitches(read_all(tmp_path / "x.ogg")) == [300]
    assert len(caplog.records) == 1
    assert "x.ogg: 2 audio tracks; number 1 is used, 1 other is left out; ffmpeg -map 0:a:1 " in caplog.text


def test_a_damaged_page_hides_no_later_stream(tmp_path):
    path = tmp_path / "x.ogg"
    soundfile.write(path, tone(300, 3), RATE, format="OGG")
    content = bytearray(path.read_bytes())
    second = content.find(b"OggS", len(content) // 2)
    content[second : second + 4] = b"oops"
    path.write_bytes(bytes(content) + b"left behind" + path.read_bytes())
    assert [start for start, _ in containers.find_parts(path)] == [0, len(content) + 11]


@pytest.mark.parametrize("container", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "MP3"])
@pytest.mark.parametrize("rate, channels", [(RATE, 1), (32000, 2)])
def test_files_joined_end_to_end(tmp_path, caplog, container, rate, channels):
    content = b""
    for frequency, form in ((300, (RATE, 1)), (700, (rate, channels)), (1100, (RATE, 1))):
        soundfile.write(tmp_path / "a", tone(frequency, 3, *form), form[0], format=container)
        content += (tmp_path / "a").read_bytes()
    path = tmp_path / "all"
    path.write_bytes(content)
    with open_audio(path) as audio:
        assert audio.duration == pytest.approx(9, abs=0.01)
        assert (audio.sample_rate, audio.channels) == (rate, channels)
    found = read_all(path)
    assert len(found) == pytest.approx(9 * RATE, abs=2) and pitches(found) == [300, 700, 1100]
    for start in (1, 4, 7):  # a mono part is as loud as the others
        assert np.abs(found[start * RATE : (start + 1) * RATE]).max() == pytest.approx(0.3, abs=0.02)
    assert not caplog.records


def test_different_containers_joined(tmp_path):
    content = b""
    for frequency, container in ((300, "WAV"), (700, "AIFF"), (1100, "FLAC")):
        soundfile.write(tmp_path / "a", tone(frequency, 2), RATE, format=container)
        content += (tmp_path / "a").read_bytes()
    (tmp_path / "all").write_bytes(content)
    assert pitches(read_all(tmp_path / "all")) == [300, 700, 1100]


@pytest.mark.slow
@pytest.mark.parametrize("first, second", [((), ()), ((), ("-ar", "44100")), ((), ("-ac", "2"))])
@pytest.mark.parametrize("xing", [("1", "1"), ("0", "1"), ("0", "0"), ("1", "0")])
def test_mp3_with_tags_and_tables_in_the_middle(tmp_path, need_program, caplog, first, second, xing):
    program, content = need_program("ffmpeg"), b""
    for number, options in enumerate((first, second)):
        soundfile.write(tmp_path / "a.wav", tone((300, 700)[number], 3), RATE)
        tags = [
            "-write_xing",
            xing[number],
            "-id3v2_version",
            "3",
            "-write_id3v1",
            "1",
            "-metadata",
            "title=x",
        ]
        command = [
            program,
            "-v",
            "error",
            "-y",
            "-i",
            tmp_path / "a.wav",
            *options,
            *tags,
            tmp_path / "a.mp3",
        ]
        subprocess.run(command, check=True)
        content += (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "x.mp3").write_bytes(content)
    found = read_all(tmp_path / "x.mp3")
    assert len(found) / RATE == pytest.approx(6.1, abs=0.15) and pitches(found) == [300, 700]
    assert not caplog.records


def test_a_truncated_part_does_not_affect_others(tmp_path, caplog):
    soundfile.write(
        tmp_path / "a", np.random.default_rng(0).uniform(-0.5, 0.5, 3 * RATE), RATE, format="FLAC"
    )
    content = bytearray((tmp_path / "a").read_bytes())
    content[len(content) // 2 :] = content[len(content) // 2 : -40_000]
    soundfile.write(tmp_path / "b", tone(700, 3), RATE, format="FLAC")
    path = tmp_path / "all"
    path.write_bytes(bytes(content) + (tmp_path / "b").read_bytes())
    found = read_all(path)
    assert 4 * RATE < len(found) < 6 * RATE and 700 in pitches(found)
    assert len(caplog.records) == 1
    assert (
        "all: 2 recordings joined end to end, of which 1 cannot be read to their end (flac decoder lost sync)"
        in caplog.text
    )


def test_more_parts_than_are_read_are_reported(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(containers, "MAX_PARTS", 3)
    monkeypatch.setattr("sed.audio.headers.MAX_PARTS", 3)
    soundfile.write(tmp_path / "a", tone(300, 1), RATE, format="WAV")
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "x").write_bytes(content * 5)
    assert len(read_all(tmp_path / "x")) == 3 * RATE
    assert f"more than 3 recordings joined end to end; the last {2 * len(content)} bytes are" in caplog.text


def test_block_sizes_change_nothing(tmp_path):
    content = b""
    for rate in (RATE, 44100, 8000):
        soundfile.write(tmp_path / "a", tone(300, 1, rate), rate, format="WAV")
        content += (tmp_path / "a").read_bytes()
    (tmp_path / "x").write_bytes(content)

    def parts(size):
        sound = open_sound(str(tmp_path / "x"), "x")
        assert isinstance(sound.file, joined.JoinedFile)
        while len(samples := sound.file.read(size)):
            yield samples
        sound.close()

    expected = np.concatenate(list(parts(10**6)))
    assert len(expected) == 3 * 44100
    for size in (777, 4096, 5000):
        assert np.array_equal(np.concatenate(list(parts(size))), expected)


def wav(*chunks, riff=None):
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4 if riff is None else riff) + b"WAVE" + body


FORM = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
EXTENSIBLE = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 2 * RATE, 2, 16, 22, 16, 4) + bytes.fromhex(
    "0100000000001000800000aa00389b71"
)


def pcm(frequency, seconds):
    return (tone(frequency, seconds) * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("form", [FORM, EXTENSIBLE])
def test_a_second_data_chunk_is_read(tmp_path, caplog, form):
    chunks = [(b"fmt ", form), (b"data", pcm(300, 2)), (b"LIST", b"INFOabc"), (b"data", pcm(700, 3) + b"x")]
    (tmp_path / "x.wav").write_bytes(wav(*chunks, (b"id3 ", bytes(9)), (b"data", b"")))
    found = read_all(tmp_path / "x.wav")
    assert len(found) == 5 * RATE and pitches(found) == [300, 700]
    assert len(caplog.records) == 1
    assert "x.wav: 2 data chunks, of which players read one; all 160000 bytes are used" in caplog.text


def test_a_single_data_chunk_is_read(tmp_path, caplog):
    chunks = [(b"fmt ", FORM), (b"data", pcm(300, 2)), (b"LIST", b"data" + bytes(8)), (b"data", b"")]
    (tmp_path / "x.wav").write_bytes(wav(*chunks))
    assert len(read_all(tmp_path / "x.wav")) == 2 * RATE
    assert not caplog.records


GIB4 = 1 << 32


@pytest.fixture
def huge(tmp_path):
    """A function that writes a sparse WAV of 8 channels, 192 kHz and float32 with a click on its last sample."""

    def write(samples, stated, tail=b""):
        path, size = tmp_path / "huge.wav", samples * 32
        with path.open("wb") as file:
            file.write(b"RIFF" + struct.pack("<I", (size + 36 + len(tail)) % GIB4) + b"WAVEfmt ")
            file.write(struct.pack("<IHHIIHH", 16, 3, 8, 192_000, 192_000 * 32, 32, 32))
            file.write(b"data" + struct.pack("<I", stated % GIB4))
            file.seek(44 + size - 32)
            file.write(struct.pack("<8f", *[0.5] * 8) + tail)
        return path

    return write


@pytest.mark.parametrize("tail", [b"", b"LIST\x04\0\0\0INFO"])
@pytest.mark.parametrize("rest", [1000, GIB4 // 32 - 1, GIB4 // 32 + 1])
def test_a_length_that_has_overflowed(huge, caplog, rest, tail):
    samples = GIB4 // 32 + rest
    path = huge(samples, samples * 32, tail)
    started = time.monotonic()
    with open_audio(path) as audio:
        assert audio.duration == samples / 192_000
    sound = open_sound(str(path), "x")
    sound.file.seek(-5, 2)
    assert sound.file.read(10)[:, 0].tolist() == [0, 0, 0, 0, 0.5]
    sound.close()
    assert (
        f"its header states {samples * 32 % GIB4} bytes of audio, a 32-bit number that overflowed"
        in caplog.text
    )
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("stated", [0, -1, 0x7FFFF000])
def test_a_length_that_was_never_written(huge, caplog, stated):
    samples = GIB4 // 32 + 1000
    with open_audio(huge(samples, stated)) as audio:
        assert audio.duration == samples / 192_000
    assert len(caplog.records) == (stated == 0)


def test_a_large_chunk_after_the_samples_is_not_an_overflow(tmp_path):
    path = tmp_path / "x.wav"
    path.write_bytes(wav((b"fmt ", FORM), (b"data", pcm(300, 1))) + b"junk" + struct.pack("<I", GIB4 - 2))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + GIB4 - 2)
    assert wav_data(str(path)).length == 2 * RATE
    with open_audio(path) as audio:
        assert audio.duration == 1


def test_bytes_after_the_end_are_reported(tmp_path, caplog):
    for container in ("AIFF", "AU", "CAF"):
        path = tmp_path / container
        soundfile.write(path, tone(300, 1), RATE, format=container)
        path.write_bytes(path.read_bytes() + b"\xff" * 9000)
        assert len(read_all(path)) == RATE
        assert f"{path}: the 9000 bytes after the end stated in its header are not used" in caplog.text


@pytest.mark.parametrize("container", ["AIFF", "CAF"])
def test_a_data_chunk_that_is_too_short_is_reported(tmp_path, caplog, container):
    soundfile.write(tmp_path / "x", tone(300, 4), RATE, format=container, subtype="PCM_16")
    content = bytearray((tmp_path / "x").read_bytes())
    position, width = (
        (content.find(b"SSND") + 4, 4) if container == "AIFF" else (content.find(b"data") + 4, 8)
    )
    content[position : position + width] = (32000).to_bytes(width, "big")
    content[position + width + 32000 : position + width + 32002] = b"\xff\xff"
    (tmp_path / "x").write_bytes(content)
    assert len(read_all(tmp_path / "x")) < 1.01 * RATE
    assert len(caplog.records) == 1 and "x: the 96" in caplog.text and "are not used" in caplog.text


@pytest.mark.parametrize("stated", [0, 32000])
def test_an_rf64_whose_length_is_wrong(tmp_path, caplog, stated):
    path = tmp_path / "x"
    soundfile.write(path, tone(300, 4), RATE, format="RF64", subtype="PCM_16")
    content = bytearray(path.read_bytes())
    sizes = content.find(b"ds64") + 8
    content[sizes : sizes + 24] = struct.pack("<QQQ", 0 if stated == 0 else len(content) - 8, stated, 0)
    path.write_bytes(content)
    assert len(read_all(path)) == (4 * RATE if stated == 0 else RATE)
    text = {0: "never completed; all 128000 bytes are used", 32000: "the 96000 bytes after them are not"}
    assert len(caplog.records) == 1 and text[stated] in caplog.text


def test_empty_and_invalid_wavs_joined(tmp_path):
    empty = wav((b"fmt ", FORM), (b"data", b""))
    path = tmp_path / "x.wav"
    path.write_bytes(empty + wav((b"fmt ", FORM), (b"data", pcm(300, 1))) + empty)
    assert len(read_all(path)) == RATE
    path.write_bytes(wav((b"fmt ", FORM), (b"data", pcm(300, 1))) + wav((b"fmt ", bytes(16)), (b"data", b"")))
    with pytest.raises(AudioError, match="found a WAV header with 0 channels at 0 Hz, expected at least 1"):
        read_all(path)


def test_hostile_files_are_scanned_quickly(tmp_path):
    """Every page is damaged, everything looks like a frame, or there are 300,000 chunks."""
    path = tmp_path / "x"
    page = b"OggS\0\0" + bytes(21) + b"x"
    started = time.monotonic()
    for content in (page * 50_000, b"\xff" * (1 << 22), b"\xff\xfb\x10\x00" * (1 << 20)):
        path.write_bytes(content)
        assert len(containers.find_parts(path)) == 1
    chunks = b"abcd\0\0\0\0" * 300_000
    path.write_bytes(wav((b"fmt ", FORM), (b"data", pcm(300, 1))) + chunks)
    assert len(read_all(path)) == RATE
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + chunks + wav((b"fmt ", FORM), (b"data", pcm(300, 1)))[12:])
    assert wav_data(str(path)) is None
    assert time.monotonic() - started < 4
