"""Image files: a matplotlib figure in, a PNG, SVG or PDF out."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from sed.errors import OptionError
from sed.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("sed")
SUFFIXES = (".png", ".svg", ".pdf")
_GLYPH = re.compile(r"Glyph (\d+) .*missing from")  # matplotlib's warning of a missing glyph


def check_path(path: str | Path) -> None:
    """Raise `OptionError` if the suffix of `path` is not that of an image that `save` writes."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise OptionError(f"plot to {path}: expected a name that ends in {', '.join(SUFFIXES)}")


def save(figure: Figure, path: str | Path) -> None:
    """Write `figure` to `path` as PNG, SVG or PDF, depending on its suffix.

    Raises `OptionError` on other suffixes and if the file cannot be written.
    """
    check_path(path)
    path = Path(path)
    try:
        with atomic(path, path.suffix) as part, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            figure.savefig(part, dpi=150)
    except OSError as error:
        raise OptionError(f"plot to {path}: cannot be written ({error.strerror})") from error
    missing = [chr(int(glyph[1])) for one in caught if (glyph := _GLYPH.match(str(one.message)))]
    if missing:
        logger.warning(
            "plot to %s: its font lacks %s, drawn as boxes", path, " ".join(dict.fromkeys(missing))
        )
