"""Who may resume a stream, how long and how many are kept, and what ends them."""

import asyncio
import json

import pytest
from resuming import begin, connect, lose, resume, wait_until
from websockets.exceptions import ConnectionClosed

from sed.server.live_stream import Outbox
from sed.server.options import ServerOptions
from sed.server.resumption import Resumable, Resumption


def test_a_token_works_once(start_server, tone):
    server = start_server()
    socket, ready = begin(server.ws)
    lose(socket)
    again, second = resume(server.ws, ready, 0)
    for _ in range(3):
        lose(again)  # before a message of the client: it may not have the new token
        again, second = resume(server.ws, ready, 0)
    assert len(server.app.state.hub.resumption._by_token) == 2, "what the client has, and what it gets"
    again.send(tone(0.1).tobytes())
    wait_until(lambda: len(server.app.state.hub.resumption._by_token) == 1)
    stranger, answer = resume(server.ws, ready, 0)
    assert (answer["code"], answer["type"]) == ("gone", "error")
    with pytest.raises(ConnectionClosed) as closed:
        stranger.recv(timeout=5)
    assert closed.value.rcvd.code == 4410
    lose(again)
    assert resume(server.ws, second, 0)[1]["type"] == "ready"


@pytest.mark.parametrize(
    "message, code",
    [
        ({"stream": "guess"}, "gone"),
        ({"stream": ""}, "gone"),
        ({}, "gone"),
        ({"stream": 5}, "bad_message"),
        ({"stream": "x", "received": -1}, "bad_message"),
        ({"stream": "x", "latency": 1}, "bad_message"),
    ],
)
def test_invalid_resumes(start_server, message, code):
    with connect(start_server().ws) as socket:
        socket.send(json.dumps({"type": "resume", **message}))
        assert json.loads(socket.recv(timeout=5))["code"] == code


def test_the_secret_is_required_as_well(start_server):
    server = start_server(token="secret")
    socket, ready = begin(server.ws, token="secret")
    lose(socket)
    assert resume(server.ws, ready, 0)[1]["code"] == "unauthorized"
    assert resume(server.ws, ready, 0, token="secret")[1]["type"] == "ready"


def test_a_count_that_cannot_be_right_ends_the_stream(start_server):
    server = start_server()
    socket, ready = begin(server.ws)
    lose(socket)
    assert resume(server.ws, ready, 9)[1]["code"] == "gone"
    assert resume(server.ws, ready, 0)[1]["code"] == "gone"


@pytest.mark.parametrize("how", ["close", "error", "end", "leave"])
def test_a_deliberate_end_forgets_the_stream(start_server, tone, how):
    server = start_server()
    socket, ready = begin(server.ws)
    socket.send({"error": b"odd", "end": '{"type": "end"}'}.get(how, tone(0.1).tobytes()))
    if how == "end":
        while json.loads(socket.recv(timeout=5))["type"] != "end":
            pass
    socket.close(1001 if how == "leave" else 1000)
    server.wait_idle()
    assert server.app.state.hub.resumption.kept == 0
    assert resume(server.ws, ready, 0)[1]["code"] == "gone"


def test_an_idle_stream_is_kept(start_server, tone):
    server = start_server(idle_timeout=0.2)
    socket, ready = begin(server.ws)
    assert json.loads(socket.recv(timeout=5))["code"] == "idle"
    assert resume(server.ws, ready, 0)[1]["type"] == "ready"


def test_a_stream_is_kept_for_a_limited_time(start_server):
    server = start_server(resume_seconds=0.1)
    socket, ready = begin(server.ws)
    lose(socket)
    wait_until(lambda: server.metrics.clients == 0)
    wait_until(lambda: server.app.state.hub.resumption.kept == 0)
    assert resume(server.ws, ready, 0)[1]["code"] == "gone"
    _, without = begin(start_server(resume_seconds=0).ws)
    assert "resume" not in without


def test_a_full_server_keeps_the_stream_for_a_later_try(start_server):
    server = start_server(max_clients=1)
    socket, ready = begin(server.ws)
    lose(socket)
    wait_until(lambda: server.metrics.clients == 0)
    other, _ = begin(server.ws)
    assert resume(server.ws, ready, 0)[1].items() >= {"code": "too_many", "retry_after": 10.0}.items()
    other.close()
    wait_until(lambda: server.metrics.clients == 0)
    assert resume(server.ws, ready, 0)[1]["type"] == "ready"


def test_a_server_that_stops_keeps_nothing(start_server):
    server = start_server()
    lost, _ = begin(server.ws)
    lose(lost)
    wait_until(lambda: server.app.state.hub.resumption.kept == 1)
    begin(server.ws)
    server.stop()
    wait_until(lambda: server.app.state.hub.resumption._by_token == {})
    server.wait_idle()
    assert server.app.state.hub.resumption.kept == 0


def test_the_number_of_kept_streams_is_limited():
    async def run():
        resumption = Resumption(ServerOptions(port=0, max_kept=3, kept_per_address=2))
        entries = {}

        def lost(name):
            entries[name] = Resumable(None, name[0])
            resumption.issue(entries[name])
            resumption.keep(entries[name])
            return sorted(other for other, entry in entries.items() if entry.tokens)

        assert lost("a1") == ["a1"]
        assert lost("a2") == ["a1", "a2"]
        assert lost("a3") == ["a2", "a3"], "the oldest of the same address"
        assert lost("b1") == ["a2", "a3", "b1"]
        assert lost("c1") == ["a3", "b1", "c1"], "one of the address with the most"
        assert lost("d1") == ["a3", "b1", "c1"], "nobody has more than one"
        assert resumption.kept == 3 and len(resumption._by_token) == 3
        resumption.stop()
        assert lost("e1") == []

    asyncio.run(run())


def test_the_messages_that_are_kept_are_limited(start_server, monkeypatch, tone):
    outbox = Outbox(1000)
    for number in range(100):
        outbox.put({"number": number})
    outbox.trim(0)
    assert outbox.first == 0, "what is not sent is never dropped"
    outbox.trim(100)
    assert outbox.end == 100 and sum(len(outbox[n]) for n in range(outbox.first, 100)) <= 1000
    monkeypatch.setattr("sed.server.live_stream.REPEATED", 500)
    server = start_server()
    socket, ready = begin(server.ws)
    socket.send(tone(5).tobytes())
    for _ in range(20):
        socket.recv(timeout=5)
    lose(socket)
    assert resume(server.ws, ready, 2)[1]["code"] == "gone"
