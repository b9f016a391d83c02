"""Manifests: JSON and CSV round trips, corrected labels, and errors for invalid files."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sed.corpora.audio import read_wave
from sed.corpora.corrections import corrected_emotion, kaist_emotion
from sed.corpora.manifest import COLUMNS, Utterance, find_manifest, read_manifest, write_manifest
from sed.corpora.ratings import Ratings
from sed.errors import AudioError, FormatError


def utterance(folder, number=1, **changes):
    defaults = dict(
        corpus="c",
        path=folder / f"{number}.wav",
        speaker=f"c/c_{number}",
        emotion="sad",
        split="train",
        id=f"c_{number}",
        duration=1.5,
        gender="F",
        language="en",
        text="{braces} and %s",
        split_rule="speakers",
        ratings=Ratings({"sad": 2.5}, (0.25, -1.0, math.nan)),
    )
    return Utterance(**(defaults | changes))


def test_write_and_read_round_trip(tmp_path):
    folder = tmp_path / "with {braces}"
    folder.mkdir()
    rows = [
        utterance(folder, 1),
        utterance(folder, 2, start=0.5, stop=1.0, split="test"),
        utterance(tmp_path / "elsewhere", 3, emotion="happy", events=((0.0, 1.0, "happy"),)),
    ]
    write_manifest(rows, folder / "manifest.json")
    assert read_manifest(folder / "manifest.json") == rows == read_manifest(folder)
    text = json.loads((folder / "manifest.json").read_text())
    assert text["c_1"]["wav"] == "{data_root}/1.wav"
    assert read_manifest(folder, splits=["test"]) == rows[1:2]
    assert read_manifest(folder, emotions=["happy"]) == rows[2:]


def test_several_manifests_are_concatenated(tmp_path):
    write_manifest([utterance(tmp_path, 1)], tmp_path / "a.json")
    write_manifest([utterance(tmp_path, 2, corpus="d", speaker="d/d_2")], tmp_path / "b.json")
    both = read_manifest([tmp_path / "a.json", tmp_path / "b.json"])
    assert [u.corpus for u in both] == ["c", "d"]
    assert [u.corpus for u in read_manifest([tmp_path / "a.json", tmp_path / "b.json"], leave_out=["c"])] == [
        "d"
    ]


def test_csv_with_optional_columns(tmp_path):
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "duration", "start", "gender", "text", "votes"])
        writer.writerow(["c", "x/1.wav", "s", "sad", "train", "1.5", "", "M", "hello", "sad=2 neutral=1"])
    (row,) = read_manifest(tmp_path)
    assert row == Utterance(
        "c",
        tmp_path / "x" / "1.wav",
        "c/s",
        "sad",
        "train",
        Ratings({"sad": 2.0, "neutral": 1.0}),
        id="1",
        duration=1.5,
        gender="M",
        text="hello",
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"wav": None}, "c_1: found no wav, expected wav, corpus"),
        ({"speaker": 3}, "found speaker 3, expected text"),
        ({"wav": "{elsewhere}/1.wav"}, "expected only {data_root}"),
        ({"duration": "long"}, "found duration 'long', expected a number"),
        ({"raters": [1]}, r"found raters \[1\], expected an object"),
        ({"emotion": [3]}, "found event 3, expected an object with emo"),
    ],
)
def test_invalid_rows_raise(change, text, tmp_path):
    write_manifest([utterance(tmp_path)], tmp_path / "m.json")
    data = json.loads((tmp_path / "m.json").read_text())
    data["c_1"] |= change
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(FormatError, match=text):
        read_manifest(tmp_path / "m.json")


def test_invalid_files_raise(tmp_path):
    with pytest.raises(FormatError, match=r"found neither manifest\.csv nor manifest\.json"):
        find_manifest(tmp_path)
    (tmp_path / "m.json").write_text("[]")
    with pytest.raises(FormatError, match="found a JSON list, expected an object of rows"):
        read_manifest(tmp_path / "m.json")
    (tmp_path / "m.json").write_text('{"a": 1}')
    with pytest.raises(FormatError, match="found 1, expected an object with wav"):
        read_manifest(tmp_path / "m.json")
    with pytest.raises(FormatError, match="cannot be read"):
        read_manifest(tmp_path / "none.json")
    with pytest.raises(FormatError, match="found two rows with id 'c_1', expected unique ids"):
        write_manifest([utterance(tmp_path), utterance(tmp_path)], tmp_path / "n.json")
    assert not (tmp_path / "n.json").exists()


def test_shared_speakers_raise_unless_the_split_is_official(tmp_path, caplog):
    rows = [utterance(tmp_path, 1), utterance(tmp_path, 2, speaker="c/c_1", split="test")]
    write_manifest(rows, tmp_path / "m.json")
    with pytest.raises(FormatError, match="speaker c/c_1 is in splits train and test"):
        read_manifest(tmp_path / "m.json")
    official = [
        utterance(tmp_path, u.id[-1], speaker="c/c_1", split=u.split, split_rule="official") for u in rows
    ]
    write_manifest(official, tmp_path / "m.json")
    assert len(read_manifest(tmp_path / "m.json")) == 2
    assert "published splits share 1 speakers" in caplog.text


def test_read_wave_reads_parts_of_files(tmp_path):
    ramp = np.linspace(-0.5, 0.5, 8000, dtype=np.float32)
    soundfile.write(tmp_path / "r.wav", np.stack([ramp, ramp], 1), 16_000, subtype="FLOAT")
    whole = read_wave(tmp_path / "r.wav")
    assert np.array_equal(whole, ramp)
    assert np.array_equal(read_wave(tmp_path / "r.wav", 0.1, 0.2), ramp[1600:3200])
    assert np.array_equal(read_wave(tmp_path / "r.wav", 0.4), ramp[6400:])
    assert len(read_wave(tmp_path / "r.wav", 9.0, 10.0)) == 0
    with pytest.raises(AudioError, match=r"nothing\.wav"):
        read_wave(tmp_path / "nothing.wav")
    Path(tmp_path / "text.wav").write_text("hello")
    with pytest.raises(AudioError, match="found text, expected audio"):
        read_wave(tmp_path / "text.wav")


def test_wrong_labels_of_a_release_are_corrected(tmp_path, caplog):
    """The README of KAIST exchanges sadness and anger; manifests with either labelling give the same utterances."""
    labelled = {
        "ema00001": "neutral",
        "ema00201": "angry",
        "ema00300": "angry",
        "ema00301": "sad",
        "ema00400": "sad",
    }
    rows = [
        utterance(
            tmp_path, n, corpus="kaist", speaker="kaist/ema", path=tmp_path / f"{stem}.wav", emotion=emotion
        )
        for n, (stem, emotion) in enumerate(labelled.items())
    ]
    write_manifest(rows, tmp_path / "m.json")
    corrected = read_manifest(tmp_path / "m.json")
    assert [u.emotion for u in corrected] == ["neutral", "sad", "sad", "angry", "angry"]
    assert "kaist: corrected 4 labels" in caplog.text
    assert [u.path.stem for u in read_manifest(tmp_path / "m.json", emotions=["sad"])] == [
        "ema00201",
        "ema00300",
    ]
    caplog.clear()
    write_manifest(corrected, tmp_path / "corrected.json")
    assert read_manifest(tmp_path / "corrected.json") == corrected
    assert not caplog.text
    other_corpus = [replace(u, corpus="c", speaker="c/ema") for u in rows]
    write_manifest(other_corpus, tmp_path / "c.json")
    assert [u.emotion for u in read_manifest(tmp_path / "c.json")] == list(labelled.values())
    assert not caplog.text


@pytest.mark.parametrize("number", [0, 401])
def test_kaist_numbers_outside_1_to_400_raise(number):
    with pytest.raises(ValueError, match=f"found number {number}, expected one from 1 to 400"):
        kaist_emotion(number)
    assert corrected_emotion("kaist", f"ema{number:05}", "sad") == "sad"
