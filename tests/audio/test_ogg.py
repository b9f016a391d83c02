"""Holes of Ogg files, which libsndfile passes over: they are found on the clock of the pages, and filled."""

import re

import numpy as np
import pytest
import soundfile

from sed.audio import open_audio
from sed.audio.ogg import find_holes

RATE = 16000
SECONDS = 6
SUBTYPES = ["OPUS", "VORBIS"]


def whole(path):
    with open_audio(path) as audio:
        return np.concatenate(list(audio))


def pages(data):
    found = []
    while data:
        size = 27 + data[26] + sum(data[27 : 27 + data[26]])
        found.append(bytearray(data[:size]))
        data = data[size:]
    return found


@pytest.fixture(params=SUBTYPES)
def recording(request, tmp_path):
    """An Ogg file of noise, its content as it is decoded, and where its pages of sound begin."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.5, 0.5, SECONDS * RATE).astype(np.float32)
    noise *= np.repeat(rng.uniform(0, 1, SECONDS * 10), RATE // 10).astype(
        np.float32
    )  # long and short blocks
    path = tmp_path / "a.ogg"
    soundfile.write(path, noise, RATE, format="OGG", subtype=request.param)
    return path, whole(path)


def damaged(path, numbers, how):
    """Pages lost, or with a wrong bit; returns the seconds of the recording that are not in them."""
    found = pages(path.read_bytes())
    ends = [int.from_bytes(page[6:14], "little") for page in found]
    if how == "flipped":
        for number in numbers:
            found[number][-3] ^= 4
    else:
        found = [page for number, page in enumerate(found) if number not in numbers]
    path.write_bytes(b"".join(found))
    clock = 48000 if b"OpusHead" in found[0] else RATE
    gone = np.zeros(SECONDS * 100, bool)
    for number in numbers:
        gone[int(ends[number - 1] / clock * 100) - 15 : int(ends[number] / clock * 100) + 15] = True
    return ~gone


@pytest.mark.parametrize("how", ["lost", "flipped"])
def test_what_follows_lost_pages_keeps_its_place(recording, caplog, how, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # it takes no ffmpeg
    path, expected = recording
    count = len(pages(path.read_bytes()))
    assert count >= 8 and not caplog.text
    there = damaged(
        path, [3, 5], how
    )  # the last page states where the recording ends, not where the page does
    found = whole(path)
    assert abs(len(found) - len(expected)) <= 1
    error = np.abs(found[: SECONDS * RATE] - expected[: SECONDS * RATE]).reshape(-1, RATE // 100).max(1)
    assert error[there].max() < 0.02 < error.max()
    assert there[-1] and caplog.text.count("2 holes of ") == 1
    assert "are kept as silence" in caplog.text and "breaks off" not in caplog.text


def test_holes_of_recordings_that_were_joined(recording, caplog):
    path, expected = recording
    clean = path.read_bytes()
    damaged(path, [4], "lost")
    path.write_bytes(clean + path.read_bytes() + clean)
    found = whole(path)
    assert len(found) == pytest.approx(3 * len(expected), abs=3)
    assert np.abs(found[-len(expected) :] - expected).max() < 0.02
    assert re.search(rf"1 hole of .* s \(at [{SECONDS}{SECONDS + 1}]\.\d\d s\) is kept", caplog.text)


def test_a_whole_file_has_no_holes_and_a_late_start_is_none(recording):
    path, _ = recording
    data = path.read_bytes()
    assert find_holes(str(path), [(0, len(data))]) == ([[]], "")
    every = pages(data)  # two of headers
    path.write_bytes(b"".join(every[:2] + every[4:]))
    holes, text = find_holes(str(path), [(0, path.stat().st_size)])
    assert (holes, text) == ([[]], "")


def test_damage_of_any_kind_is_survived(recording):
    path, _ = recording
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(data)
        for place in rng.integers(0, len(data), 30):
            bad[place] = rng.integers(256)
        start, stop = sorted(rng.integers(0, len(data), 2))
        path.write_bytes(bad[:start] + bad[stop:])
        holes, _ = find_holes(str(path), [(0, path.stat().st_size)])
        assert all(start >= 0 and duration > 0 for start, duration in holes[0])
