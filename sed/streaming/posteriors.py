"""Audio -> frame posteriors, step by step: every window that hears a frame has a say in it.

In: at each step the latest audio. Out: ``(frames, labels)`` posteriors of all frames that are not yet final.
A frame that is heard by several windows before it becomes final gets their weighted mean; windows that end
just behind the frame, or begin just before it, know little about it and count less. So a longer latency
makes better posteriors at the same cost.
"""

from __future__ import annotations

import numpy as np

from sed.emotion.tagger import Tagger
from sed.grid import HOP, seconds_to_frames

# Seconds of the latest audio that the tagger hears at most: with more, EDER was no lower on the simulated
# conversations of validation speakers (at 1 s 25.6 % with 5 s of audio, 24.3 % with 3 s).
LONGEST = 3.0
# Times that a sample is heard at most: a stream at 0.5 s, in steps of 0.24 s, would cost too much otherwise.
HEARD = 8
CONTEXT = 1.0  # seconds on either side of a frame after which more context in a window adds no weight


class OnlinePosteriors:
    """Runs a tagger over the latest audio at each step.

    `window` is the number of frames that it hears: what the tagger wants, `LONGEST`, or `HEARD` steps, whichever is
    least, and at least `step`.
    """

    def __init__(self, tagger: Tagger, step: int) -> None:
        self._tagger = tagger
        self.window = max(min(tagger.window // HOP, seconds_to_frames(LONGEST), HEARD * step), step)
        self._context = seconds_to_frames(CONTEXT)
        self._settled = 0
        self._sum = np.zeros((0, len(tagger.labels)))  # weighted, of the frames from `settled` on
        self._weight = np.zeros(0)

    def step(self, audio: np.ndarray, start: int) -> np.ndarray:
        """Posteriors ``(frames, labels)`` float32 of the frames that are not final, from all windows so far.

        `audio` ``(n,)`` begins at frame number `start` and ends now.
        """
        heard = np.asarray(self._tagger.posteriors(audio[None])[0], np.float64)
        frames = len(heard)
        left = np.arange(frames) + 0.5 if start else np.full(frames, np.inf)  # the very start lacks nothing
        right = np.arange(frames)[::-1] + 0.5
        weight = np.minimum(np.minimum(left, right) / self._context, 1.0)

        more = start + frames - self._settled - len(self._weight)
        self._sum = np.pad(self._sum, ((0, more), (0, 0)))
        self._weight = np.pad(self._weight, (0, more))
        skip = max(self._settled - start, 0)  # frames of the window that are final already
        reach = slice(start + skip - self._settled, None)
        self._sum[reach] += weight[skip:, None] * heard[skip:]
        self._weight[reach] += weight[skip:]
        return (self._sum / self._weight[:, None]).astype(np.float32)

    def settle(self, frame: int) -> None:
        """Everything before frame number `frame` has become final."""
        self._sum = self._sum[frame - self._settled :]
        self._weight = self._weight[frame - self._settled :]
        self._settled = frame
