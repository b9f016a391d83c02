"""Statistics pooling: the states of an utterance's frames in, one vector of their moments out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sed.errors import OptionError

STATISTICS = ("mean", "deviation", "skewness", "kurtosis")
_MIN_DEVIATION = 1e-6  # of a constant state, whose skewness and kurtosis are 0


def check_statistics(names: Sequence[str]) -> None:
    """Raise `OptionError` if `names` are not some of `STATISTICS`."""
    if not names or set(names) - set(STATISTICS):
        raise OptionError(
            f"statistics: found {', '.join(names) or 'none'}, expected some of {', '.join(STATISTICS)}"
        )


def pooled(states: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """The statistics `names` of `states` ``(frames, width)``, one after the other, ``(len(names) * width,)`` float32.

    Kurtosis is that above a normal distribution's.

    >>> pooled(np.array([[0.0, 5.0], [0.0, 5.0], [3.0, 5.0]]), STATISTICS).astype(float).round(3).tolist()
    [1.0, 5.0, 1.414, 0.0, 0.707, 0.0, -1.5, 0.0]
    """
    rows = np.asarray(states, np.float64)
    mean, deviation = rows.mean(0), rows.std(0)
    varies = deviation > _MIN_DEVIATION
    scores = np.where(varies, rows - mean, 0.0) / np.where(varies, deviation, 1.0)
    moments = {
        "mean": mean,
        "deviation": deviation,
        "skewness": (scores**3).mean(0),
        "kurtosis": np.where(varies, (scores**4).mean(0) - 3, 0.0),
    }
    return np.concatenate([moments[name] for name in names]).astype(np.float32)
