"""`Refinement`: the offline result for a live stream, from the windows that the stream has processed anyway.

In: at each step of the stream its latest audio and the activity of the local speakers there. Out: `Turns` of the whole
stream. Of all windows those are used that offline diarization would process: one every 5 s, or somewhat more often
where the steps of the stream do not fit. Only the embeddings of the speech runs cost additional time; as offline, about
a kilobyte per run is kept (1.6 MB per hour), and no audio.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sed.grid import HOP, seconds_to_frames
from sed.speakers.turns import Turns
from sed.speech.segmentation import WINDOW_FRAMES


class WindowSession(Protocol):
    """An offline session that takes windows instead of running the segmentation network."""

    def push_samples(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` samples, except for the segmentation."""
        ...

    def push_window(self, start: int, activities: np.ndarray, final: int) -> None:
        """Process a window from frame `start`; no further window sees a frame before `final`."""
        ...

    def finish(self, frames: int) -> Turns:
        """The turns of the whole recording of `frames` frames."""
        ...


class Refinement:
    """Collects what an offline `session` needs; `hop` is its hop between windows in seconds."""

    def __init__(self, session: WindowSession, hop: float) -> None:
        self._session = session
        self._hop = seconds_to_frames(hop)
        self._samples = 0  # processed so far
        self._end = 0  # frames processed so far
        self._due = WINDOW_FRAMES  # the next window ends here, or at the last step before
        self._latest: tuple[int, np.ndarray] | None = None  # the latest window, unless the session has it

    def step(self, audio: np.ndarray, start: int, activities: np.ndarray) -> None:
        """Process ``(n,)`` samples from frame `start` to now, and the activities in them."""
        end = start + len(activities)
        step, self._end = end - self._end, end
        self._session.push_samples(audio[self._samples - start * HOP :])
        self._samples = start * HOP + len(audio)
        self._latest = start, activities
        if end + step > self._due:
            hop = self._hop // step * step or step
            self._session.push_window(start, activities, max(0, end + hop - WINDOW_FRAMES))
            self._due, self._latest = end + self._hop, None

    def close(self) -> Turns:
        """The turns of the whole stream; nothing may follow."""
        if self._latest is not None:
            self._session.push_window(*self._latest, self._latest[0])
        return self._session.finish(self._end)
