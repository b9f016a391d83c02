"""`sed-score` on annotations as people have them: without a suffix, through pipes, with names spelt otherwise."""

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
    """Runs a line of bash in which `score` is the command; returns the DER, None if there is none, and all of it."""

    def call(line):
        program = f"{shlex.quote(sys.executable)} -m sed.cli.score -m der -o json"
        line = re.sub(r"^score|(?<=\| )score", program, line)
        told = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        rate = json.loads(told.stdout)["metrics"]["der"]["pooled"]["rate"] if told.stdout else None
        return rate, told

    (tmp_path / "ref.rttm").write_text(REF)
    return call


def test_what_der_does_not_use_is_not_checked(shell, tmp_path):
    """shared/cases/conf: md-eval reads both, and finds 0.00 %."""
    (tmp_path / "na.rttm").write_text(REF.replace("A <NA>", "A None").replace("B <NA>", "B NA"))
    (tmp_path / "neg.rttm").write_text(REF.replace("0.000 5.000", "-0.008 5.008"))
    for name, told in (
        (
            "na",
            "na.rttm, line 1: found confidence 'None', expected a number: read as unknown (2 of them in na.rttm)",
        ),
        ("neg", "neg.rttm, line 1: found start -0.008: the part before 0 s is ignored"),
    ):
        rate, result = shell(f"score ref.rttm {name}.rttm")
        assert (rate, result.returncode) == (0.0, 0)
        assert f"sed-score: {told}\n" in result.stderr


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
    rate, told = shell(line)
    assert (rate, told.returncode) == (0.0, 0), told.stderr


def test_a_folder_with_suffixes_is_not_searched_for_more(shell, tmp_path):
    (tmp_path / "ref").mkdir()
    (tmp_path / "ref" / "call.rttm").write_text(REF)
    (tmp_path / "ref" / "call.rttm.old").write_text(REF)
    (tmp_path / "ref" / "call.lab").write_text("hello there\n")
    rate, told = shell("score ref ref.rttm")
    assert (rate, told.returncode) == (0.0, 0), told.stderr


def test_names_that_differ_in_blanks_only_are_one_recording(shell, tmp_path):
    """Underscores in the reference, blanks in the file's name; what has two such partners has none."""
    (tmp_path / "two.rttm").write_text(TWO)
    (tmp_path / "hyp.rttm").write_text(TWO.replace("my_call", "my%20call"))
    rate, told = shell("score two.rttm hyp.rttm")
    assert (rate, told.returncode) == (0.0, 0)
    assert "sed-score: my call is scored against my_call: the names differ in blanks only\n" in told.stderr
    (tmp_path / "hyp.rttm").write_text(
        TWO.replace("my_call", "my%20call") + TWO.replace("my_call", "my%C2%A0call")
    )
    rate, told = shell("score two.rttm hyp.rttm")
    assert told.returncode == 1 and "no hypothesis, so scored as empty: my_call" in told.stderr


def test_a_recording_in_two_files_is_not_chosen_from(shell, tmp_path):
    (tmp_path / "twice.lst").write_text("ref.rttm\nsecond\n")
    (tmp_path / "second").write_text(REF)
    rate, told = shell("score ref.rttm twice.lst")
    assert (rate, told.returncode) == (None, 1) and "call is in ref.rttm and in second" in told.stderr


def test_a_list_of_names_that_are_not_utf_8(shell, tmp_path):
    (tmp_path / "caf\udce9.rttm").write_text(REF)
    (tmp_path / "hyp.lst").write_bytes(b"caf\xe9.rttm\n")
    rate, told = shell("score ref.rttm hyp.lst")
    assert (rate, told.returncode) == (0.0, 0), told.stderr
