"""The Python client with a real socket: events as they arrive, pacing, errors, and no leaked tasks."""

import asyncio
import json
import time

import numpy as np
import pytest
from live_server import SecondsStream

from sed.errors import AudioError
from sed.result import Segment
from sed.server.client import ServerError, stream
from sed.server.outgoing import as_int16
from sed.streaming import Relabel


def collect(*args, **options):
    async def run():
        before = asyncio.all_tasks()
        events = [event async for event in stream(*args, **options)]
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == before, "the client leaked a task"
        return events

    return asyncio.run(asyncio.wait_for(run(), 30))


def expected(samples, latency=1.0):
    """The events of the stream itself for these s16 samples."""
    direct = SecondsStream(latency)
    return [*direct.push(samples.astype(np.float32) / np.float32(32768)), *direct.close()]


def test_events_are_those_of_the_stream(start_server, tone):
    ready, progress = [], []
    blocks = np.array_split(tone(3.3), 7)
    events = collect(
        start_server().ws, blocks, latency=2.0, on_ready=ready.append, on_progress=progress.append
    )
    assert events == expected(tone(3.3))
    assert ready[0]["latency"] == 2.0 and progress[-1]["time"] == pytest.approx(3.3)


def test_float_blocks_and_async_blocks_are_the_same(start_server, tone):
    async def slow_blocks():
        for block in np.array_split(tone(1.5).astype(np.float32) / 32768, 4):
            await asyncio.sleep(0.01)
            yield block

    assert collect(start_server().ws, slow_blocks()) == expected(tone(1.5))


def test_events_arrive_before_the_audio_ends(start_server, tone):
    """A blocking iterable, like a microphone, continues only after the first event."""
    seen = []

    def microphone():
        yield tone(1.0)
        end = time.monotonic() + 10
        while not seen and time.monotonic() < end:
            time.sleep(0.01)
        assert seen, "no event before the end of the audio"
        yield tone(1.0)

    async def run(url):
        async for event in stream(url, microphone()):
            seen.append(event)

    asyncio.run(run(start_server().ws))
    assert [event.final for event in seen] == [False, True, False, True]


@pytest.mark.slow
def test_a_long_recording_is_paced_to_the_limits_of_the_server(start_server):
    """6 s at once and then 4 times real time are accepted; 20 s take at least 3.5 s, and are never too fast."""
    server = start_server(max_rate=4, burst=6, queue=60)
    started = time.monotonic()
    events = collect(server.ws, [np.zeros(20 * 16000, np.int16)])
    assert time.monotonic() - started > 3.4
    assert [event.segment.end for event in events if event.final] == list(range(1, 21))
    assert not server.metrics.errors


@pytest.mark.slow
def test_closing_the_generator_closes_the_connection(start_server, tone):
    server = start_server()

    async def run():
        events = stream(server.ws, [tone(60)])
        async for _ in events:
            break
        await events.aclose()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    server.wait_idle()


@pytest.mark.parametrize(
    "options, arguments, code",
    [
        ({"token": "secret"}, {}, "unauthorized"),
        ({"token": "secret"}, {"token": "wrong"}, "unauthorized"),
        ({}, {"latency": 99.0}, "bad_message"),
        ({"max_seconds": 1}, {}, "too_long"),
    ],
)
def test_rejections_of_the_server_are_raised(start_server, tone, options, arguments, code):
    with pytest.raises(ServerError) as rejection:
        collect(start_server(**options).ws, [tone(3)], **arguments)
    assert rejection.value.code == code


def test_correct_token(start_server, tone):
    assert collect(start_server(token="secret").ws, [tone(1)], token="secret") == expected(tone(1))


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/stream", "http://nonsense", "ws://"])
def test_no_server(url):
    with pytest.raises(ServerError, match="cannot be reached") as rejection:
        collect(url, [])
    assert rejection.value.code == "unreachable"


READY = {"type": "ready", "limits": {"max_rate": 8, "burst": 30, "max_message": 1000}}
SEGMENT = {"type": "segment", "id": 0, "final": True, "time": 1.0, "settled": 1.0}


def events_from(messages):
    """The client's events from a server that sends `messages`, whatever it receives."""
    from websockets.asyncio.server import serve

    async def run():
        async def handler(socket):
            for message in messages:
                await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
            await socket.wait_closed()

        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return [event async for event in stream(f"ws://127.0.0.1:{port}/", [])]

    return asyncio.run(asyncio.wait_for(run(), 20))


@pytest.mark.parametrize(
    "messages",
    [["hello"], [b"\x00"], ["[]"], ["{}"], [{"type": "start"}], [{"type": "ready"}], [READY, SEGMENT]],
)
def test_a_server_with_another_protocol(messages):
    with pytest.raises(ServerError, match="expected a message of sed-serve's protocol") as rejection:
        events_from(messages)
    assert rejection.value.code == "foreign"


def test_unknown_keys_and_messages_of_a_newer_server_are_ignored():
    row = {"start": 0.0, "end": 1.0, "emotion": "sad", "mood": "blue"}
    messages = [READY, {"type": "unknown"}, {**SEGMENT, "segment": row}, {"type": "end", "time": 1.0}]
    (event,) = events_from(messages)
    assert (event.segment.emotion, event.final) == ("sad", True)


def test_numpy_numbers_and_invalid_blocks(start_server, tone):
    server = start_server()
    assert collect(server.ws, [tone(1)], sample_rate=np.int64(16000), latency=np.float32(1)) == expected(
        tone(1)
    )
    with pytest.raises(AudioError, match="a block of object"):  # no silent end in the middle
        collect(server.ws, [tone(1), None, tone(1)])


@pytest.mark.slow
def test_a_server_that_stops(start_server, tone):
    server = start_server(lambda latency: SecondsStream(latency, delay=0.2))

    async def run():
        async for _ in stream(server.ws, [tone(20)]):
            server.stop()

    with pytest.raises(ServerError) as rejection:
        asyncio.run(asyncio.wait_for(run(), 20))
    assert rejection.value.code == "closed"


@pytest.mark.slow
def test_a_server_that_stops_responding(start_server, tone, monkeypatch):
    monkeypatch.setattr("sed.server.client.SILENCE_TIMEOUT", 0.4)
    with pytest.raises(ServerError, match="not answered") as rejection:
        collect(start_server(lambda latency: SecondsStream(latency, delay=2.0)).ws, [tone(3)])
    assert rejection.value.code == "unreachable"


@pytest.mark.slow
def test_a_slow_microphone_is_not_an_unresponsive_server(start_server, tone, monkeypatch):
    monkeypatch.setattr("sed.server.client.SILENCE_TIMEOUT", 0.2)

    async def slow_blocks():
        yield tone(0.4)
        await asyncio.sleep(0.8)
        yield tone(0.6)

    assert collect(start_server().ws, slow_blocks()) == expected(tone(1))


@pytest.mark.parametrize(
    "block, message",
    [
        (np.zeros((2, 5), np.float32), "one axis"),
        (np.zeros(5, np.int32), "int16"),
        (np.array([np.nan]), "not finite"),
        (np.full(5, 9000.0), "a sample of 9000: expected a full scale of 1, or int16"),
    ],
)
def test_invalid_blocks_are_rejected(start_server, block, message):
    with pytest.raises(AudioError, match=message):
        as_int16(block)
    with pytest.raises(AudioError, match=message):
        collect(start_server().ws, [block])


def test_relabels_and_the_refined_result_arrive_only_if_requested(start_server, tone):
    relabels, refined = [], []
    server = start_server()
    events = collect(server.ws, [tone(3.3)], on_relabel=relabels.append, on_refined=refined.append)
    assert events == expected(tone(3.3)) == collect(server.ws, [tone(3.3)])
    assert refined == [[Segment(0, 4.0, "spk00", "sad", 0.5)]]
    assert relabels == [Relabel("spk01", "spk00", 2.5)]
