"""Who gets a place: by number, by what a stream costs on this machine, and nobody who has not shown the token."""

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
    """Open `count` streams; the first answer to each start, and the streams."""
    answers, clients = [], []
    for _ in range(count):
        clients.append(stack.enter_context(RawSocket(server.base)))
        clients[-1].send(TEXT, START)
        answers.append(json.loads(clients[-1].receive()[1]))
    return answers, clients


def test_a_stream_that_would_not_keep_up_is_refused(start_server):
    """0.35 of a thread each, on one thread of which 0.9 may be used: two fit, and the third is given a hint."""
    server = start_server(BusyStream, threads=1)
    assert 0.34 < server.app.state.hub.load.cost < 0.45
    with contextlib.ExitStack() as stack:
        answers, clients = opened(server, 3, stack)
        assert [answer["type"] for answer in answers] == ["ready", "ready", "error"]
        refusal, code = clients[-1].rest()
        assert (answers[-1]["code"], code, refusal) == ("overload", 4503, [])
        assert answers[-1]["retry_after"] > 0 and "would not keep up" in answers[-1]["message"]
        clients[0].close()
        end = time.monotonic() + 5
        while server.metrics.clients > 1 and time.monotonic() < end:
            time.sleep(0.02)
        assert opened(server, 1, stack)[0][0]["type"] == "ready"  # a place is free again
    assert server.metrics.errors["overload"] == 1


def test_a_slow_machine_still_serves_one(start_server):
    class Slow(BusyStream):
        share = 3.0

    server = start_server(Slow, threads=1)
    with contextlib.ExitStack() as stack:
        assert [answer["type"] for answer in opened(server, 2, stack)[0]] == ["ready", "error"]


def test_the_estimate_follows_what_streams_cost(start_server):
    """A stream becomes dearer while it runs; the next client is judged by that."""

    class Dearer(BusyStream):
        share = 0.0

    server = start_server(Dearer, threads=1)
    assert server.app.state.hub.load.cost < 0.05
    with contextlib.ExitStack() as stack:
        _, (client,) = opened(server, 1, stack)
        Dearer.share = 0.1
        for _ in range(25):
            client.send(BINARY, bytes(32_000))
        client.send(TEXT, b'{"type": "end"}')
        client.rest()
    assert server.app.state.hub.load.cost == pytest.approx(0.09, rel=0.3)


def test_the_number_of_clients_stays_the_upper_bound(start_server):
    server = start_server(max_clients=2)
    with contextlib.ExitStack() as stack:
        answers, _ = opened(server, 3, stack)
    assert [answer["type"] for answer in answers] == ["ready", "ready", "error"]
    assert (answers[-1]["code"], answers[-1]["retry_after"]) == ("too_many", 10)


def test_strangers_without_the_token_take_no_place(start_server):
    """100 connections that show nothing: at most 64 of them stay, and whoever has the token comes in."""
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


def test_a_model_that_fails_at_the_measurement_does_not_stop_the_server(start_server, caplog):
    class Broken(SecondsStream):
        def push(self, samples):
            raise ZeroDivisionError("no such luck")

    server = start_server(Broken)
    assert "could not be measured" in caplog.text and server.app.state.hub.load.cost == 0
    assert httpx.get(f"{server.http}/healthz").status_code == 200


def test_old_measurements_fade():
    load = Load(capacity=1.0)
    load.add(50.0, 10.0)  # a machine that was busy with something else
    for _ in range(600):
        load.add(0.05, 0.5)
    assert load.cost == pytest.approx(0.1, abs=0.05)


def test_no_measurement_refuses_nobody():
    assert Load(capacity=0.5).fits(1000)


def test_only_the_processors_of_this_process_count():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("processors are not assigned to processes here")
    script = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from sed.server.options import ServerOptions; from sed.server.load import usable_cores;"
        "print(usable_cores(), ServerOptions().threads)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    cores, threads = done.stdout.split()
    assert float(cores) <= 1 and threads == "1"


def test_a_container_s_quota_counts(monkeypatch, tmp_path):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("sed.server.load._QUOTA", quota)
    everything = usable_cores()
    quota.write_text("max 100000\n")
    assert usable_cores() == everything
    quota.write_text("50000 100000\n")
    assert usable_cores() == 0.5 and ServerOptions().threads == 1
