"""`sed-convert`: every format into every other, losses stated, nothing overwritten, a folder with a bad file."""

import numpy as np
import pytest
from click.testing import CliRunner

from sed import formats
from sed.cli.convert import main
from sed.result import Diarization, Segment

LABELS = ("neutral", "happy", "angry", "sad")
P = {"neutral": 0.25, "happy": 0.125, "angry": 0.5, "sad": 0.125}
CALL = Diarization(
    "call",
    9.5,
    [Segment(0.5, 2.0, "ann", "angry", 0.5, P, {"arousal": 0.75}), Segment(2.0, 8.0, "bob", "sad", 0.25, P)],
    LABELS,
    np.full((475, 4), 0.25, np.float32),
    dimensions=("arousal",),
)
WRITTEN = [name for name in formats.names() if name in formats.readable()]


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def call(tmp_path):
    formats.write(CALL, tmp_path / "call.json")
    return tmp_path / "call.json"


@pytest.mark.parametrize("source", WRITTEN)
@pytest.mark.parametrize("target", formats.names())
def test_every_format_becomes_every_other(source, target, tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / f"call{formats.suffix(source)}"
    formats.write(CALL, path, source)
    done = run(path, "-o", target, "-d", tmp_path / "out")
    if source == "speechbrain" and done.exit_code:  # it has no speakers
        pytest.fail(done.output)
    assert done.exit_code == 0, done.output
    (written,) = (tmp_path / "out").iterdir()
    assert written.name == f"call{formats.suffix(target)}"
    if target in formats.readable():
        before, after = formats.read(path, source), formats.read(written, target)
        assert [(s.start, s.end, s.emotion) for s in after] == [(s.start, s.end, s.emotion) for s in before]
        for what in ("speaker", "confidence", "probabilities", "dimensions"):
            kept = [getattr(s, what) for s in after] == [getattr(s, what) for s in before]
            assert kept or what.removesuffix("ies") in done.stderr, (what, done.stderr)


def test_the_sentence_names_what_is_lost_and_nothing_else(call, tmp_path):
    done = run(call, "-o", "rttm")
    assert done.stdout.splitlines()[0] == "SPEAKER call 1 0.500 1.500 angry <NA> ann 0.50 <NA>"
    assert done.stderr == (
        "sed-convert: rttm cannot hold, so left out: probabilities (1 recording), dimensions (1 recording), "
        "frame posteriors (1 recording), the duration of the recording (1 recording)\n"
    )
    assert run(call, "-o", "jsonl").stderr == ""
    assert run(call, "-o", "parquet", "-d", tmp_path / "o").stderr.endswith(
        "left out: frame posteriors (1 recording)\n"
    )
    assert run(call, "-o", "rttm", "-q").stderr == ""


def test_nothing_is_overwritten_without_force(call, tmp_path):
    target = tmp_path / "x.rttm"
    target.write_text("mine")
    done = run(call, "-o", target)
    assert (done.exit_code, target.read_text()) == (1, "mine")
    assert f"{target}: exists, expected a new file (or --force)" in done.stderr
    assert run(call, "-o", target, "--force").exit_code == 0 and "ann" in target.read_text()
    done = run(call, "-o", "json", "-d", tmp_path, "--force")
    assert done.exit_code == 1 and "is the input itself" in done.stderr and formats.read(call) == CALL


def test_a_folder_keeps_its_structure_and_goes_on_past_a_bad_file(call, tmp_path):
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    call.rename(folder / "a" / "call.json")
    formats.write(CALL, folder / "call.csv")
    (folder / "bad.json").write_text("{")
    (folder / ".sed-journal.jsonl").write_text("{}\n")
    (folder / "page.html").write_text("<!doctype html>")
    done = run(folder, "-o", "seglst", "-d", tmp_path / "out")
    assert done.exit_code == 1 and "bad.json" in done.stderr.splitlines()[0]
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert found == ["a/call.seglst.json", "call.seglst.json"]


def test_several_recordings(tmp_path):
    lines = tmp_path / "all.rttm"
    lines.write_text("SPEAKER b 1 0 1 sad <NA> x <NA> <NA>\nSPEAKER ../a 1 0 1 sad <NA> x <NA> <NA>\n")
    assert run(lines, "-o", "json", "-d", tmp_path / "out").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "b.json"]
    done = run(lines, "-o", tmp_path / "x.json")
    assert (
        done.exit_code == 2 and "expected a folder (-d)" in done.stderr and not (tmp_path / "x.json").exists()
    )
    assert run(tmp_path / "out", "-o", tmp_path / "x.rttm").exit_code == 0
    assert len(formats.read_all(tmp_path / "x.rttm")) == 2
    twins = run(lines, tmp_path / "out" / "a.json", "-o", "csv", "-d", tmp_path / "csv")
    assert twins.exit_code == 1 and "expected names that differ" in twins.stderr


def test_a_page_finds_its_recording_by_name(call, tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "call.wav").write_bytes(b"RIFF")
    assert run(call, "-o", "html", "-d", tmp_path / "out", "--audio", tmp_path / "audio").exit_code == 0
    assert '"audio":"../audio/call.wav"' in (tmp_path / "out" / "call.html").read_text()
    done = run(call, "-o", "rttm", "--audio", tmp_path)
    assert done.exit_code == 2 and "html only" in done.stderr


@pytest.mark.parametrize("output", ["nonsense", "x.lab", "x.unknown"])
def test_unknown_targets_are_refused(call, output):
    done = run(call, "-o", output)
    assert done.exit_code == 2 and "expected one of" in done.stderr
