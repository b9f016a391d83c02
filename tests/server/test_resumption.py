"""A stream whose connection is lost goes on exactly as if nothing had happened."""

import asyncio
import contextlib
import json
import time

import numpy as np
import pytest
from cutting_proxy import Cut, CuttingProxy
from resuming import begin, lose, resume, wait_until

from sed.server.client import ServerError, stream

AUDIO = {16000: np.random.default_rng(5).integers(-9000, 9000, 16000 * 7 + 77).astype("<i2")}
AUDIO[44100] = np.tile(AUDIO[16000], 3)


@pytest.fixture
def proxy_to():
    with contextlib.ExitStack() as stack:

        def make(server, *cuts):
            proxy = CuttingProxy(server.base, list(cuts))
            stack.callback(proxy.close)
            return proxy

        yield make


def received(url, blocks, reconnect=10.0, **options):
    """Everything that the client passes on: events, relabels, the refined result, and the number of messages."""
    found = {"events": [], "relabels": [], "refined": [], "ready": 0}

    def ready(_):
        found["ready"] += 1

    async def run():
        calls = {
            "on_relabel": found["relabels"].append,
            "on_refined": found["refined"].append,
            "on_ready": ready,
        }
        async for event in stream(url, blocks, reconnect=reconnect, **calls, **options):
            found["events"].append(event)

    asyncio.run(asyncio.wait_for(run(), 30))
    return found


@pytest.fixture(scope="module")
def unbroken():
    from live_server import running

    with running() as server:
        return {rate: received(server.ws, [AUDIO[rate]], 0.0, sample_rate=rate) for rate in AUDIO}


CUTS = {
    "in an audio message": [Cut("up", 40_001)],
    "before any audio": [Cut("up", 420)],
    "in an event": [Cut("down", 1700)],
    "in ready": [Cut("up", 90_000), Cut("down", 300)],
    "after the audio": [Cut("down", 2900)],
    "again and again": [Cut("up", 30_000 + n) for n in range(4)]
    + [Cut("down", 800 + 7 * n) for n in range(4)],
}


@pytest.mark.parametrize("rate", AUDIO)
@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
def test_a_cut_stream_is_equal_to_an_unbroken_one(start_server, proxy_to, unbroken, cuts, rate, monkeypatch):
    monkeypatch.setattr("sed.server.client.RETRY_DELAYS", (0.02,))
    server = start_server()
    proxy = proxy_to(server, *cuts)
    found = received(proxy.ws, np.array_split(AUDIO[rate], 9), sample_rate=rate)
    assert found == unbroken[rate] and proxy.connections > len(cuts)
    assert len(found["refined"]) == len(found["relabels"]) == found["ready"] == 1
    server.wait_idle()
    wait_until(lambda: server.app.state.hub.resumption.kept == 0)
    assert server.metrics.streams == 1 and not server.metrics.errors


def test_without_reconnecting_a_cut_is_an_error(start_server, proxy_to):
    proxy = proxy_to(start_server(), Cut("up", 40_000))
    with pytest.raises(ServerError) as error:
        received(proxy.ws, [AUDIO[16000]], reconnect=0.0)
    assert error.value.code == "closed" and proxy.connections == 1


def test_a_server_that_was_restarted_does_not_know_the_stream(start_server, proxy_to, monkeypatch):
    monkeypatch.setattr("sed.server.client.RETRY_DELAYS", (0.02,))
    proxy = proxy_to(start_server(resume_seconds=0.01), Cut("up", 40_000))
    monkeypatch.setattr("sed.server.client.RETRY_DELAYS", (0.2,))
    with pytest.raises(ServerError, match="not kept") as error:
        received(proxy.ws, [AUDIO[16000]])
    assert error.value.code == "gone"


def test_a_connection_that_only_seems_open_is_taken_over(start_server, proxy_to, unbroken, monkeypatch):
    """A network that disappears without a word: the server resumes the stream before it notices."""
    monkeypatch.setattr("sed.server.client.SILENCE_TIMEOUT", 0.3)
    monkeypatch.setattr("sed.server.client.CLOSE_TIMEOUT", 0.1)
    server = start_server(max_clients=1)
    proxy = proxy_to(server, Cut("down", 2500, stall=True))
    assert received(proxy.ws, [AUDIO[16000]]) == unbroken[16000]
    server.wait_idle()


def test_messages_of_a_resumed_stream_continue_at_the_number(start_server, tone):
    server = start_server()
    socket, ready = begin(server.ws)
    assert ready["resume"].items() >= {"samples": 0, "ended": False, "seconds": 120.0}.items()
    socket.send(tone(2).tobytes())
    first = [json.loads(socket.recv(timeout=5)) for _ in range(8)]
    lose(socket)
    wait_until(lambda: server.app.state.hub.resumption.kept == 1)
    assert server.metrics.clients == 0, "it occupies no slot"
    again, second = resume(server.ws, ready, 3)
    assert second["resume"]["samples"] == 32000 and not second["resume"]["ended"]
    assert second["resume"]["stream"] != ready["resume"]["stream"]
    assert [json.loads(again.recv(timeout=5)) for _ in range(5)] == first[3:]
    again.send('{"type": "end"}')
    assert json.loads(again.recv(timeout=5)) == {"type": "end", "time": 2.0}
    again.close()
    wait_until(lambda: server.metrics.clients == 0)
    assert server.app.state.hub.resumption.kept == 0


def test_a_lost_end_can_be_fetched(start_server, tone):
    server = start_server(send_timeout=0.2)
    socket, ready = begin(server.ws)
    socket.send(tone(1).tobytes())
    socket.send('{"type": "end"}')
    time.sleep(0.1)
    socket.socket.shutdown(2)
    wait_until(lambda: server.app.state.hub.resumption.kept == 1)
    again, second = resume(server.ws, ready, 0)
    assert second["resume"]["ended"] and second["resume"]["samples"] == 16000
    kinds = [json.loads(message)["type"] for message in again]
    assert kinds == ["segment", "progress", "segment", "progress", "end"]


@pytest.mark.real
@pytest.mark.slow
def test_the_bundled_models_go_on_where_they_were(start_server, proxy_to):
    """Speakers, emotions and the refined result of a conversation, with the stream cut in many places."""
    import soundfile

    from sed import EmotionDiarizer

    samples, rate = soundfile.read(
        "demo/conversation.flac", start=16000 * 8, frames=16000 * 12, dtype="int16"
    )
    server = start_server(EmotionDiarizer(threads=1).stream)
    cuts = [Cut("up", 90_001), Cut("up", 90_000), Cut("down", 2000), Cut("down", 1500)]
    proxy = proxy_to(server, *cuts)
    found = received(proxy.ws, np.array_split(samples, 40), sample_rate=rate)
    assert found == received(server.ws, [samples], 0.0, sample_rate=rate) and proxy.connections == 5
    assert len({event.segment.speaker for event in found["events"] if event.segment}) > 1
