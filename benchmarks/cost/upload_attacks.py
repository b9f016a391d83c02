"""Attacks with uploads to sed-serve, and how long another client waits for a small file meanwhile.

    python -m benchmarks.cost.upload_attacks [--before FOLDER]

The server is a separate process with a stand-in for the diarizer, so that only its queue and limits are measured;
`--before` is an earlier checkout of sed for comparison. All traffic is local: the attacker is 127.0.0.2, the other
client (the bystander) 127.0.0.1. Writes results/upload_attacks.md and .json.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.lib.report import ROOT, commit, machine, save, table

sys.path.insert(0, str(ROOT / "tests" / "support"))
from upload_connection import Connection

TIMEOUT = 60.0  # seconds for which the bystander retries
ATTACKER = "127.0.0.2"
SMALL = b"RIFF" + bytes(400)
SERVER = """
import asyncio, signal, sys, time
from pathlib import Path
from sed.result import Diarization, Segment
from sed.server.app import create_app
from sed.server.options import ServerOptions
from sed.server.run import listen, make_server, serve, url_of

def diarize(source, *, uri, progress):
    data = Path(source).read_bytes()
    while data[:4] == b"hang":
        time.sleep(3600)
    end = time.monotonic() + (5.0 if data[:4] == b"work" else 0.0)
    while time.monotonic() < end:
        progress(1.0, 60.0)
        time.sleep(0.1)
    count = 40_000 if data[:4] == b"talk" else 1  # 5 MB of JSON
    return Diarization(uri, float(count), [Segment(n, n + 1, "spk00", "sad", 0.5) for n in range(count)], ("sad",))

options = ServerOptions(port=0, max_upload=50_000_000, token=sys.argv[1] or None)
listener = listen(options)
app = create_app(options, make_stream=lambda latency: None, diarize=diarize)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as the command does
asyncio.run(serve(make_server(app, options), listener, lambda: print(url_of(listener), flush=True)))
"""
REFUSALS: dict[str, tuple[int, dict[str, str], str]] = {
    "too large": (60_000_000, {}, ""),
    "unknown format": (20_000_000, {"path": "/diarize?format=mp4"}, ""),
    "no token": (20_000_000, {}, "secret"),
    "foreign host": (20_000_000, {"host": "evil.example"}, ""),
}


@contextlib.contextmanager
def serving(code: Path, token: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server from the checkout `code`: its process, and its host:port."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, token],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=code,
        env={**os.environ, "PYTHONPATH": str(code)},
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip().removeprefix("http://").rstrip("/")
    finally:
        process.kill()
        process.wait()


def attack(base: str, stop: threading.Event, source: str, reads: bool, **how: object) -> None:
    """One stranger: posts the same again and again, as soon as the server has answered or hung up."""
    while not stop.is_set():
        with (
            contextlib.suppress(OSError, ValueError),
            Connection(base, source, 1.0, receive_buffer=4096) as connection,
        ):
            connection.post(**how)
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    if reads:
                        connection.answer()
                        break
                    stop.wait(0.5)
                    if connection.socket.getsockopt(6, 11, 1)[0] != 1:  # TCP_INFO: no longer established
                        break
        stop.wait(0.05)


def bystander(base: str) -> float | None:
    """Seconds until a small file is served, or None."""
    started = time.monotonic()
    while time.monotonic() - started < TIMEOUT:
        with contextlib.suppress(OSError), Connection(base, timeout=TIMEOUT) as connection:
            connection.post(body=SMALL)
            if connection.answer()[0] == 200:
                return time.monotonic() - started
        time.sleep(0.2)
    return None


def wait_under_attack(code: Path, number: int, source: str, reads: bool = True, **how: object) -> str:
    """The bystander's longest wait of three while `number` attackers are active."""
    with serving(code) as (_, base):
        stop = threading.Event()
        attackers = [
            threading.Thread(target=attack, args=(base, stop, source, reads), kwargs=how, daemon=True)
            for _ in range(number)
        ]
        for attacker in attackers:
            attacker.start()
        time.sleep(1.0)
        waits: list[float] = []
        for _ in range(3):
            if (wait := bystander(base)) is None:
                waits = []
                break
            waits.append(wait)
        stop.set()
        for attacker in attackers:
            attacker.join(3)
    return f"{max(waits):.1f} s" if waits else f"not within {TIMEOUT:.0f} s"


def refusals(code: Path) -> str:
    """How many rejected clients that read only after sending get the response."""
    answered = total = 0
    for size, how, token in REFUSALS.values():
        for close in ((), ("Connection: close",)):
            with serving(code, token) as (_, base), Connection(base) as connection:
                total += 1
                with contextlib.suppress(OSError):
                    connection.post(length=size, headers=close, **how)
                    connection.send(size)
                    answered += connection.answer()[0] >= 400
    return f"{answered} of {total}"


def end(code: Path, body: bytes) -> str:
    """Seconds from SIGTERM to the end of the process while it processes a file."""
    with serving(code) as (process, base), Connection(base) as connection:
        connection.post(body=body)
        time.sleep(1.0)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            return "not within 20 s"
        return f"{time.monotonic() - started:.1f} s"


def measure(code: Path) -> dict[str, str]:
    """The outcome of every attack by its name."""
    silent = {"length": 900}
    cases: dict[str, Callable[[], str]] = {
        "4 silent uploads, renewed: a small file of another address": lambda: wait_under_attack(
            code, 4, ATTACKER, **silent
        ),
        "40 silent uploads, renewed: the same": lambda: wait_under_attack(code, 40, ATTACKER, **silent),
        "4 silent uploads, renewed: of the same address": lambda: wait_under_attack(
            code, 4, "127.0.0.1", **silent
        ),
        "4 results of 5 MB that are never read, renewed": lambda: wait_under_attack(
            code, 4, ATTACKER, False, path="/diarize?progress=1", body=b"talk"
        ),
        "8 files of 5 s of work, renewed": lambda: wait_under_attack(code, 8, ATTACKER, body=b"work"),
        "rejections that reach a client that sends before it reads": lambda: refusals(code),
        "SIGTERM with a file in work: end of the process": lambda: end(code, b"work"),
        "SIGTERM with a decoder that hangs: end of the process": lambda: end(code, b"hang"),
    }
    outcome = {}
    for name, case in cases.items():
        outcome[name] = case()
        print(f"{name}: {outcome[name]}", flush=True)
    return outcome


def main() -> None:
    """Run all attacks and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="an earlier checkout of sed to compare with")
    before = parser.parse_args().before
    columns = {"before": measure(before.resolve())} if before else {}
    columns["now"] = measure(ROOT)
    rows = [[name, *(column[name] for column in columns.values())] for name in columns["now"]]
    text = (
        f"# Attacks with uploads\n\n`python -m benchmarks.cost.upload_attacks`, commit {commit()}, {machine()}.\n\n"
        "Seconds until a bystander's small file is served (the longest of three in a row, retried every 0.2 s), or as "
        "stated in the row.\nEach attacker repeats as soon as the server responds or closes the connection.\n\n"
    )
    save("upload_attacks", text + table(["attack", *columns], rows), columns)


if __name__ == "__main__":
    main()
