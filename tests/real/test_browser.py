"""The page in a real browser with a real server and the bundled models: microphone, files, keyboard, accessibility.

Screenshots are saved in `SED_ARTEFACTS` (default: results/browser, which git ignores). The accuracy of the models is
not tested here, only that the page shows exactly their results.
"""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import Chromium
from continuity import share_continued

from sed import EmotionDiarizer
from sed.result import Diarization

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
ARTEFACTS = Path(os.environ.get("SED_ARTEFACTS", ROOT / "results" / "browser"))
START = 8  # seconds into the conversation, from where on speakers take turns with pauses between them
RECORD_SECONDS = 9.0  # from the microphone
BLOB = """(async () => {
  const bytes = new Uint8Array(await sed.wav().arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
})()"""


@pytest.fixture(scope="module")
def server():
    """The URL of a real sed-serve."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sed.cli.serve", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    yield line.split()[1]
    process.terminate()
    assert process.wait(20) == 0


def conversation(seconds):
    """`seconds` of a conversation of three speakers: samples and sample rate."""
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="int16")
    return samples[START * rate : (START + seconds) * rate], rate


@pytest.fixture(scope="module")
def microphone(tmp_path_factory):
    """20 s of a conversation as a WAV file, for the browser's microphone."""
    samples, rate = conversation(20)
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    soundfile.write(path, samples, rate)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The first 14 s of the conversation as a FLAC file."""
    samples, rate = conversation(14)
    path = tmp_path_factory.mktemp("clip") / "clip.flac"
    soundfile.write(path, samples, rate)
    return path


@pytest.fixture
def browser(need_program, microphone):
    with Chromium(need_program("chromium"), microphone) as browser:
        yield browser
        assert browser.errors == []


def save_screenshot(browser, name, **options):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(ARTEFACTS / f"{name}.png", **options)


def exported(browser) -> Diarization:
    row = browser.evaluate("JSON.parse(sed.json())")
    assert (row["format"], row["version"]) == ("sed", 1)
    return Diarization.from_dicts(row["uri"], row["duration"], row["segments"], row["labels"])


def rows(diarization):
    """All fields of the segments, exactly."""
    return [segment.to_dict() for segment in diarization]


def audio(browser):
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(browser.evaluate(BLOB))), dtype="float32")
    assert rate == 16000
    return samples


def record(browser, latency):
    """Record RECORD_SECONDS from the microphone; returns the samples and the page's result."""
    browser.click("#record")
    browser.wait("sed.state() === 'live'", 30)
    browser.wait(f"sed.wav().size > 44 + 32000 * {RECORD_SECONDS}", 60)
    browser.wait("document.querySelector('#rows tr:not(.provisional)')", 60)  # final while still recording
    save_screenshot(browser, f"live-{latency}")
    browser.click("#record")
    browser.wait("sed.state() === 'idle'", 180)
    save_screenshot(browser, f"stopped-{latency}")
    return audio(browser), exported(browser)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("latency", ["1", "2"])
def test_the_microphone_gives_the_same_result_as_the_offline_path(browser, server, microphone, latency):
    """Each recording must; and one of three must be without gaps, which a busy browser makes before the page."""
    browser.set_viewport(1280, 800)
    played, _ = soundfile.read(microphone, dtype="float32")
    shares = []
    while len(shares) < 3 and max(shares, default=0) <= 0.9:
        browser.open(server)
        browser.evaluate(f"document.getElementById('latency').value = '{latency}'")
        browser.evaluate("document.getElementById('refine').checked = false")
        recorded, found = record(browser, latency)
        assert len(recorded) / 16000 > RECORD_SECONDS and found.duration == len(recorded) / 16000
        offline = EmotionDiarizer(latency=float(latency))((recorded, 16000))
        assert rows(found) == rows(offline)
        assert sum(s.duration for s in found) > found.duration / 3, "hardly any speech was found"
        shares.append(share_continued(recorded, played))
    assert max(shares) > 0.9, f"gaps in each recording: {shares}"


def choose_file(browser, path):
    browser.choose_files(path)
    browser.wait("!document.getElementById('choice').hidden")


@pytest.mark.slow
def test_a_whole_file_and_a_streamed_file(browser, server, clip, tmp_path):
    path = clip
    browser.set_viewport(1280, 800, dark=True)
    browser.open(server)
    choose_file(browser, path)
    browser.click("#analyse")
    browser.wait("sed.state() === 'idle' && document.querySelectorAll('#rows tr').length > 0", 120)
    save_screenshot(browser, "file-dark")
    assert rows(exported(browser)) == rows(EmotionDiarizer()(path))
    assert exported(browser).uri == "clip"

    browser.evaluate("document.getElementById('refine').checked = false")
    choose_file(browser, path)
    browser.click("#play-live")
    assert browser.evaluate("sed.state()") != "idle"
    browser.wait("sed.state() === 'finishing'", 60)  # everything is sent, but not everything is processed
    browser.wait("/^Processed 0:\\d\\d of 0:14$/.test(document.getElementById('work-text').textContent)", 60)
    browser.wait("sed.state() === 'idle'", 240)
    save_screenshot(browser, "file-live-dark")
    original, _ = soundfile.read(path, dtype="float32")
    assert np.abs(audio(browser) - original).max() <= 1 / 32768
    offline = EmotionDiarizer(latency=1.0)((audio(browser), 16000), uri="x")
    assert rows(exported(browser)) == rows(offline)

    (tmp_path / "page.rttm").write_text(browser.evaluate("sed.rttm()"))
    from sed.formats import read

    read_back = read(tmp_path / "page.rttm")
    assert read_back.uri == "clip"
    pairs = [[(s.start, s.end, s.speaker, s.emotion) for s in one] for one in (read_back, offline)]
    assert pairs[0] == [(round(a, 3), round(b, 3), *rest) for a, b, *rest in pairs[1]]


@pytest.mark.slow
def test_keyboard_and_screen_readers(browser, server, clip):
    browser.set_viewport(360, 740)
    browser.open(server)
    choose_file(browser, clip)
    browser.press("Enter", "\r")  # the focus is on the first choice
    browser.wait("sed.state() === 'idle'", 120)
    save_screenshot(browser, "phone", full=True)
    assert browser.evaluate("document.querySelectorAll('#rows tr').length") > 2
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    below = "document.documentElement.scrollHeight - document.querySelector('footer').getBoundingClientRect().bottom"
    assert browser.evaluate(f"{below} - scrollY") < 40, "empty space below the page"
    assert browser.evaluate("document.querySelector('.tablebox').scrollTop") == 0, "not at the file's start"

    nameless = []
    for node in browser.call("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        named = node.get("ignored") or node.get("name", {}).get("value")
        if (
            role in ("button", "combobox", "slider", "checkbox", "application", "meter", "image")
            and not named
        ):
            nameless.append(role)
    assert nameless == []

    reached = []
    browser.evaluate("document.querySelector('.skip').focus()")
    for _ in range(40):
        browser.press("Tab")
        reached.append(browser.evaluate("document.activeElement.id || document.activeElement.className"))
    order = [name for name in reached if name in ("record", "open", "latency", "cell", "format")]
    assert order[:5] == ["record", "open", "latency", "cell", "format"]

    browser.evaluate("document.getElementById('timeline').focus()")
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowLeft"):
        browser.press(key)
    browser.wait("document.querySelector('tr.selected')?.ariaRowIndex === '3'")
    assert "spk" in browser.evaluate("document.activeElement.ariaLabel")
    browser.press("Enter", "\r")  # plays without a problem
    time.sleep(0.3)
    assert browser.evaluate("document.getElementById('problem').hidden")
    browser.press("Escape")


@pytest.mark.alone
@pytest.mark.slow
def test_stopping_before_the_start_allows_another_start(browser, server, microphone):
    """And a recording that was stopped early delivers nothing: every second is recorded once."""
    browser.set_viewport(1280, 800)
    browser.open(server)
    record = "document.getElementById('record').click()"
    for _ in range(3):
        browser.evaluate(f"{record}; {record}")
        browser.wait("sed.state() === 'idle'")
    browser.evaluate(record)
    browser.wait("sed.state() === 'live'", 30)
    browser.wait("sed.wav().size > 44 + 32000 * 3", 30)
    browser.evaluate(record)
    browser.wait("sed.state() === 'idle'", 60)
    assert share_continued(audio(browser), soundfile.read(microphone)[0]) > 0.8
    assert browser.evaluate("document.getElementById('problem').hidden")


@pytest.mark.slow
def test_a_denied_microphone_is_explained(need_program, server):
    with Chromium(need_program("chromium"), flags=("--use-fake-ui-for-media-stream=deny",)) as browser:
        browser.set_viewport(390, 844)
        browser.open(server)
        browser.click("#record")
        browser.wait("!document.getElementById('problem').hidden", 20)
        assert "Access to the microphone was denied" in browser.evaluate(
            "document.getElementById('problem').textContent"
        )
        assert browser.evaluate("sed.state()") == "idle"
        save_screenshot(browser, "denied")


@pytest.mark.slow
@pytest.mark.parametrize("rate", [44100, 48000, 32000, 22050, 96000, 8000])
def test_the_page_resamples_as_soxr_does(browser, server, rate):
    import soxr

    browser.open(server)
    times = np.arange(rate) / rate
    tones = [110, 440.5, 1234, 3000] + ([5000, 6800] if rate > 16000 else [])
    signal = sum(np.sin(2 * np.pi * f * times + f) for f in tones).astype(np.float32) / len(tones)
    script = """(async (rate, tones) => {
      const { Resampler } = await import("/resampler.js");
      const input = Float32Array.from({ length: rate }, (_, n) =>
        tones.reduce((s, f) => s + Math.sin((2 * Math.PI * f * n) / rate + f), 0) / tones.length);
      const run = (splits) => {
        const resampler = new Resampler(rate, 16000);
        const out = [];
        let from = 0;
        for (const cut of [...splits, input.length]) {
          out.push(...resampler.process(input.subarray(from, cut)));
          from = cut;
        }
        return [...out, ...resampler.flush()];
      };
      return [run([]), run([1, 2, 129, 4000, 4001])];
    })"""
    script += f"({rate}, {tones})"
    whole, cut = browser.evaluate(script)
    assert whole == cut and len(whole) == 16000
    reference = soxr.resample(signal, rate, 16000, "VHQ")
    middle = slice(800, -800)
    error = np.asarray(whole)[middle] - reference[middle]
    assert 10 * np.log10(np.mean(reference[middle] ** 2) / np.mean(error**2)) > 60
