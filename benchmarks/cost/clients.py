"""Clients of a real `sed-serve` in real time: their delay at the socket, its processor time and memory.

The server runs the bundled models in a separate process, restricted to `cores` processors. The clients are
`sed.server.client.stream` in this process; each sends the demo conversation from a different position, in blocks of
100 ms in real time, and starts at a random time. `benchmarks/cost/live.py` runs it and reports.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sed.grid import SAMPLE_RATE
from sed.server.client import stream

CONVERSATION = Path(__file__).resolve().parents[2] / "demo" / "conversation.flac"
BLOCK = SAMPLE_RATE // 10  # samples


class Client:
    """One stream in real time: times of sent blocks and of final events."""

    def __init__(self, url: str, samples: np.ndarray, latency: float) -> None:
        self.url, self.samples, self.latency = url, samples, latency
        self.sent: list[float] = []  # the time at which each block was due
        self.delays: list[float] = []  # seconds from a segment's end to its final event
        self.lag = 0.0  # seconds from the end of the audio to the last event
        self.late = 0.0  # maximum seconds by which this client was late
        self.waiting = 0.0  # maximum seconds of audio in the queue of the server

    async def _blocks(self) -> AsyncIterator[np.ndarray]:
        started = time.monotonic()
        for number, first in enumerate(range(0, len(self.samples), BLOCK), 1):
            due = started + number * BLOCK / SAMPLE_RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late = max(self.late, time.monotonic() - due)
            self.sent.append(due)
            yield self.samples[first : first + BLOCK]

    async def run(self, wait: float) -> None:
        """Start after `wait` seconds and receive all events."""
        await asyncio.sleep(wait)
        events = stream(self.url, self._blocks(), latency=self.latency, on_progress=self._note)
        async for event in events:
            if event.final and event.segment is not None:
                block = min(len(self.sent), max(1, round(event.segment.end * SAMPLE_RATE / BLOCK))) - 1
                ended = self.sent[block] - (block + 1) * BLOCK / SAMPLE_RATE + event.segment.end
                self.delays.append(time.monotonic() - ended)
        self.lag = time.monotonic() - self.sent[-1]

    def _note(self, progress: dict[str, Any]) -> None:
        self.waiting = max(self.waiting, progress["waiting"])


def processor_seconds(pid: int) -> float:
    """User and system time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def starved_seconds(pid: int) -> float:
    """Time for which its threads were runnable but had no processor (Linux's schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


def resident(pid: int) -> float:
    """Resident MB of the process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(count: int, seconds: float, latency: float, cores: int) -> dict[str, Any]:
    """Run `count` clients for `seconds` against a new server on `cores` cores.

    Delays are seconds from the end of a final segment to its event at the socket: `median`, `p95` and `most` (the
    maximum) over all clients. `lag` is the time from the last sample to the last event, of the worst client;
    `waiting` the maximum of audio in the queue of the server; `cores` the cores that the server used; `starved` the
    mean number of its threads that were runnable without a free core; `late` the maximum delay of the clients
    themselves.
    """
    command = [
        sys.executable,
        "-m",
        "sed.cli.serve",
        "--port",
        "0",
        "--max-clients",
        str(count),
        "--max-load",
        "1000",
    ]
    server = subprocess.Popen([*command, "--threads", str(cores)], stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(server.pid, sorted(os.sched_getaffinity(0))[:cores])
    assert server.stdout is not None
    url = server.stdout.readline().split()[1]
    try:
        return _measure(server.pid, url, count, seconds, latency)
    finally:
        server.terminate()
        server.wait(20)


def _measure(pid: int, url: str, count: int, seconds: float, latency: float) -> dict[str, Any]:
    conversation, _ = soundfile.read(CONVERSATION, dtype="int16")
    needed = round(seconds * SAMPLE_RATE)
    shifts = random.Random(1)
    clients = []
    for _ in range(count):
        rotated = np.roll(conversation, -shifts.randrange(len(conversation)))
        samples = np.tile(rotated, -(-needed // len(rotated)))[:needed]
        clients.append(Client(url.replace("http", "ws") + "stream", samples, latency))

    async def run_all() -> None:
        await asyncio.gather(*(client.run(shifts.random() * 2) for client in clients))

    empty, used, starved = resident(pid), processor_seconds(pid), starved_seconds(pid)
    started = time.monotonic()
    asyncio.run(run_all())
    wall = time.monotonic() - started
    used, starved = processor_seconds(pid) - used, starved_seconds(pid) - starved
    with urllib.request.urlopen(url + "metrics") as answer:
        lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
    delays = [delay for client in clients for delay in client.delays]
    return {
        "clients": count,
        "seconds": seconds,
        "latency": latency,
        "finals": len(delays),
        "median": float(np.median(delays)),
        "p95": float(np.percentile(delays, 95)),
        "most": max(delays),
        "lag": max(client.lag for client in clients),
        "late": max(client.late for client in clients),
        "waiting": max(client.waiting for client in clients),
        "cores": used / wall,
        "starved": starved / wall,
        "a_client": used / (count * seconds),
        "steps": int(lines["sed_step_seconds_count"]),
        "empty_mb": empty,
        "mb": resident(pid),
    }
