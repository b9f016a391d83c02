"""`LiveStream`: a live stream without its connection: queue, resampler, model state, and messages to be sent.

It outlives a lost connection (`sed.server.resumption`), so nothing in it depends on one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from sed.grid import SAMPLE_RATE, samples_to_seconds
from sed.server.intake import Intake, decode, level
from sed.server.options import ServerOptions
from sed.server.protocol import Start, dump, ready_message
from sed.streaming import Event
from sed.streaming.messages import event_message, refined_message, relabel_message

REPORTED_OPTIONS = ("max_rate", "max_seconds", "max_message", "idle_timeout")  # reported in ``ready``
REPEATED = (
    1 << 20
)  # characters of sent messages that a resumable stream can repeat, about 10 minutes of results


class Stream(Protocol):
    """The interface of `sed.StreamingDiarizer` that the server uses."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotion labels, in order."""
        ...

    @property
    def settled(self) -> float:
        """Seconds from the start before which all labels are final."""
        ...

    @property
    def current(self) -> dict[str, float]:
        """Current probabilities by label; empty at the start."""
        ...

    def push(self, samples: np.ndarray) -> Sequence[Event]:
        """Process ``(n,)`` float32 samples at 16 kHz."""
        ...

    def close(self) -> Sequence[Event]:
        """Process the buffered rest."""
        ...


class Outbox:
    """The messages of a stream, numbered from 0, as text. Sent ones are kept up to `limit` characters.

    >>> outbox = Outbox(limit=30)
    >>> for number in range(3):
    ...     outbox.put({"number": number})
    >>> outbox.trim(sent=3)
    >>> outbox.first, outbox.end, outbox[2]
    (1, 3, '{"number":2}')
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._texts: deque[str] = deque()
        self._size = 0
        self.first = 0  # number of the first message that is kept

    @property
    def end(self) -> int:
        """Number of the next message."""
        return self.first + len(self._texts)

    def __getitem__(self, number: int) -> str:
        return self._texts[number - self.first]

    def put(self, message: dict[str, Any]) -> None:
        """Append a message."""
        text = dump(message)
        self._texts.append(text)
        self._size += len(text)

    def trim(self, sent: int) -> None:
        """Drop the oldest messages beyond the limit, but none from number `sent` on."""
        while self.first < sent and self._size > self._limit:
            self._size -= len(self._texts.popleft())
            self.first += 1


class LiveStream:
    """A `stream` with its queue `intake`; `process` and `finish` run in the hub's threads, one call at a time.

    `resumable`: whether sent messages are kept, so that a client that lost some can have them again.
    """

    def __init__(self, start: Start, stream: Stream, intake: Intake, resumable: bool) -> None:
        self.start = start
        self.stream = stream
        self.intake = intake
        self.outbox = Outbox(REPEATED if resumable else 0)
        self.opened = time.monotonic()
        self._events = 0  # that are not counted yet
        self._samples = 0  # samples at 16 kHz that the stream has processed
        self._resampler: Any = None
        if start.sample_rate != SAMPLE_RATE:
            import soxr

            self._resampler = soxr.ResampleStream(start.sample_rate, SAMPLE_RATE, 1, "float32")
        self._rest: list[Callable[[], None]] = [self._close, self._end]  # the steps after the last audio
        if start.refine:
            self._rest.insert(1, self._refine)

    def ready(self, options: ServerOptions, token: str | None) -> dict[str, Any]:
        """The message ``ready``; `token` is the resume token, or None."""
        limits = {name: getattr(options, name) for name in REPORTED_OPTIONS}
        limits |= {"burst": self.intake.burst, "max_waiting": self.intake.max_waiting}
        state = {"samples": self.intake.samples, "ended": self.intake.ended}
        resume = token and {"stream": token, "seconds": options.resume_seconds, **state}
        return ready_message(self.start, self.stream, limits, resume or None)

    @property
    def at_end(self) -> bool:
        """Whether only the message ``end`` is missing."""
        return len(self._rest) == 1

    @property
    def finished(self) -> bool:
        """Whether all messages are in the outbox."""
        return not self._rest

    def take_events(self) -> int:
        """The number of events since the last call."""
        events, self._events = self._events, 0
        return events

    def process(self, chunk: bytes) -> None:
        """Process a chunk of s16le samples."""
        samples = decode(chunk)
        self._report(self._push(self._resampler.resample_chunk(samples) if self._resampler else samples))
        self.outbox.put(
            {
                "type": "progress",
                "time": samples_to_seconds(self._samples),
                "settled": self.stream.settled,
                "waiting": self.intake.waiting,
                "level": level(chunk),
                "probabilities": {k: round(p, 4) for k, p in self.stream.current.items()} or None,
            }
        )

    def finish(self) -> None:
        """Do the next step after the last audio, until `finished`."""
        self._rest[0]()
        self._rest.pop(0)

    def _close(self) -> None:
        rest = np.zeros(0, np.float32)
        events = self._push(self._resampler.resample_chunk(rest, last=True)) if self._resampler else []
        self._report([*events, *self.stream.close()])

    def _refine(self) -> None:
        self.outbox.put(refined_message(self.stream.refined()))  # type: ignore[attr-defined]

    def _end(self) -> None:
        self.outbox.put({"type": "end", "time": samples_to_seconds(self._samples)})

    def _push(self, samples: np.ndarray) -> list[Event]:
        self._samples += len(samples)
        return list(self.stream.push(samples)) if len(samples) else []

    def _report(self, events: Sequence[Event]) -> None:
        self._events += len(events)
        for event in events:
            self.outbox.put(event_message(event))
        if self.start.relabel:
            for relabel in self.stream.take_relabels():  # type: ignore[attr-defined]
                self.outbox.put(relabel_message(relabel))
