"""Audio -> frame posteriors, step by step, averaged over the overlapping windows of the tagger.

In: at each step the latest audio. Out: ``(frames, labels)`` posteriors of all frames that are not yet final. A frame
that several windows cover before it becomes final gets their weighted mean. Windows that start or end close to the
frame lack context there and get less weight. So a longer latency gives better posteriors at the same cost.
"""

from __future__ import annotations

import numpy as np

from sed.emotion.tagger import Tagger, dimensions_of, frame_rows
from sed.grid import HOP, seconds_to_frames

# Maximum window in seconds. Longer ones did not lower the EDER on the simulated conversations of validation speakers
# (at a latency of 1 s: 25.6 % with 5 s of audio, 24.3 % with 3 s).
MAX_WINDOW = 3.0
# Maximum number of windows that cover a sample: a latency of 0.5 s, in steps of 0.24 s, would cost too much otherwise.
MAX_PASSES = 8
CONTEXT = 1.0  # seconds on either side of a frame beyond which more context in a window adds no weight


class OnlinePosteriors:
    """Runs a tagger over the latest audio at each step.

    `window` is the number of frames that it processes: the tagger's own window, `MAX_WINDOW`, or `MAX_PASSES` steps,
    whichever is smallest, and at least `step`.
    """

    def __init__(self, tagger: Tagger, step: int) -> None:
        self._tagger = tagger
        self.window = max(min(tagger.window // HOP, seconds_to_frames(MAX_WINDOW), MAX_PASSES * step), step)
        self._context = seconds_to_frames(CONTEXT)
        self._settled = 0  # frames that are final
        self._sum = np.zeros(
            (0, len(tagger.labels) + len(dimensions_of(tagger)))
        )  # weighted posteriors of the frames from `_settled` on
        self._weight = np.zeros(0)

    def step(self, audio: np.ndarray, start: int) -> np.ndarray:
        """Posteriors ``(frames, labels)`` float32 of the frames that are not final, averaged over all windows so far;
        the dimensions of a tagger that estimates some follow as further columns.

        `audio` ``(n,)`` starts at frame number `start` and contains everything received since then.
        """
        posteriors = np.asarray(frame_rows(self._tagger, audio[None])[0], np.float64)
        frames = len(posteriors)
        # The start of the stream lacks no context.
        left = np.arange(frames) + 0.5 if start else np.full(frames, np.inf)
        right = np.arange(frames)[::-1] + 0.5
        weight = np.minimum(np.minimum(left, right) / self._context, 1.0)

        more = start + frames - self._settled - len(self._weight)
        self._sum = np.pad(self._sum, ((0, more), (0, 0)))
        self._weight = np.pad(self._weight, (0, more))
        skip = max(self._settled - start, 0)  # frames of the window that are already final
        covered = slice(start + skip - self._settled, None)
        self._sum[covered] += weight[skip:, None] * posteriors[skip:]
        self._weight[covered] += weight[skip:]
        return (self._sum / self._weight[:, None]).astype(np.float32)

    def settle(self, frame: int) -> None:
        """Drop the frames before number `frame`, which have become final."""
        self._sum = self._sum[frame - self._settled :]
        self._weight = self._weight[frame - self._settled :]
        self._settled = frame
