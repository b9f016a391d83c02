"""Detects whether the channels of a recording carry one speaker each, as call recorders write them.

Two criteria on the levels of parts of 0.1 s, in bounded memory. Either each channel dominates for much of the time, its
level far above all others; or two channels are uncorrelated, in their samples and in their levels, while both vary as
speech does. Ordinary stereo (microphones in one room, music with a centre signal, one dead or humming channel) meets
neither.
"""

from __future__ import annotations

import numpy as np

DOMINANT = 12  # dB by which a channel that dominates exceeds all others
LOWEST, LEVELS = -60, 100  # lowest level of the histograms in dB full scale, and their number of bins (1 dB)
ACTIVE_RANGE = 25  # a channel is active down to this many dB below its loudest parts
# dB between the 10th and 90th percentile of a channel where it dominates: speech has 12 or more, hum and hiss 1.
MIN_VARIATION = 8
MIN_DOMINANT, MIN_DOMINANT_SHARE = 2.0, 0.35  # seconds of each channel, and share of all active time
MIN_UNCORRELATED = 5.0  # active seconds needed to call channels uncorrelated
# Correlations of the samples and of the levels below which two channels are uncorrelated.
MAX_CORRELATION, MAX_LEVEL_CORRELATION = 0.05, 0.15


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
        self._dominant = np.zeros((channels, LEVELS), int)  # parts in which a channel dominates, by its level
        self._loudest = np.zeros(LEVELS, int)  # all parts, by the level of the loudest channel
        pair = channels == 2
        self._levels = np.zeros((LEVELS, LEVELS), int) if pair else None  # all parts, by both levels
        self._products = np.zeros((2, 2))

    def add(self, part: np.ndarray) -> None:
        """The samples of the next part, ``(n, channels)``."""
        energies = np.einsum("sc,sc->c", part, part).astype(np.float64)
        levels = 10 * np.log10(energies / len(part) + 1e-12)
        bins = np.clip(levels - LOWEST, 0, LEVELS - 1).astype(int)
        if self._levels is not None:
            self._levels[bins[0], bins[1]] += 1
            cross = float(np.dot(part[:, 0], part[:, 1]))
            self._products += [[energies[0], cross], [cross, energies[1]]]
        loudest = int(levels.argmax())
        if levels[loudest] < LOWEST:
            return
        self._loudest[bins[loudest]] += 1
        if levels[loudest] - np.delete(levels, loudest).max() >= DOMINANT:
            self._dominant[loudest, bins[loudest]] += 1

    def one_speaker_each(self) -> dict[int, float]:
        """Channel numbers (from 1) and the seconds in which each dominates; empty for ordinary recordings."""
        dominant, share = self._find_dominant()
        if len(dominant) > 1 and share >= MIN_DOMINANT_SHARE:
            return dominant
        if self._levels is not None and self._are_uncorrelated(self._levels):
            return {n + 1: float(counts.sum()) * self._seconds for n, counts in enumerate(self._dominant)}
        return {}

    def _find_dominant(self) -> tuple[dict[int, float], float]:
        found, lowest = {}, LEVELS
        for channel, counts in enumerate(self._dominant):
            if not counts.any():
                continue
            first = max(_percentile(counts, 0.95) - ACTIVE_RANGE, 0)
            active = np.where(np.arange(LEVELS) >= first, counts, 0)
            seconds = float(active.sum()) * self._seconds
            if seconds >= MIN_DOMINANT and _variation(active) >= MIN_VARIATION:
                found[channel + 1] = seconds
                lowest = min(lowest, first)
        total = float(self._loudest[lowest:].sum()) * self._seconds
        return found, sum(found.values()) / max(total, self._seconds)

    def _are_uncorrelated(self, levels: np.ndarray) -> bool:
        if not self._loudest.any():
            return False
        first = max(_percentile(self._loudest, 0.95) - ACTIVE_RANGE, 0)
        both = levels.copy()
        both[:first, :first] = 0
        if float(both.sum()) * self._seconds < MIN_UNCORRELATED:
            return False
        if min(_variation(both.sum(1)), _variation(both.sum(0))) < MIN_VARIATION + 4:
            return False
        samples = self._products[0, 1] / np.sqrt(self._products[0, 0] * self._products[1, 1])
        if abs(samples) >= MAX_CORRELATION:
            return False
        bins = np.arange(LEVELS)  # everything far below the speech of a channel counts as one level
        floors = [max(_percentile(both.sum(axis), 0.95) - ACTIVE_RANGE, 0) for axis in (1, 0)]
        x, y = np.meshgrid(np.maximum(bins, floors[0]), np.maximum(bins, floors[1]), indexing="ij")
        x, y = (v - np.average(v, weights=both) for v in (x, y))
        spread = np.sqrt(np.average(x * x, weights=both) * np.average(y * y, weights=both))
        return bool(np.average(x * y, weights=both) < MAX_LEVEL_CORRELATION * spread)


def _percentile(counts: np.ndarray, share: float) -> int:
    """The lowest bin at or below which `share` of all counts lie."""
    total = np.cumsum(counts)
    return int(np.searchsorted(total, share * total[-1]))


def _variation(counts: np.ndarray) -> int:
    return _percentile(counts, 0.9) - _percentile(counts, 0.1)
