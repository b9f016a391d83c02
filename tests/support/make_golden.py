"""Writes the output of a stream on the demo conversation at each latency, for `test_streaming_golden.py`.

    python tests/support/make_golden.py

Run it, and check its output, after an intended change of a bundled model or of the live processing.

Kernels differ slightly between processors, which decides where two speakers sound similar. So the script adds noise to
the outputs of the networks, several times, and uses the first extract of the conversation whose result is stable at
every latency.
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
STARTS = range(29)  # seconds; the first extract with a stable result is used
MIN_AGREEMENT = 0.985  # agreement by time that the test requires, and the script under noise
NOISE = 2e-3  # standard deviation; differences between kernels are a tenth of that
TRIALS = 5


def conversation(start: int):
    """The extract of the demo conversation that starts at `start` seconds: samples and sample rate."""
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="float32")
    return samples[start * rate : (start + SECONDS) * rate], rate


def golden_file(latency: float) -> Path:
    """The file of the segments at `latency`."""
    return GOLDEN / f"stream_{latency:g}s.json"


def read_golden(latency: float) -> tuple[int, list[Segment]]:
    """The start of the extract in seconds, and the stored segments."""
    row = json.loads(golden_file(latency).read_text(encoding="utf-8"))
    return row["start"], [Segment(**segment) for segment in row["segments"]]


def disturb(diarizer: EmotionDiarizer, seed: int) -> None:
    """Add noise to all network outputs of `diarizer`: posteriors, activities, embeddings."""
    random = np.random.default_rng(seed)

    def noisy(function):
        def disturbed(*arguments):
            output = np.asarray(function(*arguments))
            return (output + NOISE * random.standard_normal(output.shape)).astype(output.dtype)

        return disturbed

    network = diarizer.diarizer.segmentation
    diarizer.tagger.posteriors = noisy(diarizer.tagger.posteriors)
    network.activities = noisy(network.activities)
    diarizer.diarizer.embedding = noisy(diarizer.diarizer.embedding)


def stability(start: int, latency: float, result: Diarization) -> float:
    """The lowest agreement with `result` over several runs with noise; stops at the first that is too low."""
    lowest = 1.0
    for seed in range(TRIALS):
        other = EmotionDiarizer(latency=latency)
        disturb(other, seed)
        lowest = min(lowest, agreement(other(conversation(start)), result))
        if lowest < MIN_AGREEMENT:
            break
    return lowest


def stable_results(start: int) -> dict[float, Diarization]:
    """The result at each latency of the extract from `start` seconds on; empty if one of them is not stable."""
    results: dict[float, Diarization] = {}
    for latency in LATENCIES:
        results[latency] = EmotionDiarizer(latency=latency)(conversation(start), uri="conversation")
        share = stability(start, latency, results[latency])
        print(f"start {start} s: {latency:g} s {100 * share:.1f} %", flush=True)
        if share < MIN_AGREEMENT:
            return {}
    return results


def main() -> int:
    """Write the files of the first extract that is stable at all latencies; returns 1 if there is none."""
    for start in STARTS:
        if results := stable_results(start):
            break
    else:
        print(f"no extract is stable: expected {100 * MIN_AGREEMENT:g} % agreement under noise")
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
