"""Whether recorded audio is played audio without a gap."""

from itertools import pairwise

import numpy as np

BLOCK = 1600  # samples, 0.1 s at 16 kHz
AUDIBLE = 0.003  # root mean square from which on a block can be located
SAME = 0.9  # correlation of a block and its place; a resampled one has 0.96 or more
SHIFT = 1  # samples


def offsets(recorded, played):
    """For each audible block of `recorded`: how many samples later it is in `played`, or None if it is not there."""
    found = []
    energies = np.convolve(played**2, np.ones(BLOCK), "valid")
    size = 1 << (len(played) + BLOCK).bit_length()
    spectrum = np.fft.rfft(played, size)
    for start in range(0, len(recorded) - BLOCK, BLOCK):
        block = recorded[start : start + BLOCK]
        energy = float(np.sum(block**2))
        if energy < BLOCK * AUDIBLE**2:
            continue
        products = np.fft.irfft(spectrum * np.fft.rfft(block, size).conj(), size)[: len(energies)]
        correlations = products / np.sqrt(np.maximum(energies, 1e-6) * energy)
        place = int(correlations.argmax())
        found.append(place - start if correlations[place] > SAME else None)
    return found


def share_continued(recorded, played):
    """Share of the audible blocks of `recorded` that continue in `played` where the block before ended.

    1.0 if nothing was lost, doubled, distorted or played at another speed; each gap costs one or two blocks.
    """
    found = offsets(recorded, played)
    continued = [None not in pair and abs(pair[0] - pair[1]) <= SHIFT for pair in pairwise(found)]
    return sum(continued) / max(1, len(continued))
