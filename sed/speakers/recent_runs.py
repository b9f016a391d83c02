"""`RecentRuns`: which of the latest speech runs of a live stream its windows take for one local speaker.

In: at each step the activity of the local speakers in the latest window, and the runs that may still change. Out: each
sample of speech knows the samples near it, and in how many windows both were the same local speaker
(`sed.speakers.shared_windows`, as offline). Runs are kept while a window sees them.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sed.speakers.evidence import Sighting, VoiceSample
from sed.speakers.shared_windows import RecentWindows, SharedWindows


class RecentRuns:
    """The runs that the latest window sees.

    >>> recent, ann, bob = RecentRuns(), VoiceSample(), VoiceSample()
    >>> window = np.repeat([[1.0, 0.0], [0.0, 1.0]], 50, axis=0)
    >>> recent.step(window, 0, [(ann, np.arange(50)), (bob, np.arange(50, 100))])
    >>> ann.near[bob].windows.tolist(), bob.near[ann] is ann.near[bob]
    ([0.0, 1.0], True)
    """

    def __init__(self) -> None:
        self._runs: dict[VoiceSample, np.ndarray] = {}

    def step(
        self, activities: np.ndarray, start: int, latest: Iterable[tuple[VoiceSample, np.ndarray]]
    ) -> None:
        """Process the window with the activity ``(frames, local speakers)`` from frame `start`.

        `latest` are the samples that may still change, with the frame numbers ``(n,)`` at which they are active.
        """
        self._runs.update(latest)
        for sample in [sample for sample, frames in self._runs.items() if frames[-1] < start]:
            del self._runs[sample]
            sample.near.clear()
        window = RecentWindows()
        window.push(start, activities)
        samples = list(self._runs)
        shared = SharedWindows.from_views([window.views_at(self._runs[sample]) for sample in samples])
        end = start + len(activities)
        for pair, *numbers in zip(shared.pairs.tolist(), shared.together, shared.apart, strict=True):
            one, other = (samples[number] for number in pair)
            if other not in one.near:
                one.near[other] = other.near[one] = Sighting(end)
            one.near[other].add(np.array(numbers), end)
