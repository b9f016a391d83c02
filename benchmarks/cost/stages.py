"""Time of `sed-run` by stage: processor seconds of each stage on one recording, on one thread.

    python -m benchmarks.cost.stages call.wav

The stages are those of `EmotionDiarizer`, fed from the file in blocks, each with a clock; the networks inside the
speaker stage have separate clocks, whose time is subtracted from the stage.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.lib.report import table
from sed.grid import SAMPLE_RATE

ORDER = (
    "loading the models",
    "reading and decoding audio",
    "segmentation network",
    "filter bank",
    "embedding network",
    "speakers: the rest",
    "clustering and turns",
    "emotion tagger",
    "emotion: the rest",
    "decoding",
    "writing",
)


class Clock:
    """Processor seconds by name; the time of an inner clock is subtracted from that of the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = [0.0]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the processor time of the block under `name`."""
        started = time.process_time()
        self._inside.append(0.0)
        yield
        spent = time.process_time() - started
        self.seconds[name] += spent - self._inside.pop()
        self._inside[-1] += spent

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` with a clock around it."""

        def timed(*arguments: Any, **options: Any) -> Any:
            with self(name):
                return function(*arguments, **options)

        return timed


def stages(path: Path) -> tuple[dict[str, float], float]:
    """Processor seconds of each stage, in `ORDER`, and the seconds of audio."""
    from sed.audio import open_audio
    from sed.emotion import load_tagger
    from sed.emotion.windows import PosteriorStream
    from sed.formats import write
    from sed.result import Diarization
    from sed.segmenting import join
    from sed.speakers import SegmentationDiarizer, embedding

    clock = Clock()
    with clock(ORDER[0]):
        tagger, diarizer = load_tagger(), SegmentationDiarizer()
    activities = clock.around(ORDER[2], diarizer.segmentation.activities)
    diarizer.segmentation.activities = activities  # type: ignore[method-assign]
    diarizer.embedding = clock.around(ORDER[4], diarizer.embedding)  # type: ignore[assignment]
    tagger.posteriors = clock.around(ORDER[7], tagger.posteriors)  # type: ignore[method-assign]
    bank = clock.around(ORDER[3], embedding.filter_bank)
    with patch.object(embedding, "filter_bank", bank), open_audio(path) as audio:
        session, stream = diarizer.begin(), PosteriorStream(tagger)
        blocks, posteriors, samples = iter(audio), [], 0
        while True:
            with clock(ORDER[1]):
                block = next(blocks, None)
            if block is None:
                break
            samples += len(block)
            with clock(ORDER[5]):
                session.push(block)
            with clock(ORDER[8]):
                posteriors.append(stream.push(block))
        with clock(ORDER[6]):
            turns = session.close()
        with clock(ORDER[8]):
            frames = np.concatenate([*posteriors, stream.close()])
    duration = samples / SAMPLE_RATE
    with clock(ORDER[9]):
        segments = join(turns, frames, tagger.labels, duration)
    with clock(ORDER[10]):
        found = Diarization(
            "recording", duration, segments, tagger.labels
        )  # sed-run does not keep posteriors
        for form in ("rttm", "json"):
            write(found, io.StringIO(), form)
    return {name: clock.seconds[name] for name in ORDER}, duration


def stage_table(seconds: dict[str, float], duration: float) -> str:
    """The stages as a Markdown table."""
    whole = sum(seconds.values())
    rows = [
        [name, f"{value:.2f}", f"{value / duration:.5f}", f"{100 * value / whole:.1f} %"]
        for name, value in seconds.items()
    ]
    rows.append(["all", f"{whole:.2f}", f"{whole / duration:.5f}", "100 %"])
    return table(["stage", "s", "of real time", "share"], rows)


def main() -> None:
    """Print the table of one recording."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recording", type=Path)
    print(stage_table(*stages(parser.parse_args().recording)))


if __name__ == "__main__":
    main()
