"""``sed-simulate``: options reach the simulator; wrong usage has its status and writes nothing."""

import json
import shutil

import pytest
from click.testing import CliRunner

from sed.cli.simulate import main


@pytest.fixture
def corpora(tmp_path, data):
    """A folder with a manifest.csv of two speakers, as the shared corpora have it."""
    folder = tmp_path / "corpora"
    folder.mkdir()
    rows = ["corpus,path,speaker,emotion,split"]
    for speaker in ("15", "16"):
        for emotion in ("neutral", "happy", "angry", "sad"):
            shutil.copy(data / f"emodb_{speaker}_{emotion}_1.flac", folder)
            rows.append(f"emodb,emodb_{speaker}_{emotion}_1.flac,{speaker},{emotion},train")
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_conversations(corpora, tmp_path):
    result = run(
        *(corpora, "-o", tmp_path / "out", "--conversations", 2, "--speakers", 2, "--duration", 5),
        *("--line", "telephone", "--room", 0, "--noise", 10, 20, "--format", "wav"),
    )
    assert result.exit_code == 0, result.output
    assert "2 recordings, 0.0" in result.stdout
    assert sorted(p.name for p in (tmp_path / "out" / "audio").iterdir()) == ["train000.wav", "train001.wav"]
    told = json.loads((tmp_path / "out" / "options.json").read_text())
    assert told["lines"] == {"telephone": 1.0} and told["room"] == 0 and told["noise"] == [10, 20]


def test_same_seed_same_bytes(corpora, tmp_path):
    for name in "ab":
        arguments = ("--conversations", 1, "--speakers", "2", "--duration", 5, "--seed", 7, "-q")
        result = run(corpora, "-o", tmp_path / name, *arguments)
        assert result.exit_code == 0 and result.output == ""
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) == 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_patterns_and_a_dry_recording(corpora, tmp_path):
    assert run(corpora, "-o", tmp_path / "p", "--patterns", 4).exit_code == 0
    assert len(json.loads((tmp_path / "p" / "manifest.json").read_text())) == 4
    dry = ("--conversations", 1, "--speakers", 2, "--duration", 5, "--dry")
    assert run(corpora, "-o", tmp_path / "d", *dry).exit_code == 0
    told = json.loads((tmp_path / "d" / "options.json").read_text())
    assert told["noise"] is None and told["room"] == 0 and told["lines"] == {"wide": 1.0}


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "expected either --conversations N or --patterns N"),
        (["--conversations", "1", "--patterns", "1"], 2, "expected either"),
        (["--conversations", "1", "--speakers", "two"], 2, "expected numbers from 1 on"),
        (["--conversations", "1", "--speakers", "3"], 2, "has 2 speakers: expected at least 3"),
        (["--conversations", "1", "--dry", "--line", "opus"], 2, "expected one or the other"),
        (["--conversations", "1", "--split", "test"], 1, "no utterance of splits ['test']"),
        (["--patterns", "1", "--split", "test"], 1, "no utterance of splits ['test']"),
    ],
)
def test_failures(arguments, status, text, corpora, tmp_path):
    result = run(corpora, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == status and text in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_manifest_is_told(tmp_path):
    result = run(tmp_path / "none.json", "-o", tmp_path / "out", "--patterns", 1)
    assert result.exit_code == 1 and "none.json: cannot be read" in result.stderr
