"""The page as a workbench in a real browser: play, sum up, search, correct, export, keep and open again.

The server is real, its model is not (`workbench`). Screenshots are saved in `SED_ARTEFACTS`.
"""

from __future__ import annotations

import csv
import io

import pytest
from workbench import BOX, CELLS, LABELS, REFERENCE, fresh, keys, reload, screenshot, segments, select

from sed.formats import names, read
from sed.training.data.clip_table import read_clips

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def browser(workbench):
    return workbench


@pytest.fixture
def server(workbench_server):
    return workbench_server


@pytest.mark.alone
def test_the_example_plays_from_any_place_at_any_speed(browser):
    assert len(segments(browser)) == len(REFERENCE)
    screenshot(browser, "workbench")
    browser.evaluate("document.getElementById('timeline').focus()")
    browser.press(" ", " ")
    browser.wait("sed.playback.time > 0.2")
    browser.press(" ", " ")
    browser.wait("!sed.playback.playing")
    box = browser.evaluate(BOX)
    browser.click_at(box[0] + 74 + (box[2] - 74) / 2, box[1] + 10)  # the middle of the waveform
    middle = browser.evaluate("sed.session.duration") / 2
    assert abs(browser.evaluate("sed.playback.time") - middle) < 0.3
    browser.evaluate(
        "const s = document.getElementById('speed'); s.value = '2'; s.dispatchEvent(new Event('change'))"
    )
    started = browser.evaluate("performance.now()")
    browser.click("#play")
    browser.wait(f"sed.playback.time > {middle} + 1.5")
    elapsed = browser.evaluate("performance.now()") - started
    assert elapsed < 1450, "1.5 s of audio at twice the speed"
    browser.click("#play")


def test_a_segment_repeats(browser):
    select(browser, 11)  # 0.66 s
    start, end = (segments(browser)[11][key] for key in ("start", "end"))
    keys(browser, "l", "Enter")
    browser.evaluate(
        "globalThis.turns = 0; globalThis.last = 0; setInterval(() => {"
        "const t = sed.playback.time; if (t < last - 0.3) turns++; last = t; }, 20)"
    )
    browser.wait("turns >= 2", 20)
    assert start - 0.1 <= browser.evaluate("sed.playback.time") <= end + 0.2
    keys(browser, "l", "Escape")
    browser.wait("!sed.playback.playing")


def test_the_summary_adds_up_for_the_whole_and_a_part(browser):
    talk = {
        name: sum(s.duration for s in REFERENCE if s.speaker == name) for name in ("anton", "clara", "greta")
    }
    total = sum(talk.values())
    expected = [[n, f"0:{round(t):02} {round(100 * t / total)} %"] for n, t in talk.items()]
    assert browser.evaluate(CELLS) == expected
    shown = (
        "[document.getElementById('now-word').textContent, ...[...document.querySelectorAll('#bars .value')]"
    )
    shown += ".map((e) => e.textContent)]"
    shares = [sum(s.duration for s in REFERENCE if s.emotion == label) / total for label in LABELS]
    assert browser.evaluate(shown) == [f"0:{round(total):02}", *(f"{round(100 * s)} %" for s in shares)]
    browser.evaluate("sed.timeline.part = { start: 0, end: 9 }")
    browser.wait(f"{CELLS}[0][1] === '0:00 0 %'")
    assert browser.evaluate(CELLS)[1][1].startswith("0:07 ")
    assert browser.evaluate("document.getElementById('part-text').textContent") == "0:00.0 – 0:09.0"
    part = {
        label: sum(max(0, min(s.end, 9) - s.start) for s in REFERENCE if s.emotion == label)
        for label in LABELS
    }
    assert browser.evaluate(shown)[1:] == [f"{round(100 * p / sum(part.values()))} %" for p in part.values()]
    screenshot(browser, "part")
    keys(browser, "Escape")
    browser.wait(f"{CELLS}[0][1] !== '0:00 0 %'")


def test_an_empty_page_shows_where_to_begin_and_nothing_else(browser, server):
    shown = "(id) => document.getElementById(id).checkVisibility()"
    parts = "['segments', 'now', 'legend', 'fit', 'speakers', 'transport', 'empty', 'record', 'example']"
    assert browser.evaluate(f"{parts}.map({shown})") == [True] * 6 + [False, True, False]
    fresh(browser, server)
    assert browser.evaluate(f"{parts}.map({shown})") == [False] * 6 + [True, True, True]
    screenshot(browser, "empty")


def test_search_and_filter(browser):
    counted = "document.getElementById('count').textContent"

    def put(name, value):
        browser.evaluate(
            f"{{ const e = document.getElementById({name!r}); e.value = {value!r};"
            "e.dispatchEvent(new Event('input')); }"
        )

    put("search", "greta happy")
    browser.wait(f"{counted}.startsWith('3 of 22')")
    put("search", "0:41")
    browser.wait(f"{counted}.startsWith('1 of 22')")
    put("search", "")
    put("by-emotion", "sad")
    browser.wait(f"{counted}.startsWith('6 of 22')")
    put("by-speaker", "anton")
    browser.wait(f"{counted}.startsWith('3 of 22')")


def test_corrections_and_undo_with_the_keyboard(browser):
    before = segments(browser)
    select(browser, 0)
    keys(browser, "2")
    assert segments(browser)[0]["emotion"] == "happy" and "confidence" not in segments(browser)[0]
    browser.evaluate("sed.playback.seek(3)")
    keys(browser, "s")
    assert [(s["start"], s["end"]) for s in segments(browser)[:2]] == [(0.74, 3), (3, 7.372)]
    browser.evaluate("sed.playback.seek(4)")
    keys(browser, "[")  # the second part is selected; the first one touches it
    assert [(s["start"], s["end"]) for s in segments(browser)[:2]] == [(0.74, 4), (4, 7.372)]
    select(browser, 0)
    screenshot(browser, "correcting")
    keys(browser, "j", "c")
    assert len(segments(browser)) == len(before)
    keys(browser, "Delete")
    assert segments(browser) == before[1:]
    browser.wait("!document.getElementById('undo').disabled")
    for _ in range(6):
        browser.evaluate("document.getElementById('undo').click()")
    assert segments(browser) == before
    browser.wait("document.getElementById('undo').disabled && !document.getElementById('redo').disabled")
    for _ in range(6):
        browser.evaluate("document.getElementById('redo').click()")
    assert segments(browser) == before[1:]


def test_a_boundary_is_dragged(browser):
    select(browser, 0)
    x, y, width = browser.evaluate(BOX)
    duration = browser.evaluate("sed.session.duration")
    at = lambda time: x + 74 + (width - 74) * time / duration  # noqa: E731
    lane = y + 44 + 46 + 23  # clara's row is the second one
    for kind, time in (("mousePressed", 7.372), ("mouseMoved", 7.0), ("mouseMoved", 6), ("mouseReleased", 6)):
        browser.call(
            "Input.dispatchMouseEvent", type=kind, x=at(time), y=lane, button="left", buttons=1, clickCount=1
        )
    assert abs(segments(browser)[0]["end"] - 6) < 0.1
    browser.wait("!document.getElementById('undo').disabled")
    browser.evaluate("document.getElementById('undo').click()")
    assert segments(browser)[0]["end"] == 7.372


def rename(browser, number, name):
    browser.evaluate(
        f"{{ const e = document.querySelectorAll('#summary input')[{number}]; e.focus(); e.value = {name!r};"
        "e.dispatchEvent(new Event('change')); }"
    )


def test_speakers_are_renamed_and_merged(browser):
    rename(browser, 0, "Anton & co")
    browser.wait("document.querySelector('[aria-label=\"Name of Anton & co\"]')")
    rename(browser, 0, "greta")
    browser.wait("document.querySelectorAll('#summary tr').length === 2")
    assert {s["speaker"] for s in segments(browser)} == {"clara", "greta"}
    keys(browser)
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="z", modifiers=2, windowsVirtualKeyCode=90)
    browser.wait("document.querySelectorAll('#summary tr').length === 3")


def download(browser, kind):
    """Choose a format and press the button; returns the file."""
    for path in browser.downloads.iterdir():
        path.unlink()
    browser.evaluate(
        f"{{ const e = document.getElementById('format'); e.value = {kind!r}; e.dispatchEvent(new Event('change')); }}"
    )
    browser.click("#download")
    found = lambda: [p for p in browser.downloads.iterdir() if p.suffix != ".crdownload"]  # noqa: E731
    browser._wait_for(found, 20, f"the download as {kind}")
    return found()[0]


def test_corrected_results_are_exported_in_every_format_and_train(browser, tmp_path):
    select(browser, 0)
    keys(browser, "2")
    select(browser, 8)
    keys(browser, "c")
    offered = browser.evaluate("[...document.querySelectorAll('#format option')].map((o) => o.value)")
    assert sorted(offered) == sorted([*names(), "clips", "wav"])
    expected = [(s["start"], s["end"], s["emotion"]) for s in segments(browser)]
    for kind in ("json", "seglst", "parquet", "eaf"):
        found = read(download(browser, kind))
        assert len(found) == len(expected), kind
        for segment, (start, end, emotion) in zip(found, expected, strict=True):
            assert (segment.emotion, abs(segment.start - start) < 0.01, abs(segment.end - end) < 0.01) == (
                emotion,
                True,
                True,
            )
    wav = download(browser, "wav")
    (tmp_path / wav.name).write_bytes(wav.read_bytes())
    table = tmp_path / "clips.csv"
    table.write_bytes(download(browser, "clips").read_bytes())
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [(row["emotion"], row["start"], row["speaker"]) for row in rows] == [
        ("happy", "0.740", "clara"),
        ("neutral", "21.164", "clara"),
    ]
    clips = read_clips(table)
    assert [utterance.emotion for utterance, _ in clips] == ["happy", "neutral"]


def test_a_saved_result_opens_again_with_its_audio(browser, server):
    select(browser, 0)
    keys(browser, "2")
    expected = segments(browser)
    files = browser.downloads.parent / "saved"
    files.mkdir(exist_ok=True)
    for kind in ("json", "wav"):
        path = download(browser, kind)
        (files / path.name).write_bytes(path.read_bytes())
    fresh(browser, server)
    browser.choose_files(*sorted(files.iterdir()))
    browser.wait("sed.state() === 'idle' && sed.session.recording.length > 0", 20)
    assert segments(browser) == expected
    assert browser.evaluate("document.getElementById('transport').hidden") is False


def test_the_session_survives_the_page_and_is_not_discarded_unasked(browser, server):
    select(browser, 0)
    keys(browser, "2")
    expected, length = segments(browser), browser.evaluate("sed.session.recording.length")
    browser.evaluate("sed.keep()")
    reload(browser)
    browser.wait("!document.getElementById('kept').hidden")
    screenshot(browser, "kept")
    browser.click("#kept-open")
    browser.wait("document.querySelectorAll('#rows tr').length > 5")
    assert segments(browser) == expected
    assert browser.evaluate("sed.session.recording.length") == length
    browser.click("#record")
    browser.wait("document.getElementById('ask').open")
    screenshot(browser, "discard")
    browser.evaluate("document.querySelector('#ask button[value=\"\"]').click()")
    assert segments(browser) == expected and browser.evaluate("sed.state()") == "idle"


@pytest.mark.alone
def test_ten_thousand_segments_scroll_smoothly(browser):
    browser.evaluate(
        "sed.session.segments.replaceBy(Array.from({ length: 10000 }, (_, n) => ({ start: n / 2, end: n / 2 + 0.5,"
        "speaker: `spk0${n % 3}`, emotion: ['neutral', 'sad'][n % 2], probabilities: { neutral: 0.5, sad: 0.5 } })));"
        "sed.session.duration = 5000; sed.session.dispatchEvent(new CustomEvent('change')); sed.timeline.fit()"
    )
    browser.wait("document.getElementById('count').textContent.startsWith('10000')")
    found = browser.evaluate("""(async () => {
      const box = document.querySelector(".tablebox");
      box.scrollIntoView({ block: "center" });
      const frame = () => new Promise(requestAnimationFrame);
      const times = [];
      let shown = true;
      for (let n = 0; n < 60; n++) {
        const started = performance.now();
        box.scrollTop = (n * box.scrollHeight) / 60;
        await frame();
        await frame();
        times.push(performance.now() - started);
        const middle = box.getBoundingClientRect();
        shown &&= Boolean(document.elementFromPoint(middle.x + 100, middle.y + 150)?.closest("#rows tr"));
      }
      times.sort((a, b) => a - b);
      return { shown, median: times[30], rows: document.querySelectorAll("#rows tr").length };
    })()""")
    assert found["shown"] and found["rows"] < 60 and found["median"] < 150, found  # two frames are 33 ms


def test_twenty_minutes_are_no_barcode(browser):
    browser.evaluate(
        "(() => { const all = sed.session.segments.all(); const more = [];"
        "const at = (t, n) => t + 47.7 * n;"
        "const labels = ['neutral', 'happy', 'angry', 'sad', 'neutral', 'neutral'];"
        "const shown = (s, n) => labels[(labels.indexOf(s.emotion) + (n > 5 && n < 9 ? 1 : n > 17 ? 2 : 0)) % 6];"
        "const p = (s, n) => ({ neutral: 0.1, happy: 0.1, angry: 0.1, sad: 0.1, [shown(s, n)]: 0.7 });"
        "const talks = (s, n) => (s.speaker === 'anton' ? n % 9 > 2 : s.speaker === 'greta' ? n % 7 < 4 : n % 9 !== 5);"
        "const later = (s, n) => ({ ...s, start: at(s.start, n), end: at(s.end, n), emotion: shown(s, n),"
        "probabilities: p(s, n) });"
        "for (let n = 0; n < 25; n++) for (const s of all) if (talks(s, n)) more.push(later(s, n));"
        "sed.session.segments.replaceBy(more); sed.session.duration = 47.7 * 25;"
        "for (let n = 1; n < 25; n++) sed.session.recording.push(sed.session.recording.slice(0, 47.69));"
        "sed.session.dispatchEvent(new CustomEvent('change')); })()"
    )
    browser.wait("parseInt(document.getElementById('count').textContent) > 300")
    browser.click("#fit")
    changes = browser.evaluate("""(async () => {
      await new Promise((done) => setTimeout(done, 200));
      const canvas = document.querySelector("canvas");
      const c = canvas.getContext("2d");
      const row = c.getImageData(80, 44 + 30, canvas.width - 90, 1).data;  // in the lower half of the first row
      let changes = 0;
      for (let n = 4; n < row.length; n += 4) {
        const step = Math.abs(row[n] - row[n - 4]) + Math.abs(row[n + 1] - row[n - 3]);
        if (step > 60) changes += 1;
      }
      return changes;
    })()""")
    screenshot(browser, "minutes")
    assert changes < 60, "as many edges as segments"


def test_limits_are_stated_before_an_upload(browser, tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF" + bytes(1000))
    browser.choose_files(tmp_path / "a.wav")
    browser.wait("!document.getElementById('choice').hidden")
    assert "up to 537 MB and 60 min" in browser.evaluate("document.getElementById('choice').textContent")
    browser.click("#forget")
