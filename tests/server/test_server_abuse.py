"""Hostile clients against a server in its own process: it keeps running, serves the others, and frees memory."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from sed.server.client import stream

SUPPORT = Path(__file__).parents[1] / "support"
CHILD = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from live_server import ChattyStream, SecondsStream, diarize
from sed.server.app import create_app
from sed.server.options import ServerOptions
from sed.server.run import listen, make_server, serve, url_of
options = ServerOptions(port=0, max_clients=32, max_rate=1000, send_timeout=1.0, threads=2, idle_timeout=10)
listener = listen(options)
app = create_app(options, make_stream=lambda s: (ChattyStream if s == 5 else SecondsStream)(s), diarize=diarize)
asyncio.run(serve(make_server(app, options), listener, lambda: print(url_of(listener), flush=True)))
"""


class Child:
    """The process of the server."""

    def __init__(self):
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(SUPPORT)], stdout=subprocess.PIPE, text=True, env=environment
        )
        self.http = self.process.stdout.readline().strip().rstrip("/")
        self.base = self.http.removeprefix("http://")
        self.ws = f"ws://{self.base}/stream"

    def memory(self):
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def health(self):
        return httpx.get(f"{self.http}/healthz", timeout=5).json()

    def settle(self, seconds=20.0):
        """Wait until no client is connected."""
        end = time.monotonic() + seconds
        while self.health()["clients"]:
            assert time.monotonic() < end, "clients stay connected"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def child():
    if not sys.platform.startswith("linux"):
        pytest.skip("memory is read from /proc")
    child = Child()
    yield child
    assert child.process.poll() is None, "the server died"
    child.process.send_signal(signal.SIGINT)
    assert child.process.wait(15) in (0, -signal.SIGINT, 1)


@contextlib.asynccontextmanager
async def regular_client(child):
    """A regular client in real time during the attack; its events must arrive without delay."""
    delays = []

    async def blocks():
        while not leaving.is_set():
            yield np.zeros(1600, np.int16)
            sent.append(time.monotonic())
            await asyncio.sleep(0.1)

    async def follow():
        async for event in stream(child.ws, blocks()):
            if len(sent) * 0.1 >= event.time - 0.05:
                delays.append(time.monotonic() - sent[round(event.time * 10) - 1])

    leaving, sent = asyncio.Event(), []
    task = asyncio.create_task(follow())
    await asyncio.sleep(1.2)
    yield delays
    await asyncio.sleep(1.2)
    leaving.set()
    await asyncio.wait_for(task, 20)
    assert len(delays) >= 3
    assert max(delays) < 2.0, f"a regular client waited {max(delays):.2f} s"


async def random_messages(child, seed):
    """Send random messages until the server closes the connection."""
    random_ = random.Random(seed)
    with contextlib.suppress(WebSocketException, OSError):
        async with connect(child.ws, compression=None, open_timeout=30, close_timeout=1) as client:
            for _ in range(random_.randint(1, 20)):
                kind = random_.randrange(4)
                if kind == 0:
                    await client.send(random_.randbytes(random_.randint(0, 3000)))
                elif kind == 1:
                    await client.send("".join(map(chr, random_.choices(range(32, 0x2FF), k=50))))
                elif kind == 2:
                    await client.send(
                        json.dumps({"type": random_.choice(["start", "end", 5]), "latency": None})
                    )
                else:
                    await client.send([random_.randbytes(1001), b"\0" * 200_000, b""][random_.randrange(3)])


def raw(child, data, timeout=5.0):
    """Send raw bytes; returns the first bytes of the response."""
    host, port = child.base.split(":")
    with (
        socket.create_connection((host, int(port)), timeout=timeout) as connection,
        contextlib.suppress(OSError),
    ):
        connection.sendall(data)
        return connection.recv(1000)
    return b""


@pytest.mark.slow
def test_random_messages_do_not_affect_others(child):
    async def attack():
        async with regular_client(child):
            for batch in range(6):
                await asyncio.gather(*(random_messages(child, batch * 20 + n) for n in range(20)))

    asyncio.run(attack())
    child.settle()


@pytest.mark.slow
def test_bytes_that_are_not_http(child):
    random_ = random.Random(3)
    upgrade = (
        f"GET /stream HTTP/1.1\r\nHost: {child.base}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    for _ in range(10):
        raw(child, random_.randbytes(5000), timeout=0.3)
        raw(child, upgrade + random_.randbytes(200), timeout=0.3)
    assert raw(child, b"GET /" + b"x" * 200_000).startswith(b"HTTP/1.1 400")
    huge = (
        bytes([0x82, 0xFF]) + (1 << 40).to_bytes(8, "big") + b"mask" + b"\0" * 1000
    )  # a frame of a terabyte
    assert b"101" in raw(child, upgrade + huge)
    child.settle()


@pytest.mark.slow
def test_a_thousand_connections_leak_nothing(child):
    async def once(politely):
        with contextlib.suppress(WebSocketException, OSError):
            client = await connect(child.ws, compression=None, open_timeout=30)
            await client.send(b"\0\0" * 800)
            if politely:
                await client.close()
            else:
                client.transport.abort()

    async def many(count):
        for _ in range(count // 20):
            await asyncio.gather(*(once(n % 2) for n in range(20)))

    async def attack():
        await many(200)  # warm-up: one-time allocations
        child.settle()
        before, open_before = child.memory(), child.descriptors()
        async with regular_client(child):
            await many(1000)
        child.settle()
        return before, open_before

    before, open_before = asyncio.run(attack())
    assert child.memory() - before < 8e6, f"{(child.memory() - before) / 1e6:.1f} MB more than before"
    end = time.monotonic() + 15
    while child.descriptors() > open_before + 2 and time.monotonic() < end:
        time.sleep(0.2)
    assert child.descriptors() <= open_before + 2


@pytest.mark.slow
def test_clients_that_never_read_are_dropped(child):
    """They request many events and read none; the buffers of the kernel and the server fill up."""

    async def client_that_never_reads():
        host, port = child.base.split(":")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(port)))
        reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
        writer.write(
            f"GET /stream HTTP/1.1\r\nHost: {child.base}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        start = b'{"type": "start", "latency": 5}'
        writer.write(bytes([0x81, 0x80 | len(start)]) + bytes(4) + start)
        frame = bytes([0x82, 0x80 | 126]) + (320).to_bytes(2, "big") + bytes(4) + bytes(320)
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:  # 10 ms of audio, answered by a thousand events
                writer.write(frame)
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            return True
        finally:
            writer.transport.abort()
        return False

    async def attack():
        before = child.memory()
        async with regular_client(child):
            dropped = await asyncio.wait_for(
                asyncio.gather(*(client_that_never_reads() for _ in range(4))), 60
            )
        return dropped, before

    dropped, before = asyncio.run(attack())
    assert all(dropped)
    assert 'sed_errors_total{code="overload"} 4' in httpx.get(f"{child.http}/metrics").text
    child.settle()
    assert child.memory() - before < 12e6


@pytest.mark.slow
def test_floods_of_tiny_frames_do_not_affect_others(child):
    """From clients that read nothing; each is disconnected or throttled, and its buffers stay small."""
    end = b"\x81\x8f" + bytes(4) + b'{"type": "end"}'
    floods = [
        (b"", b"\x89\xfd" + bytes(129)),  # pings
        (b"", b"\x8a\x80" + bytes(4)),  # unsolicited pongs
        (b"\x02\x80" + bytes(4), b"\0\x80" + bytes(4)),  # an endless fragmented message
        (end, b"\x82\x80" + bytes(4)),  # messages after the end
    ]

    async def flood(first, data):
        host, port = child.base.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"GET /stream HTTP/1.1\r\nHost: {child.base}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        writer.write(first)
        until = time.monotonic() + 2
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            while time.monotonic() < until:
                writer.write(data * 500)
                await asyncio.wait_for(writer.drain(), 0.5)
        writer.transport.abort()

    async def attack():
        before = child.memory()
        async with regular_client(child):
            await asyncio.gather(*(flood(*one) for one in floods * 2))
        return before

    before = asyncio.run(attack())
    child.settle()
    assert child.memory() - before < 20e6


@pytest.mark.slow
def test_floods_of_audio_do_not_starve_others(child):
    async def flood():
        with contextlib.suppress(WebSocketException, OSError):
            async with connect(child.ws, compression=None, max_queue=None, close_timeout=1) as client:
                end = time.monotonic() + 4
                while time.monotonic() < end:
                    await client.send(bytes(64_000))

    async def attack():
        before = child.memory()
        async with regular_client(child):
            await asyncio.gather(*(flood() for _ in range(4)))
        return before

    before = asyncio.run(attack())
    child.settle()
    assert child.memory() - before < 40e6
    assert child.health()["status"] == "ok"
