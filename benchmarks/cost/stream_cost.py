"""Cost of one live stream: processor and wall time of each step of half a second, and memory over time.

In: AMI clips, concatenated and repeated (speech nearly all the time, many speakers). Out: a dictionary of figures in
seconds and MB. Run in a separate process by `benchmarks/cost/live.py`.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.grid import SAMPLE_RATE
from sed.speakers import SegmentationDiarizer

STEP = 0.5  # seconds
STAGES = ("segmentation", "embedding", "tagger")


class Stopwatch:
    """Processor time spent in a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        started = time.thread_time()
        result = self._function(*arguments)
        self.seconds += time.thread_time() - started
        return result


def halves(clips: list[Path], minutes: float) -> Iterator[np.ndarray]:
    """Blocks of half a second of `clips`, `minutes` in total."""
    size = round(STEP * SAMPLE_RATE)
    left = round(minutes * 60 / STEP)
    while left:
        for clip in clips:
            samples, rate = soundfile.read(clip, dtype="float32")
            assert rate == SAMPLE_RATE
            for start in range(0, len(samples) - size + 1, size):
                if not left:
                    return
                left -= 1
                yield samples[start : start + size]


def measure(clips: list[Path], latency: float, minutes: float, tagger: str | None = None) -> dict[str, Any]:
    """Stream `minutes` of `clips` at `latency` on one thread.

    `mean`, `p99`, `worst` are processor time of a step, `wall_p99` and `wall_worst` wall time; the stages are means
    of processor time. `memory` has (minute, resident MB) at ten times, `peak` is in MB.
    """
    speakers, model = SegmentationDiarizer(), load_tagger(tagger)
    watches = {
        "segmentation": Stopwatch(speakers.segmentation.activities),
        "embedding": Stopwatch(speakers.embedding),
        "tagger": Stopwatch(model.posteriors),
    }
    speakers.segmentation.activities = watches["segmentation"]  # type: ignore[method-assign]
    speakers.embedding = watches["embedding"]  # type: ignore[assignment]
    model.posteriors = watches["tagger"]  # type: ignore[method-assign]
    stream = EmotionDiarizer(tagger=model, diarizer=speakers).stream(latency)
    used, taken, memory = [], [], []
    every = max(1, round(minutes * 60 / STEP / 10))
    found: set[str | None] = set()
    for number, block in enumerate(halves(clips, minutes), 1):
        cpu_start, wall_start = time.thread_time(), time.perf_counter()
        events = stream.push(block)
        used.append(time.thread_time() - cpu_start)
        taken.append(time.perf_counter() - wall_start)
        found |= {event.segment.speaker for event in events if event.final and event.segment}
        if number % every == 0 or number == round(60 / STEP):
            memory.append((number * STEP / 60, _resident()))
    stages = {name: watch.seconds / len(used) for name, watch in watches.items()}
    return {
        "latency": latency,
        "minutes": minutes,
        "mean": float(np.mean(used)),
        "p99": float(np.percentile(used, 99)),
        "worst": max(used),
        "wall_p99": float(np.percentile(taken, 99)),
        "wall_worst": max(taken),
        **stages,
        "rest": float(np.mean(used)) - sum(stages.values()),
        "people": len(found),
        "memory": memory,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _resident() -> float:
    """Resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
