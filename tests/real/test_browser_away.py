"""The page when the server goes away during a recording: it records on, catches up, and nothing differs at the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import Chromium
from cutting_proxy import CuttingProxy
from live_server import SecondsStream, running

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.alone]
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


class DistinctSpeakers(SecondsStream):
    """Two speakers that stay two."""

    def take_relabels(self):
        return []


def test_a_lost_connection_is_resumed_and_nothing_repeated(need_program, tmp_path):
    """Even if the start of the recording is not stored any more, as after an hour: speakers keep their names."""
    samples = np.random.default_rng(3).integers(-9000, 9000, 16000 * 40).astype(np.int16)
    soundfile.write(tmp_path / "noise.wav", samples, 16000)
    with (
        running(lambda latency: DistinctSpeakers(latency, 0.02), max_rate=20.0) as server,
        contextlib.closing(CuttingProxy(server.base)) as proxy,
        Chromium(need_program("chromium")) as browser,
    ):
        browser.open(f"http://127.0.0.1:{proxy.port}/")
        browser.evaluate("document.getElementById('refine').checked = false")
        browser.choose_files(tmp_path / "noise.wav")
        browser.wait("!document.getElementById('choice').hidden")
        browser.click("#play-live")
        for seconds in (12, 20, 30):
            browser.wait(f"sed.session.duration > {seconds}")
            if seconds == 20:
                browser.evaluate("(r => { r._chunks.shift(); r._dropped += 160000; })(sed.session.recording)")
            proxy.cut_all()
            browser.wait("sed.session.away")
        browser.wait("sed.state() === 'idle'")
        found = browser.evaluate("JSON.parse(sed.json()).segments")
        direct = SecondsStream()
        expected = [*direct.push(samples.astype(np.float32) / np.float32(32768)), *direct.close()]
        rows = [event.segment.to_dict() for event in expected if event.final]
        assert found == rows and {row["speaker"] for row in found} == {"spk00", "spk01"}
        assert server.metrics.streams == 1, "the audio was not repeated on another stream"
        assert server.metrics.audio_seconds == 40
        server.wait_idle()
        assert server.app.state.hub.resumption.kept == 0
        assert [e for e in browser.errors if "WebSocket" not in e] == []
