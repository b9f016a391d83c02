"""The plot: rows, colours and the strip of differences match the annotations."""

from __future__ import annotations

import matplotlib.colors as mc
import pytest

from sed.errors import OptionError
from sed.palette import colour
from sed.plot import plot, save_plot
from sed.result import Diarization, Segment

REFERENCE = Diarization(
    "call",
    20.0,
    [Segment(0, 5, "ann", "happy"), Segment(5, 9, "bob", "sad"), Segment(9, 20, "ann", "neutral")],
)
HYPOTHESIS = Diarization(
    "call", 20.0, [Segment(0, 1, "y", "sad"), Segment(1, 5, "x", "happy"), Segment(5, 9, "y", "sad")]
)


def bars(figure):
    """(start, end, row label, hex colour) of every bar."""
    axes = figure.axes[0]
    ticks = list(zip(axes.get_yticks(), [t.get_text() for t in axes.get_yticklabels()], strict=True))
    found = []
    for collection in axes.collections:
        for path, paint in zip(collection.get_paths(), collection.get_facecolors(), strict=False):
            box = path.get_extents()
            row = min(ticks, key=lambda tick: abs(tick[0] - (box.y0 + box.y1) / 2))[1]
            found.append((round(box.x0, 6), round(box.x1, 6), row, mc.to_hex(paint)))
    return found


def test_bars_are_the_segments():
    figure = plot(REFERENCE, HYPOTHESIS)
    found = bars(figure)
    for side in (REFERENCE, HYPOTHESIS):
        for s in side:
            assert (s.start, s.end, s.speaker, colour(s.emotion)) in found
    assert [bar[:2] for bar in found if bar[2] == "differ"] == [(0, 1)]
    assert figure.axes[0].get_xlim() == (0, 20)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["neutral", "happy", "sad"]


def test_names_are_not_parsed_as_formulas(tmp_path):
    side = Diarization("$a$ $\\frac$", 9.0, [Segment(0, 9, "$\\frac$", "$\\frac$")])
    save_plot(side, side, tmp_path / "a.png")  # drawing it would fail
    assert (tmp_path / "a.png").exists()


def test_speakers_are_in_the_order_of_their_matches():
    labels = [tick.get_text() for tick in plot(REFERENCE, HYPOTHESIS).axes[0].get_yticklabels()]
    assert labels == ["ann", "bob", "x", "y", "differ"]  # x spoke later than y, but is ann


def test_one_row_without_speakers_and_nothing_at_all():
    nameless = Diarization("u", 3.0, [Segment(1, 3, None, "angry")])
    labels = [tick.get_text() for tick in plot(nameless, Diarization("u", 3.0, [])).axes[0].get_yticklabels()]
    assert labels == ["anyone", "anyone", "differ"]
    plot(Diarization("u", 0.0, []), Diarization("u", 0.0, []))


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files(tmp_path, suffix):
    path = tmp_path / f"call{suffix}"
    save_plot(REFERENCE, HYPOTHESIS, path)
    assert path.stat().st_size > 2000
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_missing_glyphs_are_reported_in_one_sentence(tmp_path, caplog, recwarn):
    named = Diarization("会", 4.0, [Segment(0, 4, "山", "山会")])
    save_plot(named, named, tmp_path / "x.png")
    assert [record.getMessage() for record in caplog.records] == [
        f"plot to {tmp_path / 'x.png'}: its font lacks 山 会, drawn as boxes"
    ]
    assert not recwarn.list


def test_wrong_paths(tmp_path):
    with pytest.raises(OptionError, match=r"expected a name that ends in .png"):
        save_plot(REFERENCE, HYPOTHESIS, tmp_path / "call.bmp")
    with pytest.raises(OptionError, match="cannot be written"):
        save_plot(REFERENCE, HYPOTHESIS, tmp_path / "nowhere" / "call.png")


def test_segments_without_emotion_are_in_the_legend():
    plain = Diarization("x", 10.0, [Segment(0, 3, "ann"), Segment(4, 9, "ann", "sad")])
    (legend,) = plot(plain, plain).legends
    assert [text.get_text() for text in legend.get_texts()] == ["sad", "no emotion named"]
    (legend,) = plot(plain, Diarization("x", 10.0, [Segment(0, 3, "b")])).legends
    assert [text.get_text() for text in legend.get_texts()] == ["sad", "no emotion named"]
