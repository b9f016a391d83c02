"""Hostile clients of a real `sed-serve` on the loopback interface, and what a bystander sees meanwhile."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.lib.report import ROOT

LIMIT = 60.0  # seconds after which an upload is given up
CLIP = ROOT / "tests" / "data" / "emodb_16_sad_1.flac"


@contextmanager
def server(code: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A `sed-serve` of the checkout `code` on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "sed.cli.serve", "--port", str(port), "-q"],
        env={**os.environ, "PYTHONPATH": str(code)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.1)
        yield port, process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def upload(port: int, body: bytes) -> tuple[int, float]:
    """One honest upload: the status (0: no answer) and the seconds it took."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request("POST", "/diarize?format=rttm&name=bystander", body)
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.monotonic() - began
    except OSError:
        return 0, time.monotonic() - began
    finally:
        connection.close()


def silent_posts(port: int, stop: threading.Event) -> None:
    """Four uploads that announce a body and send nothing, again as soon as they are cut."""
    sockets: list[socket.socket] = []
    while not stop.wait(0.1):
        while len(sockets) < 4:
            with suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port), 2)
                connection.sendall(
                    b"POST /diarize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
                )
                connection.setblocking(False)
                sockets.append(connection)
        for connection in list(sockets):
            with suppress(BlockingIOError):
                try:
                    ended = not connection.recv(1 << 16)
                except ConnectionError:
                    ended = True
                if ended:
                    sockets.remove(connection)
                    connection.close()
    for connection in sockets:
        connection.close()


def deaf_progress(port: int, stop: threading.Event) -> None:
    """Four uploads with ``progress=1`` whose sender reads nothing."""
    body = CLIP.read_bytes()
    sockets = []
    for _ in range(4):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", port))
        head = f"POST /diarize?progress=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        with suppress(OSError):
            connection.sendall(head.encode() + body)
        sockets.append(connection)
    stop.wait()
    for connection in sockets:
        connection.close()


def bad_hosts(port: int, stop: threading.Event) -> None:
    """Requests whose Host is no host, up to 20 a second."""
    while not stop.wait(0.05):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: [\r\n\r\n")
            connection.settimeout(2)
            connection.recv(200)


ATTACKS: dict[str, Callable[[int, threading.Event], None]] = {
    "none": lambda port, stop: None,
    "4 silent uploads, again and again": silent_posts,
    "4 uploads with progress=1 that nobody reads": deaf_progress,
    "requests with the Host [": bad_hosts,
}


def bystander(code: Path, attack: Callable[[int, threading.Event], None], seconds: float) -> dict[str, Any]:
    """What one honest client sees in `seconds` of an attack, and how long the server takes to end."""
    body, rows, stop = CLIP.read_bytes(), [], threading.Event()
    with server(code) as (port, process):
        upload(port, body)  # models are warm
        thread = threading.Thread(target=attack, args=(port, stop), daemon=True)
        thread.start()
        time.sleep(1.0)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rows.append(upload(port, body))
            time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        ended = time.monotonic() - began
        stop.set()
        thread.join(5)
    served = [took for status, took in rows if status == 200]
    refused = [status for status, _ in rows if status != 200]
    return {
        "tried": len(rows),
        "served": len(served),
        "refused": refused,
        "longest": max(served, default=0.0),
        "end": ended,
    }
