"""`sed-score`: formats, folders and lists in; tables, JSON, plots and messages on unmatched recordings out."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

from sed import formats
from sed.cli.score import main
from sed.result import Diarization, Segment

REFERENCES = [
    Diarization("one", 10.0, [Segment(2, 8, "ann", "happy")]),
    Diarization("two", 8.0, [Segment(0, 4, "bob", "sad"), Segment(4, 8, "ann", "neutral")]),
]
HYPOTHESES = [
    Diarization("one", 10.0, [Segment(2, 7, "x", "happy"), Segment(7, 8, "x", "sad")]),
    Diarization("two", 8.0, [Segment(0, 4, "x", "sad"), Segment(4, 8, "y", "neutral")]),
]


@pytest.fixture(autouse=True)
def in_folder(tmp_path, monkeypatch):
    """Run every test in its own folder, and restore the log handlers."""
    monkeypatch.chdir(tmp_path)
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers


def save(folder, corpus, suffix=".rttm"):
    folder.mkdir(parents=True, exist_ok=True)
    for item in corpus:
        formats.write(item, folder / f"{item.uri}{suffix}")
    return str(folder)


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def data_of(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["metrics"]


@pytest.mark.parametrize("suffix", [".rttm", ".json", ".csv", ".seglst.json", ".jsonl"])
def test_every_format(tmp_path, suffix):
    paths = [save(tmp_path / name, side, suffix) for name, side in (("ref", REFERENCES), ("hyp", HYPOTHESES))]
    metrics = data_of(run(*paths, "-o", "json", "--per-file"))
    assert metrics["eder"]["files"]["one"]["confusion"] == pytest.approx(1)
    assert metrics["eder"]["pooled"]["errors"] == pytest.approx(1)
    # RTTM and similar formats do not state the duration of 10 s
    assert metrics["eder"]["pooled"]["total"] == pytest.approx(
        18 if "json" in suffix and "seg" not in suffix else 16
    )
    assert metrics["der"]["value"] == 0
    assert metrics["joint"]["pooled"]["emotion_confusion"] == pytest.approx(1)


def test_zed_and_speechbrain(tmp_path):
    zed = {"one": {"wav": "a/one.wav", "duration": 10.0, "emotion": [{"emo": "happy", "start": 2, "end": 8}]}}
    (tmp_path / "ZED.json").write_text(json.dumps(zed))
    rows = [{"start": 0, "end": 2, "emotion": "n"}, {"start": 2, "end": 10.01, "emotion": "h"}]
    (tmp_path / "out.json").write_text(json.dumps({"a/one.wav": rows}))
    metrics = data_of(run("ZED.json", "out.json", "-o", "json"))
    assert list(metrics) == ["eder", "events", "boundaries"]
    assert metrics["eder"]["value"] == pytest.approx(0.2)
    compat = data_of(run("ZED.json", "out.json", "-o", "json", "-m", "eder", "--compat", "speechbrain"))
    assert compat["eder"]["macro"] == 1 - 8.0 / 10


@pytest.mark.parametrize(
    ("suffix", "total"),
    [
        (".rttm", 7.5),
        (".csv", 7.5),
        (".json", 8),
        (".textgrid", 8),
        (".parquet", 8),
        (".eaf", 8),
        (".emotionml", 8),
    ],
)
def test_the_end_of_the_recording(tmp_path, suffix, total):
    """JSON states the duration; with RTTM the recording ends with the last segment of the reference."""
    save(tmp_path, [Diarization("one", 8.0, [Segment(2, 7.5, "ann", "happy")])], suffix)
    (tmp_path / "hyp").mkdir()
    save(tmp_path / "hyp", [Diarization("one", 10.0, [Segment(2, 10, "x", "happy")])])
    result = run(f"one{suffix}", "hyp", "-o", "json")
    pooled = data_of(result)["eder"]["pooled"]
    assert (pooled["total"], pooled["false_alarm"]) == (total, total - 7.5)
    assert ("one (7.50 s)" in result.stderr) == (total == 7.5)


def test_lists_patterns_and_files(tmp_path):
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", HYPOTHESES)
    (tmp_path / "both.lst").write_text("# two files\nref/one.rttm\n\nref/two.rttm\n")
    for reference, hypothesis in (("both.lst", "hyp/*.rttm"), ("ref", "hyp")):
        assert data_of(run(reference, hypothesis, "-o", "json"))["eder"]["recordings"] == 2
    text = "".join(path.read_text() for path in sorted((tmp_path / "ref").iterdir()))
    (tmp_path / "all.rttm").write_text(text)
    assert data_of(run("all.rttm", "hyp", "-o", "json"))["eder"]["recordings"] == 2


def test_a_list_with_a_missing_file_or_without_files(tmp_path):
    save(tmp_path / "ref", REFERENCES)
    (tmp_path / "a.lst").write_text("ref/one.rttm\nref/three.rttm\n")
    (tmp_path / "b.list").write_text("# nothing\n")
    for name, text in (
        ("a.lst", "a.lst, line 2: no file ref/three.rttm"),
        ("b.list", "found a list without files"),
    ):
        result = run(name, "ref")
        assert (
            result.exit_code == 1
            and result.stdout == ""
            and text in result.stderr
            and result.stderr.count("\n") == 1
        )


def test_json_in_another_encoding(tmp_path):
    zed = {"one": {"wav": "a/one.wav", "duration": 10.0, "emotion": [{"emo": "happy", "start": 2, "end": 8}]}}
    (tmp_path / "ZED.json").write_text(json.dumps(zed), encoding="utf-16")
    (tmp_path / "out.json").write_text(json.dumps(zed), encoding="utf-16")
    assert data_of(run("ZED.json", "out.json", "-o", "json"))["eder"]["pooled"]["total"] == 10.0


def test_missing_and_extra_recordings_are_reported(tmp_path):
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", [HYPOTHESES[1], replace(HYPOTHESES[0], uri="three")])
    result = run("ref", "hyp", "-o", "json")
    assert result.exit_code == 1
    assert "no hypothesis, scored as empty: one" in result.stderr
    assert "no reference, not scored: three" in result.stderr
    data = json.loads(result.stdout)
    assert (data["missing"], data["extra"]) == (["one"], ["three"])
    assert data["metrics"]["eder"]["pooled"]["missed_emotion"] == 6
    (tmp_path / "some.uem").write_text("one 1 0 8\n")
    result = run("ref", "ref", "--uem", "some.uem")
    assert result.exit_code == 1
    assert "not in the UEM, not scored: two" in result.stderr


def test_broken_files_are_reported_and_the_rest_is_scored(tmp_path):
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", HYPOTHESES)
    (tmp_path / "hyp" / "one.rttm").write_text("SPEAKER one 1 zero 2.0\n")
    result = run("ref", "hyp", "-o", "json", "--per-file")
    assert result.exit_code == 1
    assert re.search(r"one\.rttm, line 1: ", result.stderr)
    assert json.loads(result.stdout)["metrics"]["eder"]["files"]["two"]["rate"] == 0
    alone = run("ref", "hyp/one.rttm")
    assert (alone.exit_code, alone.stdout) == (1, "")
    assert "one.rttm, line 1" in alone.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere.rttm", "hyp"), 1, "nowhere.rttm: cannot be read"),
        (("nowhere", "hyp"), 1, "nowhere: cannot be read (No such file or directory)"),
        (("ref", "hyp", "--uem", "empty.uem"), 2, "the UEM names no recording"),
        (("ref", "no*.rttm"), 1, "no file matches this pattern"),
        (("ref", "empty"), 1, "expected annotations in this folder"),
        (("twice", "hyp"), 1, "expected it in one file"),
        (("ref", "hyp", "--labels", "a=b,c"), 2, "expected old=new"),
        (("ref", "hyp", "--metric", "wer"), 2, "Invalid value"),
        (("ref", "hyp", "--collar", "-1"), 2, "a collar of -1.0 s"),
        (("ref", "hyp", "--compat", "speechbrain", "--collar", "1"), 2, "cannot be combined with a collar"),
        (("ref", "hyp", "--level", "2"), 2, "at level 2.0"),
        (("ref", "hyp", "--seed", "-1"), 2, "seed -1: expected 0 or more"),
        (("ref", "hyp", "--recording", "two"), 2, "expected --plot as well"),
        (("ref", "hyp", "--plot", "x.png"), 2, "expected --recording with one of one, two"),
        (("ref/one.rttm", "hyp/one.rttm", "--plot", "x.bmp"), 2, "expected a name that ends in"),
        (("ref",), 2, "Missing argument 'HYP'"),
    ],
)
def test_wrong_usage(tmp_path, arguments, code, message):
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", HYPOTHESES)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.uem").write_text(";; nothing\n")
    save(tmp_path / "twice" / "rttm", REFERENCES)
    save(tmp_path / "twice" / "json", REFERENCES, ".json")
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_single_recording_of_another_name(tmp_path):
    save(tmp_path, [REFERENCES[0]])
    save(tmp_path, [replace(HYPOTHESES[0], uri="output")])
    result = run("one.rttm", "output.rttm", "-o", "json")
    assert "output is scored against one" in result.stderr
    assert data_of(result)["eder"]["pooled"]["confusion"] == 1


def test_labels_collar_and_metric(tmp_path):
    save(tmp_path / "ref", [Diarization("one", 10.0, [Segment(2, 8, "ann", "hap")])], ".json")
    save(tmp_path / "hyp", [Diarization("one", 10.0, [Segment(2.1, 8, "x", "exc")])], ".json")
    arguments = ("ref", "hyp", "--labels", "hap=happy, exc=happy", "-m", "eder", "-o", "json")
    assert data_of(run(*arguments))["eder"]["value"] == pytest.approx(0.01)
    collared = data_of(run(*arguments, "--collar", "0.25"))
    assert collared["eder"]["value"] == 0
    assert list(collared) == ["eder"]


def test_tables_and_markdown(tmp_path):
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", HYPOTHESES)
    table = run("ref", "hyp", "--per-file", "--against", "ref").stdout
    assert re.search(r"^EDER +6\.25 % ", table, re.MULTILINE)
    assert re.search(r"^one +12\.50 % ", table, re.MULTILINE)
    assert "Against ref, paired by recording" in table
    assert re.search(r"^EDER +6\.25 % +0\.00 % +-6\.25 % +-[\d.]+ to 0\.00 ", table, re.MULTILINE)
    assert "\x1b" not in table
    markdown = run("ref", "hyp", "-o", "markdown").stdout
    assert re.search(r"^\| EDER \| 6\.25 % \|", markdown, re.MULTILINE)
    comparison = json.loads(run("ref", "hyp", "--against", "ref", "-o", "json").stdout)["comparison"]
    assert comparison["eder"]["difference"] == pytest.approx(-1 / 16)


def test_against_a_system_without_speakers(tmp_path):
    """Metrics of both systems are compared; those that one lacks are reported with the reason."""
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", HYPOTHESES)
    unnamed = [replace(d, segments=[replace(s, speaker=None) for s in d]) for d in HYPOTHESES]
    save(tmp_path / "other", unnamed)
    result = run("ref", "hyp", "--against", "other")
    assert result.exit_code == 0
    assert "not computed: der, joint (the hypotheses of other name no speakers)" in result.stderr
    found = json.loads(run("ref", "hyp", "--against", "other", "-o", "json").stdout)
    assert list(found["comparison"]) == ["eder", "events", "boundaries"]
    assert "der" in found["metrics"]


def test_the_system_without_a_recording_is_named(tmp_path):
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", HYPOTHESES)
    save(tmp_path / "other", HYPOTHESES[:1])
    result = run("ref", "hyp", "--against", "other")
    assert result.exit_code == 1
    assert result.stderr.endswith("\nsed-score: other: no hypothesis, scored as empty: two\n")
    assert run("ref", "other").stderr.endswith("\nsed-score: no hypothesis, scored as empty: two\n")


def test_no_boundary_is_matched(tmp_path):
    """Mean distance, its interval and differences from it are undefined."""
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", [Diarization(d.uri, d.duration, []) for d in REFERENCES])
    table = run("ref", "hyp", "--against", "ref").stdout
    assert [line.split()[2:] for line in table.splitlines() if line.startswith("Boundary error")] == [
        ["-", "-", "-", "-"],
        ["-", "0.00", "s", "-", "-", "-"],
    ]
    test = json.loads(run("ref", "hyp", "--against", "ref", "-o", "json").stdout)["comparison"]["boundaries"]
    assert (test["difference"], test["interval"], test["p_value"]) == (None, [None, None], None)


def test_plot(tmp_path):
    save(tmp_path / "ref", REFERENCES)
    save(tmp_path / "hyp", HYPOTHESES)
    assert run("ref", "hyp", "--plot", "two.png", "--recording", "two").exit_code == 0
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")


def test_help_is_fast_and_imports_no_heavy_packages():
    code = "import sys, sed.cli.score; print([m for m in ('numpy', 'scipy', 'pyannote', 'torch') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    before = time.process_time()
    assert "Exit status" in run("--help").stdout
    assert time.process_time() - before < 0.3


def test_hidden_files_of_a_folder_are_ignored(tmp_path):
    """`sed-run -d` keeps a journal beside its results."""
    for name in ("ref", "out"):
        save(tmp_path / name, REFERENCES)
    (tmp_path / "out" / ".sed-journal.jsonl").write_text('{"file": "call.wav"}\n')
    (tmp_path / "out" / ".cache").mkdir()
    (tmp_path / "out" / ".cache" / "x.rttm").write_text("nonsense")
    result = run(tmp_path / "ref", tmp_path / "out", "-m", "eder")
    assert result.exit_code == 0, result.stderr
