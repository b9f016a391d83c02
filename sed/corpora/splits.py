"""Random train, valid and test splits in which each speaker is in one split only.

The result depends on the seed and the set of speakers, not on their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sed.errors import OptionError


def draw_splits(
    speakers: Mapping[str, str], seed: int = 0, *, valid: float = 0.1, test: float = 0.2
) -> dict[str, str]:
    """A split for each of `speakers` (or other groups), which maps names to a stratum such as the gender.

    `test` and `valid` are shares of the speakers, rounded. Two speakers are enough for a test speaker, three for a
    speaker in each split; there is always a training speaker. Held-out speakers are taken from the strata in turn, so
    that test covers every stratum if possible. Raises `OptionError` for shares that leave nothing to train on.

    >>> draw_splits({"ann": "F", "bob": "M", "cat": "F", "dan": "M"}) == draw_splits(
    ...     {"dan": "M", "cat": "F", "bob": "M", "ann": "F"})
    True
    """
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise OptionError(f"found shares {valid} for valid and {test} for test, expected a sum below 1")
    if not speakers:
        return {}
    strata: dict[str, list[str]] = {}
    for name in sorted(speakers, key=lambda name: _rank(seed, name)):
        strata.setdefault(speakers[name], []).append(name)
    queues = [strata[stratum] for stratum in sorted(strata, key=lambda stratum: _rank(seed, stratum))]
    order: list[str] = []
    while any(queues):
        order += [queue.pop(0) for queue in queues if queue]
    tests = min(_count(len(order), test, 2), len(order) - 1)
    valids = min(_count(len(order), valid, 3), len(order) - 1 - tests)
    return {
        name: "test" if index < tests else "valid" if index < tests + valids else "train"
        for index, name in enumerate(order)
    }


def _count(speakers: int, share: float, minimum: int) -> int:
    """The number of speakers in a `share` above 0: at least one if there are at least `minimum` speakers."""
    return max(round(speakers * share), 1) if share > 0 and speakers >= minimum else 0


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
