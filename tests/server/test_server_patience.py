"""Pings are answered while audio is queued, and clients get all results whatever they do after the end."""

import asyncio
import json
import socket
import time

import numpy as np
import pytest
from live_server import SecondsStream
from raw_http import BINARY, CLOSE, PING, PONG, TEXT, RawSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from sed.server.client import ServerError, stream

pytestmark = pytest.mark.alone

END = b'{"type": "end"}'
SECOND = bytes(32_000)


def slow(latency, delay=0.1):
    """A stream that needs `delay` seconds per half second of audio."""
    return SecondsStream(latency, delay=delay)


@pytest.mark.slow
def test_a_client_with_a_short_ping_timeout_survives_while_its_audio_is_queued(start_server):
    """20 s at once, processed within 4 s: each ping is answered within 1 s although audio is queued before it."""
    server = start_server(slow)

    async def run():
        found = []
        async with connect(server.ws, ping_interval=1, ping_timeout=1, max_queue=None) as client:
            for _ in range(20):
                await client.send(SECOND)
            await client.send(END.decode())
            with pytest.raises(ConnectionClosed):
                while True:
                    found.append(json.loads(await client.recv()))
            return found, client.close_code

    found, code = asyncio.run(asyncio.wait_for(run(), 20))
    assert code == 1000 and found[-1] == {"type": "end", "time": 20.0}
    assert [m["id"] for m in found if m["type"] == "segment" and m["final"]] == list(range(20))
    assert max(m["waiting"] for m in found if m["type"] == "progress") > 15


@pytest.mark.slow
def test_pongs_are_sent_immediately_while_audio_is_queued(start_server):
    with RawSocket(start_server(slow).base) as client:
        for _ in range(28):
            client.send(BINARY, SECOND)
        started = time.monotonic()
        client.send(PING, b"now")
        while client.receive() != (PONG, b"now"):
            pass
        assert time.monotonic() - started < 1


@pytest.mark.slow
def test_sending_too_far_ahead_is_rejected(start_server):
    """A client that ignores limits.max_waiting; its queue is bounded."""
    server = start_server(slow, queue=5, max_rate=100)
    with RawSocket(server.base) as client:
        limits = None
        for _ in range(10):
            client.send(BINARY, SECOND)
            time.sleep(0.02)
        found, code = client.rest()
    limits = found[0]["limits"]
    assert (limits["max_waiting"], limits["burst"]) == (5, 5)
    assert (found[-1]["code"], code) == ("overload", 4503)
    assert "max_waiting" in found[-1]["message"]
    server.wait_idle()


def test_a_high_sample_rate_uses_no_more_memory(start_server):
    with RawSocket(start_server().base) as client:
        client.send(TEXT, b'{"type": "start", "sample_rate": 384000}')
        limits = json.loads(client.receive()[1])["limits"]
    assert limits["max_waiting"] * 384_000 * 2 <= 8 << 20
    assert limits["burst"] <= limits["max_waiting"] < 11


@pytest.mark.slow
def test_the_client_respects_max_waiting(start_server):
    """10 s at once to a server that processes 5 times real time and queues 1 s: all events, and no rejection."""
    server = start_server(slow, queue=1, max_rate=100)
    waiting = []

    async def run():
        blocks = [np.zeros(10 * 16_000, np.int16)]
        note = lambda message: waiting.append(message["waiting"])  # noqa: E731
        return [event async for event in stream(server.ws, blocks, on_progress=note)]

    events = asyncio.run(asyncio.wait_for(run(), 20))
    assert [event.id for event in events if event.final] == list(range(10))
    assert max(waiting) <= 1 and not server.metrics.errors


def test_a_flood_of_pings_is_disconnected(start_server):
    server = start_server()
    with RawSocket(server.base) as client:
        client.send(TEXT, b'{"type": "start"}')
        with pytest.raises(OSError):
            for _ in range(200):
                client.connection.sendall(b"".join([b"\x89\xfd" + bytes(4) + bytes(125)] * 100))
                time.sleep(0.001)
    server.wait_idle(3)


def test_some_pings_are_answered(start_server):
    with RawSocket(start_server().base) as client:
        for number in range(100):
            client.send(PING, str(number).encode())
            assert client.receive() == (PONG, str(number).encode())


def send_all(server, *after, half_close=False):
    """Send 4 s of audio and the end at once, then `after`; returns all messages and the close code."""
    with RawSocket(server.base) as client:
        for _ in range(4):
            client.send(BINARY, SECOND)
        client.send(TEXT, END)
        for opcode, payload in after:
            client.send(opcode, payload)
        if half_close:
            client.connection.shutdown(socket.SHUT_WR)
        return client.rest()


def finals(found):
    return [m["id"] for m in found if m["type"] == "segment" and m["final"]]


@pytest.mark.slow
def test_a_half_close_after_the_end_loses_nothing(start_server):
    server = start_server(slow)
    started = time.monotonic()
    found, code = send_all(server, half_close=True)
    assert finals(found) == [0, 1, 2, 3]
    assert found[-1] == {"type": "end", "time": 4.0} and code == 1000
    assert time.monotonic() - started < 5  # the server does not wait for a close reply that cannot come
    server.wait_idle(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "after",
    [[(BINARY, SECOND)], [(TEXT, END)], [(TEXT, b"{")], [(BINARY, b"x")], [(BINARY, b"")] * 300],
)
@pytest.mark.parametrize("half_close", [False, True])
def test_a_message_after_the_end_loses_nothing(start_server, after, half_close):
    """The message is an error, which is reported after the results."""
    server = start_server(lambda latency: slow(latency, 0.03))
    found, code = send_all(server, *after, half_close=half_close)
    assert finals(found) == [0, 1, 2, 3]
    assert (found[-1]["type"], found[-1]["code"], code) == ("error", "bad_message", 4400)
    assert "after the end" in found[-1]["message"]


@pytest.mark.slow
def test_a_flood_after_the_end_does_not_starve_others(start_server):
    server = start_server(slow)
    with RawSocket(server.base) as client:
        for _ in range(4):
            client.send(BINARY, SECOND)
        client.send(TEXT, END)
        client.connection.setblocking(False)
        end, sent = time.monotonic() + 1, 0
        flood = (b"\x82\x80" + bytes(4)) * 2000  # of empty messages
        while time.monotonic() < end:
            try:
                sent += client.connection.send(flood[sent % 6 :])
            except BlockingIOError:
                time.sleep(0.01)
        client.connection.settimeout(5)
        assert finals(client.rest()[0]) == [0, 1, 2, 3]


@pytest.mark.slow
def test_disconnecting_after_the_end_frees_the_slot(start_server):
    server = start_server(lambda latency: slow(latency, 0.3))
    client = RawSocket(server.base)
    for _ in range(20):
        client.send(BINARY, SECOND)
    client.send(TEXT, END)
    time.sleep(0.3)
    assert server.metrics.clients == 1
    client.close()
    server.wait_idle(3)  # instead of the 12 s that the rest would take


@pytest.mark.slow
@pytest.mark.parametrize("how", ["half-close", "close frame", "close"])
def test_disconnecting_before_the_end_frees_the_slot(start_server, how):
    server = start_server(slow)
    with RawSocket(server.base) as client:
        for _ in range(10):
            client.send(BINARY, SECOND)
        time.sleep(0.2)
        assert server.metrics.clients == 1
        if how == "half-close":
            client.connection.shutdown(socket.SHUT_WR)
        elif how == "close frame":
            client.send(CLOSE, (1000).to_bytes(2, "big"))
        else:
            client.close()
        server.wait_idle(2)


def test_a_rejected_client_gets_retry_after(start_server):
    server = start_server(max_clients=1)

    async def run():
        async with connect(server.ws) as first:
            await first.send('{"type": "start"}')
            await first.recv()
            with pytest.raises(ServerError) as rejection:
                async for _ in stream(server.ws, []):
                    pass
            return rejection.value

    error = asyncio.run(asyncio.wait_for(run(), 20))
    assert error.code == "too_many" and error.retry_after == 10
