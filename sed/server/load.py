"""`Load`: the measured cost of a live stream on this machine, and whether one more can run in real time."""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path

TIME_CONSTANT = 30.0  # seconds of audio after which the weight of a measurement has decayed to 1/e
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of CPU time and of each period


class Load:
    """A running estimate of the cost of a live stream, compared with a `capacity` in CPU threads.

    The cost is the number of seconds for which a thread is busy with one second of audio, hence also the number of
    threads that a stream in real time needs. It is wall-clock time: a stream costs more while other programs use
    the CPUs. `add` is thread-safe.

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
        """Record that a thread was busy for `work` seconds with `audio` seconds of audio."""
        decay = math.exp(-audio / TIME_CONSTANT)
        with self._lock:
            self._work = decay * self._work + work
            self._audio = decay * self._audio + audio

    @property
    def cost(self) -> float:
        """Threads that one stream needs in real time; 0 before the first measurement."""
        with self._lock:
            return self._work / self._audio if self._audio else 0.0

    def fits(self, clients: int) -> bool:
        """Whether one more stream besides `clients` others can run in real time. A single stream always may."""
        return clients == 0 or (clients + 1) * self.cost <= self.capacity


def usable_cores() -> float:
    """CPUs that this process may use, according to its affinity and, in a container, its quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = float(len(affinity(0)) if affinity else os.cpu_count() or 1)
    try:
        quota, period = _QUOTA.read_text().split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):  # not Linux, no quota ("max"), or an older kernel
        return cores
