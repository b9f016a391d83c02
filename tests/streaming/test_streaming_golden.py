"""What the stream said about a conversation when somebody last looked: `make_golden.py` writes it anew."""

import json

import numpy as np
import pytest
from make_golden import LATENCIES, conversation, golden_file


@pytest.mark.parametrize("latency", LATENCIES)
def test_live_says_what_it_said(diarizer, latency):
    samples, rate = conversation()
    assert rate == 16_000
    stream, events = diarizer.stream(latency), []
    for block in np.array_split(samples, 37):
        events += stream.push(block)
    events += stream.close()
    found = sorted(event.segment for event in events if event.final)
    expected = json.loads(golden_file(latency).read_text(encoding="utf-8"))
    assert [(s.speaker, s.emotion) for s in found] == [(row["speaker"], row["emotion"]) for row in expected]
    # onnxruntime's kernels differ a little from one processor to another.
    for segment, row in zip(found, expected, strict=True):
        assert (segment.start, segment.end) == pytest.approx((row["start"], row["end"]), abs=0.041)
        assert segment.confidence == pytest.approx(row["confidence"], abs=1e-2)
        assert segment.probabilities == pytest.approx(row["probabilities"], abs=1e-2)
