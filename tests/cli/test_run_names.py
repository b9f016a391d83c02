"""`sed-run` on recordings with unusual names, and with one of several formats failing."""

import json
import os
import re
import subprocess
import sys

import pytest

from sed import formats

JOURNAL = ".sed-journal.jsonl"
ODD = ["a b.flac", "a_b.flac", "a%20b.flac", "WhatsApp Audio 2024-12-02 at 19.27.50.flac", "caf\udce9.flac"]
ODD += ["Bildschirm\u202fvideo.flac", "zwei\nzeilen.flac", "100%.flac", "x" * 240 + ".flac"]


@pytest.fixture
def folder(angry, tmp_path):
    """Recordings with odd names."""
    (tmp_path / "in").mkdir()
    for name in ODD:
        (tmp_path / "in" / name).symlink_to(angry)
    return tmp_path / "in"


@pytest.mark.slow
def test_every_name_in_every_format_is_distinct_and_read_back(run, folder, tmp_path):
    kinds = ["rttm", "json", "csv", "seglst", "parquet"]
    result = run(folder, "-o", ",".join(kinds), "-d", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    stems = [name.removesuffix(".flac") for name in ODD]
    expected = {stem + formats.suffix(kind) for stem in stems for kind in kinds}
    assert set(os.listdir(tmp_path / "out")) == {JOURNAL, *expected}
    for stem in stems:
        found = [formats.read(tmp_path / "out" / (stem + formats.suffix(kind))) for kind in kinds]
        assert [d.uri for d in found] == [stem] * len(kinds)
        assert len({tuple((s.end, s.emotion) for s in d) for d in found[1:]}) == 1 and len(found[0])
    again = run(folder, "-o", ",".join(kinds), "-d", tmp_path / "out")
    assert (again.exit_code, f"{len(ODD)} done before" in again.stderr) == (0, True)


@pytest.mark.slow
def test_standard_output_and_scoring(run, folder, tmp_path):
    """RTTM and JSON lines of the same results, scored against each other: no name is lost."""
    result = run(folder, "-o", "rttm")
    assert result.exit_code == 0
    (tmp_path / "all.rttm").write_text(result.stdout)
    assert {len(line.split()) for line in result.stdout.splitlines()} == {10}
    assert {d.uri + ".flac" for d in formats.read_all(tmp_path / "all.rttm")} == set(ODD)
    lines = run(folder, "--json-lines")
    (tmp_path / "all.jsonl").write_text(lines.stdout)
    call = [sys.executable, "-m", "sed.cli.score", "all.jsonl", "all.rttm", "-m", "der", "--per-file"]
    for form in ("json", "table"):  # to a stream that accepts only UTF-8
        scored = subprocess.run([*call, "-o", form], cwd=tmp_path, capture_output=True, check=False)
        assert scored.returncode == 0, scored.stderr
        assert b"no hypothesis" not in scored.stderr and b"caf%E9" in scored.stdout
        if form == "json":
            assert len(json.loads(scored.stdout)["metrics"]["der"]["files"]) == len(ODD)


@pytest.mark.slow
def test_given_turns_with_names_as_written_by_other_tools(run, folder, tmp_path):
    turns = tmp_path / "turns"
    turns.write_text(
        "".join(f"SPEAKER {n} 1 0.5 1.0 <NA> <NA> Ann <NA> <NA>\n" for n in ("WhatsApp_Audio", "a%20b"))
    )
    names = [folder / "a b.flac", tmp_path / "WhatsApp Audio.flac"]
    names[1].symlink_to(folder / "a b.flac")
    result = run(*names, "--speech", turns, "-o", "jsonl")
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["uri"] for line in result.stdout.splitlines()] == ["a b", "WhatsApp Audio"]
    assert result.stdout.count('"speaker": "Ann"') >= 2


@pytest.mark.slow
def test_given_turns_from_a_pipe_are_identified_by_content(angry, tmp_path):
    shell = f"{sys.executable} -m sed.cli.run {angry} -d {tmp_path}/out --speech /dev/stdin"

    def call(end):
        line = f"SPEAKER {angry.stem} 1 0.5 {end} <NA> <NA> Ann <NA> <NA>\n"
        return subprocess.run(shell.split(), input=line, capture_output=True, text=True, check=False)

    assert call(1.0).returncode == 0
    assert [s.speaker for s in formats.read(tmp_path / "out" / f"{angry.stem}.rttm")] == ["Ann"]
    assert call(1.0).returncode == 0
    other = call(0.5)
    assert other.returncode == 2 and "holds results of other settings (speech: " in other.stderr


@pytest.mark.slow
def test_a_write_error_of_one_format_does_not_affect_others(run, angry, tmp_path):
    """A folder is in the place of the RTTM: the other formats are written, and the next run tries again."""
    out = tmp_path / "out"
    (out / f"{angry.stem}.rttm").mkdir(parents=True)
    for _ in range(2):
        result = run(angry, "-o", "rttm,json,csv", "-d", out, "--json-lines")
        assert result.exit_code == 1
        assert re.fullmatch(rf"sed-run: {out}/{angry.stem}.rttm: cannot be written \(.+\)\n", result.stderr)
        assert json.loads(result.stdout)["uri"] == angry.stem
        found = [formats.read(out / f"{angry.stem}.{kind}") for kind in ("json", "csv")]
        assert len(found[0]) == len(found[1]) > 0
    (out / f"{angry.stem}.rttm").rmdir()
    assert run(angry, "-o", "rttm,json,csv", "-d", out, "--json-lines").exit_code == 0


@pytest.mark.slow
def test_a_format_that_cannot_hold_a_result_does_not_affect_others(run, angry, tmp_path, monkeypatch):
    """Turns without an emotion cannot be EmotionML; the summary counts reasons over recordings."""
    from sed.pipeline import EmotionDiarizer
    from sed.result import Diarization, Segment

    def blank(self, source, *, uri, **options):
        return Diarization(uri, 2.0, [Segment(0.5, 1.0, "a", None)])

    monkeypatch.setattr(EmotionDiarizer, "__call__", blank)
    for name in ("one", "two"):
        (tmp_path / f"{name}.flac").symlink_to(angry)
    result = run(tmp_path, "-o", "emotionml,rttm", "-d", tmp_path / "out")
    reason = (
        "cannot be written as emotionml (a segment at 0.5 s has no emotion: EmotionML needs one for each)"
    )
    assert result.exit_code == 1 and f"sed-run: {tmp_path}/one.flac: {reason}\n" in result.stderr
    assert result.stderr.endswith(f"  2 x {reason}: {tmp_path}/one.flac and 1 more\n")
    assert sorted(os.listdir(tmp_path / "out")) == [JOURNAL, "one.rttm", "two.rttm"]


@pytest.mark.slow
def test_several_processes_report_the_same_errors(folder, tmp_path):
    (tmp_path / "out" / "a b.rttm").mkdir(parents=True)
    call = [sys.executable, "-m", "sed.cli.run", str(folder / "a b.flac"), str(folder / ODD[4])]
    call += ["-o", "rttm,json", "-d", str(tmp_path / "out"), "--workers", "2"]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and f"{tmp_path}/out/a b.rttm: cannot be written (" in result.stderr
    names = {"a b.rttm", "a b.json", "caf\udce9.rttm", "caf\udce9.json"}
    assert set(os.listdir(tmp_path / "out")) == {JOURNAL, *names}
