"""Writes what a stream says about the demo conversation at each latency, for `test_streaming_golden.py`.

    python tests/streaming/make_golden.py

To be run, and its outcome looked at, when a bundled model or the way to stream has changed on purpose.
"""

from __future__ import annotations

import json
from pathlib import Path

import soundfile

from sed import EmotionDiarizer

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden"
LATENCIES = (0.5, 1.0, 2.0, 5.0)
SECONDS = 20


def conversation():
    """The first seconds of the demo conversation: samples and sample rate."""
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="float32")
    return samples[: SECONDS * rate], rate


def golden_file(latency: float) -> Path:
    """Where the segments at `latency` are kept."""
    return GOLDEN / f"stream_{latency:g}s.json"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for latency in LATENCIES:
        result = EmotionDiarizer(latency=latency)(conversation(), uri="conversation")
        rows = ",\n".join(json.dumps(segment.to_dict()) for segment in result)
        golden_file(latency).write_text(f"[\n{rows}\n]\n", encoding="utf-8")
        print(f"{golden_file(latency).relative_to(ROOT)}: {len(result)} segments")
