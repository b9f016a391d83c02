"""A confusion matrix as a plot: counts of utterances in, a matplotlib figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sed.errors import MissingDependencyError, install_hint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL = 0.75  # inches
MAP = "Blues"


def plot_confusion(confusion: np.ndarray, labels: Sequence[str], title: str = "") -> Figure:
    """A figure of `confusion` ``(labels, labels)``, rows by reference: shares of each row in percent, counts below.

    Raises `MissingDependencyError` without matplotlib.

    >>> figure = plot_confusion(np.array([[3, 1], [0, 4]]), ["happy", "sad"])
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['75 %\\n3', '25 %\\n1', '0 %\\n0', '100 %\\n4']
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(f"a plot needs matplotlib: {install_hint('score')}") from error
    totals = confusion.sum(1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)
    side = CELL * len(labels)
    figure = Figure(figsize=(max(3.6, side + 1.6), max(3.0, side + 1.4)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, vmin=0, vmax=1, cmap=MAP)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{100 * share:.0f} %\n{int(confusion[row, column])}" if totals[row, 0] else "-"
        ink = "#ffffff" if share > 0.6 else "#000000"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=ink)
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=45 if len(labels) > 4 else 0, parse_math=False)
    axes.set_yticks(places, labels, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("recognised")
    axes.set_ylabel("reference")
    if title:
        axes.set_title(title, loc="left", fontsize=10, parse_math=False)
    return figure
