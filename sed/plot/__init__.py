"""Plots: two annotations on a time axis, a confusion matrix; matplotlib figures or image files out.

Need matplotlib (extra ``score``).
"""

from __future__ import annotations

from pathlib import Path

from sed.plot.confusion import plot_confusion
from sed.plot.saving import check_path, save
from sed.plot.timeline import plot
from sed.result import Diarization
from sed.scoring.intervals import Region

__all__ = ["check_path", "plot", "plot_confusion", "save", "save_plot"]


def save_plot(
    reference: Diarization,
    hypothesis: Diarization,
    path: str | Path,
    *,
    neutral: str = "neutral",
    region: Region | None = None,
) -> None:
    """Write the figure of `plot` to `path` as PNG, SVG or PDF, depending on its suffix.

    Raises `OptionError` on other suffixes and if the file cannot be written.
    """
    check_path(path)
    save(plot(reference, hypothesis, neutral=neutral, region=region), path)
