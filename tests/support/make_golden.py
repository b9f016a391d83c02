"""Writes what a stream says about the demo conversation at each latency, for `test_streaming_golden.py`.

    python tests/support/make_golden.py

To be run, and its outcome looked at, when a bundled model or the way to stream has changed on purpose.

Kernels differ from one processor to another, and where two people sound nearly alike a hair decides. So it adds
noise to what the networks say, several times over, and takes the first extract of the conversation on which the
outcome stands that at every latency.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import soundfile
from agreement import agreement

from sed import EmotionDiarizer
from sed.result import Diarization, Segment

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden"
LATENCIES = (0.5, 1.0, 2.0, 5.0)
SECONDS = 20
STARTS = range(0, 29, 4)  # seconds; the first extract that is steady is taken
LEAST = 0.97  # share of the time for which a test wants the same to be said
STEADY = 0.985  # and for which noise has to leave it
NOISE = 2e-3  # standard deviation; kernels that compute the same differ by a tenth of that
TRIALS = 5


def conversation(start: int):
    """An extract of the demo conversation from `start` seconds on: samples and sample rate."""
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="float32")
    return samples[start * rate : (start + SECONDS) * rate], rate


def golden_file(latency: float) -> Path:
    """Where the segments at `latency` are kept."""
    return GOLDEN / f"stream_{latency:g}s.json"


def read_golden(latency: float) -> tuple[int, list[Segment]]:
    """Where the extract starts, in seconds, and the segments that are kept."""
    row = json.loads(golden_file(latency).read_text(encoding="utf-8"))
    return row["start"], [Segment(**segment) for segment in row["segments"]]


def disturb(diarizer: EmotionDiarizer, seed: int) -> None:
    """Noise on everything that the networks of `diarizer` say: posteriors, activities, voices."""
    random = np.random.default_rng(seed)

    def noisy(function):
        def disturbed(*arguments):
            heard = np.asarray(function(*arguments))
            return (heard + NOISE * random.standard_normal(heard.shape)).astype(heard.dtype)

        return disturbed

    network = diarizer.diarizer.segmentation
    diarizer.tagger.posteriors = noisy(diarizer.tagger.posteriors)
    network.activities = noisy(network.activities)
    diarizer.diarizer.embedding = noisy(diarizer.diarizer.embedding)


def steadiness(start: int, latency: float, result: Diarization) -> float:
    """The least agreement with `result` among several runs with noise; stops at the first that is too low."""
    least = 1.0
    for seed in range(TRIALS):
        other = EmotionDiarizer(latency=latency)
        disturb(other, seed)
        least = min(least, agreement(other(conversation(start)), result))
        if least < STEADY:
            break
    return least


def main() -> int:
    """Write every file, of the first extract that is steady at all latencies; 1 if there is none."""
    for start in STARTS:
        results = {x: EmotionDiarizer(latency=x)(conversation(start), uri="conversation") for x in LATENCIES}
        shares = {x: steadiness(start, x, result) for x, result in results.items()}
        print(f"from {start} s: {', '.join(f'{x:g} s {100 * share:.1f} %' for x, share in shares.items())}")
        if min(shares.values()) >= STEADY:
            break
    else:
        print(f"no extract is steady: expected {100 * STEADY:g} % of the time the same, noise or not")
        return 1
    GOLDEN.mkdir(exist_ok=True)
    for latency, result in results.items():
        rows = ",\n".join(json.dumps(segment.to_dict()) for segment in result)
        text = f'{{"start": {start}, "segments": [\n{rows}\n]}}\n'
        golden_file(latency).write_text(text, encoding="utf-8")
        print(f"{golden_file(latency).relative_to(ROOT)}: {len(result)} segments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
