"""The page as a workbench: a server whose model is not real, and what its tests do in the page.

Files give the reference of the example conversation, with probabilities. Screenshots are saved in `SED_ARTEFACTS`.
"""

from __future__ import annotations

import os
from pathlib import Path

import soundfile

from sed.formats import read
from sed.result import Diarization, Segment

ROOT = Path(__file__).parents[2]
ARTEFACTS = Path(os.environ.get("SED_ARTEFACTS", ROOT / "results" / "browser"))
LABELS = ("neutral", "happy", "angry", "sad")
REFERENCE = read(ROOT / "demo" / "conversation.rttm", duration=47.7)
BOX = """(() => {
  const { x, y, width } = document.getElementById("timeline").getBoundingClientRect();
  return [x, y, width];
})()"""
CELLS = """[...document.querySelectorAll("#summary tr")].map(
  (row) => [row.querySelector("input").value, row.cells[1].textContent])"""
SELECT = "sed.timeline.select(sed.session.segments.all()[{}].id); await new Promise(requestAnimationFrame)"


def with_probabilities(segment, shift=0.0):
    probabilities = {label: 0.1 for label in LABELS} | {segment.emotion: 0.7}
    start, end = segment.start + shift, segment.end + shift
    return Segment(start, end, segment.speaker, segment.emotion, 0.7, probabilities)


def diarize(source, *, uri, progress, provisional=None):
    """The reference of the conversation, repeated over the duration of the file."""
    seconds = soundfile.info(source).duration
    progress(seconds, seconds)
    count = max(1, round(seconds / 47.7))
    segments = [with_probabilities(s, 47.7 * n) for n in range(count) for s in REFERENCE]
    return Diarization(uri, max(seconds, 47.7 * count), segments, LABELS)


def fresh(browser, server):
    """Open the page without anything kept from before."""
    if not browser.evaluate("location.href").startswith(server.http):
        browser.open(f"{server.http}/")
    browser.evaluate(  # completed once the page, which has it open, is left
        "new Promise((done) => { const r = indexedDB.deleteDatabase('sed'); r.onsuccess = r.onblocked = done; })"
    )
    reload(browser)


def reload(browser):
    browser.evaluate("globalThis.old = true")
    browser.call("Page.reload")
    browser.wait("globalThis.sed && !globalThis.old")


def screenshot(browser, name, **options):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(ARTEFACTS / f"{name}.png", **options)


def segments(browser):
    return browser.evaluate("JSON.parse(sed.json()).segments")


def select(browser, number):
    browser.evaluate(f"(async () => {{ {SELECT.format(number)} }})()")


def keys(browser, *names):
    browser.evaluate("document.getElementById('timeline').focus()")
    for name in names:
        browser.press(name, name if len(name) == 1 else "")
