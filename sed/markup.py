"""A result as HTML for notebooks: name, duration and plain segments in, a small timeline (SVG) and a table out.

Colours of text and lines are those of the notebook, so that it suits light and dark themes. Names are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sed.palette import colour, ink

ROWS = 12  # of the table; a notebook scrolls badly through thousands
_WIDTH, _NAME, _LANE = 900, 110, 30
_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_CELL = "padding:3px 14px 3px 0;text-align:left;border:0;background:none"


def clock(seconds: float, decimals: int = 0) -> str:
    """Seconds as minutes and seconds, with hours if there are any.

    >>> clock(75.4), clock(3675.25, 1), clock(59.96, 1)
    ('1:15', '1:01:15.2', '1:00.0')
    """
    units = round(seconds * 10**decimals)
    whole, part = divmod(units, 10**decimals)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{part:0{decimals}d}" if decimals else text


def result_html(uri: str, duration: float, segments: Sequence[Mapping[str, Any]]) -> str:
    """The HTML of a result; `segments` are as of `Segment.to_dict`, in order of time.

    >>> html = result_html("a<q", 2.0, [{"start": 0, "end": 1, "speaker": "<i>", "emotion": "sad"}])
    >>> "<q" in html, "&lt;i&gt;" in html
    (False, True)
    """
    speakers = list(dict.fromkeys(s.get("speaker") for s in segments))
    count = f"{len(segments)} segment{'' if len(segments) == 1 else 's'}"
    known = sum(name is not None for name in speakers)
    who = f" &middot; {known} speaker{'' if known == 1 else 's'}" if known else ""
    head = (
        f"<b>{escape(uri)}</b> &nbsp;<span style='opacity:.7'>{clock(duration)}{who} &middot; {count}</span>"
    )
    return (
        f"<div style='font:13px/1.5 system-ui,sans-serif;max-width:{_WIDTH}px'>{head}"
        f"{_svg(duration, segments, speakers)}{_legend(segments)}{_table(segments)}</div>"
    )


def _svg(duration: float, segments: Sequence[Mapping[str, Any]], speakers: Sequence[str | None]) -> str:
    end = max([duration, *(s["end"] for s in segments), 1e-3])
    scale = (_WIDTH - _NAME - 12) / end
    height = _LANE * len(speakers) + 24
    parts = []
    for row, name in enumerate(speakers):
        y = row * _LANE
        text = "" if name is None else name if len(name) <= 15 else name[:14] + "\u2026"
        parts.append(f"<text x='0' y='{y + 19}' fill='currentColor'>{escape(text)}</text>")
        width = f"{_WIDTH - _NAME - 12}"
        parts.append(
            f"<rect x='{_NAME}' y='{y + 4}' width='{width}' height='{_LANE - 8}' rx='3' "
            "fill='currentColor' opacity='.07'/>"
        )
    for s in segments:
        x, width = _NAME + s["start"] * scale, max(1.0, (s["end"] - s["start"]) * scale)
        y, paint = speakers.index(s.get("speaker")) * _LANE + 4, colour(s.get("emotion"))
        emotion = str(s.get("emotion") or "no emotion named")
        title = f"{clock(s['start'], 1)} to {clock(s['end'], 1)} {s.get('speaker') or ''}: {emotion}"
        parts.append(
            f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='{_LANE - 8}' rx='2' fill='{paint}'>"
            f"<title>{escape(title)}</title></rect>"
        )
        if width > 7 * len(emotion) + 6:
            parts.append(
                f"<text x='{x + width / 2:.1f}' y='{y + 15}' text-anchor='middle' font-size='11' "
                f"pointer-events='none' fill='{ink(paint)}'>{escape(emotion)}</text>"
            )
    step = next((step for step in _STEPS if step * scale >= 70), _STEPS[-1])
    for number in range(int(end / step) + 1):
        x = _NAME + number * step * scale
        parts.append(
            f"<text x='{x:.1f}' y='{height - 6}' font-size='11' fill='currentColor' opacity='.7' "
            f"text-anchor='middle'>{clock(number * step, 1 if step < 1 else 0)}</text>"
        )
    return (
        f"<svg viewBox='0 0 {_WIDTH} {height}' width='100%' role='img' aria-label='Timeline of speakers and emotions' "
        f"style='display:block;margin:8px 0 2px;font:13px system-ui,sans-serif'>{''.join(parts)}</svg>"
    )


def _legend(segments: Sequence[Mapping[str, Any]]) -> str:
    time: dict[str, float] = {}
    for s in segments:
        if (emotion := s.get("emotion")) is not None:
            time[emotion] = time.get(emotion, 0.0) + s["end"] - s["start"]
    items = "".join(
        f"<span style='margin-right:18px;white-space:nowrap'>{_dot(name)}{escape(name)} "
        f"<span style='opacity:.7'>{clock(seconds)}</span></span>"
        for name, seconds in sorted(time.items(), key=lambda pair: -pair[1])
    )
    return f"<div style='margin:2px 0 8px'>{items}</div>"


def _dot(emotion: str | None) -> str:
    return (
        "<span style='display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px;"
        f"background:{colour(emotion)}'></span>"
    )


def _table(segments: Sequence[Mapping[str, Any]]) -> str:
    if not segments:
        return ""
    head = "".join(
        f"<th style='{_CELL};opacity:.7;font-weight:400'>{name}</th>"
        for name in ("start", "end", "speaker", "emotion", "confidence")
    )
    rows = []
    for s in segments[:ROWS]:
        emotion, confidence = s.get("emotion"), s.get("confidence")
        cells = [
            clock(s["start"], 1),
            clock(s["end"], 1),
            escape(s.get("speaker") or ""),
            "" if emotion is None else _dot(emotion) + escape(emotion),
            "" if confidence is None else f"{confidence:.2f}",
        ]
        rows.append(
            "<tr style='background:none'>" + "".join(f"<td style='{_CELL}'>{c}</td>" for c in cells) + "</tr>"
        )
    more = len(segments) - ROWS
    note = (
        f"<div style='opacity:.7'>and {more} more; <code>to_frame()</code> has all</div>" if more > 0 else ""
    )
    return (
        "<table style='font:inherit;color:inherit;border-collapse:collapse;margin:0;font-variant-numeric:tabular-nums'>"
        f"<tr style='background:none'>{head}</tr>{''.join(rows)}</table>{note}"
    )
