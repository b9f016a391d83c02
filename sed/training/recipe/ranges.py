"""Range checks of numeric options: nothing is returned, errors are `OptionError`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sed.errors import OptionError


def is_number(value: Any) -> bool:
    """Whether `value` is a number and not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_numbers(values: Any, names: Sequence[str], lowest: float, highest: float = math.inf) -> None:
    """Check that each attribute `names` of `values` is a finite number from `lowest` to `highest`.

    >>> from sed.training.data.clips import ClipOptions
    >>> check_numbers(ClipOptions(), ["edge"], 0)
    """
    for name in names:
        value = getattr(values, name)
        if not (is_number(value) and lowest <= value <= highest and math.isfinite(value)):
            minimum = "a finite number" if lowest == -math.inf else f"{lowest} or more"
            expected = minimum if highest == math.inf else f"{lowest} to {highest}"
            raise OptionError(f"{name}: found {value}, expected {expected}")


def check_ranges(values: Any, names: Sequence[str], lowest: float = -math.inf) -> None:
    """Check that each attribute `names` of `values` is two finite numbers in ascending order, the first no lower than
    `lowest`."""
    for name in names:
        found = getattr(values, name)
        is_pair = isinstance(found, Sequence) and len(found) == 2 and all(map(is_number, found))
        if not is_pair or not lowest <= found[0] <= found[1] or not all(map(math.isfinite, found)):
            minimum = "" if lowest == -math.inf else f" of {lowest} or more"
            raise OptionError(f"{name}: found {found}, expected two numbers{minimum}, the lower one first")
