"""POST /convert and /about.json of a running server: every format, other formats in, limits and tokens."""

from __future__ import annotations

import asyncio
import sys
import time

import httpx
import pytest

from sed import formats
from sed.formats import dumps
from sed.result import Diarization, Segment
from sed.server import conversion, converter, rendering
from sed.server.rendering import RenderError, render

RESULT = Diarization(
    "call",
    9.0,
    [
        Segment(1.0, 2.0, "anna", "happy", 0.7, {"neutral": 0.3, "happy": 0.7}),
        Segment(5.0, 8.0, "ben", "angry", 0.6),
    ],
    ("neutral", "happy", "angry"),
)


def post(server, content, **query):
    return httpx.post(f"{server.http}/convert", params=query, content=content, timeout=20)


def test_every_format_is_written_as_the_package_writes_it(start_server):
    server = start_server()
    offered = {f["name"]: f["suffix"] for f in httpx.get(f"{server.http}/about.json").json()["formats"]}
    assert set(offered) == set(formats.names())  # all extras are installed where the tests run
    for name in offered:
        assert render(dumps(RESULT, "json"), "call.json", name) == dumps(RESULT, name), name
    for name in ("textgrid", "npz"):
        response = post(server, dumps(RESULT, "json"), format=name)
        assert (response.status_code, response.content) == (200, dumps(RESULT, name)), name


def test_a_result_of_another_format_is_read(start_server):
    response = post(start_server(), dumps(RESULT, "rttm"), name="../x/call.rttm")
    found = response.json()
    assert [s["speaker"] for s in found["segments"]] == ["anna", "ben"] and found["uri"] == "call"


@pytest.mark.slow
def test_bad_requests_are_explained(start_server, monkeypatch):
    server = start_server()
    for content, query, status, code in (
        (b"\x00\x01 no result", {"name": "x.wav"}, 422, "bad_result"),
        (b"", {"name": "x.json"}, 422, "bad_result"),
        (dumps(RESULT, "json"), {"format": "docx"}, 400, "bad_request"),
        (dumps(RESULT, "jsonl") * 2, {"name": "x.jsonl"}, 422, "bad_result"),
        (dumps(RESULT, "parquet"), {"name": "x.parquet"}, 422, "bad_result"),
    ):
        response = post(server, content, **query)
        assert (response.status_code, response.json()["code"]) == (status, code), response.text
    monkeypatch.setattr(conversion, "MAX_BYTES", 10)
    assert post(server, dumps(RESULT, "json")).json()["code"] == "too_long"
    assert httpx.get(f"{server.http}/healthz").json()["uploads"]["receiving"] == 0


def test_the_token_is_required(start_server):
    server = start_server(token="hush")
    assert post(server, dumps(RESULT, "json")).status_code == 401
    limits = httpx.get(f"{server.http}/about.json").json()["limits"]
    assert limits == {"max_upload": 1 << 29, "max_upload_seconds": 3600, "max_seconds": 14400}


@pytest.mark.parametrize("name", ["", "/", "call.json", "C:\\x\\call.json"])
def test_any_name_is_fine(name):
    assert render(dumps(RESULT, "json"), name, "rttm") == dumps(RESULT, "rttm")


@pytest.mark.parametrize(("limit", "message"), [("MAX_SEGMENTS", "2 segments"), ("MAX_NAMES", "5 speakers")])
def test_large_results_are_refused(monkeypatch, limit, message):
    monkeypatch.setattr(rendering, limit, 1)
    with pytest.raises(RenderError, match=f"call.json: found {message}.*expected at most 1"):
        render(dumps(RESULT, "json"), "call.json", "rttm")


def test_times_too_large_for_a_format_are_refused():
    data = dumps(Diarization("call", 1e308, [Segment(0.0, 1e308, "anna", "sad")]), "json")
    for kind in ("rttm", "srt", "ass", "csv", "eaf", "webvtt"):
        with pytest.raises(RenderError, match=f"call: found a time that is too large for {kind}"):
            render(data, "call.json", kind)


ENDLESS = (sys.executable, "-c", "import time; time.sleep(60)")


def is_running(process):
    return process.poll() is None


def test_a_conversion_has_a_time_limit_and_the_next_one_works(start_server, monkeypatch):
    server = start_server()
    monkeypatch.setattr(converter, "COMMAND", ENDLESS)
    monkeypatch.setattr(converter, "SECONDS", 0.3)
    started = time.monotonic()
    response = post(server, dumps(RESULT, "json"), format="rttm")
    assert time.monotonic() - started < 5
    assert response.status_code == 422 and response.json()["code"] == "bad_result"
    assert response.json()["message"] == "the conversion takes more than 0.3 s: expected a smaller result"
    monkeypatch.undo()
    assert post(server, dumps(RESULT, "json"), format="rttm").content == dumps(RESULT, "rttm")
    assert httpx.get(f"{server.http}/healthz").json()["uploads"]["receiving"] == 0


def test_a_process_that_dies_is_an_error_of_the_server(start_server, monkeypatch, caplog):
    server = start_server()
    monkeypatch.setattr(converter, "COMMAND", (sys.executable, "-c", "raise ValueError('a bug')"))
    response = post(server, dumps(RESULT, "json"))
    assert response.status_code == 500 and response.json()["code"] == "internal"
    assert "could not be converted: ValueError: a bug" in caplog.text and "bug" not in response.text


def test_a_stop_ends_conversions(monkeypatch):
    monkeypatch.setattr(converter, "COMMAND", ENDLESS)

    async def scenario():
        convert = converter.Converter()
        waiting = [asyncio.create_task(convert(b"{}", "x", "json")) for _ in range(3)]  # one of them waits
        while len(convert._running) < converter.AT_ONCE:
            await asyncio.sleep(0.01)
        processes = list(convert._running)
        convert.stop()
        return await asyncio.gather(*waiting, return_exceptions=True), processes

    started = time.monotonic()
    found, processes = asyncio.run(scenario())
    assert [error.code for error in found] == ["overload"] * 3 and time.monotonic() - started < 10
    assert not any(map(is_running, processes))
