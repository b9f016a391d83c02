"""Refusals before the body has been received: they reach the client, and cost the server little."""

import contextlib
import time

import pytest
from upload_connection import Connection, bystander, many, minutes, slow, wait_until

REFUSALS = {
    "too large": (413, {}, {}),
    "format": (400, {"path": "/diarize?format=mp4"}, {}),
    "token": (401, {}, {"token": "secret"}),
    "host": (403, {"host": "evil.example"}, {}),
    "method": (405, {"path": "/healthz"}, {}),
    "page": (404, {"path": "/nowhere"}, {}),
}


@pytest.mark.parametrize("headers", [(), ("Connection: close",)])
@pytest.mark.parametrize("reason", REFUSALS)
def test_early_refusals_reach_a_client_that_reads_late(start_server, reason, headers):
    status, how, options = REFUSALS[reason]
    size = 100_000_000 if reason == "too large" else 20_000_000
    server = start_server(max_upload=50_000_000, **options)
    with Connection(server.base) as connection:
        connection.post(length=size, headers=headers, **how)
        connection.send(size)  # was a reset by the peer
        assert connection.answer()[0] in ({404, 405} if reason == "page" else {status})
        assert connection.is_closed()


def test_a_full_queue_is_told_before_and_after_the_body(start_server):
    server = start_server(diarize=minutes, max_uploads=1)
    with many(server.base, 1, body=slow(30)), Connection(server.base) as late:
        wait_until(lambda: server.app.state.hub.files.working == 1)
        late.post(length=20_000_000, headers=["Connection: close"])
        begun = time.monotonic()
        status, headers, body = late.answer()  # before a byte of the body is sent
        assert status == 503 and b"in work or waiting" in body and time.monotonic() - begun < 1.0
        assert int(headers["retry-after"]) > 0 and headers["connection"] == "close"
        late.send(20_000_000)
        assert late.is_closed()


def test_refused_bodies_without_end_are_cut(start_server, monkeypatch):
    monkeypatch.setattr("sed.server.exchange.LINGER", 1.0)
    server = start_server(max_upload=1000)
    with Connection(server.base, "127.0.0.2") as endless:
        endless.post(length=1 << 40)
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < 5:
                endless.send(1 << 20)
                if time.monotonic() - begun < 0.5:
                    status, seconds = bystander(server)
                    assert status == 200 and seconds < 1.0
        assert time.monotonic() - begun < 3.0
    wait_until(lambda: server.app.middleware_stack.lingering == 0)


def test_silent_refused_uploads_are_cut_and_counted(start_server, monkeypatch):
    monkeypatch.setattr("sed.server.exchange.MOST_LINGERING", 5)
    server = start_server(max_upload=1000)
    with many(server.base, 40, length=5000) as crowd:
        assert bystander(server)[0] == 200
        assert server.app.middleware_stack.lingering <= 5
        begun = time.monotonic()
        assert all(connection.is_closed() for connection in crowd)
        assert time.monotonic() - begun < 5.0
