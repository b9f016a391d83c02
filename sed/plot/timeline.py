"""A plot of a reference above a hypothesis: two annotations in, a matplotlib figure or image file out.

Each side has one row per speaker (one row if speakers are unnamed); colours are emotions, from `sed.palette`, and bars
that are wide enough are labelled. Speakers of the hypothesis are in the order of the reference's speakers with which
they overlap most. Below the speakers of a side with dimensions, such as arousal, a thin curve shows each (0 to 1). A
strip at the bottom is black where the emotions of the two differ. Needs matplotlib (extra ``score``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sed.errors import MissingDependencyError, install_hint
from sed.formats.spelling import printable
from sed.palette import colour, ink
from sed.result import Diarization, Segment
from sed.scoring.assignment import best_pairs
from sed.scoring.confusion import label_order
from sed.scoring.intervals import Region, Track, cells, support, sweep
from sed.scoring.spans import Spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_EMOTION: dict[str, Any] = {"facecolor": "#f4f4f4", "edgecolor": "#888888"}  # a segment without an emotion
PLAIN: Any = {"parse_math": False}  # names may contain dollar signs
CHARACTER_WIDTH = 0.065  # inches per character of a label


def plot(
    reference: Diarization,
    hypothesis: Diarization,
    *,
    neutral: str = "neutral",
    region: Region | None = None,
) -> Figure:
    """A figure of `reference` above `hypothesis` on one time axis, in seconds.

    `region` is the scored time as (start, end) in seconds, to which differences are limited. None: all.

    Raises `MissingDependencyError` without matplotlib.

    >>> a = Diarization("call", 10.0, [Segment(1, 4, "ann", "happy"), Segment(4, 9, "bob", "sad")])
    >>> [text.get_text() for text in plot(a, a).axes[0].get_yticklabels()]
    ['ann', 'bob', 'ann', 'bob', 'differ']
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
    except ImportError as error:
        raise MissingDependencyError(f"a plot needs matplotlib: {install_hint('score')}") from error

    end = max(*(end for d in (reference, hypothesis) for end in (d.duration, Spans.of(d).end)), 1e-3)
    mine, theirs = _speakers(reference), _speakers(hypothesis)
    theirs = _in_reference_order(reference, hypothesis, mine, theirs)
    count = len(mine) + len(reference.dimensions)
    sides = ((reference, mine, 0.0), (hypothesis, theirs, count + 0.4))  # with the place of their first row
    count += len(theirs) + len(hypothesis.dimensions)
    width = min(40.0, max(8.0, 0.12 * end))
    figure = Figure(figsize=(width, 1.3 + 0.42 * (count + 1.4)), layout="constrained")
    axes = figure.add_subplot()

    inches = (width - 1.2) / end  # per second, approximately
    rows = {place: text for side in sides for place, text in _draw_side(axes, *side, inches)}
    bottom = max(rows) + 1.0
    scored = support([(0.0, end)] if region is None else list(region))
    differing = _differences(reference, hypothesis, scored, neutral)
    axes.broken_barh([(a, b - a) for a, b in differing], (bottom - 0.2, 0.4), color="#000000", linewidth=0)
    axes.axhline(sides[1][2] - 0.7, color="#888888", linewidth=0.8)

    axes.set_yticks([*rows, bottom], [*rows.values(), "differ"], **PLAIN)
    axes.set_ylim(bottom + 0.5, -0.6)
    axes.set_xlim(0, end)
    axes.set_xlabel("time (s)")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    right: Any = {"transform": axes.get_yaxis_transform(), "rotation": 90, "va": "center", "color": "#555555"}
    for text, (_, speakers, low) in zip(("reference", "hypothesis"), sides, strict=True):
        axes.text(1.005, low + (len(speakers) - 1) / 2, text, fontsize=8, clip_on=False, **right)
    emotions = {s.emotion for d in (reference, hypothesis) for s in d if s.emotion is not None}
    shown = [label for label in label_order(emotions, neutral) if label in emotions]
    axes.set_title(printable(reference.uri), loc="left", fontsize=10, **PLAIN)
    patches = [Patch(facecolor=colour(label), label=label) for label in shown]
    if any(s.emotion is None for d in (reference, hypothesis) for s in d):
        patches.append(Patch(label="no emotion named", **NO_EMOTION))
    if patches:
        columns = min(len(patches), 6)
        legend = figure.legend(
            handles=patches, loc="outside upper right", ncols=columns, frameon=False, fontsize=8
        )
        for label in legend.get_texts():
            label.set(**PLAIN)
    return figure


def _row_label(speaker: str | None) -> str:
    return speaker if speaker is not None else "anyone"


def _speakers(side: Diarization) -> list[str | None]:
    """Speakers in order of their first segment; None for segments without a speaker."""
    return list(dict.fromkeys(segment.speaker for segment in side)) or [None]


def _in_reference_order(
    reference: Diarization,
    hypothesis: Diarization,
    mine: Sequence[str | None],
    theirs: Sequence[str | None],
) -> list[str | None]:
    """`theirs` in the order of their matches in `mine`; speakers without a match come last."""
    here = [support([(s.start, s.end) for s in reference if s.speaker == name]) for name in mine]
    there = [support([(s.start, s.end) for s in hypothesis if s.speaker == name]) for name in theirs]
    end = max(Spans.of(reference).end, Spans.of(hypothesis).end)
    scored = cells(here, there, np.array([[0.0, end]]), np.empty((0, 2)))
    weights = scored.reference.astype(float).T @ (scored.widths[:, None] * scored.hypothesis)
    order = [column for _, column in best_pairs(weights)]
    return [theirs[n] for n in (*order, *(n for n in range(len(theirs)) if n not in order))]


def _draw_side(
    axes: Axes, side: Diarization, speakers: Sequence[str | None], top: float, inches: float
) -> list[tuple[float, str]]:
    """Draw the rows of `side` from the place `top` on: its speakers, then its dimensions. Returns places and labels."""
    rows: list[tuple[float, str]] = []
    for speaker in speakers:
        place = top + len(rows)
        _draw(axes, [s for s in side if s.speaker == speaker], place, inches)
        rows.append((place, _row_label(speaker)))
    for column, name in enumerate(side.dimensions):
        place = top + len(rows)
        times, values = _curve(side, column)
        axes.plot(times, place + 0.38 - 0.76 * values, color="#555555", linewidth=0.8)
        rows.append((place, name))
    return rows


def _curve(side: Diarization, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and values of a dimension: of every frame, or the means of segments with gaps between them."""
    if side.dimension_track is not None:
        values = side.dimension_track[:, column].astype(float)
        return (np.arange(len(values)) + 0.5) / side.frame_rate, values
    name = side.dimensions[column]
    means = [(s.start, s.end, s.dimensions.get(name, np.nan)) for s in side]
    times = [time for start, end, _ in means for time in (start, end, end)]
    return np.array(times), np.array([v for *_, value in means for v in (value, value, np.nan)], float)


def _draw(axes: Axes, segments: Sequence[Segment], place: float, inches: float) -> None:
    for segment in segments:
        bar: Any = [(segment.start, segment.duration)]
        if segment.emotion is None:
            axes.broken_barh(bar, (place - 0.38, 0.76), linewidth=0.5, **NO_EMOTION)
            continue
        paint = colour(segment.emotion)
        axes.broken_barh(bar, (place - 0.38, 0.76), color=paint, edgecolor="#ffffff", linewidth=0.5)
        text = segment.emotion or ""
        if text and segment.duration * inches > CHARACTER_WIDTH * len(text):
            middle = (segment.start + segment.end) / 2
            style: Any = {"ha": "center", "va": "center", "fontsize": 7, "clip_on": True, **PLAIN}
            axes.text(middle, place, text, color=ink(paint), **style)


def _differences(reference: Diarization, hypothesis: Diarization, scored: Track, neutral: str) -> np.ndarray:
    """Intervals ``(n, 2)`` of the `scored` time in which the emotions differ; gaps count as neutral."""
    here, there = (Spans.of(side).by_emotion() for side in (reference, hypothesis))
    names = label_order([*here, *there], neutral)
    nothing, size = np.empty((0, 2)), len(names)
    both = [side.get(label, nothing) for side in (here, there) for label in names]
    edges, active = sweep([*both, scored])
    truth, claimed = active[:, :size], active[:, size : 2 * size]
    for side in (truth, claimed):
        side[:, 0] |= ~side.any(1)
    wrong = (truth != claimed).any(1) & active[:, -1]
    return support(np.stack([edges[:-1][wrong], edges[1:][wrong]], 1))
