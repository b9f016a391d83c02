"""The turns of tests that measure times: see `alone`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent / "support"
PROCESS = """
import json, os, sys, time
from alone import Turns

turns, found = Turns("run"), []
for kind in sys.argv[1:]:
    with turns.turn(alone=kind == "alone"):
        start = time.monotonic()
        time.sleep(0.3)
        while kind == "during" and not (turns.folder / "measured").exists() and time.monotonic() < start + 20:
            time.sleep(0.01)
        if kind == "alone":
            (turns.folder / "measured").touch()
        found.append([start, time.monotonic(), os.nice(0)])
print(json.dumps(found))
"""


@pytest.fixture
def run(tmp_path):
    """A function that runs tests of the given kinds in one process each, at once; their start, end and priority."""

    def run(*processes):
        environment = {**os.environ, "PYTHONPATH": str(SUPPORT), "TMPDIR": str(tmp_path)}
        started = [
            subprocess.Popen(
                [sys.executable, "-c", PROCESS, *kinds.split()], stdout=subprocess.PIPE, env=environment
            )
            for kinds in processes
        ]
        return [json.loads(process.communicate(timeout=60)[0]) for process in started]

    return run


def overlap(one, other):
    return one[0] < other[1] and other[0] < one[1]


@pytest.mark.slow
def test_a_process_that_starts_with_them_has_priority_over_the_others(run):
    (measured,), (during,) = run("alone", "during")
    assert during[1] - during[0] < 20, "the ordinary test ends after the other one"
    assert measured[2] == os.nice(0) and during[2] == min(19, os.nice(0) + 10)


@pytest.mark.slow
def test_afterwards_they_wait_until_no_other_process_runs_a_test(run):
    (_, measured), others = run("ordinary alone", "ordinary ordinary ordinary ordinary")
    assert len(others) == 4 and not any(overlap(measured, other) for other in others)


@pytest.mark.slow
def test_no_two_of_them_run_at_once(run):
    (one,), (other,) = run("alone", "alone")
    assert not overlap(one, other)
