"""`-o html` in a real browser, opened from disk: what it shows, plays and finds, and that names cannot run scripts."""

from __future__ import annotations

import shutil

import pytest
import soundfile
from chromium import Chromium

from sed import formats
from sed.formats import html
from sed.result import Diarization, Segment

pytestmark = [pytest.mark.real, pytest.mark.slow]
HOSTILE = "</script><img src=x onerror=globalThis.broken=1>"
READY = "document.querySelectorAll('#rows li').length > 0"


@pytest.fixture(scope="module")
def browser():
    if (program := shutil.which("chromium")) is None:
        pytest.skip("the program chromium is not installed")
    with Chromium(program) as browser:
        browser.set_viewport(1240, 900)
        yield browser


@pytest.fixture
def page(tmp_path):
    """The page of the example's reference, in another folder than its audio, with a hostile speaker."""
    (tmp_path / "out").mkdir()
    shutil.copy("demo/conversation.flac", tmp_path / "a #1.flac")
    found = formats.read("demo/conversation.rttm")
    rows = [Segment(s.start, s.end, HOSTILE if s.speaker == "anton" else s.speaker, s.emotion) for s in found]
    path = tmp_path / "out" / "page.html"
    link = html.audio_link(tmp_path / "a #1.flac", path)
    path.write_text(html.dump(Diarization(HOSTILE, found.duration, rows), link), encoding="utf-8")
    return path


def test_the_page_opens_from_disk_plays_and_searches(browser, page):
    browser.open(page.as_uri(), READY)
    assert browser.evaluate("globalThis.broken") is None and browser.errors == []
    assert browser.evaluate("document.querySelector('h1').textContent") == HOSTILE
    assert browser.evaluate("document.querySelectorAll('rect.seg').length") == 22
    summary = browser.evaluate("document.querySelector('.summary tr:nth-child(4)').textContent")
    assert summary.startswith("greta0:115") and "angry 0:04 (31 %)" in summary, summary

    length = soundfile.info("demo/conversation.flac").duration
    browser.wait(f"Math.abs(audio.duration - {length}) < 0.1")
    browser.click("#rows li:nth-child(7) button")  # greta is angry from 14.357 s on
    browser.wait("!audio.paused && audio.currentTime > 14.357 && audio.currentTime < 18")
    browser.wait("document.querySelector('rect.seg.on')?.dataset.number === '6'")
    assert browser.evaluate("+document.querySelector('.head-line').getAttribute('x1') / scale") > 14.3
    browser.click("#play")
    browser.wait("audio.paused")

    browser.evaluate("search.value = 'greta ANGRY'; search.dispatchEvent(new Event('input'))")
    assert browser.evaluate("document.querySelectorAll('#rows li').length") == 1
    assert browser.evaluate("document.getElementById('found').textContent") == "1 segment, 0:04"
    assert browser.evaluate("document.querySelectorAll('rect.seg:not(.dim)').length") == 1
    browser.evaluate("search.value = 'nothing'; search.dispatchEvent(new Event('input'))")
    assert browser.evaluate("document.getElementById('rows').textContent") == "No segment matches."

    width = browser.evaluate("svg.getBoundingClientRect().width")
    browser.click("#in")
    assert browser.evaluate("svg.getBoundingClientRect().width") == pytest.approx(2 * width, abs=1)
    nameless = [
        node["role"]["value"]
        for node in browser.call("Accessibility.getFullAXTree")["nodes"]
        if node.get("role", {}).get("value") in ("button", "combobox", "searchbox", "image", "group")
        and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []


def test_a_missing_recording_can_be_chosen_and_a_phone_scrolls_nothing_sideways(browser, page, tmp_path):
    (tmp_path / "a #1.flac").rename(tmp_path / "moved.flac")
    browser.set_viewport(390, 844, dark=True)
    browser.open(page.as_uri() + "?phone", READY)
    browser.wait("!document.querySelector('.file').hidden")
    assert "not found" in browser.evaluate("document.getElementById('note').textContent")
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    browser.choose_files(tmp_path / "moved.flac")
    browser.wait("audio.duration > 40 && !document.getElementById('play').disabled")


def test_an_hour_of_segments_is_drawn_as_columns_until_zoomed_in(browser, tmp_path):
    rows = [
        Segment(n * 2.0, n * 2 + 1.5, f"spk{n % 3:02d}", ("neutral", "angry")[n % 5 == 0])
        for n in range(1800)
    ]
    formats.write(Diarization("hour", 3600.0, rows), tmp_path / "hour.html")
    browser.set_viewport(1240, 900)
    browser.open((tmp_path / "hour.html").as_uri(), READY)
    assert browser.evaluate(
        "[document.querySelectorAll('.seg').length, svg.querySelectorAll('.bin').length > 200]"
    ) == [
        0,
        True,
    ]
    for _ in range(4):
        browser.click("#in")
    browser.wait("document.querySelectorAll('.seg').length > 0")
    assert browser.evaluate("document.querySelectorAll('.seg').length") < 600, (
        "only those in view, and beside it"
    )


@pytest.mark.alone
def test_ten_thousand_segments_scroll_smoothly(browser, tmp_path):
    """In the list, which has only the rows in view, and in the timeline, from the whole to single segments."""
    labels = ("neutral", "happy", "angry", "sad")
    rows = [
        Segment(n * 2.0, n * 2 + 1.5, f"spk{n % 3:02d}", labels[n % 4], 0.7, dict.fromkeys(labels, 0.25))
        for n in range(10_000)
    ]
    formats.write(Diarization("day", 20_000.0, rows, labels), tmp_path / "day.html")
    browser.set_viewport(1240, 900)
    browser.open((tmp_path / "day.html").as_uri(), READY)
    scrolled = """(async (box, side) => {
      const frame = () => new Promise(requestAnimationFrame), times = [];
      for (let n = 1; n <= 40; n++) {
        const started = performance.now();
        if (side) box.scrollLeft = (n * box.scrollWidth) / 41;
        else box.scrollTop = (n * box.scrollHeight) / 41;
        await frame();
        await frame();
        times.push(performance.now() - started);
      }
      return times.sort((a, b) => a - b)[20];
    })"""
    browser.evaluate("listBox.scrollIntoView({ block: 'center' })")
    assert browser.evaluate(f"{scrolled}(listBox, false)") < 150  # two frames are 33 ms
    found = browser.evaluate("""(() => {
      const { x, y } = listBox.getBoundingClientRect(), row = document.elementFromPoint(x + 200, y + 300).closest("li");
      return [list.children.length, Number(row.ariaPosInSet), row.ariaSetSize, row.textContent];
    })()""")
    assert found[0] < 40 and 9700 < found[1] < 9800 and found[2] == "10000"
    assert f"spk{(found[1] - 1) % 3:02d}" in found[3]
    browser.evaluate("list.querySelector('button[tabindex=\"0\"]').focus(); 0")
    browser.press("End")
    browser.press("ArrowUp")
    assert browser.evaluate("document.activeElement.dataset.number") == "9998"
    assert browser.evaluate("list.querySelectorAll('button[tabindex=\"0\"]').length") == 1
    for _ in range(9):
        browser.click("#in")
    assert browser.evaluate(f"{scrolled}(scroller, true)") < 150
    assert 0 < browser.evaluate("document.querySelectorAll('.seg').length") < 100
    browser.evaluate("location.hash = '#t=10001'; 0")
    browser.wait("document.querySelector('li button.on')?.dataset.number === '5000'")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate("list.children.length") == 10_000
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate("list.children.length") < 40


def test_an_address_with_a_time_chooses_the_segment_there(browser, page):
    browser.open(page.as_uri() + "#t=14.400", READY)
    browser.wait("document.querySelector('rect.seg.on')?.dataset.number === '6'")
    assert browser.evaluate("audio.paused")


@pytest.mark.parametrize("media", [{}, {"dark": True}, {"contrast": True}, {"forced": True}], ids=str)
def test_axe_finds_no_violation_in_the_page(browser, page, media):
    browser.set_viewport(1240, 900, **media)
    browser.open(page.as_uri() + f"?{'-'.join(media)}", READY)
    assert browser.violations() == []
    if "contrast" in media:
        rules = "{ runOnly: { type: 'rule', values: ['color-contrast-enhanced'] } }"
        assert browser.violations(rules) == []
