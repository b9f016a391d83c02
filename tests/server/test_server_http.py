"""File uploads by POST, health, metrics, the page, and access control."""

import contextlib
import io
import json
import socket
import threading
import time
import wave
from pathlib import Path

import httpx
import numpy as np
import pytest
from live_server import LABELS, SecondsStream

from sed.result import Diarization, Segment
from sed.server.app import STATIC, create_app
from sed.server.options import ServerOptions
from sed.streaming import Event


@pytest.fixture
def recording(tone):
    """A function that returns a WAV of `seconds`, as bytes."""

    def make(seconds):
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(tone(seconds).tobytes())
        return out.getvalue()

    return make


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_raw_body_and_form_give_the_same_result(start_server, recording):
    server, body = start_server(), recording(0.5)
    raw = httpx.post(f"{server.http}/diarize?name=my call.wav", content=body, timeout=60)
    form = httpx.post(
        f"{server.http}/diarize", files={"file": ("my call.wav", body)}, data={"note": "x"}, timeout=60
    )
    assert raw.status_code == form.status_code == 200
    assert raw.json() == form.json()
    assert raw.json()["uri"] == "my_call" and raw.json()["duration"] == 16.0
    assert raw.json()["segments"][0]["emotion"] == "angry"


def test_rttm_reads_back(start_server, recording, tmp_path):
    from sed.formats import read

    answer = httpx.post(
        f"{start_server().http}/diarize?format=rttm&name=call.wav", content=recording(0.5), timeout=60
    )
    assert answer.headers["content-type"].startswith("text/plain")
    (tmp_path / "call.rttm").write_text(answer.text)
    assert [(s.end, s.speaker, s.emotion) for s in read(tmp_path / "call.rttm")] == [(16.0, "spk00", "angry")]


@pytest.mark.slow
def test_progress_lines(start_server, recording):
    def slow(source, *, uri, progress):
        for second in range(8):
            progress(second, 8.0)
            time.sleep(0.1)
        return Diarization(uri, 8.0, [Segment(0, 8, "spk00", "sad", 0.5)], LABELS)

    answer = httpx.post(
        f"{start_server(diarize=slow).http}/diarize?progress=1", content=recording(0.1), timeout=60
    )
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["type"] for line in lines[:-1]] == ["progress"] * (len(lines) - 1) and len(lines) > 2
    assert 0 < lines[-2]["time"] < lines[-2]["duration"] == 8.0
    assert lines[-1]["type"] == "result" and lines[-1]["result"]["segments"][0]["emotion"] == "sad"


def finding(source, *, uri, progress, provisional=None):
    """Finds a segment, changes it and takes it back, if asked for it."""
    for number, segment in enumerate((Segment(0, 1, "spk00"), Segment(0, 1, "spk01", "sad"), None)):
        progress(float(number), 8.0)
        if provisional:
            provisional([Event(0, segment, False, number + 1.0, 0.0)])
        time.sleep(0.3)
    return Diarization(uri, 8.0, [Segment(0, 8, "spk00", "sad", 0.5)], LABELS)


@pytest.mark.slow
@pytest.mark.parametrize("query, asked", [("progress=1&provisional=1", True), ("progress=1", False)])
def test_provisional_segments_are_sent_if_asked_for(start_server, recording, query, asked):
    url = f"{start_server(diarize=finding).http}/diarize?{query}"
    lines = [
        json.loads(line) for line in httpx.post(url, content=recording(0.1), timeout=60).text.splitlines()
    ]
    found = [line for line in lines if line["type"] == "segment"]
    one, other = {"start": 0, "end": 1, "speaker": "spk00"}, {"start": 0, "end": 1, "speaker": "spk01"}
    expected = [one, {**other, "emotion": "sad"}, None] if asked else []
    assert [line["segment"] for line in found[:3]] == expected[: len(found)] and len(found) >= 2 * asked
    assert all((line["id"], line["final"], line["settled"]) == (0, False, 0) for line in found)
    assert lines[-1]["type"] == "result" and len(lines[-1]["result"]["segments"]) == 1
    plain = httpx.post(url.replace("progress=1", "progress=0"), content=recording(0.1), timeout=60)
    assert plain.json() == lines[-1]["result"]  # without progress there is nothing else


@pytest.mark.slow
@pytest.mark.parametrize(
    "query, body, status, code, message",
    [
        ("?format=mp4", b"RIFF", 400, "bad_request", "json or rttm"),
        ("", b"", 400, "bad_request", "empty"),
        ("?name=letter.txt", b"Dear Sir", 422, "bad_audio", "letter: expected audio"),
        ("?name=letter.txt&progress=1", b"Dear Sir", 200, "bad_audio", "letter: expected audio"),
        ("", b"RIFF" * 3000, 413, "too_long", "at most 10000"),
        ("", b"RIFF" * 2000, 413, "too_long", "6 s of audio"),
    ],
)
def test_errors_of_a_file_are_reported(start_server, query, body, status, code, message):
    server = start_server(max_upload=10000, max_seconds=6)
    answer = httpx.post(f"{server.http}/diarize{query}", content=body, timeout=60)
    problem = json.loads(answer.text.splitlines()[-1])
    assert (answer.status_code, problem["type"], problem["code"]) == (status, "error", code)
    assert message in problem["message"] and "/tmp" not in problem["message"]
    assert server.metrics.errors[code] == 1
    wait_until(lambda: server.app.state.hub.uploading == 0)


def test_a_body_without_a_length_is_limited_as_well(start_server):
    answer = httpx.post(
        f"{start_server(max_upload=10000).http}/diarize", content=(b"x" * 4000 for _ in range(50))
    )
    assert answer.status_code == 413


def test_a_form_without_a_file(start_server):
    server = start_server()
    for form in (
        {"data": {"a": "b"}, "files": {"f": (None, "text")}},
        {"content": b"xx", "headers": {"content-type": "multipart/form-data"}},
    ):
        answer = httpx.post(f"{server.http}/diarize", **form, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.slow
def test_an_upload_that_is_too_slow(start_server):
    server = start_server(idle_timeout=0.3)
    with socket.create_connection(server.base.split(":")) as slow:
        slow.sendall(b"POST /diarize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\nRI")
        assert b" 408 " in slow.recv(4096).splitlines()[0]


@pytest.mark.slow
def test_concurrent_uploads_are_limited_and_disconnecting_cancels_the_job(start_server):
    reached, left = threading.Event(), threading.Event()

    def endless(source, *, uri, progress):
        try:
            while True:
                reached.set()
                progress(1.0, None)
                time.sleep(0.01)
        finally:
            left.set()

    server = start_server(diarize=endless, max_uploads=1)
    with socket.create_connection(server.base.split(":")) as first:
        first.sendall(b"POST /diarize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nRIFF")
        assert reached.wait(5)
        assert httpx.post(f"{server.http}/diarize", content=b"RIFF").status_code == 503
        assert not left.is_set()
    assert left.wait(5)
    wait_until(lambda: server.app.state.hub.uploading == 0)


def test_token_for_files_and_metrics_but_not_for_health(start_server):
    server = start_server(token="secret")
    shown = {"Authorization": "Bearer secret"}
    assert httpx.post(f"{server.http}/diarize", content=b"RIFF").json()["code"] == "unauthorized"
    assert httpx.post(f"{server.http}/diarize", content=b"RIFF", headers=shown).status_code == 200
    assert httpx.get(f"{server.http}/metrics").status_code == 401
    assert httpx.get(f"{server.http}/metrics", headers=shown).status_code == 200
    assert httpx.get(f"{server.http}/healthz").json() == {
        "status": "ok",
        "clients": 0,
        "max_clients": 16,
        "uploads": {"receiving": 0, "waiting": 0, "working": 0},
    }


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_foreign_pages_are_rejected(start_server, headers):
    server = start_server()
    for answer in (
        httpx.get(f"{server.http}/", headers=headers),
        httpx.post(f"{server.http}/diarize", content=b"RIFF", headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_metrics_are_prometheus_text(start_server, recording):
    import re

    server = start_server()
    httpx.post(f"{server.http}/diarize", content=recording(0.1))
    answer = httpx.get(f"{server.http}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    sample = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"\})? \S+')
    values = {}
    for line in answer.text.splitlines():
        if not line.startswith("# "):
            assert sample.fullmatch(line), line
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    assert values["sed_stream_cost"] > 0
    assert values["sed_uploads_total"] == 1 and values["sed_upload_audio_seconds_total"] == 3
    assert values["sed_clients"] == 0 and values['sed_step_seconds_bucket{le="+Inf"}'] == 0


def test_the_page_and_its_headers(start_server):
    server = start_server()
    page = httpx.get(f"{server.http}/")
    assert page.status_code == 200 and "<!doctype html>" in page.text.lower()
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-cache" and "http://" not in page.text
    assert httpx.get(f"{server.http}/no/such/file").status_code == 404
    assert httpx.get(f"{server.http}/../app.py").status_code == 404
    palette = httpx.get(f"{server.http}/palette.json").json()
    from sed.palette import colour

    assert palette["emotions"]["sad"]["colour"] == colour("sad")


@pytest.mark.slow
def test_the_example_of_the_page_is_the_demo_conversation():
    demo = Path(__file__).parents[2] / "demo" / "conversation.flac"
    assert (STATIC / "example.flac").read_bytes() == demo.read_bytes()
    assert '"example.flac"' in (STATIC / "app.js").read_text(encoding="utf-8")


@pytest.mark.slow
def test_connections_without_a_request_are_aborted(start_server, monkeypatch):
    monkeypatch.setattr("sed.server.run.REQUEST_TIMEOUT", 0.5)
    server = start_server()
    with (
        socket.create_connection(server.base.split(":")) as silent,
        socket.create_connection(server.base.split(":")) as halting,
    ):
        halting.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        for connection in (silent, halting):
            connection.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""


def is_open(connection):
    """Whether a non-blocking connection is still open."""
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


@pytest.mark.slow
def test_the_number_of_connections_without_a_request_is_limited(start_server, monkeypatch):
    monkeypatch.setattr("sed.server.run.MAX_IDLE", 5)
    server = start_server()
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(server.base.split(":"))) for _ in range(60)
        ]
        for connection in connections:
            connection.setblocking(False)
        wait_until(lambda: sum(map(is_open, connections)) <= 5)
        time.sleep(1.5)
        assert sum(map(is_open, connections)) == 5
        assert httpx.get(f"{server.http}/healthz").status_code == 200


@pytest.mark.slow
def test_live_streams_are_not_aborted_by_the_request_timeout(start_server, monkeypatch):
    import asyncio

    from websockets.asyncio.client import connect

    monkeypatch.setattr("sed.server.run.REQUEST_TIMEOUT", 0.2)
    server = start_server()

    async def wait():
        async with connect(server.ws) as stream:
            await asyncio.sleep(2.5)
            await stream.send('{"type": "end"}')
            return json.loads(await stream.recv())["type"]

    assert asyncio.run(wait()) == "ready"


def test_options_are_checked():
    from sed.errors import OptionError

    for invalid in (
        {"max_rate": 0.5},
        {"port": 70000},
        {"token": ""},
        {"max_clients": 0},
        {"origins": ("evil",)},
        {"queue": 0},
        {"max_seconds": float("inf")},  # JSON cannot represent it, and `ready` contains the limits
        {"idle_timeout": float("nan")},
        {"hosts": ("http://proxy",)},
        {"hosts": ("proxy:8080",)},
    ):
        with pytest.raises(OptionError, match="expected"):
            ServerOptions(**invalid)
    assert ServerOptions(hosts=("proxy.example", "::1", "[fe80::1]")).hosts


def test_the_app_can_be_mounted_without_models():
    app = create_app(make_stream=SecondsStream, diarize=lambda *a, **k: None)
    assert app.state.hub.options.host == "127.0.0.1" and np.isclose(app.state.hub.options.max_rate, 8)
