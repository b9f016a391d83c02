"""Every kind of source gives the same 16 kHz audio for any block size, in bounded memory and at exact times."""

import io
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
from audio_reading import read_all
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.audio import Resampler, open_audio
from sed.errors import AudioError, OptionError


def tone(rate, seconds=1.0, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


CONTAINERS = [
    ("WAV", s) for s in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
] + [
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_16"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_16"),
    ("W64", "PCM_16"),
    ("RF64", "PCM_16"),
]


@pytest.mark.parametrize("container, subtype", CONTAINERS)
def test_every_container_and_sample_format(tmp_path, container, subtype):
    path = tmp_path / f"x.{container.lower()}"
    soundfile.write(path, tone(16000, 2), 16000, format=container, subtype=subtype)
    samples = read_all(path)
    lossy = subtype in ("VORBIS", "OPUS", "MPEG_LAYER_III")
    assert abs(len(samples) - 32000) <= (2500 if container == "MP3" else 0)
    shift = 1105 if container == "MP3" and len(samples) > 32000 else 0
    middle = samples[4000 + shift : 28000 + shift]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(spectrum.argmax() * 16000 / len(middle) - 440) < 1
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3536, rel=0.05 if lossy else 0.02)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000])
def test_any_rate_keeps_length_and_time(rate):
    """A click after five seconds keeps its position to within one sample at 16 kHz."""
    samples = np.zeros(rate * 7, np.float32)
    samples[rate * 5] = 1
    out = read_all((samples, rate))
    assert len(out) == 16000 * 7
    assert abs(int(np.abs(out).argmax()) - 16000 * 5) <= 1


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([8000, 16000, 44100, 48000]),
    st.lists(st.integers(1, 30_000), max_size=8),
    st.integers(0, 99),
)
def test_block_sizes_change_nothing(rate, sizes, seed):
    samples = np.random.default_rng(seed).uniform(-1, 1, (sum(sizes), 1)).astype(np.float32)
    one, many = Resampler(rate), Resampler(rate)
    expected = np.concatenate([one.push(samples), one.close()])
    parts = np.split(samples, np.cumsum(sizes)[:-1]) if sizes else [samples]
    found = np.concatenate([*(many.push(p) for p in parts), many.close()])
    assert np.array_equal(found, expected)
    assert len(found) == round(len(samples) * 16000 / rate)


def test_arrays_files_and_streams_agree(tmp_path):
    samples = tone(16000)
    path = tmp_path / "x.wav"
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    for source in (
        path,
        str(path),
        io.BytesIO(path.read_bytes()),
        (samples, 16000),
        (samples[:, None], 16000),
    ):
        assert np.array_equal(read_all(source), samples)
    with path.open("rb") as file:
        assert np.array_equal(read_all(file), samples)


def test_standard_input_need_not_seek(tmp_path, data):
    path = data / "ami_trn00.flac"
    code = "import sys, numpy; from sed.audio import open_audio; print(sum(len(b) for b in open_audio('-')))"
    with path.open("rb") as file:
        printed = subprocess.run(
            [sys.executable, "-c", code], input=file.read(), capture_output=True, check=True
        ).stdout
    assert int(printed) == len(read_all(path))


@pytest.mark.parametrize(
    "dtype, scale", [(np.int16, 32768), (np.int32, 2**31), (np.uint8, 128), (np.float64, 1), (np.float16, 1)]
)
def test_integer_arrays_have_the_full_scale_of_their_type(dtype, scale):
    half = np.array([0.5, -0.5, 0.0])
    offset = 128 if dtype == np.uint8 else 0
    assert np.allclose(read_all(((half * scale + offset).astype(dtype), 16000)), half)


def test_channels(tmp_path):
    left, right = tone(16000, hertz=300), tone(16000, hertz=1000)
    path = tmp_path / "x.wav"
    soundfile.write(path, np.stack([left, right], 1), 16000, subtype="FLOAT")
    assert np.allclose(read_all(path), (left + right) / 2, atol=1e-6)
    assert np.array_equal(read_all(path, 1), left)
    assert np.array_equal(read_all(path, 2), right)
    assert np.array_equal(read_all(path, "split"), np.stack([left, right], 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix, codec", [("m4a", "aac"), ("mka", "pcm_s16le"), ("wma", "wmav2"), ("mp4", "aac")]
)
def test_other_containers_are_decoded_by_ffmpeg(tmp_path, need_program, suffix, codec):
    wav, path = tmp_path / "x.wav", tmp_path / f"a:b c.{suffix}"
    soundfile.write(wav, np.stack([tone(44100, 3)] * 2, 1), 44100)
    subprocess.run(
        [need_program("ffmpeg"), "-v", "error", "-i", wav, "-c:a", codec, f"file:{path}"], check=True
    )
    with open_audio(path) as audio:
        assert (audio.channels, audio.sample_rate, audio.uri) == (2, 44100, "a:b c")
        assert audio.duration == pytest.approx(3, abs=0.2)
    samples = read_all(path)
    assert len(samples) == pytest.approx(48000, abs=3200)
    assert np.sqrt(np.mean(samples[8000:40000] ** 2)) == pytest.approx(0.3536, rel=0.05)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 44100, 2) as file:
        for _ in range(15):
            file.write(np.zeros((44100 * 60, 2), np.int16))
    tracemalloc.start()
    with open_audio(path) as audio:
        assert audio.duration == 900
        assert sum(len(block) for block in audio) == 900 * 16000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # the file would be 318 MB as float32


def broken(tmp_path):
    """Yields a name, a source and the expected message."""
    wav = io.BytesIO()
    soundfile.write(wav, tone(16000), 16000, format="WAV", subtype="FLOAT")
    header = wav.getvalue()[:60]
    files = {
        "empty.wav": (b"", "found an empty file, expected audio"),
        "text.wav": (b"this is not audio\n" * 40, "found text, expected audio"),
        "image.wav": (b"\x89PNG\r\n\x1a\n" + bytes(200), "found a PNG image, expected audio"),
        "page.mp3": (b"%PDF-1.7\n" + bytes(range(200)), "found a PDF document, expected audio"),
        "archive.flac": (b"PK\x03\x04" + bytes(200), "found a ZIP archive, expected audio"),
        "random.ogg": (
            bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8)),
            "no known format, expected audio",
        ),
        "zeros.wav": (bytes(5000), "no known format, expected audio"),
        "riff.wav": (header[:20], "found a damaged RIFF file, expected audio"),
        "flac.flac": (b"fLaC" + bytes(100), "found a damaged FLAC file, expected audio"),
        "ogg.opus": (b"OggS" + bytes(100), "found a damaged OGG file, expected audio"),
    }
    for name, (content, text) in files.items():
        (tmp_path / name).write_bytes(content)
        yield name, tmp_path / name, text
    nan, loud = tone(16000), tone(16000)
    nan[8000], loud[4000] = np.nan, 20000
    soundfile.write(tmp_path / "nan.wav", nan, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "inf.wav", np.where(np.isnan(nan), np.inf, nan), 16000, subtype="FLOAT")
    yield "nan", tmp_path / "nan.wav", "found a sample that is not a finite number at 0.500 s"
    yield "inf", tmp_path / "inf.wav", "found a sample that is not a finite number at 0.500 s"
    yield "scale", (loud, 16000), "found a sample of 20000 at 0.250 s, expected a full scale of 1"
    yield "missing", tmp_path / "none.wav", "no such file"
    yield "folder", tmp_path, "found a folder, expected an audio file"
    yield (
        "shape",
        (np.zeros((2, 16000)), 16000),
        r"shape \(2, 16000\): expected \(samples,\) or \(samples, channels\)",
    )
    yield "cube", (np.zeros((2, 3, 4)), 16000), r"expected \(samples,\) or"
    yield "words", (np.array(["a"]), 16000), "expected floats at full scale 1, or 8 to 32-bit integers"
    yield "rate", (np.zeros(9), 12), "sample rate 12 Hz: expected 1000 to 384000 Hz"
    yield "fraction", (np.zeros(9), 16000.5), "sample rate 16000.5: expected a whole number of Hz"
    yield "text rate", (np.zeros(9), "16k"), "sample rate '16k': expected a whole number of Hz"
    yield "object", 42, r"int: expected a path, a binary file or \(samples, sample_rate\)"
    yield "stream", io.BytesIO(b""), "stream: found no bytes, expected audio"
    yield "text stream", io.StringIO("hello"), "found a text file object, expected a binary one"


KINDS = 24


@pytest.mark.parametrize("number", range(KINDS))
def test_broken_input_raises_one_clear_sentence(tmp_path, need_program, number):
    need_program("ffmpeg")
    cases = list(broken(tmp_path))
    assert len(cases) == KINDS
    _, source, text = cases[number]
    with pytest.raises(AudioError, match=text) as caught:
        read_all(source)
    assert "\n" not in str(caught.value)


def test_without_ffmpeg_the_message_names_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "x.m4a").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(ImportError, match="or the ffmpeg program for others, which is not installed"):
        read_all(tmp_path / "x.m4a")


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(16000), 16000)

    def refuse(*_, **__):
        raise PermissionError

    monkeypatch.setattr("pathlib.Path.open", refuse)  # root may read every file, so chmod has no effect
    with pytest.raises(AudioError, match="no permission to read it"):
        open_audio(path)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_truncated_file_gives_what_is_available(tmp_path, caplog, container):
    path = tmp_path / f"x.{container.lower()}"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000 * 20).astype(np.float32)
    soundfile.write(path, noise, 16000, format=container)
    full = path.read_bytes()
    path.write_bytes(full[: len(full) * 3 // 5])
    samples = read_all(path)
    assert 16000 * 8 < len(samples) < 16000 * 14


@pytest.mark.parametrize("choice", ["left", 0, -1, True])
def test_unknown_channels_are_refused(choice):
    with pytest.raises(OptionError, match="expected mix, split or the number of a channel from 1 on"):
        open_audio((np.zeros(9), 16000), choice)


def test_a_missing_channel_is_refused():
    with pytest.raises(AudioError, match="array: found 2 channels, expected a channel 3"):
        open_audio((np.zeros((90, 2)), 16000), 3)


@pytest.mark.parametrize("samples", [0, 1, 16, 319, 320, 16000])
def test_short_and_silent_audio_is_audio(samples):
    assert np.array_equal(read_all((np.zeros(samples, np.float32), 16000)), np.zeros(samples))


def test_names():
    assert open_audio((np.zeros(9), 16000)).uri == "array"
    with pytest.raises(AudioError, match="a tuple of 3 items"):
        open_audio((1, 2, 3))
