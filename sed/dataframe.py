"""A result as a pandas DataFrame: plain segments in, one row for each out; see `sed.result.Diarization.to_frame`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sed.errors import MissingDependencyError, OptionError, install_hint

if TYPE_CHECKING:
    from pandas import DataFrame


def segment_frame(
    uri: str, segments: Sequence[Any], labels: Sequence[str], dimensions: Sequence[str], index: str | None
) -> DataFrame:
    """The DataFrame of `segments`, with a column for each of `labels` and `dimensions`.

    Raises `OptionError` for an `index` other than None or ``"audformat"``, and `MissingDependencyError` without pandas.
    """
    if index not in (None, "audformat"):
        raise OptionError(f"index {index!r}: expected None or 'audformat'")
    try:
        import pandas
    except ImportError:
        raise MissingDependencyError(f"to_frame needs pandas: {install_hint('frame')}") from None
    start, end = (np.array([getattr(s, name) for s in segments], float) for name in ("start", "end"))
    columns: dict[str, Any] = {"duration": end - start}
    columns |= {
        name: pandas.Series([getattr(s, name) for s in segments], dtype="string")
        for name in ("speaker", "emotion")
    }
    columns["confidence"] = np.array([s.confidence for s in segments], float)
    for prefix, names, field_name in (
        ("p_", labels, "probabilities"),
        ("d_", dimensions, "dimensions"),
    ):
        for name in names:
            columns[prefix + name] = np.array([getattr(s, field_name).get(name) for s in segments], float)
    if index is None:
        columns = {
            "recording": pandas.Series([uri] * len(segments), dtype="string"),
            "start": start,
            "end": end,
        } | columns
        return pandas.DataFrame(columns)
    times = [
        pandas.to_timedelta((values * 1e9).round().astype("int64"), unit="ns") for values in (start, end)
    ]
    file = pandas.Index([uri] * len(segments), dtype="string")
    frame = pandas.DataFrame(columns)
    frame.index = pandas.MultiIndex.from_arrays([file, *times], names=["file", "start", "end"])
    return frame.drop(columns="duration")
