"""`Load`: what a live stream costs on this machine, as measured, and whether one more can keep up."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

MEMORY = 30.0  # seconds of audio after which a measurement has lost most of its weight
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of processor time in each period


class Load:
    """A running estimate of the cost of a live stream, against a `capacity` in processor threads.

    The cost is the seconds for which a thread is busy with one second of audio, so it is also how many threads
    a stream in real time needs. It is measured by the clock: where other programs take the processors, a stream
    costs more. Any thread may add.

    >>> load = Load(capacity=2.0)
    >>> load.add(work=1.0, audio=2.0)
    >>> load.cost, load.fits(3), load.fits(4)  # a fourth stream, a fifth
    (0.5, True, False)
    """

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self._work = 0.0
        self._audio = 0.0
        self._lock = threading.Lock()

    def add(self, work: float, audio: float) -> None:
        """Note that a thread was busy for `work` seconds with `audio` seconds of sound."""
        keep = math.exp(-audio / MEMORY)
        with self._lock:
            self._work = keep * self._work + work
            self._audio = keep * self._audio + audio

    @property
    def cost(self) -> float:
        """Threads that one stream needs in real time; 0 as long as nothing was measured."""
        with self._lock:
            return self._work / self._audio if self._audio else 0.0

    def fits(self, clients: int) -> bool:
        """Whether a further stream beside `clients` others would keep up. The only stream always may try."""
        return clients == 0 or (clients + 1) * self.cost <= self.capacity


def usable_cores() -> float:
    """Processors that this process may use: by affinity, and in a container by its quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = float(len(affinity(0)) if affinity else os.cpu_count() or 1)
    try:
        quota, period = _QUOTA.read_text().split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):  # not Linux, no quota ("max"), or an older kernel
        return cores
