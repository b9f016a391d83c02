"""The page while its file waits in the queue, and when the server rejects its file."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import Chromium

pytestmark = [pytest.mark.real, pytest.mark.alone]
ROOT = Path(__file__).parents[2]
ARTEFACTS = Path(os.environ.get("SED_ARTEFACTS", ROOT / "results" / "browser"))
WORK = "document.getElementById('work-text').textContent"


@contextlib.contextmanager
def serving(*arguments):
    """The URL of a real sed-serve."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sed.cli.serve", "--port", "0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait(20)


def post(url, body, source):
    """Upload from another address of this machine, like another client."""
    host = re.search(r"//([\d.]+):(\d+)", url)
    connection = http.client.HTTPConnection(host[1], int(host[2]), source_address=(source, 0))
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/diarize", body)
        connection.getresponse().read()


def health(url):
    with urllib.request.urlopen(f"{url}healthz") as answer:
        return json.load(answer)["uploads"]


def choose(browser, path):
    """Choose a file; the page asks what to do with it."""
    browser.choose_files(path)
    browser.wait("!document.getElementById('choice').hidden")


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_position_in_the_queue_is_shown(need_program, tmp_path, width):
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="int16")
    soundfile.write(tmp_path / "long.flac", np.tile(samples, 2), rate)
    soundfile.write(tmp_path / "own.flac", samples[: 6 * rate], rate)
    body = (tmp_path / "long.flac").read_bytes()
    with Chromium(need_program("chromium")) as browser, serving() as url:
        browser.set_viewport(width, 800)
        browser.open(url)
        for number, source in enumerate(("127.0.0.2", "127.0.0.3")):
            threading.Thread(target=post, args=(url, body, source), daemon=True).start()
            end = time.monotonic() + 10
            while health(url)["waiting"] + health(url)["working"] <= number:
                assert time.monotonic() < end
                time.sleep(0.01)
        choose(browser, tmp_path / "own.flac")
        browser.click("#analyse")
        browser.wait(f"{WORK} === 'Waiting in the queue: 2 files before yours'")
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        browser.screenshot(ARTEFACTS / f"queue-{width}.png")
        assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.wait(f"{WORK} === 'Waiting in the queue: 1 file before yours'", 120)
        browser.wait("sed.state() === 'idle' && document.querySelectorAll('#rows tr').length > 0", 120)
        assert browser.errors == []


@pytest.mark.slow
def test_a_file_that_is_too_large_is_not_sent(need_program, tmp_path):
    soundfile.write(tmp_path / "large.wav", np.zeros(20_000_000, np.int16), 16_000)
    with Chromium(need_program("chromium")) as browser, serving("--max-upload", "1000000") as url:
        browser.open(url)
        choose(browser, tmp_path / "large.wav")
        assert browser.evaluate("document.getElementById('analyse').disabled")
        stated = browser.evaluate("document.getElementById('choice').textContent")
        assert "40 MB: too large" in stated and "up to 1.0 MB and 60 min" in stated
