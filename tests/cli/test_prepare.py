"""``sed-prepare``: output, files and exit status."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from sed.cli.prepare import main
from sed.corpora.readers import READERS


@pytest.fixture
def emodb(tmp_path):
    (tmp_path / "download" / "wav").mkdir(parents=True)
    for name in ("03a01Fa", "08a01Na", "12a01Wa", "15a01Ta"):
        soundfile.write(tmp_path / "download" / "wav" / f"{name}.wav", np.zeros(1600), 16_000)
    return tmp_path / "download"


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_list_shows_every_corpus():
    result = run("--list")
    assert result.exit_code == 0
    for reader in READERS.values():
        for text in (reader.name, reader.title, reader.languages, reader.licence, reader.url):
            assert text in result.output
        assert reader.title and reader.languages and reader.licence and reader.url


def test_manifest_summary_and_warnings(emodb, tmp_path):
    result = run("emodb", emodb, "-o", tmp_path / "m.json")
    assert result.exit_code == 0
    assert "4 utterances, 4 speakers, 0.00 h; train 2 valid 1 test 1; " in result.stdout
    assert "sed-prepare: found 4 utterances, expected 535 as published" in result.stderr
    assert len(json.loads((tmp_path / "m.json").read_text())) == 4


def test_options_change_the_manifest(emodb, tmp_path):
    result = run(
        *("EMO-DB", emodb, "-o", tmp_path / "m.json", "--split", "test", "--rename", "happy=glad"),
        *("--corpus-name", "berlin", "-q"),
    )
    assert result.exit_code == 0 and result.output == ""
    rows = json.loads((tmp_path / "m.json").read_text())
    assert {row["split"] for row in rows.values()} == {"test"}
    assert rows["03a01Fa"]["emotion"] == "glad" and rows["03a01Fa"]["speaker"] == "berlin_03"


def test_seed_changes_the_splits(emodb, tmp_path):
    drawn = set()
    for seed in range(6):
        run("emodb", emodb, "-o", tmp_path / "m.json", "--split", "speakers", "--seed", seed)
        rows = json.loads((tmp_path / "m.json").read_text())
        drawn.add(tuple(row["split"] for row in rows.values()))
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["emodb", "nowhere", "-o", "m.json"], 1, "nowhere: no such file or folder"),
        (["emodb", "download", "-o", "m.json", "--strict"], 1, "expected 535 as published"),
        (["savee", "download", "-o", "m.json"], 2, "corpus 'savee': expected one of"),
        (["emodb", "download", "-o", "m.csv"], 2, "expected a manifest with the suffix .json"),
        (["emodb", "download", "-o", "m.json", "--fold", "2"], 2, "the corpus has no folds"),
        (["emodb", "download"], 2, "Missing option"),
    ],
)
def test_failures_set_the_exit_status_and_write_no_files(
    arguments, status, text, emodb, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == status and text in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["download"]


@pytest.mark.slow
def test_torch_and_pandas_are_not_imported():
    code = "import sys, sed.cli.prepare, sed.corpora.readers; print('torch' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
