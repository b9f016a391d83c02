"""A bounded queue between two threads: blocks of samples in, the same blocks out, dropped samples counted.

Blocks are ``(n,)`` arrays, int16 or float32; sizes are samples at the source's rate. If the reader is too slow and the
queue is full, blocks are dropped until half of it is free again, which gives one long gap instead of many short ones;
a `Gap` of that length replaces them.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gap:
    """`samples` samples that were dropped here."""

    samples: int


class BlockQueue:
    """A queue of at most `capacity` samples; see the module docstring.

    >>> queue = BlockQueue(capacity=4)
    >>> [queue.put(np.zeros(3, np.float32)) for _ in range(3)]
    [True, False, False]
    >>> queue.finish()
    >>> len(queue.get()), queue.get(), queue.get()
    (3, Gap(samples=6), None)
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._items: deque[np.ndarray | Gap] = deque()
        self._changed = threading.Condition()
        self._waiting = 0
        self._lost = 0
        self._dropping = False
        self._finished = False

    @property
    def waiting(self) -> int:
        """Number of samples in the queue."""
        return self._waiting

    @property
    def lost(self) -> int:
        """Number of samples dropped so far."""
        return self._lost

    @property
    def finished(self) -> bool:
        """Whether the queue accepts no more blocks."""
        return self._finished

    def put(self, block: np.ndarray, timeout: float = 0.0) -> bool:
        """Append `block`, waiting up to `timeout` seconds for room; returns False if it was dropped.

        A block larger than the capacity is accepted when the queue is empty. After `finish`, blocks are ignored.
        """
        with self._changed:
            if not self._has_room(len(block)) and timeout > 0:
                limit = None if math.isinf(timeout) else timeout
                self._changed.wait_for(lambda: self._finished or self._has_room(len(block)), limit)
            if self._finished:
                return True
            if not self._has_room(len(block)):
                self._dropping = True
                self._add_gap(len(block))
                return False
            self._dropping = False
            self._items.append(block)
            self._waiting += len(block)
            self._changed.notify_all()
            return True

    def put_gap(self, samples: int) -> None:
        """Append a gap from an upstream queue; it does not count as lost here."""
        with self._changed:
            self._items.append(Gap(samples))
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> np.ndarray | Gap | None:
        """Wait for the next block or gap; None after the last one.

        Raises `TimeoutError` if nothing arrives within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._finished, timeout):
                raise TimeoutError(f"no audio for {timeout} s")
            if not self._items:
                return None
            item = self._items.popleft()
            if not isinstance(item, Gap):
                self._waiting -= len(item)
                self._changed.notify_all()
            return item

    def finish(self, discard: bool = False) -> None:
        """Mark the end of the blocks; with `discard`, the queued ones become a gap."""
        with self._changed:
            self._finished = True
            if discard and self._waiting:
                rest = sum(item.samples if isinstance(item, Gap) else len(item) for item in self._items)
                self._items.clear()
                self._lost += self._waiting
                self._waiting = 0
                self._items.append(Gap(rest))
            self._changed.notify_all()

    def _has_room(self, samples: int) -> bool:
        limit = self.capacity // 2 if self._dropping else self.capacity
        return self._waiting == 0 or self._waiting + samples <= limit

    def _add_gap(self, samples: int) -> None:
        self._lost += samples
        if self._items and isinstance(last := self._items[-1], Gap):
            self._items[-1] = Gap(last.samples + samples)
        else:
            self._items.append(Gap(samples))
        self._changed.notify_all()


class Pace:
    """How far a source is ahead of real time: audio delivered minus the time since its start.

    A real microphone runs in real time, so blocking it loses audio. A source that is ahead (a file behind a virtual
    microphone, a pipe) can be blocked for as long as it is ahead.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._samples = 0
        self._start = time.monotonic()

    def add(self, samples: int) -> None:
        """Count `samples` delivered samples."""
        if not self._samples:
            self._start = time.monotonic() - samples / self._rate
        self._samples += samples

    @property
    def ahead(self) -> float:
        """Seconds ahead of real time, 0 or more."""
        return max(0.0, self._samples / self._rate - (time.monotonic() - self._start))
