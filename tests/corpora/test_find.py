"""Corpora are found below one folder by their own files: in folders of any name, in archives, as EmoV-DB's parts."""

import pytest
import zed_trees
from published_trees import TREES, publish, without

from sed.corpora.find import find_corpora
from sed.corpora.prepare import Options, prepare
from sed.corpora.readers import READERS, find_reader
from sed.errors import FormatError, OptionError

NAMES = ["ravdess", "esd", "iemocap", "jl", "emovdb", "zed"]


def test_every_corpus_that_can_be_found_has_an_example_of_its_own():
    assert {name for name, reader in READERS.items() if reader.signature} == set(NAMES)
    import re

    for name in NAMES:
        matching = [
            other for other in NAMES if re.fullmatch(READERS[other].signature, READERS[name].example, re.I)
        ]
        assert matching == [name]


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
def test_each_is_found_and_prepared_from_where_it_was_found(tmp_path, form):
    for name in NAMES:
        publish(TREES[name], tmp_path / "data" / "more" / f"x-{name}", form)
    found = find_corpora(tmp_path / "data", NAMES)
    assert list(found) == NAMES
    for name, source in found.items():
        assert f"x-{name}" in str(source)
        report = prepare(find_reader(name), source, tmp_path / "m" / f"{name}.json", Options())
        assert report.utterances


@pytest.mark.slow
def test_emovdb_is_found_as_the_folder_of_its_archives(tmp_path):
    files = zed_trees.emovdb()
    for part in sorted({name.split("/")[1] for name in files}):
        inside = {name.split("/")[2]: data for name, data in files.items() if f"/{part}/" in name}
        publish(inside, tmp_path / "data" / "openslr-115" / part, "tar.gz")
    publish(TREES["ravdess"], tmp_path / "data" / "RAVDESS")
    found = find_corpora(tmp_path / "data", ["emovdb", "ravdess"])
    assert found["emovdb"] == tmp_path / "data" / "openslr-115"
    report = prepare(find_reader("emovdb"), found["emovdb"], tmp_path / "m" / "e.json", Options())
    assert len(report.utterances) == len(files) == 22


def test_the_original_is_preferred_to_a_part_of_it(tmp_path):
    publish(TREES["ravdess"], tmp_path / "whole")
    publish(without(TREES["ravdess"], "Actor_01", "Actor_02"), tmp_path / "a" / "part")
    assert find_corpora(tmp_path, ["ravdess"]) == {"ravdess": tmp_path / "whole"}


def test_what_is_missing_is_one_sentence(tmp_path):
    publish(TREES["jl"], tmp_path / "jl")
    with pytest.raises(
        FormatError, match=r"found jl in .*, expected also Zaion Emotion Dataset.*from https://zaion"
    ):
        find_corpora(tmp_path, ["jl", "zed"])
    with pytest.raises(FormatError, match="found none of the corpora, expected also"):
        find_corpora(tmp_path, ["zed"])
    with pytest.raises(FormatError, match="found no such folder, expected one with JL-Corpus"):
        find_corpora(tmp_path / "none", ["jl"])
    with pytest.raises(OptionError, match="corpus 'timit'"):
        find_corpora(tmp_path, ["timit"])
