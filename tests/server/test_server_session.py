"""The WebSocket protocol over a real socket: every message and every error of PROTOCOL.md."""

import asyncio
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_server import SecondsStream, running
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from sed.server.protocol import CLOSE_CODES


async def exchange(url, *messages, headers=None, wait=True):
    """Send `messages`; returns all received messages and the close code."""
    found = []
    async with connect(url, additional_headers=headers or {}, compression=None, max_size=None) as socket:
        try:
            for message in messages:
                await socket.send(json.dumps(message) if isinstance(message, dict) else message)
            while wait:
                found.append(json.loads(await socket.recv()))
        except ConnectionClosed:
            while True:  # messages before the close may still be unread
                try:
                    found.append(json.loads(await socket.recv()))
                except ConnectionClosed:
                    break
    return found, socket.close_code


def run(url, *messages, **options):
    return asyncio.run(asyncio.wait_for(exchange(url, *messages, **options), 30))


def of_type(found, kind):
    return [message for message in found if message["type"] == kind]


END = {"type": "end"}


def test_a_stream_from_start_to_end(start_server, tone):
    found, code = run(start_server().ws, {"type": "start", "latency": 2.0}, tone(2.2).tobytes(), END)
    assert code == 1000
    assert [m["type"] for m in found[:1] + found[-1:]] == ["ready", "end"]
    assert (found[0]["latency"], found[0]["sample_rate"]) == (2.0, 16000)
    assert found[0]["labels"] == ["neutral", "happy", "angry", "sad"]
    assert found[-1]["time"] == pytest.approx(2.2)
    events = of_type(found, "segment")
    assert [(e["id"], e["final"]) for e in events] == [
        (0, False),
        (0, True),
        (1, False),
        (1, True),
        (2, True),
    ]
    assert events[1]["segment"] == {
        "start": 0,
        "end": 1.0,
        "speaker": "spk00",
        "emotion": "neutral",
        "confidence": pytest.approx(0.5 * 2 / np.pi, abs=1e-3),
    }
    progress = of_type(found, "progress")
    assert [p["time"] for p in progress] == [0.5, 1.0, 1.5, 2.0, 2.2]
    assert progress[0]["level"] == pytest.approx(-9.0, abs=0.1)  # a sine of peak 0.5
    assert progress[0]["probabilities"] == dict.fromkeys(found[0]["labels"], 0.25)


def test_start_and_audio_are_optional(start_server):
    found, code = run(start_server().ws, END)
    assert [m["type"] for m in found] == ["ready", "end"] and code == 1000
    assert found[-1]["time"] == 0


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, 32000), max_size=12))
def test_any_split_into_messages_gives_the_same_events(session_server, cuts):
    samples = np.random.default_rng(5).integers(-9000, 9000, 32000).astype("<i2")
    parts = [p.tobytes() for p in np.split(samples, sorted(cuts))]
    whole = of_type(run(session_server.ws, samples.tobytes(), END)[0], "segment")
    assert of_type(run(session_server.ws, *parts, END)[0], "segment") == whole
    assert len(whole) == 4


@pytest.fixture(scope="module")
def session_server():
    with running(max_rate=1000) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_other_rates_are_resampled(start_server, tone, rate):
    start = {"type": "start", "sample_rate": rate}
    found, _ = run(start_server().ws, start, tone(2, rate).tobytes(), END)
    reference, _ = run(start_server().ws, tone(2).tobytes(), END)
    assert found[-1]["time"] == pytest.approx(2.0, abs=2e-4)
    for ours, theirs in zip(of_type(found, "segment"), of_type(reference, "segment"), strict=True):
        confidence = ours["segment"].pop("confidence")
        assert confidence == pytest.approx(theirs["segment"].pop("confidence"), abs=2e-3)
        assert ours["segment"] == theirs["segment"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "messages, code, message",
    [
        ([b"\0"], "bad_frame", "even number"),
        ([b"\0\0" * 200_000], "bad_frame", "at most"),
        (["{"], "bad_message", "not JSON"),
        (["[" * 4000], "bad_message", "not JSON"),
        (["[]"], "bad_message", "expected start, resume or end"),
        ([{"type": "stop"}], "bad_message", "'stop'"),
        (["x" * 5000], "bad_message", "5000 characters"),
        ([{"type": "start", "sample_rate": 3}], "bad_message", "sample_rate 3"),
        ([{"type": "start", "sample_rate": 16000.5}], "bad_message", "whole number"),
        ([{"type": "start", "sample_rate": True}], "bad_message", "whole number"),
        ([{"type": "start", "latency": "soon"}], "bad_message", "latency soon"),
        (['{"type": "start", "latency": NaN}'], "bad_message", "latency nan"),
        ([{"type": "start", "latency": 0.1}], "bad_message", "0.5 to 5"),
        ([{"type": "start", "rate": 8000}], "bad_message", "'rate'"),
        ([{"type": "start", "token": 5}], "bad_message", "token"),
        ([{"type": "start"}, {"type": "start"}], "bad_message", "not the first"),
        ([b"\0\0", {"type": "start"}], "bad_message", "not the first"),
        ([b"\0\0" * 16000, END, b"\0\0"], "bad_message", "after the end"),
    ],
)
def test_errors_are_reported_in_one_sentence(start_server, messages, code, message):
    server = start_server()
    found, close = run(server.ws, *messages)
    if messages[-2:] == [END, b"\0\0"] and found[-1]["type"] == "end":
        return  # the end was processed before the wrong message arrived: valid as well
    assert found[-1]["type"] == "error", found[-1]
    assert (found[-1]["code"], close) == (code, CLOSE_CODES[code])
    assert message in found[-1]["message"] and "\n" not in found[-1]["message"]
    assert server.metrics.errors[code] == 1
    server.wait_idle()


@pytest.mark.parametrize("flood", [[b"\0\0" * 32_000] * 4, [b"\0\0"] * 3000, [b""] * 3000])
def test_too_fast(start_server, flood):
    found, close = run(start_server(max_rate=1, burst=5).ws, *flood)
    assert (found[-1]["code"], close) == ("too_fast", 4429)


def test_too_long_in_audio(start_server, tone):
    found, _ = run(start_server(max_seconds=1.5).ws, tone(1).tobytes(), tone(1).tobytes())
    assert found[-1]["code"] == "too_long" and "1.5 s" in found[-1]["message"]


@pytest.mark.slow
def test_idle_before_and_after_the_first_message(start_server, tone):
    server = start_server(idle_timeout=0.3)
    for messages in ([], [tone(0.1).tobytes()]):
        found, close = run(server.ws, *messages)
        assert (found[-1]["code"], close) == ("idle", 4408)


def test_too_many(start_server, tone):
    server = start_server(max_clients=2)

    async def three():
        async with connect(server.ws) as first, connect(server.ws) as second:
            for socket in (first, second):
                await socket.send('{"type": "start"}')
                assert json.loads(await socket.recv())["type"] == "ready"
            refused = await exchange(server.ws, b"\0\0")
            await first.send(tone(1).tobytes())  # admitted clients continue
            assert json.loads(await first.recv())["type"] == "segment"
        return refused

    found, close = asyncio.run(three())
    assert (found[-1]["code"], close) == ("too_many", 4503)
    server.wait_idle()
    assert run(server.ws, END)[1] == 1000  # and there is a free slot again


def test_token(start_server):
    server = start_server(token="open sesame")
    for start in ({"type": "start"}, {"type": "start", "token": "wrong"}, b"\0\0", END):
        found, close = run(server.ws, start)
        assert [m["type"] for m in found] == ["error"] and (found[0]["code"], close) == ("unauthorized", 4401)
    assert run(server.ws, {"type": "start", "token": "open sesame"}, END)[1] == 1000
    assert run(server.ws, END, headers={"Authorization": "Bearer open sesame"})[1] == 1000
    assert run(server.ws, END, headers={"Authorization": "Bearer wrong"})[1] == 4401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
def test_foreign_pages_cannot_connect(start_server, origin):
    server = start_server()
    with pytest.raises(InvalidStatus) as rejection:
        run(server.ws, END, headers={"Origin": origin})
    assert rejection.value.response.status_code == 403
    assert server.metrics.errors["forbidden"] == 1


def test_a_rebound_name_cannot_connect(start_server):
    server = start_server()
    host, port = server.base.split(":")

    async def rebound():
        async with connect(
            f"ws://evil.example:{port}/stream", host=host, origin=f"http://evil.example:{port}"
        ):
            pass

    with pytest.raises(InvalidStatus) as rejection:
        asyncio.run(rebound())
    assert rejection.value.response.status_code == 403
    assert server.metrics.errors["forbidden"] == 1


def test_own_and_allowed_origins(start_server):
    server = start_server(origins=("https://app.example",))
    for origin in (server.http, "https://app.example"):
        assert run(server.ws, END, headers={"Origin": origin})[1] == 1000


def test_a_failing_stream_is_reported_and_the_server_continues(start_server, caplog):
    class Broken(SecondsStream):
        def push(self, samples):
            raise ZeroDivisionError("secret detail")

    server = start_server(Broken)
    found, close = run(server.ws, b"\0\0" * 16000)
    assert (found[-1]["code"], close) == ("internal", 4500)
    assert "secret" not in found[-1]["message"] and "secret detail" in caplog.text
    assert run(server.ws, END)[1] == 1000


@pytest.mark.slow
def test_queued_audio_is_bounded_and_not_lost(start_server, tone):
    """20 s of audio sent at once to a stream that needs 0.1 s per half second: it is queued, and all is processed."""
    server = start_server(lambda latency: SecondsStream(latency, delay=0.1), queue=22.0, max_rate=100)
    frame = tone(0.5).tobytes()
    started = time.monotonic()
    found, close = run(server.ws, *([frame] * 40), END)
    assert close == 1000 and time.monotonic() - started > 3.5
    assert max(p["waiting"] for p in of_type(found, "progress")) <= 20
    assert [e["id"] for e in of_type(found, "segment") if e["final"]] == list(range(20))
