"""The live benchmark on little data: its figures are consistent, and its verdicts can be positive and negative."""

import numpy as np
import pytest

from benchmarks.cost import live

CLIENTS = {
    "clients": 8, "seconds": 60.0, "latency": 1.0, "finals": 90, "median": 1.1, "p95": 1.5, "most": 1.8, "lag": 0.3,
    "late": 0.01, "waiting": 0.6, "cores": 0.9, "starved": 0.1, "a_client": 0.1, "mb": 300.0,
}  # fmt: skip


@pytest.mark.slow
def test_measure_and_report_a_few_seconds(data):
    clip = data / "ami_dev00.flac"
    blocks = list(live.stream_cost.halves([clip], 1.0))
    assert len(blocks) == 120 and {len(block) for block in blocks} == {8000}
    np.testing.assert_array_equal(blocks[0], blocks[len(blocks) // 2])  # a clip of 30 s starts again

    row = live.stream_cost.measure([clip], 1.0, 0.1)
    assert 0 < row["mean"] <= row["p99"] <= row["worst"] and row["wall_worst"] >= row["wall_p99"] > 0
    assert row["mean"] == pytest.approx(row["rest"] + sum(row[stage] for stage in live.STAGES))
    assert row["people"] >= 1
    assert row["memory"][-1] == (0.1, pytest.approx(row["peak"], rel=0.5))

    found = {"machine": "here", "commit": "0", "load": 0.0, "took": 1.0, "steps": [row], "hour": row}
    text = live.report({**found, "clients": [CLIENTS]})
    assert "DOES NOT HOLD" not in text.split("## Clients")[1]
    slow = live.report({**found, "clients": [{**CLIENTS, "waiting": 9.0}]})
    assert "DOES NOT HOLD" in slow.split("## Clients")[1]
