"""Corpora published as several archives, read from the folder with these archives; damaged archives."""

import json
import tarfile

import pytest
from published_trees import EXPECTED, TREES, publish

from sed.corpora.readers import READERS, prepare
from sed.errors import FormatError


def prepared(name, source, target):
    """Speaker, emotion and split of each row of the manifest, and its full rows."""
    prepare(READERS[name], source, target)
    rows = json.loads(target.read_text(encoding="utf-8"))
    return {key: (row["speaker"], row["emotion"], row["split"]) for key, row in rows.items()}, rows


def emovdb_as_on_openslr(place, form="tar.gz"):
    """One archive per speaker and emotion, whose files are not in a folder."""
    folders = {name.split("/")[0] for name in TREES["emovdb"] if "/" in name}
    for folder in folders:
        files = {
            name.removeprefix(folder + "/"): data
            for name, data in TREES["emovdb"].items()
            if name.startswith(folder + "/")
        }
        publish(files, place / folder, form)
    publish({"cmuarctic.data": TREES["emovdb"]["cmuarctic.data"]}, place)
    return place


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_emovdb_in_one_archive_per_speaker_and_emotion(form, tmp_path):
    source = emovdb_as_on_openslr(tmp_path / "p", form)
    found, rows = prepared("emovdb", source, tmp_path / "m.json")
    assert {key: value[:2] for key, value in found.items()} == {
        key: value[:2] for key, value in EXPECTED["emovdb"].items()
    }
    assert rows["bea_neutral_1-28_0001"]["text"].startswith("Author of the danger trail")
    extracted = sorted(
        path.relative_to(tmp_path).as_posix() for path in (tmp_path / "m_audio").rglob("*.wav")
    )
    assert extracted == sorted(f"m_audio/{name}" for name in TREES["emovdb"] if name.endswith(".wav"))


def test_meld_raw_with_nested_archives(tmp_path):
    """MELD.Raw.tar.gz has one archive per split; the archives of train and dev include their label file."""
    parts = {"train": "train", "dev": "dev", "test": "output_repeated"}
    for part, prefix in parts.items():
        files = {
            name.removeprefix("MELD.Raw/"): data
            for name, data in TREES["meld"].items()
            if name.startswith((f"MELD.Raw/{prefix}_", f"MELD.Raw/{part}_splits"))
        }
        publish(files, tmp_path / "MELD.Raw" / part, "tar.gz")
    publish({"test_sent_emo.csv": TREES["meld"]["MELD.Raw/test_sent_emo.csv"]}, tmp_path / "MELD.Raw")
    found, _ = prepared("meld", tmp_path / "MELD.Raw", tmp_path / "m.json")
    assert found == EXPECTED["meld"]


def test_archives_beside_audio_files_are_not_read(tmp_path):
    place = emovdb_as_on_openslr(tmp_path / "p")
    loose = "sam/Disgusted/disgust_57-84_0057.wav"
    publish({loose: TREES["emovdb"][loose]}, place)
    found, _ = prepared("emovdb", place, tmp_path / "m.json")
    assert set(found) == {"sam_disgust_57-84_0057"}
    assert not (tmp_path / "m_audio").exists()


def test_one_damaged_archive_of_many_is_named_and_leaves_no_files(tmp_path):
    place = emovdb_as_on_openslr(tmp_path / "p")
    bad = place / "josh_Sleepy.tar.gz"
    bad.write_bytes(bad.read_bytes()[:-200])
    with pytest.raises(FormatError, match=r"josh_Sleepy\.tar\.gz: the archive cannot be read"):
        prepare(READERS["emovdb"], place, tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("form", "place"), [("tar.gz", -8), ("tar.bz2", -8), ("zip", 2000)])
def test_archives_with_a_wrong_checksum_raise(form, place, tmp_path):
    """The checksum of a compressed TAR is after the data, where reading the members does not reach it."""
    source = publish(TREES["ravdess"], tmp_path / "p", form)
    data = bytearray(source.read_bytes())
    data[place] ^= 0xFF
    source.write_bytes(data)
    with pytest.raises(FormatError, match="the archive cannot be read"):
        prepare(READERS["ravdess"], source, tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists()


def test_tar_with_a_damaged_header_raises(tmp_path):
    """tarfile treats such a header as the end of the archive."""
    source = publish(TREES["ravdess"], tmp_path / "p", "tar")
    with tarfile.open(source) as tar:
        header = tar.getmembers()[4].offset
    data = bytearray(source.read_bytes())
    data[header : header + 100] = b"x" * 100
    source.write_bytes(data)
    with pytest.raises(FormatError, match="a header is damaged"):
        prepare(READERS["ravdess"], source, tmp_path / "m.json")


def test_prepare_can_be_repeated_beside_the_archives(tmp_path):
    place = emovdb_as_on_openslr(tmp_path / "p")
    first, _ = prepared("emovdb", place, place / "m.json")
    assert prepared("emovdb", place, place / "m.json")[0] == first and len(first) == len(EXPECTED["emovdb"])


def test_linked_folders_are_read_once_and_link_cycles_end(tmp_path):
    publish(TREES["ravdess"], tmp_path / "real")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "p" / "again").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "real")
    report = prepare(READERS["ravdess"], tmp_path / "p", tmp_path / "m.json")
    assert {row.id for row in report.utterances} == set(EXPECTED["ravdess"])
    assert not [text for text in report.problems if "duplicate" in text]
