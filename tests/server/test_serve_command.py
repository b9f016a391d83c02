"""``sed-serve`` as a program: fast help, one sentence per error, and a clean exit."""

import re
import signal
import subprocess
import sys

import httpx
import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

from sed.cli.serve import main
from sed.server.options import ServerOptions

RUN = [sys.executable, "-m", "sed.cli.serve"]


def test_help_names_every_option():
    done = subprocess.run([*RUN, "--help"], capture_output=True, text=True, check=True)
    for parameter in main.params:
        assert any(option in done.stdout for option in parameter.opts), parameter.name


def test_help_imports_no_heavy_packages():
    script = "import sys, sed.cli.serve; print([m for m in ('numpy', 'starlette', 'onnxruntime') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_defaults_equal_those_of_the_options():
    options = ServerOptions()
    for parameter in main.params:
        if hasattr(options, parameter.name) and parameter.name != "threads":
            assert parameter.default == getattr(options, parameter.name), parameter.name


@pytest.mark.parametrize(
    "arguments, status, message",
    [
        (["--max-rate", "0.1"], 2, "max_rate=0.1: expected 1 or more"),
        (["--allow-origin", "evil"], 2, "origin 'evil': expected scheme://"),
        (["--host", "no.such.name.invalid"], 2, "no.such.name.invalid"),
        (["--tagger", "/no/such/model.onnx"], 2, "/no/such/model.onnx"),
        (["--port", "99999"], 2, "99999"),
        (["--host", "0.0.0.0"], 2, "other machines can reach host '0.0.0.0': expected a token (--token-file"),
        (["--allow-host", "a b"], 2, "host 'a b': expected a name"),
        (["--enrol", "anna"], 2, "enrolment 'anna': expected name=file"),
        (["--enrol", "anna=/no/such/file.wav"], 2, "/no/such/file.wav: no such file"),
        (["--max-load", "0"], 2, "max_load=0.0: expected more than 0"),
    ],
)
def test_errors_are_one_sentence(arguments, status, message):
    done = CliRunner().invoke(main, ["--port", "0", *arguments])
    assert done.exit_code == status
    assert message in done.output and "Traceback" not in done.output


def test_a_token_file_that_is_not_text(tmp_path):
    (tmp_path / "token").write_bytes(b"\xff\xfe\xff")
    done = CliRunner().invoke(main, ["--port", "0", "--token-file", str(tmp_path / "token")])
    assert done.exit_code == 2 and "token: cannot be read (it is not UTF-8 text)" in done.output


def test_token_and_no_token_cannot_be_combined(tmp_path):
    (tmp_path / "token").write_text("hush\n")
    done = CliRunner().invoke(main, ["--no-token", "--token-file", str(tmp_path / "token")])
    assert done.exit_code == 2 and "a token cannot be combined with no_token (--no-token)" in done.output


def test_a_port_that_is_in_use():
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = CliRunner().invoke(main, ["--port", str(other.getsockname()[1])])
    assert done.exit_code == 2 and "expected a free port" in done.output


def test_missing_packages_are_named(monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name in ("uvicorn", "multipart") else real(name, *a),
    )
    done = CliRunner().invoke(main, [])
    assert done.exit_code == 1
    assert "needs uvicorn, python-multipart: pip install 'speech-emotion-diarization[serve]'" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_and_a_signal_stops_it_cleanly(number):
    process = subprocess.Popen(
        [*RUN, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    url = re.search(r"http://\S+", process.stdout.readline())[0]
    assert httpx.get(f"{url}healthz").json()["status"] == "ok"
    with connect(url.replace("http", "ws") + "stream", close_timeout=1) as client:
        client.send(bytes(32_000))  # a client in the middle of its stream does not delay the exit
        assert client.recv()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
    assert process.returncode == 0 and stderr == ""
