"""Clients of a real `sed-serve` in real time: their delay at the socket, its processor time and memory.

A server with the bundled models in a process of its own, held to `cores` processors; the clients are
`sed.server.client.stream` in this process, each with the demo conversation from another place on, 100 ms a block by the
clock, begun at random times. `benchmarks/cost/live.py` runs it and reports.
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
    """One stream in real time: when each block was sent, when each final event came."""

    def __init__(self, url: str, samples: np.ndarray, latency: float) -> None:
        self.url, self.samples, self.latency = url, samples, latency
        self.sent: list[float] = []  # the time at which each block had been said
        self.delays: list[float] = []  # seconds from a segment's end to its final event
        self.lag = 0.0  # seconds from the end of the audio to the last event
        self.late = 0.0  # seconds by which this client itself was late at worst
        self.waiting = 0.0  # seconds of audio that waited in the server at most

    async def _blocks(self) -> AsyncIterator[np.ndarray]:
        begun = time.monotonic()
        for number, first in enumerate(range(0, len(self.samples), BLOCK), 1):
            due = begun + number * BLOCK / SAMPLE_RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.late = max(self.late, time.monotonic() - due)
            self.sent.append(due)
            yield self.samples[first : first + BLOCK]

    async def run(self, wait: float) -> None:
        """Begin after `wait` seconds, and follow the stream to its end."""
        await asyncio.sleep(wait)
        events = stream(self.url, self._blocks(), latency=self.latency, on_progress=self._note)
        async for event in events:
            if event.final and event.segment is not None:
                block = min(len(self.sent), max(1, round(event.segment.end * SAMPLE_RATE / BLOCK))) - 1
                said = self.sent[block] - (block + 1) * BLOCK / SAMPLE_RATE + event.segment.end
                self.delays.append(time.monotonic() - said)
        self.lag = time.monotonic() - self.sent[-1]

    def _note(self, progress: dict[str, Any]) -> None:
        self.waiting = max(self.waiting, progress["waiting"])


def processor_seconds(pid: int) -> float:
    """What the process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def starved_seconds(pid: int) -> float:
    """For how long its threads were ready to run and had no processor (Linux's schedstat)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


def resident(pid: int) -> float:
    """Resident MB of the process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(count: int, seconds: float, latency: float, cores: int) -> dict[str, Any]:
    """Run `count` clients for `seconds` against a fresh server on that many cores.

    Delays are seconds from the end of a final segment's sound to its event at the socket: `median`, `p95` and
    `most` of all clients. `lag` is the time from the last sample to the last event, of the worst client;
    `waiting` the audio that waited in the server at most; `cores` what the server used; `starved` how many of
    its threads were ready and found no free core, on average; `late` by how much the clients were late.
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
        turned = np.roll(conversation, -shifts.randrange(len(conversation)))
        samples = np.tile(turned, -(-needed // len(turned)))[:needed]
        clients.append(Client(url.replace("http", "ws") + "stream", samples, latency))

    async def everyone() -> None:
        await asyncio.gather(*(client.run(shifts.random() * 2) for client in clients))

    empty, used, starved = resident(pid), processor_seconds(pid), starved_seconds(pid)
    begun = time.monotonic()
    asyncio.run(everyone())
    wall = time.monotonic() - begun
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
