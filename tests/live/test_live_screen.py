"""The screen of a live run: layout and content at any size."""

import io
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sed.live.parts import Status
from sed.live.screen import Screen
from sed.live.timeline import Timeline
from sed.palette import COLOURS
from sed.result import Segment
from sed.streaming.events import Event, Relabel

LABELS = ("neutral", "happy", "angry", "sad")


def event(number, start, end, speaker, emotion, final, time, settled):
    probabilities = {label: 0.1 for label in LABELS} | {emotion: 0.7}
    return Event(number, Segment(start, end, speaker, emotion, 0.7, probabilities), final, time, settled)


def lines(timeline, width=100, height=30, console=None, status=None, **settings):
    status = status or Status(
        captured=20.0, analysed=20.0, load=0.1, probabilities=dict.fromkeys(LABELS, 0.25)
    )
    settings = {"title": "Mic", "latency": 1.0, "span": 20.0} | settings
    screen = Screen(timeline.view(), status, LABELS, **settings)
    console = console or Console(
        width=width,
        height=height,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    return console.render_lines(screen, console.options.update(width=width, height=height), pad=False)


def text(rows):
    return ["".join(part.text for part in row) for row in rows]


def cells(row):
    """(character, style) of every column of a row."""
    return [(character, str(part.style or "")) for part in row for character in part.text]


@pytest.fixture
def timeline():
    """20 s: spk00 is happy at 2-6 s, final; spk01 is angry from 12 s on, decided up to 16 s."""
    timeline = Timeline(60)
    timeline.event(event(0, 2.0, 6.0, "spk00", "happy", True, 7.0, 6.5))
    timeline.final(Segment(2.0, 6.0, "spk00", "happy", 0.7))
    timeline.event(event(1, 12.0, 20.0, "spk01", "angry", False, 20.0, 16.0))
    return timeline


def row_of(rows, name):
    return next(cells(row) for row in rows if "".join(p.text for p in row).startswith(f" {name}"))


def test_decided_time_is_solid_and_the_rest_stippled(timeline):
    lane = row_of(lines(timeline, width=91), "spk01")[10:]  # 80 columns for 20 s: 4 a second
    kinds = [
        "solid" if f"on {COLOURS['angry']}" in style else "stippled" if character == "▒" else "empty"
        for character, style in lane
    ]
    assert kinds[:48] == ["empty"] * 48
    assert kinds[48:64] == ["solid"] * 16
    assert kinds[64:80] == ["stippled"] * 16
    assert "".join(character for character, _ in lane[48:64]).strip() == "angry"


def test_a_final_segment_is_solid_and_named(timeline):
    lane = row_of(lines(timeline, width=91), "spk00")[10:]
    assert [i for i, (_, style) in enumerate(lane) if COLOURS["happy"] in style] == list(range(8, 24))
    assert "".join(c for c, _ in lane).strip() == "happy"


def test_rows_scroll_with_time(timeline):
    status = Status(captured=30.0, analysed=30.0, load=0.1)
    lane = row_of(lines(timeline, width=91, status=status), "spk01")[10:]
    assert (
        next(i for i, (_, style) in enumerate(lane) if COLOURS["angry"] in style) == 8
    )  # 12 s: 2 s from the left
    assert not any(
        COLOURS["happy"] in style for _, style in row_of(lines(timeline, width=91, status=status), "spk00")
    )


def test_letters_replace_colours(timeline):
    plain = Console(width=91, height=30, file=io.StringIO(), force_terminal=True, no_color=True)
    rows = text(lines(timeline, width=91, console=plain))
    lane = next(row for row in rows if row.startswith(" spk01"))
    assert lane[58:90] == "A" * 16 + "a" * 16


def test_the_screen_shows_all_values(timeline):
    timeline.add_message("the disk is slow")
    timeline.lost(8.0, 10.0)
    status = Status(
        captured=3723.5,
        analysed=3719.0,
        lost=2.0,
        load=0.95,
        level=-20,
        peak=-0.01,
        probabilities={"angry": 0.625},
    )
    whole = "\n".join(text(lines(timeline, status=status, recording="out.wav")))
    for part in ("Mic", "● out.wav", "1:02:03", "latency 1.0 s", "delay  3.5 s", "load  95%", "lost 2.0 s",
                 "CLIPPED", "spk01 angry for 8.0 s", " 62%", "! the disk is slow", "0:02.0", "0:06.0"):  # fmt: skip
        assert part in whole, part


def test_a_message_disappears_after_a_while(timeline, monkeypatch):
    timeline.add_message("the disk is slow")
    later = time.monotonic() + 20
    monkeypatch.setattr(time, "monotonic", lambda: later)
    timeline.add_message("the disk is slower")
    assert [row for row in text(lines(timeline)) if row.startswith(" !")] == [" ! the disk is slower"]


def test_no_speech(timeline):
    timeline.event(Event(1, None, False, 20.5, 20.0))
    assert any("now       no speech" in row for row in text(lines(timeline)))
    assert any("no speech yet" in row for row in text(lines(Timeline())))


def test_the_backlog_is_shown_at_the_end(timeline):
    status = Status(captured=20.0, analysed=12.0, load=0.1)
    assert "finishing 8 s" in text(lines(timeline, ending=True, status=status))[0]


def test_the_envelope_is_aligned_with_the_rows(timeline):
    for tenth in range(200):
        timeline.level(tenth / 10 + 0.05, 0.0 if tenth >= 100 else -90.0)
    timeline.lost(5.0, 6.0)
    row = "".join(c for c, _ in row_of(lines(timeline, width=91), "sound"))[10:]
    assert row == " " * 20 + "✕" * 4 + " " * 16 + "█" * 40


def test_more_speakers_than_rows():
    timeline = Timeline()
    for n in range(30):
        timeline.event(event(n, n / 2, n / 2 + 0.4, f"spk{n:02d}", "sad", True, 16.0, 16.0))
    rows = text(lines(timeline, height=14))
    assert len(rows) <= 14
    assert any("spk29" in row for row in rows)
    assert any(row.startswith(" and ") and row.endswith(" more") for row in rows)


def test_ascii_terminals_get_ascii(timeline):
    for tenth in range(200):
        timeline.level(tenth / 10, -10.0)
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(width=91, height=30, file=file, force_terminal=True, color_system="standard")
    assert "".join(text(lines(timeline, width=91, console=console, recording="a.wav"))).isascii()


@given(
    width=st.integers(1, 200),
    height=st.integers(1, 60),
    rows=st.lists(
        st.tuples(
            st.integers(0, 400),
            st.integers(1, 90),
            st.integers(0, 12),
            st.sampled_from([*LABELS, "astonished"]),
            st.booleans(),
        ),
        max_size=15,
    ),
    captured=st.floats(0, 1e6),
    load=st.sampled_from([math.nan, 0.0, 0.5, 7.0]),
)
def test_every_screen_fits_its_terminal(width, height, rows, captured, load):
    timeline = Timeline(60)
    for number, (start, length, speaker, emotion, final) in enumerate(rows):
        timeline.event(
            event(number, start / 10, (start + length) / 10, f"spk{speaker:02d}", emotion, final, 40.0, 38.0)
        )
    screen = Screen(timeline.view(), Status(captured=captured, load=load), LABELS, "Mic", 1.0)
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True)
    (whole,) = screen.__rich_console__(console, console.options.update(width=width, height=height))
    drawn = whole.plain.split("\n")  # before rich itself would truncate it
    assert len(drawn) <= height
    assert all(len(row) <= width for row in drawn)


def test_a_relabelled_speaker_is_shown_under_the_other_name(timeline):
    timeline.event(event(2, 7.0, 9.0, "spk02", "sad", True, 10.0, 9.5))
    timeline.final(Segment(7.0, 9.0, "spk02", "sad"))
    timeline.relabel(Relabel("spk01", "spk02", 20.0))
    timeline.relabel(Relabel("spk02", "spk00", 20.0))  # so is, by that, the one who was spk01
    view = timeline.view()
    assert {name: len(bars) for name, bars in view.bars.items()} == {"spk00": 3}
    assert [segment.speaker for segment in view.recent] == ["spk00", "spk00"]
    assert view.current.speaker == "spk00"
    assert view.messages == ("spk01 is spk02", "spk02 is spk00")


def test_old_segments_are_discarded():
    timeline = Timeline(span=10)
    for second in range(5000):
        timeline.event(event(second, second, second + 0.9, "spk00", "sad", True, second + 1.0, second + 1.0))
        timeline.final(Segment(second, second + 0.9, "spk00", "sad"))
        timeline.level(second, -10.0)
        timeline.lost(second, second + 0.1)
        timeline.add_message("again")
    view = timeline.view()
    assert len(view.bars["spk00"]) <= 12
    assert len(view.levels) <= 101
    assert len(view.recent) <= 100
    assert len(view.lost) <= 50
    assert len(view.messages) <= 3
