"""Random train, valid and test splits in which each speaker is in one split only.

The result depends on the seed and the set of speakers, not on their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from sed.errors import OptionError

_SWEEPS = 100  # over all speakers, at most; a few are enough
_GAIN = 1e-9  # smaller ones are rounding, and would make equal speakers change places


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


def balance_labels(
    drawn: Mapping[str, str], strata: Mapping[str, str], labels: Mapping[str, Mapping[str, float]]
) -> dict[str, str]:
    """`drawn` (a split of each speaker) with speakers exchanged so that every split has its labels in proportions as
    close as possible to those of the whole.

    `strata` maps speakers to a stratum: two of the same one change places only, which keeps the numbers of speakers and
    of strata in each split. `labels` maps speakers to their utterances by label. The distance is the sum over splits
    and labels of the squared difference of shares (`label_distance`). Each speaker in turn changes places with the one
    where that falls most, until no exchange helps; the result depends on `drawn` only, not on any order.

    >>> labels = {"a": {"sad": 9}, "b": {"sad": 9}, "c": {"happy": 9}, "d": {"happy": 9}}
    >>> drawn = {"a": "test", "b": "test", "c": "train", "d": "train"}
    >>> found = balance_labels(drawn, dict.fromkeys("abcd", "F"), labels)
    >>> label_distance(drawn, labels), label_distance(found, labels)
    (1.0, 0.0)
    """
    names = sorted(drawn)
    splits = {name: number for number, name in enumerate(sorted(set(drawn.values())))}
    own = np.array([splits[drawn[name]] for name in names])
    stratum = np.unique([strata[name] for name in names], return_inverse=True)[1]
    counts = _counts(names, labels)
    totals = np.stack([counts[own == number].sum(0) for number in range(len(splits))])
    for _ in range(_SWEEPS):
        if not any([_exchange(n, own, stratum, counts, totals) for n in range(len(names))]):
            break
    by_number = {number: name for name, number in splits.items()}
    return {name: by_number[int(number)] for name, number in zip(names, own, strict=True)}


def label_distance(drawn: Mapping[str, str], labels: Mapping[str, Mapping[str, float]]) -> float:
    """The sum over splits and labels of the squared difference between a label's share in a split and overall."""
    names = sorted(drawn)
    own, counts = np.array([drawn[name] for name in names]), _counts(names, labels)
    totals = np.stack([counts[own == split].sum(0) for split in sorted(set(drawn.values()))])
    return float(_distances(totals, counts.sum(0)).sum())


def _exchange(n: int, own: np.ndarray, stratum: np.ndarray, counts: np.ndarray, totals: np.ndarray) -> bool:
    """Let speaker `n` change places with the one where that brings most, in place; whether there was one."""
    others = np.flatnonzero((stratum == stratum[n]) & (own != own[n]))
    if not len(others):
        return False
    overall, split = totals.sum(0), own[n]
    change = counts[others] - counts[n]
    before = _distances(totals, overall)
    after = _distances(totals[split] + change, overall) + _distances(totals[own[others]] - change, overall)
    gains = before[split] + before[own[others]] - after
    best = int(gains.argmax())
    if gains[best] <= _GAIN:
        return False
    totals[split] += change[best]
    totals[own[others[best]]] -= change[best]
    own[n], own[others[best]] = own[others[best]], split
    return True


def _distances(totals: np.ndarray, overall: np.ndarray) -> np.ndarray:
    """The squared distance ``(n,)`` of the shares of each row of `totals` ``(n, labels)`` from those of `overall`."""
    shares = totals / np.maximum(totals.sum(-1, keepdims=True), 1e-12)
    return np.square(shares - overall / max(overall.sum(), 1e-12)).sum(-1)


def _counts(names: list[str], labels: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """The utterances of each of `names` by label, ``(speakers, labels)``."""
    known = sorted({label for counts in labels.values() for label in counts})
    return np.array([[labels[name].get(label, 0.0) for label in known] for name in names], float)


def _count(speakers: int, share: float, minimum: int) -> int:
    """The number of speakers in a `share` above 0: at least one if there are at least `minimum` speakers."""
    return max(round(speakers * share), 1) if share > 0 and speakers >= minimum else 0


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
