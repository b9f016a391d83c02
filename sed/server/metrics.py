"""The server's metrics, in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STEP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds


class Histogram:
    """Counts of durations in seconds by upper bound; `add` is thread-safe."""

    def __init__(self, bounds: tuple[float, ...] = STEP_BOUNDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Count one duration."""
        with self._lock:
            self._counts[bisect_left(self._bounds, seconds)] += 1
            self._sum += seconds

    def lines(self, name: str) -> list[str]:
        """The samples of the metric `name`.

        >>> histogram = Histogram((0.1, 1.0))
        >>> histogram.add(0.5)
        >>> histogram.lines("x")[1]
        'x_bucket{le="1"} 1'
        """
        with self._lock:
            counts, total = list(self._counts), self._sum
        rows, running = [], 0
        for bound, count in zip((*map("{:g}".format, self._bounds), "+Inf"), counts, strict=True):
            running += count
            rows.append(f'{name}_bucket{{le="{bound}"}} {running}')
        return [*rows, f"{name}_sum {total:.6f}", f"{name}_count {running}"]


class Metrics:
    """The server's counters; updated by the event loop, histograms by any thread."""

    def __init__(self) -> None:
        self.clients = 0
        self.streams = 0
        self.uploads = 0
        self.audio_seconds = 0.0
        self.upload_seconds = 0.0
        self.events = 0
        self.stream_cost: Callable[[], float] = float  # CPU threads that a live stream needs
        self.errors: Counter[str] = Counter()
        self.step = Histogram()
        self.wait = Histogram()

    def text(self, gauges: Sequence[tuple[str, str, float]] = ()) -> str:
        """All metrics in Prometheus' format; `gauges` are additional ones: name, description, value."""
        rows: list[str] = []

        def metric(name: str, kind: str, description: str, samples: list[str]) -> None:
            rows.extend([f"# HELP {name} {description}", f"# TYPE {name} {kind}", *samples])

        def single(name: str, kind: str, description: str, value: float) -> None:
            metric(
                name, kind, description, [f"{name} {value:g}" if kind == "gauge" else f"{name} {value:.10g}"]
            )

        single("sed_clients", "gauge", "Open live streams.", self.clients)
        for name, description, value in gauges:
            single(name, "gauge", description, value)
        single(
            "sed_stream_cost",
            "gauge",
            "CPU threads that a live stream needs, as measured.",
            self.stream_cost(),
        )
        single("sed_streams_total", "counter", "Live streams since the start.", self.streams)
        single("sed_audio_seconds_total", "counter", "Audio processed by live streams.", self.audio_seconds)
        single("sed_events_total", "counter", "Segment events sent.", self.events)
        single("sed_uploads_total", "counter", "Files diarized.", self.uploads)
        single(
            "sed_upload_audio_seconds_total", "counter", "Audio of the files diarized.", self.upload_seconds
        )
        metric(
            "sed_errors_total",
            "counter",
            "Errors sent to clients, by code.",
            [f'sed_errors_total{{code="{code}"}} {n}' for code, n in sorted(self.errors.items())],
        )
        metric(
            "sed_step_seconds",
            "histogram",
            "Time to process a chunk of audio.",
            self.step.lines("sed_step_seconds"),
        )
        metric(
            "sed_wait_seconds",
            "histogram",
            "Time a chunk waited for a thread.",
            self.wait.lines("sed_wait_seconds"),
        )
        return "\n".join(rows) + "\n"
