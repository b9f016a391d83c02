"""A server on a real socket in a thread, with a stream whose events are easy to predict."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path

import numpy as np

from sed.errors import AudioError, OptionError
from sed.result import Diarization, Segment
from sed.server.app import create_app
from sed.server.options import ServerOptions
from sed.server.run import listen, make_server, serve
from sed.streaming import Event, Relabel

LABELS = ("neutral", "happy", "angry", "sad")


class SecondsStream:
    """One segment per second: provisional after its first half, final at its end; its confidence is the mean
    of the absolute samples, so it depends on every sample. Each push takes `delay` seconds."""

    labels = LABELS

    def __init__(self, latency: float = 1.0, delay: float = 0.0, refine: bool = False) -> None:
        self.refine, self.relabelled = refine, False
        if not 0.5 <= latency <= 5:
            raise OptionError(f"a latency of {latency} s: expected 0.5 to 5 s")
        self.delay = delay
        self.second = np.zeros(0, np.float32)  # the samples of the current second
        self.halves = 0  # half seconds reported
        self.settled = 0.0
        self.current: dict[str, float] = {}

    def push(self, samples):
        assert samples.dtype == np.float32 and samples.ndim == 1
        time.sleep(self.delay)
        events = []
        while len(samples):
            room = 8000 - len(self.second) % 8000
            part, samples = samples[:room], samples[room:]
            self.second = np.concatenate([self.second, part])
            if len(part) == room:
                events.append(self._event())
        self.current = dict.fromkeys(LABELS, 0.25)
        return events

    def _event(self):
        self.halves += 1
        number, final = (self.halves - 1) // 2, self.halves % 2 == 0
        confidence = round(float(np.abs(self.second, dtype=np.float64).mean()), 6)
        end = self.halves / 2
        segment = Segment(number, end, f"spk{number % 2:02}", LABELS[number % 4], confidence)
        if final:
            self.settled, self.second = end, np.zeros(0, np.float32)
        return Event(number, segment, final, end, self.settled)

    def take_relabels(self):
        """In the third second the second speaker turns out to be the first one."""
        due, self.relabelled = self.halves >= 5 and not self.relabelled, self.halves >= 5
        return [Relabel("spk01", "spk00", 2.5)] if due else []

    def refined(self):
        assert self.refine
        return Diarization("stream", 9.0, [Segment(0, self.halves / 2, "spk00", "sad", 0.5)], LABELS)

    def close(self):
        if not len(self.second):
            return []
        self.halves |= 1  # the rest counts as a whole second
        return [self._event()]


class ChattyStream(SecondsStream):
    """A thousand events per push."""

    def push(self, samples):
        segment = Segment(0, 1, "spk00", "sad", 0.5)
        return [Event(0, segment, False, 1.0, 0.0)] * 1000


def diarize(source, *, uri, progress, provisional=None):
    """Diarize a file: rejects data that does not start with RIFF; otherwise returns one segment of 1 s per kB."""
    data = Path(source).read_bytes()
    if data[:4] != b"RIFF":
        raise AudioError(f"{source}: expected audio, found something else")
    seconds = max(1, len(data) // 1000)
    for second in range(seconds):
        progress(float(second), float(seconds))
        time.sleep(0.001)
    return Diarization(uri, float(seconds), [Segment(0, seconds, "spk00", "angry", 0.5)], LABELS)


class Running:
    """A running server: `base` is host:port."""

    def __init__(self, app, base, server):
        self.app, self.base, self._server = app, base, server
        self.http, self.ws = f"http://{base}", f"ws://{base}/stream"
        self.metrics = app.state.hub.metrics

    def stop(self):
        """Start to shut down, as on a signal."""
        self._server.should_exit = True

    def wait_idle(self, seconds=15.0):
        """Wait until no client is connected."""
        end = time.monotonic() + seconds
        while self.metrics.clients and time.monotonic() < end:
            time.sleep(0.02)
        assert self.metrics.clients == 0


@contextlib.contextmanager
def running(make_stream=SecondsStream, diarize=diarize, **options):
    options = ServerOptions(port=0, **options)
    app = create_app(options, make_stream=make_stream, diarize=diarize)
    listener = listen(options)
    server, started = make_server(app, options), threading.Event()

    thread = threading.Thread(target=lambda: asyncio.run(serve(server, listener, started.set)), daemon=True)
    thread.start()
    assert started.wait(10)
    host, port = listener.getsockname()[:2]
    try:
        yield Running(app, f"{host}:{port}", server)
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        assert not thread.is_alive()
