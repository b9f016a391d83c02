"""The licence notice of the commands: when it appears, where, and what silences it."""

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from sed.cli.licence import VARIABLE, licence_notice
from sed.cli.live import main as live
from sed.cli.serve import main as serve
from sed.emotion.bundled import DEFAULT, EDITIONS

NOTICE = (
    f": the default emotion model is {DEFAULT.licence}, not for commercial use; --tagger free is free for every use"
    f" (--tagger default or {VARIABLE}=0 hides this line)\n"
)


@pytest.fixture(autouse=True)
def noticed(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.slow
def test_one_line_on_standard_error_of_sed_run(run, angry, data, tmp_path):
    result = run(angry, "-o", "json")
    assert result.exit_code == 0 and result.stderr == f"sed-run{NOTICE}"
    silent = run(angry, "-o", "json", "--tagger", "default")
    assert silent.stderr == "" and silent.stdout == result.stdout
    assert run(angry, "--quiet").stderr == ""
    assert run(angry, env={VARIABLE: "0"}).stderr == ""
    assert run(angry, env={VARIABLE: "1"}).stderr == f"sed-run{NOTICE}"
    several = run(angry, data / "emodb_15_sad_1.flac", "-d", tmp_path, "--workers", 2)
    assert several.exit_code == 0 and several.stderr.count("commercial") == 1


def test_a_wrong_call_is_answered_with_its_error_only(run, angry):
    result = run(angry, "-o", "nothing")
    assert result.exit_code == 2 and "commercial" not in result.stderr


@pytest.mark.slow
def test_one_line_on_standard_error_of_sed_live(angry):
    call = ["--input", str(angry), "--fast", "-o", "rttm"]
    result = CliRunner().invoke(live, call)
    assert result.exit_code == 0 and result.stderr.startswith(f"sed-live{NOTICE}")
    assert "commercial" not in result.stdout + CliRunner().invoke(live, [*call, "-q"]).stderr
    assert "commercial" not in CliRunner().invoke(live, [*call, "--tagger", "default"]).stderr


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [False, True])
def test_one_line_on_standard_error_of_sed_serve(quiet):
    command = [sys.executable, "-m", "sed.cli.serve", "--port", "0", *(["-q"] if quiet else [])]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        if quiet:
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(8)
        else:
            assert "http://127.0.0.1" in server.stdout.readline()
    finally:
        server.send_signal(signal.SIGTERM)
        out, errors = server.communicate(timeout=20)
    assert errors == ("" if quiet else f"sed-serve{NOTICE}") and "commercial" not in out


def test_other_models_have_no_notice(capsys):
    for tagger in ("default", "free", "./free", "model.onnx", "owner/name"):
        licence_notice("sed-run", tagger, quiet=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_the_python_interface_is_silent(angry):
    code = f"from sed import EmotionDiarizer; EmotionDiarizer()({str(angry)!r})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == result.stderr == ""


def test_help_names_the_editions_and_their_licences(run):
    for command in (live, serve, None):
        text = (run("--help") if command is None else CliRunner().invoke(command, ["--help"])).stdout
        words = " ".join(text.split())
        assert all(f"{edition.name} ({edition.licence}:" in words for edition in EDITIONS)


def test_the_missing_edition_is_named(run, angry, tmp_path, monkeypatch):
    monkeypatch.setattr("sed.emotion.bundled.MODELS", tmp_path)
    result = run(angry, "--tagger", "free")
    assert result.exit_code == 2 and result.stderr.startswith(
        "sed-run: tagger 'free': this installation has no file"
    )
    assert result.stderr.count("\n") == 1
