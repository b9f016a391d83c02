"""Groups of recordings from tables, manifests, patterns and the speakers of references."""

from __future__ import annotations

import json

import pytest

from sed.errors import FormatError, OptionError
from sed.result import Diarization, Segment
from sed.scoring.groups import read_groups

NAMES = ("spk1_1", "spk1_2", "spk2_1")
CORPUS = {name: Diarization(name, 2.0, [Segment(0, 1, name[:4])]) for name in NAMES}
EXPECTED = {"spk1_1": "spk1", "spk1_2": "spk1", "spk2_1": "spk2"}


def partition(groups):
    """The sets of recordings, without the names of their groups."""
    return {frozenset(name for name in groups if groups[name] == group) for group in groups.values()}


@pytest.mark.parametrize("head", ["file,group", "path,speaker", "text,speaker,recording"])
def test_a_table(tmp_path, head):
    path = tmp_path / "groups.csv"
    columns = head.split(",")
    rows = [
        ",".join(
            EXPECTED[name] if c in ("group", "speaker") else f"a/{name}.wav" if c != "text" else "-"
            for c in columns
        )
        for name in NAMES
    ]
    path.write_text("\n".join([head, *rows, rows[0]]))
    assert read_groups(str(path), CORPUS) == EXPECTED


@pytest.mark.parametrize("key", ["group", "speaker"])
def test_a_manifest(tmp_path, key):
    path = tmp_path / "m.json"
    path.write_text(json.dumps({name: {"wav": "x", key: EXPECTED[name]} for name in NAMES}))
    assert read_groups(str(path), CORPUS) == EXPECTED


def test_a_pattern_and_the_speakers():
    assert read_groups("^([^_]+)_", CORPUS) == EXPECTED
    assert partition(read_groups("speaker", CORPUS)) == partition(EXPECTED)


def test_recordings_that_share_speakers_indirectly_are_grouped():
    speakers = {"a": "x", "b": "xy", "c": "z", "d": "y", "e": "w", "f": "zw"}
    corpus = {n: Diarization(n, 9.0, [Segment(0, 1, s) for s in names]) for n, names in speakers.items()}
    assert partition(read_groups("speaker", corpus)) == {frozenset("abd"), frozenset("cef")}


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        ("file,group\nspk1_1,a\nspk1_2,a\n", OptionError, "no group for spk2_1"),
        ("file,name\nspk1_1,a\n", FormatError, "line 2: found columns file, name, expected file and group"),
        ("file,group\nspk1_1,\n", FormatError, "line 2: found an empty cell"),
        ("file,group\nspk1_1,a\nspk1_1,b\n", FormatError, "line 3: found spk1_1 in b and in a"),
    ],
)
def test_invalid_tables(tmp_path, content, error, text):
    (tmp_path / "g.csv").write_text(content)
    with pytest.raises(error, match=text):
        read_groups(str(tmp_path / "g.csv"), CORPUS)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("nowhere.csv", "neither a file nor a pattern with a capturing group"),
        ("^(spk1)_", "does not match spk2_1"),
        ("(", "neither a file nor a valid pattern"),
    ],
)
def test_invalid_sources(source, text):
    with pytest.raises(OptionError, match=text):
        read_groups(source, CORPUS)


def test_invalid_manifests_and_missing_speakers(tmp_path):
    (tmp_path / "m.json").write_text('{"spk1_1": {"wav": "x"}}')
    with pytest.raises(FormatError, match="expected a manifest with a group or speaker"):
        read_groups(str(tmp_path / "m.json"), CORPUS)
    with pytest.raises(OptionError, match="the reference of u names no speaker"):
        read_groups("speaker", {"u": Diarization("u", 1.0, [])})
