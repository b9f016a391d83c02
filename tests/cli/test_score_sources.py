"""`sed-score` on files without a suffix, pipes, and names with other spellings."""

import json
import re
import shlex
import subprocess
import sys

import pytest

REF = "SPEAKER call 1 0.000 5.000 <NA> <NA> A <NA> <NA>\nSPEAKER call 1 5.000 5.000 <NA> <NA> B <NA> <NA>\n"
TWO = "SPEAKER my_call 1 0 2 <NA> <NA> A <NA> <NA>\nSPEAKER other 1 0 2 <NA> <NA> A <NA> <NA>\n"


@pytest.fixture
def shell(tmp_path):
    """Run a line of bash in which `score` is the command; returns the DER (or None) and the result."""

    def call(line):
        program = f"{shlex.quote(sys.executable)} -m sed.cli.score -m der -o json"
        line = re.sub(r"^score|(?<=\| )score", program, line)
        result = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        rate = json.loads(result.stdout)["metrics"]["der"]["pooled"]["rate"] if result.stdout else None
        return rate, result

    (tmp_path / "ref.rttm").write_text(REF)
    return call


def test_fields_that_der_does_not_use_are_not_checked(shell, tmp_path):
    """shared/cases/conf: md-eval reads both, and finds 0.00 %."""
    (tmp_path / "na.rttm").write_text(REF.replace("A <NA>", "A None").replace("B <NA>", "B NA"))
    (tmp_path / "neg.rttm").write_text(REF.replace("0.000 5.000", "-0.008 5.008"))
    for name, text in (
        (
            "na",
            "na.rttm, line 1: found confidence 'None', expected a number: read as unknown (2 of them in na.rttm)",
        ),
        ("neg", "neg.rttm, line 1: found start -0.008: the part before 0 s is ignored"),
    ):
        rate, result = shell(f"score ref.rttm {name}.rttm")
        assert (rate, result.returncode) == (0.0, 0)
        assert f"sed-score: {text}\n" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "score rttm x.rttm.scoring",
        "score <(cat rttm) <(cat x.rttm.scoring)",
        "cat rttm | score /dev/stdin x.txt",
        "score ref.lst notes.lab",
        "score <(ls $PWD/ref.rttm) notes.lab",
        "score kaldi x.rttm.scoring",
        "score kaldi labels",
    ],
)
def test_files_of_any_name(shell, tmp_path, line):
    for name in ("rttm", "x.rttm.scoring", "x.txt", "kaldi/rttm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(REF)
    (tmp_path / "kaldi" / "wav.scp").write_text("call call.wav\n")
    (tmp_path / "kaldi" / "text").write_text("call hello there\n")
    (tmp_path / "ref.lst").write_text("ref.rttm\n")
    (tmp_path / "labels").mkdir()
    for name in ("notes.lab", "labels/call.lab"):
        (tmp_path / name).write_text("0.0 5.0 A: neutral\n5.0 10.0 B: sad\n")
    rate, result = shell(line)
    assert (rate, result.returncode) == (0.0, 0), result.stderr


def test_a_folder_with_known_suffixes_is_not_searched_by_content(shell, tmp_path):
    (tmp_path / "ref").mkdir()
    (tmp_path / "ref" / "call.rttm").write_text(REF)
    (tmp_path / "ref" / "call.rttm.old").write_text(REF)
    (tmp_path / "ref" / "call.lab").write_text("hello there\n")
    rate, result = shell("score ref ref.rttm")
    assert (rate, result.returncode) == (0.0, 0), result.stderr


def test_names_that_differ_in_blanks_only_are_one_recording(shell, tmp_path):
    """Underscores in the reference, blanks in the file name; ambiguous names are not matched."""
    (tmp_path / "two.rttm").write_text(TWO)
    (tmp_path / "hyp.rttm").write_text(TWO.replace("my_call", "my%20call"))
    rate, result = shell("score two.rttm hyp.rttm")
    assert (rate, result.returncode) == (0.0, 0)
    assert "sed-score: my call is scored against my_call: the names differ in blanks only\n" in result.stderr
    (tmp_path / "hyp.rttm").write_text(
        TWO.replace("my_call", "my%20call") + TWO.replace("my_call", "my%C2%A0call")
    )
    rate, result = shell("score two.rttm hyp.rttm")
    assert result.returncode == 1 and "no hypothesis, scored as empty: my_call" in result.stderr


def test_a_recording_in_two_files_is_refused(shell, tmp_path):
    (tmp_path / "twice.lst").write_text("ref.rttm\nsecond\n")
    (tmp_path / "second").write_text(REF)
    rate, result = shell("score ref.rttm twice.lst")
    assert (rate, result.returncode) == (None, 1) and "call is in ref.rttm and in second" in result.stderr


def test_a_list_of_names_that_are_not_utf_8(shell, tmp_path):
    (tmp_path / "caf\udce9.rttm").write_text(REF)
    (tmp_path / "hyp.lst").write_bytes(b"caf\xe9.rttm\n")
    rate, result = shell("score ref.rttm hyp.lst")
    assert (rate, result.returncode) == (0.0, 0), result.stderr
