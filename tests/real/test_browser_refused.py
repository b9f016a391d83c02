"""The page with a server that rejects it or has stopped: the message states the problem and how to solve it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from chromium import Chromium

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A second of silence, for the browser's microphone."""
    path = tmp_path_factory.mktemp("quiet") / "quiet.wav"
    soundfile.write(path, np.zeros(16_000, np.int16), 16_000)
    return path


@pytest.mark.slow
def test_the_page_asks_for_the_secret_until_it_is_correct(need_program, quiet):
    process = subprocess.Popen(
        [sys.executable, "-m", "sed.cli.serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SED_TOKEN": "hush"},
    )
    answer = (
        "document.getElementById('token').value = '{}'; document.querySelector('#secret .primary').click()"
    )
    wrong = "document.getElementById('secret-wrong')"
    try:
        with Chromium(need_program("chromium"), quiet) as browser:
            browser.open(process.stdout.readline().split()[1])
            browser.click("#record")
            browser.wait("document.getElementById('secret').open")
            assert browser.evaluate(f"{wrong}.hidden")
            browser.evaluate(answer.format("loud"))
            browser.wait(f"document.getElementById('secret').open && !{wrong}.hidden")
            assert browser.evaluate("document.getElementById('token').value") == ""
            browser.click("#secret button:not(.primary)")
            browser.wait("sed.state() === 'idle'")
            assert "requires its secret" in browser.evaluate("document.getElementById('problem').textContent")
            browser.click("#record")
            browser.wait("document.getElementById('secret').open")
            browser.evaluate(answer.format("hush"))
            browser.wait("sed.state() === 'live'", 30)
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_a_stopped_server_is_reported_as_unreachable(need_program, quiet):
    process = subprocess.Popen(
        [sys.executable, "-m", "sed.cli.serve", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    with Chromium(need_program("chromium"), quiet) as browser:
        browser.open(process.stdout.readline().split()[1])
        process.kill()
        process.wait()
        browser.click("#record")
        browser.wait("!document.getElementById('problem').hidden", 20)
        assert (
            browser.evaluate("document.getElementById('problem').textContent")
            == "The server cannot be reached."
        )
