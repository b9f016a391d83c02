"""`sed-score` reports what its values are based on: scored time, labels, groups; and no value without scored time."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sed import formats
from sed.cli.score import main
from sed.result import Diarization, Segment

REFERENCE = Diarization("call", 10.0, [Segment(0, 10, "ann", "happy")])
OWN = [Segment(0, 8, "x", "happy"), Segment(8, 10, "x", "sad")]
HONEST = Diarization("call", 10.0, OWN)
GAMING = Diarization("call", 100.0, [*OWN, Segment(10, 100, "x", "neutral")])


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers


def write(name, *items):
    for item in items:
        formats.write(item, name if len(items) == 1 else f"{name}/{item.uri}.rttm")
    return name


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def eder_of(result, system=None):
    data = json.loads(result.stdout)
    return (data[system] if system else data)["metrics"]["eder"]


def test_neutral_after_the_end_is_no_advantage(caplog):
    names = [
        write(name, item) for name, item in (("r.rttm", REFERENCE), ("h.rttm", HONEST), ("g.rttm", GAMING))
    ]
    alone = run(names[0], names[2], "-o", "json")
    assert eder_of(alone)["value"] == pytest.approx(0.2)
    assert (
        "scored up to the end of the reference's last segment (--uem sets another region): call (10.00 s)"
        in alone.stderr
    )
    assert "hypotheses are not scored after the end of the recording: call" in caplog.text
    both = run(*names[:2], "--against", names[2], "-o", "json", "--per-file")
    assert eder_of(both)["pooled"]["total"] == eder_of(both, "against")["pooled"]["total"] == 10
    assert json.loads(both.stdout)["comparison"]["eder"]["difference"] == 0
    assert json.loads(both.stdout)["regions"] == {"call": [[0, 10]]}
    assert "g.rttm: hypotheses are not scored after the end of the recording: call" in caplog.text


def test_both_systems_are_scored_up_to_the_same_end():
    write("r.rttm", REFERENCE)
    write("h.rttm", HONEST)
    write("j.json", Diarization("call", 12.0, OWN))
    write("k.json", Diarization("call", 90.0, OWN))
    for pair in (("h.rttm", "j.json"), ("j.json", "h.rttm"), ("j.json", "k.json"), ("k.json", "j.json")):
        result = run("r.rttm", pair[0], "--against", pair[1], "-o", "json")
        assert eder_of(result)["pooled"]["total"] == eder_of(result, "against")["pooled"]["total"] == 12
        assert "the one that the hypothesis states" in result.stderr and "call (12.00 s)" in result.stderr
        assert ("hypotheses state different durations" in result.stderr) == ("k.json" in pair)


def test_ends_are_determined_per_recording(tmp_path):
    """One RTTM among JSON references must not change the ends of the others."""
    for folder in ("ref", "hyp"):
        (tmp_path / folder).mkdir()
    write("ref/a.json", Diarization("a", 10.0, [Segment(0, 8, "ann", "sad")]))
    write("ref/b.rttm", Diarization("b", 8.0, [Segment(0, 8, "ann", "sad")]))
    for name in "ab":
        write(f"hyp/{name}.rttm", Diarization(name, 30.0, [Segment(0, 30, "x", "sad")]))
    result = run("ref", "hyp", "-o", "json", "--per-file")
    assert {uri: row["total"] for uri, row in eder_of(result)["files"].items()} == {"a": 10, "b": 8}
    assert (
        "no duration is stated" in result.stderr
        and "segment (--uem sets another region): b (8.00 s)" in result.stderr
    )


def test_a_single_recording_of_another_name_keeps_its_duration():
    write("r.rttm", REFERENCE)
    write("out.json", Diarization("out", 12.0, OWN))
    assert eder_of(run("r.rttm", "out.json", "-o", "json"))["pooled"]["total"] == 12


@pytest.mark.parametrize("output", ["table", "markdown", "json"])
@pytest.mark.parametrize("case", ["other name", "0 s", "collar"])
def test_no_value_without_scored_time(output, case):
    reference = write("r.json", Diarization("call", 0.0, []) if case == "0 s" else REFERENCE)
    options = {
        "other name": ["--uem", "other.uem"],
        "0 s": [],
        "collar": ["--collar", "20", "-m", "eder", "-m", "der"],
    }
    with open("other.uem", "w") as file:
        file.write("other 1 0 30\n")
    hypothesis = write("h.json", REFERENCE)
    for against in ([], ["--against", write("k.json", HONEST)]):
        result = run(reference, hypothesis, "-o", output, "--per-file", *options[case], *against)
        assert result.exit_code == 1
        assert re.search(
            r"^sed-score: not computed: eder, der\b.* \(no second is scored: ", result.stderr, re.MULTILINE
        )
        if output == "json":
            data = json.loads(result.stdout)
            assert {row["value"] for row in data["metrics"].values()} == {None}
            assert set(data["not_computed"]) == set(data["metrics"])
        else:
            assert "not computed" in result.stdout
            assert not re.search(r"\b(0|100)\.00 %|\bnan\b", result.stdout)


def test_recordings_of_the_uem_without_a_reference_are_reported():
    """They dilute an error rate, so a misspelt name must be reported."""
    write("r.rttm", REFERENCE)
    with open("some.uem", "w") as file:
        file.write("call 1 0 10\ncal1 1 0 10\n")
    result = run("r.rttm", "r.rttm", "--uem", "some.uem")
    assert "in the UEM without a reference, scored as an empty reference: cal1" in result.stderr


def test_spellings_of_labels_are_merged_and_reported(caplog):
    write("r.rttm", REFERENCE)
    spelt = write(
        "h.rttm", Diarization("call", 10.0, [Segment(0, 8, "x", "Happy"), Segment(8, 10, "x", "joy")])
    )
    result = run("r.rttm", spelt, "-o", "json")
    assert eder_of(result)["value"] == pytest.approx(0.2) and result.exit_code == 0
    assert "labels read as others: 'Happy' as 'happy' (--labels Happy=happy; " in caplog.text
    assert "labels in the hypotheses only: joy (if they mean the same: --labels joy=happy)" in caplog.text
    assert json.loads(result.stdout)["labels"] == {
        "renamed": {"Happy": "happy"},
        "only_reference": [],
        "only_hypothesis": ["joy"],
    }
    corrected = run("r.rttm", spelt, "-o", "json", "--labels", "joy=happy")
    assert eder_of(corrected)["value"] == 0
    caplog.clear()
    apart = run("r.rttm", spelt, "-o", "json", "--labels", "Happy=Happy")
    assert eder_of(apart)["value"] == 1 and "read as others" not in caplog.text


def test_warnings_reach_standard_error():
    write("r.rttm", REFERENCE)
    write("h.rttm", Diarization("call", 12.0, [Segment(0, 12, "x", "Happy")]))
    command = [sys.executable, "-m", "sed.cli.score", "r.rttm", "h.rttm"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and all(line.startswith("sed-score: ") for line in lines)
    assert any("'Happy' as 'happy'" in line for line in lines)


def test_groups():
    corpus = [Diarization(f"spk{n % 3}_{n}", 10.0, [Segment(0, 10, f"s{n % 3}", "sad")]) for n in range(9)]
    claims = [
        Diarization(
            d.uri, 10.0, [Segment(0, 2 + 3 * (n % 3), "x", "happy"), Segment(2 + 3 * (n % 3), 10, "x", "sad")]
        )
        for n, d in enumerate(corpus)
    ]
    for folder, items in (("ref", corpus), ("hyp", claims)):
        Path(folder).mkdir()
        write(folder, *items)
    with open("g.csv", "w") as file:
        file.write("file,group\n" + "".join(f"{d.uri},{d.uri[:4]}\n" for d in corpus))
    intervals = set()
    for source in ("speaker", "^(spk.)_", "g.csv"):
        result = run("ref", "hyp", "--group", source)
        assert "9 recordings in 3 groups, bootstrap intervals over groups at 95 %" in result.stdout
        row = eder_of(run("ref", "hyp", "--group", source, "-o", "json"))
        assert row["groups"] == 3
        intervals.add(tuple(row["interval"]))
    assert len(intervals) == 1
    assert "paired by group" in run("ref", "hyp", "--against", "ref", "--group", "speaker").stdout
    wrong = run("ref", "hyp", "--group", "h.csv")
    assert wrong.exit_code == 2 and wrong.stderr.splitlines()[-1].startswith(
        "sed-score: --group 'h.csv': neither a file"
    )


def test_zed_against_itself_has_no_error_for_speechbrain(shared):
    import csv

    rows = csv.DictReader((shared / "corpora" / "zed_boundaries.csv").open())
    data = {
        row["id"]: {
            "wav": f"datafolder/{row['id']}.wav",
            "duration": float(row["duration"]),
            "emotion": [{"emo": row["emo"], "start": float(row["start"]), "end": float(row["end"])}],
        }
        for row in rows
    }
    with open("ZED.json", "w") as file:
        json.dump(data, file)
    result = run("ZED.json", "ZED.json", "-m", "eder", "--compat", "speechbrain", "-o", "json")
    assert result.exit_code == 0 and result.stderr == ""
    assert eder_of(result)["value"] == pytest.approx(0, abs=1e-9)
    grouped = run("ZED.json", "ZED.json", "-m", "eder", "--group", "^(spk[0-9]+)_")
    assert "180 recordings in 73 groups" in grouped.stdout and "0.00 - 4.93 (exact)" not in grouped.stdout


def test_the_plot_shows_the_scored_time(monkeypatch):
    """No differences are drawn after the end or between spellings."""
    import sed.plot.timeline

    drawn = []
    real = sed.plot.timeline._differences
    monkeypatch.setattr(sed.plot.timeline, "_differences", lambda *a: drawn.append(real(*a)) or drawn[-1])
    write("r.rttm", REFERENCE)
    write("h.rttm", Diarization("call", 50.0, [Segment(0, 8, "x", "Happy"), Segment(8, 50, "x", "zeal")]))
    assert run("r.rttm", "h.rttm", "--plot", "a.png").exit_code == 0
    assert drawn[0].tolist() == [[8, 10]]
