"""Abuse of POST /diarize, and its effect on a regular client with a small file."""

import socket
import threading
import time

import pytest
from live_server import LABELS
from upload_connection import SMALL, Connection, many, post_small_file, slow_diarize, slow_file, wait_until

from sed.result import Diarization, Segment

pytestmark = pytest.mark.alone


def post_until_accepted(server, source="127.0.0.1", seconds=10.0):
    """POST a small file until it is accepted; returns the seconds."""
    started = time.monotonic()
    while (status := post_small_file(server, source)[0]) != 200:
        assert status in (429, 503) and time.monotonic() - started < seconds
        time.sleep(0.1)
    return time.monotonic() - started


def test_idle_uploads_of_others_do_not_block(start_server):
    server = start_server()
    with many(server.base, 4, length=900):
        wait_until(lambda: server.app.state.hub.admission.receiving == 4)
        status, seconds = post_small_file(server)
        assert status == 200 and seconds < 1.0


@pytest.mark.slow
def test_idle_uploads_of_the_same_address_are_evicted(start_server):
    """As with a reverse proxy that is not trusted, where all clients share one address."""
    server = start_server()
    with many(server.base, 4, length=900) as connections:
        wait_until(lambda: server.app.state.hub.admission.receiving == 4)
        with Connection(server.base, "127.0.0.2") as early:
            early.post(body=SMALL)
            status, headers, _ = early.answer()
            assert status == 429 and int(headers["retry-after"]) > 0
        assert post_until_accepted(server, "127.0.0.2") < 5.0
        status, _, body = connections[0].answer()
        assert status == 408 and b"while others wait" in body


def test_idle_uploads_of_many_addresses_do_not_block(start_server):
    server = start_server(max_receiving=8)
    sources = [f"127.0.1.{1 + n // 4}" for n in range(8)]
    with many(server.base, 8, source=sources, length=900):
        wait_until(lambda: server.app.state.hub.admission.receiving == 8)
        status, seconds = post_small_file(server)
        assert status == 200 and seconds < 1.0


@pytest.mark.slow
def test_a_fast_start_earns_no_credit(start_server):
    """Fast transfer at the start does not extend the timeout later."""
    server = start_server(idle_timeout=0.5)
    with Connection(server.base) as connection:
        connection.post(body=bytes(1_000_000), length=2_000_000)
        started = time.monotonic()
        status, _, body = connection.answer()
        assert status == 408 and b"too_slow" in body and time.monotonic() - started < 2.0


@pytest.mark.slow
def test_a_flood_of_long_files_does_not_starve_others(start_server):
    server = start_server(diarize=slow_diarize)
    with many(server.base, 4, body=slow_file(10)):
        wait_until(lambda: server.app.state.hub.files.working == 1)
        status, seconds = post_small_file(server)
        assert status == 200 and seconds < 1.8  # the rest of the file being processed; all four take 4 s


@pytest.mark.slow
def test_a_full_queue_admits_a_client_without_files(start_server):
    server = start_server(diarize=slow_diarize, max_uploads=4)
    with many(server.base, 4, body=slow_file(8)) as connections:
        wait_until(lambda: server.app.state.hub.files.waiting == 3)
        status, seconds = post_small_file(server)
        assert status == 200 and seconds < 2.0
        answers = []
        for connection in connections:
            answers.append(connection.answer())
    assert sorted(answer[0] for answer in answers) == [200, 200, 200, 503]
    assert [int(answer[1]["retry-after"]) > 0 for answer in answers if answer[0] == 503] == [True]


@pytest.mark.slow
def test_the_position_in_the_queue_is_reported(start_server):
    server = start_server(diarize=slow_diarize)
    with many(server.base, 2, body=slow_file(5)), Connection(server.base) as own:
        wait_until(lambda: server.app.state.hub.files.waiting == 1)
        own.post("/diarize?progress=1", body=slow_file(5))
        messages = list(own.lines())
    ahead = [message["ahead"] for message in messages if message["type"] == "progress"]
    assert ahead[0] == 1 and ahead[-1] == 0 and sorted(ahead, reverse=True) == ahead
    assert messages[-1]["type"] == "result"


def large_result(source, *, uri, progress):
    """A result of 4 MB, except for the small file."""
    with open(source, "rb") as file:
        count = 40_000 if file.read() != SMALL else 1
    segments = [Segment(n, n + 1, "spk00", "angry", 0.5) for n in range(count)]
    return Diarization(uri, float(count), segments, LABELS)


@pytest.mark.slow
@pytest.mark.parametrize("query", ["?progress=1", ""])
def test_a_result_that_is_never_read_occupies_no_slot(start_server, query):
    server = start_server(diarize=large_result, send_timeout=0.5)
    with Connection(server.base, "127.0.0.2", receive_buffer=4096) as unread:
        unread.post(f"/diarize{query}", body=b"RIFF")
        wait_until(lambda: server.metrics.uploads == 1, 20)  # a large result takes a busy machine seconds
        wait_until(lambda: server.app.state.hub.uploading == 0)
        assert post_small_file(server)[0] == 200
        wait_until(lambda: server.metrics.errors["overload"] == 1, 10)
        assert unread.is_closed()


@pytest.mark.slow
def test_progress_that_is_never_read_cancels_the_job(start_server, monkeypatch):
    monkeypatch.setattr("sed.server.uploads.POLL", 0.0005)  # as many messages as in half an hour
    ended = threading.Event()

    def endless(source, *, uri, progress):
        try:
            while True:
                progress(1.0, 2.0)
                time.sleep(0.01)
        finally:
            ended.set()

    server = start_server(diarize=endless, send_timeout=0.3)
    with Connection(server.base, receive_buffer=4096) as unread:
        unread.post("/diarize?progress=1", body=b"RIFF")
        assert ended.wait(20)
        assert unread.is_closed()
    wait_until(lambda: server.app.state.hub.uploading == 0)


@pytest.mark.slow
def test_a_response_that_is_read_slowly_is_not_aborted(start_server):
    """Each chunk has its own time limit, so a slow client is not treated like one that does not read."""
    server = start_server(diarize=large_result, send_timeout=0.4)
    with Connection(server.base, receive_buffer=65536) as reader:
        reader.post(body=b"RIFF")
        wait_until(lambda: server.metrics.uploads == 1, 20)
        size, started = 0, time.monotonic()
        while size < 1_500_000:
            size += len(reader.socket.recv(65536))
            time.sleep(0.04)
        assert time.monotonic() - started > 0.8  # longer than the limit
        status_and_rest = reader.socket.recv(1 << 16)
        assert status_and_rest


@pytest.mark.slow
def test_the_disk_is_shared(start_server):
    """8 uploads of the maximum size fit; one address may use half of that."""
    server = start_server(max_upload=100_000, uploads_per_address=20, max_uploads=40, diarize=slow_diarize)
    with many(server.base, 1, source="127.0.0.3", body=slow_file(15)):
        wait_until(lambda: server.app.state.hub.files.working == 1)
        with many(server.base, 10, body=bytes(99_000)) as connections:
            wait_until(lambda: server.metrics.errors["overload"] == 6)
            assert server.app.state.hub.admission.stored <= 400_000
            status, seconds = post_small_file(server)
            assert status == 200 and seconds < 3.0
            assert sorted(c.answer()[0] for c in connections) == [422] * 4 + [503] * 6
    wait_until(lambda: server.app.state.hub.admission.stored == 0)


def test_clients_of_a_trusted_proxy_are_distinguished(start_server):
    server = start_server(trusted_proxies=("127.0.0.9",), uploads_per_address=1)
    forged = ["X-Forwarded-For: 198.51.100.1, 198.51.100.2"]
    with Connection(server.base, "127.0.0.9") as silent, Connection(server.base, "127.0.0.9") as other:
        silent.post(length=900, headers=["X-Forwarded-For: 203.0.113.5"])
        wait_until(lambda: server.app.state.hub.admission.receiving == 1)
        other.post(body=SMALL, headers=["X-Forwarded-For: 203.0.113.6"])
        assert other.answer()[0] == 200
        other.post(
            body=SMALL, headers=["X-Forwarded-For: 1.1.1.1, 203.0.113.5"]
        )  # the forged entry is ignored
        assert other.answer()[0] == 429
    with Connection(server.base) as silent, Connection(server.base) as again:
        silent.post(length=900, headers=forged)  # from this machine, but not a trusted proxy
        wait_until(lambda: server.app.state.hub.admission.receiving == 1)
        again.post(body=SMALL)
        assert again.answer()[0] == 429


def test_a_server_that_stops_cancels_uploads_immediately(start_server):
    ended = threading.Event()

    def endless(source, *, uri, progress):
        try:
            while True:
                progress(1.0, None)
                time.sleep(0.1)
        finally:
            ended.set()

    server = start_server(diarize=endless)
    with many(server.base, 2, body=SMALL) as connections, Connection(server.base) as receiving:
        receiving.post(length=900)
        wait_until(lambda: server.app.state.hub.files.working == server.app.state.hub.files.waiting == 1)
        wait_until(lambda: server.app.state.hub.admission.receiving == 1)
        server.stop()
        assert ended.wait(1.0)  # not only at the end of the shutdown, after 3 s
        for connection in (*connections, receiving):
            status, _, body = connection.answer()
            assert status == 503 and b"stopping" in body


@pytest.mark.slow
def test_half_closed_and_disconnected_clients_leak_nothing(start_server):
    server = start_server(diarize=slow_diarize)
    for _ in range(3):
        with many(server.base, 4, body=slow_file(20)):
            wait_until(lambda: server.app.state.hub.files.working == 1)
        wait_until(lambda: server.app.state.hub.uploading == 0, 2.0)
    with Connection(server.base) as half:
        half.post(length=900)
        half.socket.shutdown(socket.SHUT_WR)
        wait_until(lambda: server.app.state.hub.uploading == 0, 2.0)
    assert post_small_file(server)[0] == 200
