"""Gaps of Ogg files, which libsndfile skips: they are found by the timestamps of the pages, and filled."""

import re

import numpy as np
import pytest
import soundfile
from audio_reading import read_all

from sed.audio.ogg import find_gaps

RATE = 16000
SECONDS = 6
SUBTYPES = ["OPUS", "VORBIS"]


def pages(data):
    found = []
    while data:
        size = 27 + data[26] + sum(data[27 : 27 + data[26]])
        found.append(bytearray(data[:size]))
        data = data[size:]
    return found


@pytest.fixture(params=SUBTYPES)
def recording(request, tmp_path):
    """An Ogg file of noise, and its decoded samples."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.5, 0.5, SECONDS * RATE).astype(np.float32)
    levels = rng.uniform(0, 1, SECONDS * 10)  # of which Vorbis makes long and short blocks
    noise *= np.repeat(levels, RATE // 10).astype(np.float32)
    path = tmp_path / "a.ogg"
    soundfile.write(path, noise, RATE, format="OGG", subtype=request.param)
    return path, read_all(path)


def damaged(path, numbers, how):
    """Remove pages, or flip a bit in them; returns which 10 ms of the recording are not affected."""
    found = pages(path.read_bytes())
    ends = [int.from_bytes(page[6:14], "little") for page in found]
    if how == "flipped":
        for number in numbers:
            found[number][-3] ^= 4
    else:
        found = [page for number, page in enumerate(found) if number not in numbers]
    path.write_bytes(b"".join(found))
    clock = 48000 if b"OpusHead" in found[0] else RATE
    affected = np.zeros(SECONDS * 100, bool)
    for number in numbers:
        affected[int(ends[number - 1] / clock * 100) - 15 : int(ends[number] / clock * 100) + 15] = True
    return ~affected


@pytest.mark.parametrize("how", ["lost", "flipped"])
def test_audio_after_lost_pages_keeps_its_time(recording, caplog, how, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # without ffmpeg
    path, expected = recording
    count = len(pages(path.read_bytes()))
    assert count >= 8 and not caplog.text
    intact = damaged(path, [3, 5], how)  # not the last page, which states the end of the recording
    found = read_all(path)
    assert abs(len(found) - len(expected)) <= 1
    error = np.abs(found[: SECONDS * RATE] - expected[: SECONDS * RATE]).reshape(-1, RATE // 100).max(1)
    assert error[intact].max() < 0.02 < error.max()
    assert intact[-1] and caplog.text.count("2 gaps of ") == 1
    assert "are filled with silence" in caplog.text and "truncated" not in caplog.text


def test_gaps_of_recordings_joined_end_to_end(recording, caplog):
    path, expected = recording
    clean = path.read_bytes()
    damaged(path, [4], "lost")
    path.write_bytes(clean + path.read_bytes() + clean)
    found = read_all(path)
    assert len(found) == pytest.approx(3 * len(expected), abs=3)
    assert np.abs(found[-len(expected) :] - expected).max() < 0.02
    assert re.search(rf"1 gap of .* s \(at [{SECONDS}{SECONDS + 1}]\.\d\d s\) is filled", caplog.text)


def test_a_complete_file_and_a_late_start_have_no_gaps(recording):
    path, _ = recording
    data = path.read_bytes()
    assert find_gaps(str(path), [(0, len(data))]) == ([[]], "")
    found = pages(data)  # the first two are headers
    path.write_bytes(b"".join(found[:2] + found[4:]))
    gaps, text = find_gaps(str(path), [(0, path.stat().st_size)])
    assert (gaps, text) == ([[]], "")


def test_random_damage_raises_nothing(recording):
    path, _ = recording
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(data)
        for position in rng.integers(0, len(data), 30):
            bad[position] = rng.integers(256)
        start, stop = sorted(rng.integers(0, len(data), 2))
        path.write_bytes(bad[:start] + bad[stop:])
        gaps, _ = find_gaps(str(path), [(0, path.stat().st_size)])
        assert all(start >= 0 and duration > 0 for start, duration in gaps[0])
