"""Train, valid and test: speakers drawn by a seed, each on one side.

The draw depends on the seed and the speakers only, not on the order in which they come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from sed.errors import OptionError


def draw_splits(
    members: Mapping[str, str], seed: int = 0, *, valid: float = 0.1, test: float = 0.2
) -> dict[str, str]:
    """A split for each speaker (or other group) in `members`, which maps it to its kind, such as its gender.

    `test` and `valid` are shares of the speakers, rounded; with two speakers there is one to test on, and with
    three one for each split; somebody always trains. Kinds take turns in being held out, so that test has of each
    where it can. Raises `OptionError` for shares that leave nothing to train on.

    >>> draw_splits({"ann": "F", "bob": "M", "cat": "F", "dan": "M"}) == draw_splits(
    ...     {"dan": "M", "cat": "F", "bob": "M", "ann": "F"})
    True
    """
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise OptionError(f"shares of {valid} for valid and {test} for test: expected less than 1 together")
    if not members:
        return {}
    kinds: dict[str, list[str]] = {}
    for name in sorted(members, key=lambda name: _rank(seed, name)):
        kinds.setdefault(members[name], []).append(name)
    queues = [kinds[kind] for kind in sorted(kinds, key=lambda kind: _rank(seed, kind))]
    order: list[str] = []
    while any(queues):
        order += [queue.pop(0) for queue in queues if queue]
    tests = min(_count(len(order), test, 2), len(order) - 1)
    valids = min(_count(len(order), valid, 3), len(order) - 1 - tests)
    return {
        name: "test" if place < tests else "valid" if place < tests + valids else "train"
        for place, name in enumerate(order)
    }


def _count(speakers: int, share: float, least: int) -> int:
    """How many speakers a share is: at least one where there are `least` and a share is wanted."""
    return max(round(speakers * share), 1) if share > 0 and speakers >= least else 0


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
