"""Whether the channels of a recording carry one speaker each, as call recorders write them.

Two measurements on the levels of tenths of a second, in bounded memory. Either each channel is alone for much of the
time, its level far above all others; or two channels are unrelated, in their samples and in their levels, while both
vary as speech does. Ordinary stereo (microphones in one room, music with anything in the middle, one dead or humming
channel) does neither.
"""

from __future__ import annotations

import numpy as np

ALONE = 12  # dB by which a channel exceeds all others where it is alone
LOWEST, LEVELS = -60, 100  # dB of full scale: the first level that is counted, and how many
RANGE = 25  # dB below its loudest parts down to which a channel is active
VARIES = (
    8  # dB between the 10th and 90th percentile of a channel alone: speech has 12 or more, hum and hiss 1
)
MIN_ALONE, MIN_ALONE_SHARE = 2.0, 0.35  # seconds of each channel, and share of all active time
MIN_UNRELATED = 5.0  # active seconds from which on channels can be called unrelated
# Correlations below which the samples and the levels of two channels are unrelated.
UNRELATED, UNRELATED_LEVELS = 0.05, 0.15


class ChannelLevels:
    """Collects the levels of `channels`, at least two, in parts of `seconds` each.

    >>> levels = ChannelLevels(2, 0.1)
    >>> rng = np.random.default_rng(0)
    >>> for number in range(100):
    ...     part = np.zeros((1600, 2), np.float32)
    ...     part[:, number // 10 % 2] = 0.001 * 10 ** rng.uniform(1, 2)
    ...     levels.add(part)
    >>> levels.one_speaker_each()
    {1: 5.0, 2: 5.0}
    """

    def __init__(self, channels: int, seconds: float) -> None:
        self._seconds = seconds
        self._alone = np.zeros((channels, LEVELS), int)  # parts in which a channel is alone, by its level
        self._loudest = np.zeros(LEVELS, int)  # all parts, by the level of their loudest channel
        pair = channels == 2
        self._levels = np.zeros((LEVELS, LEVELS), int) if pair else None  # all parts, by both levels
        self._products = np.zeros((2, 2))

    def add(self, part: np.ndarray) -> None:
        """The samples of the next part, ``(n, channels)``."""
        energies = np.einsum("sc,sc->c", part, part).astype(np.float64)
        levels = 10 * np.log10(energies / len(part) + 1e-12)
        places = np.clip(levels - LOWEST, 0, LEVELS - 1).astype(int)
        if self._levels is not None:
            self._levels[places[0], places[1]] += 1
            cross = float(np.dot(part[:, 0], part[:, 1]))
            self._products += [[energies[0], cross], [cross, energies[1]]]
        loudest = int(levels.argmax())
        if levels[loudest] < LOWEST:
            return
        self._loudest[places[loudest]] += 1
        if levels[loudest] - np.delete(levels, loudest).max() >= ALONE:
            self._alone[loudest, places[loudest]] += 1

    def one_speaker_each(self) -> dict[int, float]:
        """Channel numbers from 1 on, and the seconds for which each is alone; empty for ordinary recordings."""
        alone, share = self._find_alone()
        if len(alone) > 1 and share >= MIN_ALONE_SHARE:
            return alone
        if self._levels is not None and self._are_unrelated(self._levels):
            return {n + 1: float(counts.sum()) * self._seconds for n, counts in enumerate(self._alone)}
        return {}

    def _find_alone(self) -> tuple[dict[int, float], float]:
        found, lowest = {}, LEVELS
        for channel, counts in enumerate(self._alone):
            if not counts.any():
                continue
            first = max(_percentile(counts, 0.95) - RANGE, 0)
            active = np.where(np.arange(LEVELS) >= first, counts, 0)
            seconds = float(active.sum()) * self._seconds
            if seconds >= MIN_ALONE and _range(active) >= VARIES:
                found[channel + 1] = seconds
                lowest = min(lowest, first)
        everything = float(self._loudest[lowest:].sum()) * self._seconds
        return found, sum(found.values()) / max(everything, self._seconds)

    def _are_unrelated(self, levels: np.ndarray) -> bool:
        if not self._loudest.any():
            return False
        first = max(_percentile(self._loudest, 0.95) - RANGE, 0)
        both = levels.copy()
        both[:first, :first] = 0
        if float(both.sum()) * self._seconds < MIN_UNRELATED:
            return False
        if min(_range(both.sum(1)), _range(both.sum(0))) < VARIES + 4:
            return False
        samples = self._products[0, 1] / np.sqrt(self._products[0, 0] * self._products[1, 1])
        if abs(samples) >= UNRELATED:
            return False
        places = np.arange(LEVELS)  # all that is far below a channel's speech counts as one level
        tops = [max(_percentile(both.sum(axis), 0.95) - RANGE, 0) for axis in (1, 0)]
        x, y = np.meshgrid(np.maximum(places, tops[0]), np.maximum(places, tops[1]), indexing="ij")
        x, y = (v - np.average(v, weights=both) for v in (x, y))
        spread = np.sqrt(np.average(x * x, weights=both) * np.average(y * y, weights=both))
        return bool(np.average(x * y, weights=both) < UNRELATED_LEVELS * spread)


def _percentile(counts: np.ndarray, share: float) -> int:
    """The level at or below which `share` of what was counted is."""
    total = np.cumsum(counts)
    return int(np.searchsorted(total, share * total[-1]))


def _range(counts: np.ndarray) -> int:
    return _percentile(counts, 0.9) - _percentile(counts, 0.1)
