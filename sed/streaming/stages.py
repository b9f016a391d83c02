"""`ChannelStages`: the speaker and emotion stages of one channel of a recording that is analysed as a whole.

In: blocks of its audio. Out: jobs that process them, at the end turns and posteriors, and meanwhile, if asked for,
events of provisional segments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from sed.emotion.decoding import DecoderOptions
from sed.emotion.tagger import Tagger, dimensions_of
from sed.emotion.windows import PosteriorStream
from sed.speakers.turns import SpeakerDiarizer, SpeakerSession, Turns
from sed.spooling import SpooledArray
from sed.streaming.events import Event
from sed.streaming.provisional import ProvisionalSegments, RunSession


class ChannelStages:
    """The two stages; the posteriors stay in memory, or on disk if they are many and not `in_memory`."""

    def __init__(self, tagger: Tagger, diarizer: SpeakerDiarizer, in_memory: bool) -> None:
        self._emotion = PosteriorStream(tagger)
        self._speakers: SpeakerSession = diarizer.begin()
        columns = len(tagger.labels) + len(dimensions_of(tagger))
        self._posteriors = SpooledArray(columns, on_disk=not in_memory)
        self._tagger = tagger
        self._provisional: ProvisionalSegments | None = None
        self._events: deque[Event] = deque()

    def find_provisional(self, decoder: DecoderOptions) -> None:
        """Find provisional segments, if the diarizer has what they need."""
        if isinstance(self._speakers, RunSession):
            labels, dimensions = self._tagger.labels, dimensions_of(self._tagger)
            self._provisional = ProvisionalSegments(self._speakers, labels, dimensions, decoder)

    def push(self, samples: np.ndarray) -> list[Callable[[], None]]:
        """The jobs of the two stages for a block; they may run concurrently."""
        return [
            lambda: self._speakers.push(samples),
            lambda: self._push_emotion(samples),
        ]

    def _push_emotion(self, samples: np.ndarray) -> None:
        self._posteriors.append(self._emotion.push(samples))
        if self._provisional is not None:  # in this stage, as only one thread may use the posteriors
            self._events.extend(self._provisional.step(self._posteriors))

    def take_events(self) -> list[Event]:
        """The events of provisional segments since the last call."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def close(self) -> tuple[Turns, SpooledArray]:
        """End the channel and return its turns and posteriors."""
        self._posteriors.append(self._emotion.close())
        turns = self._speakers.close()
        del self._emotion, self._speakers, self._provisional  # frees embeddings and audio before decoding
        return turns, self._posteriors
