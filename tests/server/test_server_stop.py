"""A file that blocks the worker: /healthz reports it, and a signal still stops ``sed-serve`` within seconds."""

import contextlib
import io
import re
import signal
import subprocess
import sys
import time
import wave

import httpx
import pytest
from live_server import diarize
from upload_connection import Connection, wait_until

# The command with a diarizer that hangs on files that start with "hang", without reporting progress.
pytestmark = pytest.mark.alone
HANGING = """
import sys, time
import sed.pipeline
from sed.cli.serve import main

class Hanging(sed.pipeline.EmotionDiarizer):
    def __call__(self, source, **options):
        while open(source, "rb").read(4) == b"hang":
            time.sleep(3600)
        return super().__call__(source, **options)

sed.pipeline.EmotionDiarizer = Hanging
main(sys.argv[1:])
"""


@contextlib.contextmanager
def command(*arguments):
    """A running process of sed-serve, and its host:port."""
    process = subprocess.Popen(
        [sys.executable, *arguments, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process, re.search(r"http://(\S+)/", process.stdout.readline())[1]
    finally:
        process.kill()
        process.communicate()


def recording(seconds):
    """A WAV with `seconds` of silence."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(32000 * seconds))
    return out.getvalue()


def uploads(base):
    return httpx.get(f"http://{base}/healthz").json()["uploads"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_hangs_is_reported_and_does_not_block_the_exit(number):
    with (
        command("-c", HANGING, "--stuck-after", "0.5") as (process, base),
        Connection(base) as first,
        Connection(base) as second,
    ):
        first.post(body=b"hang")
        wait_until(lambda: uploads(base)["working"] == 1)
        second.post(body=b"RIFF")
        wait_until(lambda: httpx.get(f"http://{base}/healthz").status_code == 503)
        answer = httpx.get(f"http://{base}/healthz").json()
        assert answer["status"] == "stuck" and answer["seconds"] >= 0.5  # rounded to 0.1
        assert answer["uploads"] == {"receiving": 0, "waiting": 1, "working": 1}
        metrics = httpx.get(f"http://{base}/metrics").text
        assert "\nsed_uploads_waiting 1\n" in metrics
        assert float(re.search(r"\nsed_file_silence_seconds (\S+)", metrics)[1]) > 0.5
        process.send_signal(number)
        started = time.monotonic()
        for connection in (first, second):
            status, _, body = connection.answer()
            assert status == 503 and b"stopping" in body
        assert process.wait(10) == 0
        assert time.monotonic() - started < 5.0
        stderr = process.stderr.read()
        assert stderr == "sed-serve: the file being processed does not end: the server exits without it\n"


@pytest.mark.slow
def test_a_long_file_does_not_delay_the_exit():
    with command("-m", "sed.cli.serve") as (process, base), Connection(base, timeout=20) as client:
        client.post(body=recording(600))
        wait_until(lambda: uploads(base)["working"] == 1)
        process.terminate()
        started = time.monotonic()
        assert client.answer()[0] == 503 and time.monotonic() - started < 1.0
        assert process.wait(10) == 0
        assert time.monotonic() - started < 4.0 and process.stderr.read() == ""


@pytest.mark.slow
def test_a_slow_file_with_progress_is_not_stuck(start_server):
    def slow(source, *, uri, progress):
        for _ in range(20):
            progress(0.0, 1.0)
            time.sleep(0.05)
        return diarize(source, uri=uri, progress=progress)

    server = start_server(diarize=slow, stuck_after=0.4)
    with Connection(server.base) as client:
        client.post(body=b"RIFF")
        wait_until(lambda: server.app.state.hub.files.working == 1)
        while server.app.state.hub.files.working:
            assert httpx.get(f"{server.http}/healthz").json()["status"] == "ok"
            time.sleep(0.05)
        assert client.answer()[0] == 200
    time.sleep(0.5)  # an idle worker is not stuck
    assert httpx.get(f"{server.http}/healthz").json()["status"] == "ok"
