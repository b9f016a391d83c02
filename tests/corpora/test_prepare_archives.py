"""Corpora that are published as several archives are read from the folder that holds them."""

import json
import tarfile

import pytest
from published_trees import EXPECTED, TREES, publish

from sed.corpora.readers import PREPARERS, prepare
from sed.errors import FormatError


def rows(name, source, target):
    prepare(PREPARERS[name], source, target)
    found = json.loads(target.read_text(encoding="utf-8"))
    return {key: (row["speaker"], row["emotion"], row["split"]) for key, row in found.items()}, found


def emovdb_as_on_openslr(place, form="tar.gz"):
    """An archive for each speaker and emotion, the files in it without their folder."""
    folders = {name.split("/")[0] for name in TREES["emovdb"] if "/" in name}
    for folder in folders:
        inside = {
            name.removeprefix(folder + "/"): data
            for name, data in TREES["emovdb"].items()
            if name.startswith(folder + "/")
        }
        publish(inside, place / folder, form)
    publish({"cmuarctic.data": TREES["emovdb"]["cmuarctic.data"]}, place)
    return place


@pytest.mark.parametrize("form", ["tar.gz", "zip"])
def test_emovdb_in_an_archive_for_each_speaker_and_emotion(form, tmp_path):
    source = emovdb_as_on_openslr(tmp_path / "p", form)
    found, told = rows("emovdb", source, tmp_path / "m.json")
    assert {key: value[:2] for key, value in found.items()} == {
        key: value[:2] for key, value in EXPECTED["emovdb"].items()
    }
    assert told["bea_neutral_1-28_0001"]["text"].startswith("Author of the danger trail")
    unpacked = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "m_audio").rglob("*.wav"))
    assert unpacked == sorted(f"m_audio/{name}" for name in TREES["emovdb"] if name.endswith(".wav"))


def test_meld_raw_with_its_parts_still_packed(tmp_path):
    """MELD.Raw.tar.gz has an archive a split in it; that of the training films has their table too."""
    parts = {"train": "train", "dev": "dev", "test": "output_repeated"}
    for part, prefix in parts.items():
        inside = {
            name.removeprefix("MELD.Raw/"): data
            for name, data in TREES["meld"].items()
            if name.startswith((f"MELD.Raw/{prefix}_", f"MELD.Raw/{part}_splits"))
        }
        publish(inside, tmp_path / "MELD.Raw" / part, "tar.gz")
    publish({"test_sent_emo.csv": TREES["meld"]["MELD.Raw/test_sent_emo.csv"]}, tmp_path / "MELD.Raw")
    found, _ = rows("meld", tmp_path / "MELD.Raw", tmp_path / "m.json")
    assert found == EXPECTED["meld"]


def test_audio_that_is_unpacked_already_is_taken_where_it_lies(tmp_path):
    place = emovdb_as_on_openslr(tmp_path / "p")
    loose = "sam/Disgusted/disgust_57-84_0057.wav"
    publish({loose: TREES["emovdb"][loose]}, place)
    found, _ = rows("emovdb", place, tmp_path / "m.json")
    assert set(found) == {"sam_disgust_57-84_0057"}
    assert not (tmp_path / "m_audio").exists()


def test_one_damaged_archive_of_many_is_named_and_nothing_is_left(tmp_path):
    place = emovdb_as_on_openslr(tmp_path / "p")
    bad = place / "josh_Sleepy.tar.gz"
    bad.write_bytes(bad.read_bytes()[:-200])
    with pytest.raises(FormatError, match=r"josh_Sleepy\.tar\.gz: the archive cannot be read"):
        prepare(PREPARERS["emovdb"], place, tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("form", "place"), [("tar.gz", -8), ("tar.bz2", -8), ("zip", 2000)])
def test_an_archive_whose_checksum_is_wrong_is_refused(form, place, tmp_path):
    """That of a TAR lies behind all that is compressed, where nobody reads who wants its files only."""
    source = publish(TREES["ravdess"], tmp_path / "p", form)
    data = bytearray(source.read_bytes())
    data[place] ^= 0xFF
    source.write_bytes(data)
    with pytest.raises(FormatError, match="the archive cannot be read"):
        prepare(PREPARERS["ravdess"], source, tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists()


def test_a_tar_with_a_damaged_header_is_refused(tmp_path):
    """Python's tarfile takes such a header for the end of the archive."""
    source = publish(TREES["ravdess"], tmp_path / "p", "tar")
    with tarfile.open(source) as tar:
        header = tar.getmembers()[4].offset
    data = bytearray(source.read_bytes())
    data[header : header + 100] = b"x" * 100
    source.write_bytes(data)
    with pytest.raises(FormatError, match="a header in it is damaged"):
        prepare(PREPARERS["ravdess"], source, tmp_path / "m.json")


def test_a_manifest_beside_its_archives_can_be_made_again(tmp_path):
    place = emovdb_as_on_openslr(tmp_path / "p")
    first, _ = rows("emovdb", place, place / "m.json")
    assert rows("emovdb", place, place / "m.json")[0] == first and len(first) == len(EXPECTED["emovdb"])


def test_folders_behind_links_are_read_once_and_circles_end(tmp_path):
    publish(TREES["ravdess"], tmp_path / "real")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "p" / "again").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "real")
    report = prepare(PREPARERS["ravdess"], tmp_path / "p", tmp_path / "m.json")
    assert {row.id for row in report.utterances} == set(EXPECTED["ravdess"])
    assert not [text for text in report.problems if "already" in text]
