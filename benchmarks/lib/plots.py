"""Figures of the benchmarks: bars with intervals, named points, lines; written to results/NAME.png.

Values are fractions and drawn in percent. Each system has the same colour in every panel of a figure.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.report import RESULTS

# Okabe and Ito's colours: distinguishable with every kind of colour vision.
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#999999", "#f0e442")

Rate = tuple[float, tuple[float, float]]


def panels(count: int, size: tuple[float, float], widths: Sequence[float] | None = None) -> tuple[Any, Any]:
    """A figure of `size` inches with `count` panels in a row, of relative `widths`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, count, width_ratios=widths, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def bars(
    axis: Any, groups: Sequence[str], series: Mapping[str, Sequence[Rate]], unit: str, title: str
) -> None:
    """Groups of bars with intervals: `series` has a rate and interval for each of `groups`."""
    width = 0.8 / len(series)
    for number, rates in enumerate(series.values()):
        places = np.arange(len(groups)) + (number - (len(series) - 1) / 2) * width
        height = 100 * np.array([rate for rate, _ in rates])
        reach = 100 * np.array([[max(0, rate - low), max(0, high - rate)] for rate, (low, high) in rates]).T
        axis.bar(places, height, 0.92 * width, color=COLOURS[number])
        axis.errorbar(places, height, reach, fmt="none", ecolor="#333333", elinewidth=0.8, capsize=1.5)
    axis.set_xticks(range(len(groups)), groups, fontsize=8)
    axis.tick_params(axis="x", length=0)
    axis.set_ylim(bottom=0)
    axis.set_ylabel(unit)
    axis.set_title(title, fontsize=10, loc="left")


def scatter(
    axis: Any, points: Mapping[str, tuple[float, float]], x_unit: str, y_unit: str, title: str
) -> None:
    """One named point per system; x is logarithmic, down and to the left is better. A name is above its point, or
    below it if a higher neighbour needs that space."""
    height = float(np.ptp([y for _, y in points.values()])) or 1.0
    for number, (name, (x, y)) in enumerate(points.items()):
        beside = [
            v for u, v in points.values() if 0 < abs(np.log10(u / x)) < 0.7 and 0 <= v - y < 0.08 * height
        ]
        axis.plot(x, y, "o", color=COLOURS[number], markersize=8)
        place = {"xytext": (0, -8), "va": "top"} if beside else {"xytext": (0, 8)}
        axis.annotate(name, (x, y), textcoords="offset points", fontsize=8, ha="center", **place)
    axis.set_xscale("log")
    axis.margins(0.3, 0.2)
    axis.minorticks_off()
    low, high = axis.get_xlim()
    places = [m * 10.0**e for e in range(-9, 10) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.set_xlabel(x_unit)
    axis.set_ylabel(y_unit)
    axis.set_title(title, fontsize=10, loc="left")


def lines(
    axis: Any,
    series: Mapping[str, Sequence[tuple[float, float]]],
    x_unit: str,
    y_unit: str,
    title: str,
    log: bool = True,
) -> None:
    """One line with markers per series of (x, y); with `log`, x is logarithmic."""
    for number, (name, points) in enumerate(series.items()):
        x, y = zip(*points, strict=True)
        axis.plot(x, y, "o-", color=COLOURS[2 * number % len(COLOURS)], label=name, markersize=5)
    if log:
        axis.set_xscale("log")
        axis.minorticks_off()
    places = sorted({x for points in series.values() for x, _ in points})
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.set_ylim(0, 1.2 * max(y for points in series.values() for _, y in points))
    axis.set_xlabel(x_unit)
    axis.set_ylabel(y_unit)
    axis.set_title(title, fontsize=10, loc="left")
    if len(series) > 1:
        axis.legend(frameon=False, fontsize=8)


def legend(figure: Any, names: Sequence[str]) -> None:
    """The colours of systems, above the panels."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=COLOURS[number], label=name) for number, name in enumerate(names)]
    figure.legend(handles=patches, loc="outside upper left", ncols=len(names), frameon=False, fontsize=9)


def store(figure: Any, name: str, trial: bool = False) -> None:
    """Write the figure to results/NAME.png, or that of a trial to the folder for temporary files."""
    folder = Path(tempfile.gettempdir()) if trial else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=110)


def rows(
    axis: Any, names: Sequence[str], series: Mapping[str, Sequence[Rate | None]], unit: str, title: str
) -> None:
    """One row per name, with a point and its interval for each of `series`; None leaves a gap."""
    for number, (label, rates) in enumerate(series.items()):
        known = [(place, rate) for place, rate in enumerate(rates) if rate is not None]
        height = np.array([place for place, _ in known]) + (number - (len(series) - 1) / 2) * 0.2
        middle = 100 * np.array([rate for _, (rate, _) in known])
        reach = 100 * np.array([[max(0, r - low), max(0, high - r)] for _, (r, (low, high)) in known]).T
        axis.errorbar(
            middle,
            height,
            xerr=reach,
            fmt="o",
            color=COLOURS[2 * number],
            label=label,
            markersize=5,
            elinewidth=1,
        )
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlim(left=0)
    axis.grid(axis="x", color="#dddddd", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(unit)
    axis.set_title(title, fontsize=10, loc="left")
    below = {"loc": "upper left", "bbox_to_anchor": (0, -0.1)}  # beside the title there is no room
    axis.legend(frameon=False, fontsize=8, ncols=len(series), borderpad=0, **below)
