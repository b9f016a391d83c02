"""`sed-run` where a standard stream is closed or its disk is full: one sentence."""

import subprocess
import sys


def test_standard_streams_that_are_closed_or_full(data):
    angry = data / "emodb_15_angry_1.flac"
    shell = f"{sys.executable} -m sed.cli.run {{}}"
    for words, text in (
        (f"{angry} >&-", "standard output is closed: expected a folder for results (-d)"),
        ("- <&-", "stdin: it is closed, expected audio"),
        (f"{angry} >/dev/full", "standard output: cannot be written (No space left on device)"),
    ):
        told = subprocess.run(shell.format(words), shell=True, capture_output=True, text=True, check=False)
        assert told.returncode != 0 and told.stderr == f"sed-run: {text}\n"
