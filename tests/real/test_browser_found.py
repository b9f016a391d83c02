"""The page shows what was found so far while the server analyses a file, and then the result, in a real browser."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import Chromium

from sed import EmotionDiarizer

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.alone]
ROOT = Path(__file__).parents[2]
ARTEFACTS = Path(os.environ.get("SED_ARTEFACTS", ROOT / "results" / "browser"))
PROVISIONAL = "document.querySelectorAll('#rows tr.provisional').length"
PROBLEM = "document.getElementById('problem').textContent"


@pytest.fixture(scope="module")
def server():
    """The URL of a real sed-serve."""
    command = [sys.executable, "-m", "sed.cli.serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().split()[1]
    process.terminate()
    assert process.wait(20) == 0


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Three minutes of conversation."""
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="int16")
    path = tmp_path_factory.mktemp("found") / "talk.flac"
    soundfile.write(path, np.tile(samples, 5)[: 180 * rate], rate)
    return path


@pytest.fixture
def browser(need_program, server):
    with Chromium(need_program("chromium")) as browser:
        browser.set_viewport(1280, 900)
        browser.open(server)
        yield browser
        assert browser.errors == []


def analyse(browser, path):
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
    browser.wait("!document.getElementById('choice').hidden")
    browser.click("#analyse")
    browser.wait(f"sed.state() === 'analysing' && {PROVISIONAL} > 3", 60)


def test_segments_appear_while_a_file_is_analysed_and_the_result_replaces_them(browser, recording):
    analyse(browser, recording)
    assert browser.evaluate("document.getElementById('work-bar').value") < 0.8
    assert "180" in browser.evaluate("String(Math.round(sed.session.duration))")  # the lanes show the whole
    assert browser.evaluate("document.getElementById('download').disabled")  # nothing final to export
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(ARTEFACTS / "found.png")
    browser.wait("sed.session.recording.length > 0", 30)
    browser.click("#rows tr:nth-child(1) button")  # can be played already
    browser.wait("sed.playback.playing", 10)

    browser.wait("sed.state() === 'idle'", 120)
    browser.wait(f"{PROVISIONAL} === 0 && !document.getElementById('download').disabled")
    assert browser.evaluate(PROBLEM) == ""
    found = browser.evaluate("JSON.parse(sed.json())")["segments"]
    assert found == [segment.to_dict() for segment in EmotionDiarizer()(recording)]


def test_stopping_takes_them_back(browser, recording):
    analyse(browser, recording)
    browser.click("#record")  # Stop
    browser.wait("sed.state() === 'idle' && document.querySelectorAll('#rows tr').length === 0", 30)
    assert browser.evaluate("sed.session.duration") == 0 and browser.evaluate("sed.wav().size") == 44
    assert browser.evaluate(PROBLEM) == ""
