"""The page when the server goes away during a recording: it records on, catches up, and nothing differs at the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from chromium import Chromium

pytestmark = [pytest.mark.real, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
ARTEFACTS = Path(os.environ.get("SED_ARTEFACTS", ROOT / "results" / "browser"))
STATUS = "document.getElementById('status').textContent"
REPEATED = """(async () => {
  const { SedStream } = await import("/client.js");
  const stream = await SedStream.open({ sampleRate: 16000, latency: 1 });
  const found = [];
  stream.addEventListener("segment", ({ detail }) => detail.final && detail.segment && found.push(detail.segment));
  await stream.sendPaced(sed.session.recording.slice(0, sed.session.recording.duration));
  await stream.end();
  return found.sort((a, b) => a.start - b.start || a.end - b.end || (a.speaker < b.speaker ? -1 : 1));
})()"""


@contextlib.contextmanager
def serving(port="0"):
    """A real sed-serve: its URL, and a function that kills it."""
    command = [sys.executable, "-m", "sed.cli.serve", "--port", port]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().split()[1], process.kill
    finally:
        process.kill()
        process.wait(20)


@pytest.fixture(scope="module")
def microphone(tmp_path_factory):
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="int16")
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    soundfile.write(path, samples, rate)
    return path


def test_a_lost_server_loses_nothing(need_program, microphone):
    with Chromium(need_program("chromium"), microphone) as browser, contextlib.ExitStack() as stack:
        url, kill = stack.enter_context(serving())
        browser.set_viewport(1280, 900)
        browser.open(url)
        browser.evaluate("document.getElementById('refine').checked = false")
        browser.click("#record")
        browser.wait("document.querySelector('#rows tr:not(.provisional)')", 40)
        kill()
        browser.wait(f"{STATUS}.includes('server away')", 20)
        before = browser.evaluate("sed.session.recording.duration")
        time.sleep(1)
        assert browser.evaluate("sed.session.recording.duration") > before + 0.5, "recording goes on"
        browser.wait("document.getElementById('work-text').textContent.includes('Recording goes on')")
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        browser.screenshot(ARTEFACTS / "away.png")
        assert browser.evaluate("sed.session.segments.finals().length") > 0, "results are kept"
        stack.enter_context(serving(url.rstrip("/").rpartition(":")[2]))
        browser.wait(f"{STATUS} === 'Recording'", 40)
        browser.click("#record")
        browser.wait("sed.state() === 'idle'", 120)
        assert browser.evaluate("document.getElementById('problem').hidden")
        found = browser.evaluate("JSON.parse(sed.json())")
        assert found["duration"] == browser.evaluate("sed.session.recording.duration") > before + 1
        assert found["segments"] == browser.evaluate(REPEATED)
        assert [e for e in browser.errors if "WebSocket" not in e] == []


def test_waiting_for_a_server_that_stays_away_can_be_given_up(need_program, microphone):
    with Chromium(need_program("chromium"), microphone) as browser, serving() as (url, kill):
        browser.open(url)
        browser.click("#record")
        browser.wait("document.querySelector('#rows tr:not(.provisional)')", 40)
        kill()
        browser.wait(f"{STATUS}.includes('server away')", 20)
        browser.click("#record")
        browser.wait("document.getElementById('record-text').textContent === 'Give up'")
        browser.click("#record")
        browser.wait("sed.state() === 'idle'")
        assert "was not analysed" in browser.evaluate("document.getElementById('problem').textContent")
        assert browser.evaluate("JSON.parse(sed.json()).segments.length") > 0
