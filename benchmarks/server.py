"""What `sed-serve` stands: clients in real time, their delay at the socket, processor and memory.

    python benchmarks/server.py                       1 and 8 clients, a minute each
    python benchmarks/server.py --clients 12 --seconds 300

A real `sed-serve` with the bundled models in a process of its own; the clients are `sed.client.stream` in this
one, each with the demo conversation from another place on, 100 ms a block by the clock, begun at random times.
Delay is the time from sending the last sample of a segment to receiving its final event. Writes
results/server.md and .json.
"""

from __future__ import annotations

import argparse
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
from report import commit, machine, save, table

from sed.client import stream
from sed.grid import SAMPLE_RATE

CONVERSATION = Path(__file__).resolve().parent.parent / "demo" / "conversation.flac"
BLOCK = SAMPLE_RATE // 10  # samples


class Client:
    """One stream in real time: when each block was sent, when each final event came."""

    def __init__(self, url: str, samples: np.ndarray, latency: float) -> None:
        self.url, self.samples, self.latency = url, samples, latency
        self.sent: list[float] = []  # the time at which each block had been said
        self.delays: list[float] = []  # seconds from a segment's end to its final event
        self.lag = 0.0  # seconds from the end of the audio to the last event
        self.late = 0.0  # seconds by which this client itself was late at worst

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
        async for event in stream(self.url, self._blocks(), latency=self.latency):
            if event.final and event.segment is not None:
                block = min(len(self.sent), max(1, round(event.segment.end * SAMPLE_RATE / BLOCK))) - 1
                said = self.sent[block] - (block + 1) * BLOCK / SAMPLE_RATE + event.segment.end
                self.delays.append(time.monotonic() - said)
        self.lag = time.monotonic() - self.sent[-1]


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


def measure(count: int, seconds: float, latency: float) -> dict[str, Any]:
    """Run `count` clients for `seconds` against a fresh server."""
    command = [sys.executable, "-m", "sed.cli.serve", "--port", "0", "--max-clients", str(count)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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
        "cores": used / wall,
        "starved": starved / wall,
        "a_client": used / (count * seconds),
        "steps": int(lines["sed_step_seconds_count"]),
        "empty_mb": empty,
        "mb": resident(pid),
    }


def report(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    rows = [
        [
            row["clients"],
            f"{row['latency']:g}",
            row["finals"],
            f"{row['median']:.2f}",
            f"{row['p95']:.2f}",
            f"{row['most']:.2f}",
            f"{row['lag']:.2f}",
            f"{row['cores']:.2f}",
            f"{row['starved']:.2f}",
            f"{100 * row['a_client']:.1f} %",
            f"{row['mb']:.0f}",
        ]
        for row in found["runs"]
    ]
    head = [
        "clients",
        "latency s",
        "finals",
        "median s",
        "95 % s",
        "most s",
        "lag s",
        "cores",
        "starved",
        "a client",
        "MB",
    ]
    return "\n".join(
        [
            "# Server",
            "",
            f"`python benchmarks/server.py`, commit {found['commit']}. {found['machine']}. Load average at the "
            f"start {found['load']:.1f}.",
            "",
            f"Every client sends {found['runs'][0]['seconds']:g} s in real time. Median, 95 % and most: from the end "
            "of a segment's sound to its final event at the socket. Lag: from the last sample to the last event, "
            "of the worst client. Cores: what the server used; starved: threads that were ready and found no free "
            "core, on average (much of it means that other programs were busy). A client: of one core.",
            "",
            table(head, rows),
            "",
            "The clients themselves were late by "
            f"{1000 * max(row['late'] for row in found['runs']):.0f} ms at worst.",
        ]
    )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--latency", type=float, nargs="+", default=[1.0])
    parser.add_argument("--name", default="server", help="of the result files")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "commit": commit(), "load": os.getloadavg()[0], "runs": []}
    for latency in arguments.latency:
        for count in arguments.clients:
            found["runs"].append(measure(count, arguments.seconds, latency))
            print(found["runs"][-1], file=sys.stderr, flush=True)
    text = report(found)
    print(text)
    save(arguments.name, text, found)


if __name__ == "__main__":
    main()
