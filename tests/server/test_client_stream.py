"""The Python client against a real socket: events as they come, pacing, errors, and no task left behind."""

import asyncio
import json
import time

import numpy as np
import pytest
from live_server import SecondsStream

from sed.errors import AudioError
from sed.server.client import ServerError, as_int16, stream


def collect(*args, **options):
    async def run():
        before = asyncio.all_tasks()
        events = [event async for event in stream(*args, **options)]
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == before, "the client left a task behind"
        return events

    return asyncio.run(asyncio.wait_for(run(), 30))


def expected(samples, latency=1.0):
    """What the stream itself says of these s16 samples."""
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
    async def slowly():
        for block in np.array_split(tone(1.5).astype(np.float32) / 32768, 4):
            await asyncio.sleep(0.01)
            yield block

    assert collect(start_server().ws, slowly()) == expected(tone(1.5))


def test_events_come_while_audio_is_still_to_come(start_server, tone):
    """A blocking iterable, as a microphone is, waits for the first event before it goes on."""
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


def test_a_long_recording_is_paced_to_what_the_server_accepts(start_server):
    """6 s at once and then 4 times real time is accepted; 20 s take 3.5 s at least, and are never too fast."""
    server = start_server(max_rate=4, burst=6, queue=60)
    begun = time.monotonic()
    events = collect(server.ws, [np.zeros(20 * 16000, np.int16)])
    assert time.monotonic() - begun > 3.4
    assert [event.segment.end for event in events if event.final] == list(range(1, 21))
    assert not server.metrics.errors


def test_leaving_early_hangs_up(start_server, tone):
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
def test_the_server_s_refusals_are_raised(start_server, tone, options, arguments, code):
    with pytest.raises(ServerError) as refusal:
        collect(start_server(**options).ws, [tone(3)], **arguments)
    assert refusal.value.code == code


def test_the_right_token(start_server, tone):
    assert collect(start_server(token="secret").ws, [tone(1)], token="secret") == expected(tone(1))


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/stream", "http://nonsense", "ws://"])
def test_no_server(url):
    with pytest.raises(ServerError, match="cannot be reached") as refusal:
        collect(url, [])
    assert refusal.value.code == "unreachable"


READY = {"type": "ready", "limits": {"max_rate": 8, "burst": 30, "max_message": 1000}}
SEGMENT = {"type": "segment", "id": 0, "final": True, "time": 1.0, "settled": 1.0}


def answers_of(messages):
    """What the client makes of a server that says `messages`, whatever it hears."""
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
def test_a_server_of_another_kind(messages):
    with pytest.raises(ServerError, match="expected a message of sed-serve's protocol") as refusal:
        answers_of(messages)
    assert refusal.value.code == "foreign"


def test_a_newer_server_may_say_more():
    row = {"start": 0.0, "end": 1.0, "emotion": "sad", "mood": "blue"}
    messages = [READY, {"type": "news"}, {**SEGMENT, "segment": row}, {"type": "end", "time": 1.0}]
    (event,) = answers_of(messages)
    assert (event.segment.emotion, event.final) == ("sad", True)


def test_numbers_of_numpy_and_blocks_of_nothing(start_server, tone):
    server = start_server()
    assert collect(server.ws, [tone(1)], sample_rate=np.int64(16000), latency=np.float32(1)) == expected(
        tone(1)
    )
    with pytest.raises(AudioError, match="a block of object"):  # no quiet end in the middle
        collect(server.ws, [tone(1), None, tone(1)])


def test_a_server_that_goes_away(start_server, tone):
    server = start_server(lambda latency: SecondsStream(latency, delay=0.2))

    async def run():
        async for _ in stream(server.ws, [tone(20)]):
            server.stop()

    with pytest.raises(ServerError) as refusal:
        asyncio.run(asyncio.wait_for(run(), 20))
    assert refusal.value.code == "closed"


def test_a_server_that_falls_silent(start_server, tone, monkeypatch):
    monkeypatch.setattr("sed.server.client.PATIENCE", 0.4)
    with pytest.raises(ServerError, match="not answered") as refusal:
        collect(start_server(lambda latency: SecondsStream(latency, delay=2.0)).ws, [tone(3)])
    assert refusal.value.code == "unreachable"


def test_a_quiet_microphone_is_no_silent_server(start_server, tone, monkeypatch):
    monkeypatch.setattr("sed.server.client.PATIENCE", 0.2)

    async def slowly():
        yield tone(0.4)
        await asyncio.sleep(0.8)
        yield tone(0.6)

    assert collect(start_server().ws, slowly()) == expected(tone(1))


@pytest.mark.parametrize(
    "block, words",
    [
        (np.zeros((2, 5), np.float32), "one axis"),
        (np.zeros(5, np.int32), "int16"),
        (np.array([np.nan]), "not finite"),
        (np.full(5, 9000.0), "a sample of 9000: expected a full scale of 1, or int16"),
    ],
)
def test_wrong_blocks_are_refused(start_server, block, words):
    with pytest.raises(AudioError, match=words):
        as_int16(block)
    with pytest.raises(AudioError, match=words):
        collect(start_server().ws, [block])
