"""The page for everyone: contrast as rendered, forced colours, the keyboard, and what a screen reader reads."""

from __future__ import annotations

import pytest
from workbench import REFERENCE, screenshot, select

from sed.palette import COLOURS

pytestmark = [pytest.mark.real, pytest.mark.slow]
MEDIA = {
    "light": {},
    "dark": {"dark": True},
    "contrast": {"contrast": True},
    "dark contrast": {"dark": True, "contrast": True},
    "forced": {"forced": True},
    "dark forced": {"dark": True, "forced": True},
}


@pytest.fixture
def browser(workbench):
    yield workbench
    workbench.set_media()


# Every word that is painted on the timeline, with its lowest contrast to what was painted below it before.
WORDS = """(async () => {
  const proto = CanvasRenderingContext2D.prototype, original = proto.fillText, found = [];
  const linear = (c) => (c <= 10.31475 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const rgb = (colour) => {
    const c = new OffscreenCanvas(1, 1).getContext("2d");
    c.fillStyle = colour;
    c.fillRect(0, 0, 1, 1);
    return [...c.getImageData(0, 0, 1, 1).data];
  };
  const page = rgb(getComputedStyle(document.getElementById("timeline").closest(".card")).backgroundColor);
  proto.fillText = function (text, x, y) {
    const m = this.getTransform(), size = this.measureText(text);
    const left = m.a * (x - size.actualBoundingBoxLeft) + m.e, top = m.d * (y - size.actualBoundingBoxAscent) + m.f;
    const wide = m.a * (size.actualBoundingBoxLeft + size.actualBoundingBoxRight);
    const high = m.d * (size.actualBoundingBoxAscent + size.actualBoundingBoxDescent);
    if (wide >= 1) {
      const { data } = this.getImageData(Math.floor(left), Math.floor(top), Math.ceil(wide), Math.ceil(high));
      const ink = luminance(rgb(this.fillStyle)), ratios = [];
      for (let n = 0; n < data.length; n += 4) {
        const over = [0, 1, 2].map((i) => (data[n + i] * data[n + 3] + page[i] * (255 - data[n + 3])) / 255);
        const [low, high] = [ink, luminance(over)].sort((a, b) => a - b);
        ratios.push((high + 0.05) / (low + 0.05));
      }
      found.push([text, Math.min(...ratios)]);
    }
    return original.call(this, text, x, y);
  };
  sed.timeline.draw();
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  proto.fillText = original;
  return found;
})()"""


def show_every_emotion(browser):
    """Two rows with a segment of 10 s for each emotion: final ones, and ones that may still change."""
    browser.evaluate(
        f"((names) => {{ const {{ segments }} = sed.session; segments.replaceBy([]); names.forEach((emotion, n) => {{"
        "segments.put(2 * n, { id: 2 * n, final: true, start: 10 * n, end: 10 * n + 10, speaker: 'final', emotion });"
        "segments.put(2 * n + 1, { id: 2 * n + 1, final: false, start: 10 * n, end: 10 * n + 10, speaker: 'pale',"
        "emotion }); }); sed.session.duration = 10 * names.length;"
        f"sed.session.dispatchEvent(new CustomEvent('change')); }})({[*COLOURS, 'other']})"
    )
    browser.wait("document.getElementById('count').textContent.startsWith('20')")
    browser.click("#fit")


@pytest.mark.parametrize("media", MEDIA.values(), ids=MEDIA)
def test_words_on_stripes_and_colours_have_a_contrast_of_4_5(browser, media):
    browser.set_viewport(1280, 900, **media)
    show_every_emotion(browser)
    words = browser.evaluate(WORDS)
    screenshot(browser, f"colours-{'-'.join(media) or 'light'}")
    for name in (*COLOURS, "other"):
        assert [word for word, _ in words].count(name) == 2, (name, words)
    assert {"final", "pale", "0:10"} <= {word for word, _ in words}
    low = [(word, round(contrast, 2)) for word, contrast in words if contrast < 4.5]
    assert low == []


@pytest.mark.parametrize(
    "width,media", [(1280, "light"), (1280, "dark"), (375, "forced"), (1280, "dark contrast")]
)
def test_axe_finds_no_violation(browser, width, media):
    browser.set_viewport(width, 800, **MEDIA[media])
    select(browser, 0)
    screenshot(browser, f"axe-{width}-{media.replace(' ', '-')}", full=True)
    assert browser.violations() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
def test_more_contrast_is_given_where_it_is_preferred(browser, dark):
    """7:1 for all text (WCAG's AAA), and visible edges of everything that can be operated."""
    browser.set_viewport(1280, 900, dark=dark, contrast=True)
    select(browser, 0)
    rules = "{ runOnly: { type: 'rule', values: ['color-contrast-enhanced'] } }"
    assert browser.violations(rules) == []
    edges = browser.evaluate(
        "[...document.querySelectorAll('button:not(.choicebutton, :disabled, .primary), select, input[type=search]')]"
        ".filter((e) => e.checkVisibility()).map((e) => getComputedStyle(e).borderTopColor)"
    )
    text = browser.evaluate("getComputedStyle(document.body).color")
    assert len(edges) > 10 and set(edges) == {text}
    browser.set_media(dark=dark)
    assert browser.violations(rules) != [], "the rule finds something where more contrast is not preferred"


def test_forced_colours_keep_the_emotions_and_mark_what_is_selected(browser):
    colours = (
        "[...document.querySelectorAll('#legend .swatch')].map((e) => getComputedStyle(e).backgroundColor)"
    )
    before = browser.evaluate(colours)
    browser.set_viewport(1280, 900, forced=True)
    select(browser, 0)
    assert browser.evaluate(colours) == before and len(set(before)) == 4
    outline = "getComputedStyle(document.querySelector('{}')).outlineStyle"
    assert browser.evaluate(outline.format("tr.selected")) == "solid"
    assert browser.evaluate(outline.format('.choicebutton[aria-checked="true"]')) == "solid"
    edge = browser.evaluate("getComputedStyle(document.querySelector('.card')).borderTopWidth")
    assert edge == "1px", "cards have no shadow"


def test_the_list_is_one_tab_stop(browser):
    stops = "[...document.querySelectorAll('#rows button')].filter((b) => b.tabIndex === 0).length"
    assert browser.evaluate(stops) == 1
    browser.evaluate("document.querySelector('#rows button').focus()")
    browser.press("ArrowDown")
    browser.press("ArrowDown")
    browser.wait("document.querySelector('tr.selected')?.ariaRowIndex === '4'")
    assert browser.evaluate("document.activeElement.closest('tr').ariaRowIndex") == "4"
    assert browser.evaluate(stops) == 1


CELLS = "[...document.querySelectorAll('#timeline [role=gridcell]')]"
STOPS = "[...document.querySelectorAll('#timeline *')].filter((e) => e.tabIndex >= 0)"
FOCUSED = "document.activeElement.ariaLabel"


def test_the_lanes_are_one_tab_stop_that_follows_the_arrow_keys(browser):
    assert browser.evaluate(f"{STOPS}.length") == 1
    browser.evaluate("document.getElementById('fit').focus()")
    browser.press("Tab")
    first, *_ = REFERENCE
    label = browser.evaluate(FOCUSED)
    assert label.startswith(f"{first.speaker}, {first.emotion}"), "the first segment, and only one Tab away"
    browser.press("ArrowRight")
    second = browser.evaluate(FOCUSED)
    assert second != label and browser.evaluate(f"{STOPS}.length") == 1
    assert browser.evaluate("sed.timeline.selected.id") == 1, "the selection follows the focus"
    box = "document.activeElement.getBoundingClientRect().toJSON()"
    inside = "document.getElementById('timeline').getBoundingClientRect().toJSON()"
    cell, timeline = browser.evaluate(box), browser.evaluate(inside)
    assert timeline["left"] + 70 < cell["left"] and cell["bottom"] < timeline["bottom"] and cell["width"] > 5
    browser.press("ArrowDown")
    other = browser.evaluate(FOCUSED)
    assert other.split(",")[0] > second.split(",")[0], "the speaker below"
    browser.press("ArrowUp")
    assert browser.evaluate(FOCUSED).split(",")[0] == second.split(",")[0]
    browser.press("2", "2")  # corrected: the cell is another one, and has the focus
    browser.wait(f"{FOCUSED}.includes(', happy')")
    browser.press("Delete")
    browser.wait(f"{CELLS}.includes(document.activeElement) && {CELLS}.length === {len(REFERENCE) - 1}")
    browser.press("End")
    last = max(REFERENCE, key=lambda s: (s.start, s.end))
    assert browser.evaluate(FOCUSED).startswith(last.speaker)
    browser.press("Tab")
    assert browser.evaluate(f"{CELLS}.includes(document.activeElement)") is False


def names_of(tree, role):
    """The accessible names of the elements with a role, in order."""
    return [
        node["name"]["value"]
        for node in tree
        if node.get("role", {}).get("value") == role and not node.get("ignored")
    ]


def test_a_screen_reader_reads_the_lanes(browser):
    """A row per speaker with its sums, and a cell per segment: speaker, emotion, confidence and time."""
    browser.wait(f"{CELLS}.length === {len(REFERENCE)}")
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    (grid,) = (node for node in tree if node.get("role", {}).get("value") == "grid")
    assert "one row per speaker" in grid["name"]["value"]
    within, cells = [grid], []
    by_id = {node["nodeId"]: node for node in tree}
    while within:
        node = within.pop(0)
        within = [by_id[child] for child in node.get("childIds", ()) if child in by_id] + within
        cells.append(node)
    heads = [name for name in names_of(cells, "rowheader")]
    assert [head.split(":")[0] for head in heads] == ["anton", "clara", "greta"]
    assert all("turns, speaks 0:1" in head and "neutral" in head for head in heads)
    read = names_of(cells, "gridcell")
    assert len(read) == len(REFERENCE)
    expected = sorted(REFERENCE, key=lambda s: (s.speaker, s.start))
    for name, segment in zip(read, expected, strict=True):
        assert name.startswith(f"{segment.speaker}, {segment.emotion}, 70 %, 0:"), name
        seconds = [float(part) for part in name.split("0:")[1:2]] if " to " not in name else None
        start, end = (float(t.split(",")[0].removeprefix("0:")) for t in name.split(", ")[-1].split(" to "))
        assert seconds is None and abs(start - segment.start) <= 0.051 and abs(end - segment.end) <= 0.051


def test_many_segments_are_few_cells(browser):
    browser.evaluate(
        "sed.session.segments.replaceBy(Array.from({ length: 3000 }, (_, n) => ({ start: n, end: n + 0.9,"
        "speaker: `spk0${n % 3}`, emotion: 'sad' }))); sed.session.duration = 3000;"
        "sed.session.dispatchEvent(new CustomEvent('change'))"
    )
    browser.wait("document.getElementById('count').textContent.startsWith('3000')")
    browser.click("#fit")
    browser.evaluate("sed.timeline.select(1500)")
    browser.wait(f"{CELLS}.length > 50 && {CELLS}.length <= 121")
    assert browser.evaluate(f"{STOPS}.length === 1 && {STOPS}[0].ariaLabel").startswith("spk00, sad")
