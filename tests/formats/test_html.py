"""HTML pages: names cannot inject anything, sizes are bounded, the curve is that of the segments."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed import formats
from sed.errors import FormatError, OptionError
from sed.formats import html
from sed.formats.spelling import TEXT
from sed.result import Diarization, Segment

LABELS = ("neutral", "happy", "angry", "sad")


class Elements(HTMLParser):
    """The elements of a page, and the text in each script."""

    def __init__(self, page):
        super().__init__()
        self.found, self.scripts, self.inside = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.scripts[-1] += data


def data_of(page):
    return json.loads(Elements(page).scripts[0])


names = st.one_of(
    st.sampled_from(
        ["</script><script>alert(1)</script>", "<!--<script>", "\"'><img src=x onerror=alert(1)>", "&lt;"]
    ),
    st.text(min_size=1, max_size=12),
)


@given(uri=names, speaker=names, emotion=names)
def test_names_are_data_and_never_markup(uri, speaker, emotion):
    page = formats.dumps(Diarization(uri, 2.0, [Segment(0, 1, speaker, emotion)]), "html", uri).decode()
    plain = Elements(formats.dumps(Diarization("a", 2.0, [Segment(0, 1, "b", "c")]), "html").decode())
    found = Elements(page)
    assert [tag for tag, _ in found.found] == [tag for tag, _ in plain.found]
    assert found.scripts[1] == plain.scripts[1]
    data = json.loads(found.scripts[0])
    assert (data["uri"], data["speakers"]) == (TEXT.write(uri), [TEXT.write(speaker)])


def test_only_the_pages_own_script_may_run():
    page = html.dump(Diarization("a", 2.0, []))
    found = Elements(page)
    (policy,) = [a["content"] for tag, a in found.found if a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(found.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy and policy.startswith("default-src 'none'")
    assert not re.search(r"(src|href)=|url\(|@import", page.split("<script>")[0])


def test_an_hour_is_under_300_kb():
    rows = []
    for number in range(1800):  # a segment every 2 s
        p = [0.1234, 0.2345, 0.3456, 0.2965]
        rows.append(
            Segment(
                number * 2.0,
                number * 2 + 1.87,
                f"spk{number % 6:02d}",
                LABELS[number % 4],
                p[number % 4],
                dict(zip(LABELS, p, strict=True)),
            )
        )
    posteriors = np.full((180_000, 4), 0.25, np.float32)
    page = formats.dumps(Diarization("hour", 3600.0, rows, LABELS, posteriors), "html")
    assert len(page) < 300_000
    assert len(data_of(page.decode())["curve"]) == html.POINTS


def test_ten_thousand_segments_are_under_300_kb():
    random = np.random.default_rng(0)
    rows, start = [], 0.0
    for p in random.dirichlet([1, 1, 1, 1], 10_000):
        start += random.uniform(0, 3)
        length, best = random.uniform(0.2, 9), int(p.argmax())
        probabilities = dict(zip(LABELS, p.tolist(), strict=True))
        rows.append(Segment(start, start + length, f"spk{best % 3}", LABELS[best], p[best], probabilities))
    result = Diarization("day", start + 9, rows, LABELS, np.full((50 * round(start), 4), 0.25, np.float32))
    page = formats.dumps(result, "html")
    assert len(page) < 300_000
    columns = data_of(page.decode())["segments"]
    starts = np.cumsum(columns["start"]) / 1000
    assert np.abs(starts - [s.start for s in result]).max() <= 0.0005
    ends = starts + np.array(columns["length"]) / 1000
    assert np.abs(ends - [s.end for s in result]).max() <= 0.0005
    digits = np.array([html.DIGITS.index(digit) for digit in columns["probabilities"]]).reshape(-1, 4) / 63
    assert np.abs(digits - [list(s.probabilities.values()) for s in result]).max() <= 0.008


def test_segments_without_probabilities_have_blanks():
    p = {"happy": 1.0, "sad": 0.0}
    rows = [Segment(0, 1, "a", "sad"), Segment(1, 2, "a", "happy", 0.25, p)]
    columns = data_of(html.dump(Diarization("a", 2.0, rows, ("happy", "sad"))))["segments"]
    assert (columns["probabilities"], columns["confidence"]) == ("  _A", [None, 250])
    assert data_of(html.dump(Diarization("a", 2.0, rows[:1])))["segments"]["probabilities"] == ""


def test_the_curve_is_the_share_of_speech_and_of_each_emotion():
    result = Diarization(
        "a", 100.0, [Segment(0, 50, "a", "sad"), Segment(50, 60, "b", "happy")], ("happy", "sad")
    )
    curve = np.array(html.smoothed(result, ["happy", "sad"]))
    times = (np.arange(len(curve)) + 0.5) * 100 / len(curve)
    assert (curve[times < 48] == [0, 100]).all() and (curve[(times > 52) & (times < 58)] == [100, 0]).all()
    assert (curve[times > 62] == 0).all()


def test_posteriors_come_before_probabilities_and_these_before_the_emotion():
    segment = Segment(0, 10, "a", "sad", 0.6, {"happy": 0.4, "sad": 0.6})
    frames = np.tile(np.float32([[0.9, 0.1]]), (500, 1))
    labels = ["happy", "sad"]
    for result, expected in (
        (Diarization("a", 10.0, [Segment(0, 10, "a", "sad")], labels), [0, 100]),
        (Diarization("a", 10.0, [segment], labels), [40, 60]),
        (Diarization("a", 10.0, [segment], labels, frames), [90, 10]),
    ):
        assert html.smoothed(result, labels)[20] == expected


@pytest.mark.parametrize("result", [Diarization("a", 0.0, []), Diarization("a", 0.0, [Segment(0, 0.001)])])
def test_odd_results_have_a_page(result):
    assert data_of(html.dump(result))["uri"] == "a"


def test_links_and_embedded_audio(tmp_path):
    (tmp_path / "out").mkdir()
    audio = tmp_path / "a #1 é.wav"
    audio.write_bytes(b"RIFF")
    assert html.audio_link(audio, tmp_path / "out" / "a.html") == "../a%20%231%20%C3%A9.wav"
    assert html.audio_data(audio) == "data:audio/x-wav;base64,UklGRg=="
    with pytest.raises(FormatError, match="cannot be read"):
        html.audio_data(tmp_path / "missing.wav")
    with pytest.raises(FormatError, match="html can only be written"):
        formats.read_all(tmp_path / "x.html") if (tmp_path / "x.html").write_text("<!doctype html>") else None
    with pytest.raises(OptionError, match="--embed-audio is for the format html only"):
        from sed.archive.outputs import Outputs

        Outputs.parse(["rttm"], None, 1, embed_audio=True)


def test_many_labels_have_no_curve():
    labels = tuple(f"emotion {n}" for n in range(html.CURVES + 1))
    assert html.smoothed(Diarization("call", 9.0, [Segment(0, 9, "a", labels[0])]), list(labels[:-1]))
    assert html.smoothed(Diarization("call", 9.0, [Segment(0, 9, "a", labels[0])]), list(labels)) == []
