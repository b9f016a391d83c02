"""The bounded queue between two threads: blocks of samples in, the same blocks out, losses counted.

Blocks are ``(n,)`` arrays, int16 or float32; sizes are samples at the source's rate. When the reader falls
behind and the queue is full, blocks are left out until half of it is free again, so that one long piece is
missing instead of many short ones; a `Gap` of that length stands in their place.
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
    """`samples` samples that were lost here."""

    samples: int


class BlockQueue:
    """A queue of at most `capacity` samples; see the module.

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
        """Samples in the queue."""
        return self._waiting

    @property
    def lost(self) -> int:
        """Samples left out so far."""
        return self._lost

    @property
    def finished(self) -> bool:
        """Whether no more blocks are taken."""
        return self._finished

    def put(self, block: np.ndarray, patience: float = 0.0) -> bool:
        """Append `block`, waiting up to `patience` seconds for room; False if it was left out.

        A block that is larger than the queue goes in once the queue is empty. After `finish` blocks are
        ignored.
        """
        with self._changed:
            if not self._has_room(len(block)) and patience > 0:
                limit = None if math.isinf(patience) else patience
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
        """Append a gap that arose elsewhere; it does not count as lost here."""
        with self._changed:
            self._items.append(Gap(samples))
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> np.ndarray | Gap | None:
        """The next block or gap, waiting for it; None after the last one.

        Raises `TimeoutError` when nothing comes for `timeout` seconds.
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
        """No more blocks come; `discard` turns those that wait into a gap."""
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
    """How far a source is ahead of the clock: what it has delivered against the seconds since its start.

    A real microphone keeps step with the clock, so waiting for it loses audio. A source that is ahead (a
    file that poses as a microphone, a pipe) can wait by as much as it is ahead.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._samples = 0
        self._start = time.monotonic()

    def add(self, samples: int) -> None:
        """`samples` more have been delivered."""
        if not self._samples:
            self._start = time.monotonic() - samples / self._rate
        self._samples += samples

    @property
    def ahead(self) -> float:
        """Seconds ahead of the clock, 0 or more."""
        return max(0.0, self._samples / self._rate - (time.monotonic() - self._start))
