"""Containers that hold less than they state are reported; those that hold more than one recording are read."""

import io
import subprocess
import tempfile

import numpy as np
import pytest
import soundfile

from sed.audio import containers, open_audio
from sed.errors import AudioError

RATE = 16000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE * 4).astype(np.float32)


def seconds(path):
    with open_audio(path) as audio:
        return sum(map(len, audio)) / RATE


@pytest.mark.parametrize("container", ["AIFF", "AU", "CAF", "W64", "RF64"])
def test_a_truncated_file_is_reported(tmp_path, caplog, container):
    path = tmp_path / f"a.{container.lower()}"
    soundfile.write(path, NOISE, RATE, format=container, subtype="PCM_16")
    whole = path.read_bytes()
    assert containers.stated_bytes(path) <= len(whole)
    assert seconds(path) == 4 and not caplog.text
    cut = len(whole) * 3 // 10 * 2
    path.write_bytes(whole[:cut])
    assert seconds(path) == pytest.approx(2.4, abs=0.1)
    assert f"{path}: truncated, found {cut} of {len(whole)} bytes" in caplog.text


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_files_joined_end_to_end_are_read_completely(tmp_path, caplog, subtype):
    parts = [tmp_path / name for name in ("a.ogg", "b.ogg")]
    for number, part in enumerate(parts):
        soundfile.write(part, NOISE[: RATE * (4 - number)], RATE, format="OGG", subtype=subtype)
    assert containers.find_parts(parts[0]) == [(0, parts[0].stat().st_size)]
    both = tmp_path / "both.ogg"
    both.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    assert len(containers.find_parts(both)) == 2
    assert seconds(both) == pytest.approx(7, abs=0.05) and not caplog.text


def test_files_need_no_folder_for_temporary_files(tmp_path, need_program, monkeypatch):
    need_program("ffmpeg")

    def refuse(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    soundfile.write(tmp_path / "a.wav", NOISE, RATE)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", tmp_path / "a.m4a"], check=True)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    for name in ("a.wav", "a.m4a"):
        assert seconds(tmp_path / name) == pytest.approx(4, abs=0.1)
    with pytest.raises(AudioError, match=r"temporary file .*No usable temporary directory found"):
        open_audio(io.BytesIO((tmp_path / "a.wav").read_bytes()))


@pytest.mark.parametrize("length", [2**62, 2**63 - 20, 2**63 - 1])
@pytest.mark.parametrize("kind", [b"info", b"data"])
def test_a_damaged_caf_length_is_no_crash(tmp_path, kind, length):
    path = tmp_path / "damaged.caf"
    with soundfile.SoundFile(path, "w", 16_000, 1, format="CAF", subtype="PCM_16") as file:
        file.write(np.zeros(16_000, np.int16))
    data = bytearray(path.read_bytes())
    at = data.index(kind if kind in data else b"data")
    data[at : at + 12] = kind + length.to_bytes(8, "big")
    path.write_bytes(data)
    try:
        with open_audio(path) as audio:
            assert sum(map(len, audio)) <= 16_000
    except AudioError as error:
        assert "damaged.caf" in str(error)
    assert containers.find_parts(str(path)) == [(0, len(data))]
