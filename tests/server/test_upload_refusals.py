"""Rejections before the body has been received: they reach the client, and cost the server little."""

import contextlib
import time

import pytest
from upload_connection import Connection, many, post_small_file, slow_diarize, slow_file, wait_until

pytestmark = pytest.mark.alone

REJECTIONS = {
    "too large": (413, {}, {}),
    "format": (400, {"path": "/diarize?format=mp4"}, {}),
    "token": (401, {}, {"token": "secret"}),
    "host": (403, {"host": "evil.example"}, {}),
    "method": (405, {"path": "/healthz"}, {}),
    "page": (404, {"path": "/nowhere"}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("headers", [(), ("Connection: close",)])
@pytest.mark.parametrize("reason", REJECTIONS)
def test_early_rejections_reach_a_client_that_reads_late(start_server, reason, headers):
    status, how, options = REJECTIONS[reason]
    size = 100_000_000 if reason == "too large" else 20_000_000
    server = start_server(max_upload=50_000_000, **options)
    with Connection(server.base) as connection:
        connection.post(length=size, headers=headers, **how)
        connection.send(size)
        assert connection.answer()[0] in ({404, 405} if reason == "page" else {status})
        assert connection.is_closed()


def test_a_full_queue_is_reported_before_and_after_the_body(start_server):
    server = start_server(diarize=slow_diarize, max_uploads=1)
    with many(server.base, 1, body=slow_file(30)), Connection(server.base) as late:
        wait_until(lambda: server.app.state.hub.files.working == 1)
        late.post(length=20_000_000, headers=["Connection: close"])
        started = time.monotonic()
        status, headers, body = late.answer()  # before a byte of the body is sent
        assert status == 503 and b"being processed or queued" in body and time.monotonic() - started < 1.0
        assert int(headers["retry-after"]) > 0 and headers["connection"] == "close"
        late.send(20_000_000)
        assert late.is_closed()


@pytest.mark.slow
def test_endless_rejected_bodies_are_aborted(start_server, monkeypatch):
    monkeypatch.setattr("sed.server.exchange.LINGER", 1.0)
    server = start_server(max_upload=1000)
    with Connection(server.base, "127.0.0.2") as endless:
        endless.post(length=1 << 40)
        started = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - started < 5:
                endless.send(1 << 20)
                if time.monotonic() - started < 0.5:
                    status, seconds = post_small_file(server)
                    assert status == 200 and seconds < 1.0
        assert time.monotonic() - started < 3.0
    wait_until(lambda: server.app.middleware_stack.lingering == 0)


@pytest.mark.slow
def test_idle_rejected_uploads_are_aborted_and_limited(start_server, monkeypatch):
    monkeypatch.setattr("sed.server.exchange.MAX_LINGERING", 5)
    server = start_server(max_upload=1000)
    with many(server.base, 40, length=5000) as connections:
        assert post_small_file(server)[0] == 200
        assert server.app.middleware_stack.lingering <= 5
        started = time.monotonic()
        assert all(connection.is_closed() for connection in connections)
        assert time.monotonic() - started < 5.0
