"""``sed-simulate``: options, files and exit status; failures write no files."""

import json
import shutil

import pytest
from click.testing import CliRunner

from sed.cli.simulate import main


@pytest.fixture
def corpora(tmp_path, data):
    """A folder with a manifest.csv of two speakers, in the format of the shared corpora."""
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
    settings = json.loads((tmp_path / "out" / "options.json").read_text())
    assert settings["lines"] == {"telephone": 1.0}
    assert settings["room"] == 0 and settings["noise"] == [10, 20]


@pytest.mark.slow
def test_same_seed_gives_the_same_bytes(corpora, tmp_path):
    for name in "ab":
        arguments = ("--conversations", 1, "--speakers", "2", "--duration", 5, "--seed", 7, "-q")
        result = run(corpora, "-o", tmp_path / name, *arguments)
        assert result.exit_code == 0 and result.output == ""
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) == 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_patterns_and_a_dry_conversation(corpora, tmp_path):
    assert run(corpora, "-o", tmp_path / "p", "--patterns", 4).exit_code == 0
    assert len(json.loads((tmp_path / "p" / "manifest.json").read_text())) == 4
    dry = ("--conversations", 1, "--speakers", 2, "--duration", 5, "--dry")
    assert run(corpora, "-o", tmp_path / "d", *dry).exit_code == 0
    settings = json.loads((tmp_path / "d" / "options.json").read_text())
    assert settings["noise"] is None and settings["room"] == 0 and settings["lines"] == {"wide": 1.0}


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "expected either --conversations N or --patterns N"),
        (["--conversations", "1", "--patterns", "1"], 2, "expected either"),
        (["--conversations", "1", "--speakers", "two"], 2, "expected positive integers"),
        (["--conversations", "1", "--speakers", "3"], 2, "has 2 speakers, expected at least 3"),
        (["--conversations", "1", "--dry", "--line", "opus"], 2, "--dry cannot be combined with"),
        (
            ["--conversations", "1", "--speakers", "2", "--noise", "30", "10"],
            2,
            "noise (30.0, 10.0): expected a range",
        ),
        (["--conversations", "1", "--speakers", "2", "--noise", "nan", "nan"], 2, "expected a range in dB"),
        (["--conversations", "1", "--seed", "-1"], 2, "-1 is not in the range x>=0"),
        (
            ["--patterns", "1", "--duration", "5"],
            2,
            "--duration cannot be combined with --patterns: it applies to --conversations",
        ),
        (["--patterns", "1", "--dry"], 2, "--dry cannot be combined with --patterns"),
        (["--conversations", "1", "--split", "test"], 1, "no utterance of splits ['test']"),
        (["--patterns", "1", "--split", "test"], 1, "no utterance of splits ['test']"),
    ],
)
def test_failures(arguments, status, text, corpora, tmp_path):
    result = run(corpora, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == status and text in result.stderr
    assert not (tmp_path / "out").exists()


def test_missing_manifest_is_an_error(tmp_path):
    result = run(tmp_path / "none.json", "-o", tmp_path / "out", "--patterns", 1)
    assert result.exit_code == 1 and "none.json: cannot be read" in result.stderr


def test_output_folder_in_a_file_is_an_error(corpora, tmp_path):
    (tmp_path / "file.txt").write_text("a file")
    result = run(corpora, "-o", tmp_path / "file.txt" / "out", "--patterns", 1)
    assert result.exit_code == 1 and "file.txt/out: cannot be created (Not a directory)" in result.stderr


def test_manifest_in_another_encoding_or_format_is_an_error(corpora, tmp_path):
    table = corpora / "manifest.csv"
    (corpora / "cp1252.csv").write_bytes(table.read_text().replace("emodb,", "émodb,").encode("cp1252"))
    for path in (corpora / "cp1252.csv", corpora / "emodb_15_neutral_1.flac"):
        result = run(path, "-o", tmp_path / "out", "--patterns", 1)
        assert result.exit_code == 1 and f"{path}: cannot be read (it " in result.stderr


def test_speaker_names_with_blanks(corpora, tmp_path):
    table = corpora / "manifest.csv"
    table.write_text(table.read_text().replace(",15,", ",Dr. Green,"))
    assert run(corpora, "-o", tmp_path / "p", "--patterns", 4).exit_code == 0
    conversation = ("--conversations", 1, "--speakers", 2, "--duration", 5, "--dry")
    assert run(corpora, "-o", tmp_path / "c", *conversation).exit_code == 0
    for file in [*(tmp_path / "p" / "rttm").iterdir(), *(tmp_path / "c" / "rttm").iterdir()]:
        names = {line.split()[7] for line in file.read_text().splitlines() if line.startswith("SPEAKER")}
        assert names <= {"emodb/Dr._Green", "emodb/16"}


def test_one_speaker_of_two_corpora(corpora, tmp_path):
    table = corpora / "manifest.csv"
    table.write_text(table.read_text().replace("\nemodb,emodb_15", "\nberlin,emodb_15"))
    conversations = ("--conversations", 2, "--speakers", 1, "--duration", 2, "--dry")
    assert "2 recordings" in run(corpora, "-o", tmp_path / "c", *conversations).stdout
