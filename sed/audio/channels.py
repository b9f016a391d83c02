"""Mixes several channels down to one, and detects what their mean would lose.

`ChannelMix` takes blocks ``(n, channels)`` and returns their mean ``(n, 1)``. It works on windows of a fixed grid, half
a second for two channels, so that the result does not depend on how the input was divided. Two channels of opposite
polarity (a balanced microphone on a stereo input) cancel in their mean: their difference is used. `remarks` reports at
the end what the mean lost, and channels that look like one speaker each.
"""

from __future__ import annotations

import numpy as np

from sed.audio.separate_channels import ChannelLevels

WINDOW = 0.5  # seconds; in each, either the mean or the difference of two channels is used
PARTS = 5  # per window: the levels of the channels are compared in each part
CANCELLED = 0.2  # mean power relative to that of uncorrelated channels; below it the channels have cancelled
OPPOSITE = 0.1  # power of the mean relative to that of the difference; below it the polarity is opposite
MIN_LOST, MIN_SHARE = 1.0, 0.05  # seconds, and share of the energy, from which a loss is reported


class ChannelMix:
    """The mean of `channels` at `rate` Hz; see the module docstring.

    >>> left = np.sin(np.arange(8000, dtype=np.float32))
    >>> mix = ChannelMix(8000, 2)
    >>> out = np.concatenate([mix.push(np.stack([left, -left], 1)), mix.close()])
    >>> bool(np.array_equal(out[:, 0], left))
    True
    >>> mix.remarks()[0][:64]
    'its 2 channels have opposite polarity and cancel in their mean; '
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.channels = channels
        self._rate = rate
        self._part = max(round(rate * WINDOW / PARTS), 1)
        # Only the choice between mean and difference needs a whole window; with many channels one is large.
        self._window = self._part * (PARTS if channels == 2 else 1)
        self._pending = np.zeros((0, channels), np.float32)
        self._mean_power = self._difference_power = 0.0  # of all samples so far, for two channels
        self._opposite = False
        self._differences = 0  # samples for which the difference was used
        self._energy = self._difference_energy = self._lost_energy = 0.0
        self._lost = 0  # samples in windows that cancelled
        self._channel_energy = np.zeros(channels)
        self._levels = ChannelLevels(channels, self._part / rate)

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take the next ``(n, channels)`` samples; return the mean of all complete windows, ``(m, 1)``."""
        size = self._window
        samples = np.concatenate([self._pending, block]) if len(self._pending) else block
        complete = len(samples) // size * size
        self._pending = samples[complete:].copy()  # a view would keep the whole block in memory
        return self._mixed(samples[:complete])

    def close(self) -> np.ndarray:
        """The mean of the remaining samples."""
        rest, self._pending = self._pending, self._pending[:0]
        return self._mixed(rest)

    def remarks(self) -> list[str]:
        """What the mean lost or cannot separate, one phrase each to follow the file's name; call it after `close`."""
        found = []
        loudest = int(self._channel_energy.argmax()) + 1
        if self._difference_energy > MIN_SHARE * self._energy:
            text = "its 2 channels have opposite polarity and cancel in their mean; their difference is used"
            seconds = self._differences / self._rate
            found.append(f"{text} for {seconds:.2f} s (--channels {loudest} reads one of them)")
        if self._lost >= MIN_LOST * self._rate and self._lost_energy >= MIN_SHARE * self._energy:
            seconds = self._lost / self._rate
            text = f"its {self.channels} channels cancel in their mix for {seconds:.2f} s, which are lost"
            found.append(f"{text}; --channels {loudest} reads one of them")
        if active := self._levels.one_speaker_each():
            names = ", ".join(f"{number} alone for {seconds:.0f} s" for number, seconds in active.items())
            text = f"its channels carry different audio ({names}), as with one speaker per channel; their mix is used"
            found.append(
                f"{text} (--channels split keeps them apart, offline; --channels {loudest} reads one)"
            )
        return found

    def _mixed(self, samples: np.ndarray) -> np.ndarray:
        mixed = samples.mean(1, dtype=np.float32, keepdims=True)
        size = self._window
        for start in range(0, len(samples), size):
            window, mean = samples[start : start + size], mixed[start : start + size]
            for first in range(0, len(window), self._part):
                self._levels.add(window[first : first + self._part])
            energies = np.einsum("sc,sc->c", window, window).astype(np.float64)
            if (energy := float(energies.mean())) <= 0.0:
                continue
            self._channel_energy += energies
            self._energy += energy
            if self.channels == 2 and self._are_opposite(window, mean):
                mean[:, 0] = (window[:, 0] - window[:, 1]) * np.float32(0.5)
                self._differences += len(window)
                self._difference_energy += energy
            if _power(mean) * self.channels < CANCELLED * energy:
                self._lost += len(window)
                self._lost_energy += energy
        return mixed

    def _are_opposite(self, window: np.ndarray, mean: np.ndarray) -> bool:
        """Whether the mean of everything so far, this window included, is practically silent.

        The polarity of a cable does not change, so the decision uses all windows so far; pauses that contain only hum
        then do not change it.
        """
        self._mean_power += _power(mean)
        self._difference_power += _power((window[:, 0] - window[:, 1]) * np.float32(0.5))
        limit = 2 * OPPOSITE if self._opposite else OPPOSITE
        self._opposite = self._mean_power < limit * self._difference_power
        return self._opposite


def _power(samples: np.ndarray) -> float:
    flat = samples.reshape(-1)
    return float(np.dot(flat, flat))
