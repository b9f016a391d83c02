"""Bounds on the number of speakers, from the three options that all diarizers share."""

from __future__ import annotations

from sed.errors import OptionError


def speaker_bounds(
    speakers: int | None, min_speakers: int | None, max_speakers: int | None
) -> tuple[int, int | None]:
    """Minimum and maximum number of speakers (None: no maximum). Raises `OptionError` on invalid options.

    >>> speaker_bounds(None, 2, None), speaker_bounds(3, None, None)
    ((2, None), (3, 3))
    """
    for name, value in (
        ("speakers", speakers),
        ("min_speakers", min_speakers),
        ("max_speakers", max_speakers),
    ):
        if value is not None and value < 1:
            raise OptionError(f"{name} is {value}: expected 1 or more")
    if speakers is not None:
        if min_speakers is not None or max_speakers is not None:
            raise OptionError(
                "speakers cannot be combined with min_speakers or max_speakers: expected one or the other"
            )
        return speakers, speakers
    if min_speakers is not None and max_speakers is not None and min_speakers > max_speakers:
        raise OptionError(
            f"min_speakers is {min_speakers} and max_speakers {max_speakers}: expected min <= max"
        )
    return min_speakers or 1, max_speakers
