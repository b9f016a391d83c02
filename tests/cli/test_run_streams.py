"""`sed-run` with closed or full standard streams prints one sentence."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_closed_or_full_standard_streams(data):
    angry = data / "emodb_15_angry_1.flac"
    shell = f"{sys.executable} -m sed.cli.run {{}}"
    for arguments, text in (
        (f"{angry} >&-", "standard output is closed: expected a folder for results (-d)"),
        ("- <&-", "stdin: closed, expected audio"),
        (f"{angry} >/dev/full", "standard output: cannot be written (No space left on device)"),
    ):
        result = subprocess.run(
            shell.format(arguments), shell=True, capture_output=True, text=True, check=False
        )
        assert result.returncode != 0 and result.stderr == f"sed-run: {text}\n"
