"""Admission of streams: by number, by the measured cost of a stream, and only with the token."""

import contextlib
import json
import os
import subprocess
import sys
import time

import httpx
import pytest
from live_server import SecondsStream
from raw_http import BINARY, TEXT, RawSocket

from sed.server.load import Load, usable_cores
from sed.server.options import ServerOptions

START = b'{"type": "start"}'


class BusyStream(SecondsStream):
    """Keeps a thread busy for `share` of the duration of its audio."""

    share = 0.35

    def push(self, samples):
        time.sleep(self.share * len(samples) / 16000)
        return super().push(samples)


def opened(server, count, stack):
    """Open `count` streams; returns the first response to each start, and the streams."""
    responses, clients = [], []
    for _ in range(count):
        clients.append(stack.enter_context(RawSocket(server.base)))
        clients[-1].send(TEXT, START)
        responses.append(json.loads(clients[-1].receive()[1]))
    return responses, clients


@pytest.mark.slow
def test_a_stream_that_would_not_keep_up_is_rejected(start_server):
    """0.35 threads each, with one thread of which 0.9 may be used: two fit, and the third gets `retry_after`."""
    server = start_server(BusyStream, threads=1)
    assert 0.34 < server.app.state.hub.load.cost < 0.45
    with contextlib.ExitStack() as stack:
        responses, clients = opened(server, 3, stack)
        assert [response["type"] for response in responses] == ["ready", "ready", "error"]
        rejection, code = clients[-1].rest()
        assert (responses[-1]["code"], code, rejection) == ("overload", 4503, [])
        assert responses[-1]["retry_after"] > 0 and "would not keep up" in responses[-1]["message"]
        clients[0].close()
        end = time.monotonic() + 5
        while server.metrics.clients > 1 and time.monotonic() < end:
            time.sleep(0.02)
        assert opened(server, 1, stack)[0][0]["type"] == "ready"  # a slot is free again
    assert server.metrics.errors["overload"] == 1


@pytest.mark.slow
def test_a_slow_machine_still_serves_one(start_server):
    class Slow(BusyStream):
        share = 3.0

    server = start_server(Slow, threads=1)
    with contextlib.ExitStack() as stack:
        assert [response["type"] for response in opened(server, 2, stack)[0]] == ["ready", "error"]


@pytest.mark.slow
def test_the_estimate_follows_the_cost_of_streams(start_server):
    """A stream becomes more expensive while it runs; the estimate includes that."""

    class Growing(BusyStream):
        share = 0.0

    server = start_server(Growing, threads=1)
    assert server.app.state.hub.load.cost < 0.05
    with contextlib.ExitStack() as stack:
        _, (client,) = opened(server, 1, stack)
        Growing.share = 0.1
        for _ in range(25):
            client.send(BINARY, bytes(32_000))
        client.send(TEXT, b'{"type": "end"}')
        client.rest()
    assert server.app.state.hub.load.cost == pytest.approx(0.09, rel=0.3)


def test_the_number_of_clients_stays_the_upper_bound(start_server):
    server = start_server(max_clients=2)
    with contextlib.ExitStack() as stack:
        responses, _ = opened(server, 3, stack)
    assert [response["type"] for response in responses] == ["ready", "ready", "error"]
    assert (responses[-1]["code"], responses[-1]["retry_after"]) == ("too_many", 10)


def test_clients_without_the_token_occupy_no_slot(start_server):
    """100 connections without a token: at most 64 of them stay open, and a client with the token is admitted."""
    server = start_server(token="secret", max_clients=1)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(RawSocket(server.base))
        assert len(server.app.state.hub.opening) <= 64
        assert httpx.get(f"{server.http}/healthz").json()["clients"] == 0
        with RawSocket(server.base, "Authorization: Bearer secret\r\n") as client:
            client.send(TEXT, START)
            assert json.loads(client.receive()[1])["type"] == "ready"
            assert server.metrics.clients == 1
    server.wait_idle()
    end = time.monotonic() + 5
    while server.app.state.hub.opening and time.monotonic() < end:
        time.sleep(0.02)
    assert not server.app.state.hub.opening


def test_a_model_that_fails_in_the_measurement_does_not_stop_the_server(start_server, caplog):
    class Broken(SecondsStream):
        def push(self, samples):
            raise ZeroDivisionError("no such luck")

    server = start_server(Broken)
    assert "could not be measured" in caplog.text and server.app.state.hub.load.cost == 0
    assert httpx.get(f"{server.http}/healthz").status_code == 200


def test_old_measurements_decay():
    load = Load(capacity=1.0)
    load.add(50.0, 10.0)  # measured while the machine was busy
    for _ in range(600):
        load.add(0.05, 0.5)
    assert load.cost == pytest.approx(0.1, abs=0.05)


def test_without_a_measurement_all_clients_are_admitted():
    assert Load(capacity=0.5).fits(1000)


def test_only_the_cpus_of_this_process_count():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no CPU affinity")
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from sed.server.options import ServerOptions; from sed.server.load import usable_cores;"
        "print(usable_cores(), ServerOptions().threads)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    cores, threads = done.stdout.split()
    assert float(cores) <= 1 and threads == "1"


def test_the_quota_of_a_container_counts(monkeypatch, tmp_path):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("sed.server.load._QUOTA", quota)
    all_cores = usable_cores()
    quota.write_text("max 100000\n")
    assert usable_cores() == all_cores
    quota.write_text("50000 100000\n")
    assert usable_cores() == 0.5 and ServerOptions().threads == 1
