"""Runs a command in a separate process and measures wall and processor seconds and peak memory.

Linux keeps the peak of a process across exec, so the peak of a child starts at that of its parent. Therefore a small
intermediate process starts and measures the command, not the benchmark with its models and arrays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

MEASURE = """
import json, os, sys, time
started = time.perf_counter()
devnull = os.open(os.devnull, os.O_WRONLY)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, devnull, 1)])
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - started
print(json.dumps([os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
"""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def one_thread(threads: int = 1) -> dict[str, str]:
    """The environment of this process, with `threads` set for every numeric library."""
    return {**os.environ, **dict.fromkeys(THREADS, str(threads)), "HF_HUB_OFFLINE": "1"}


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> dict[str, float]:
    """Wall and processor seconds (`wall`, `cpu`) and peak resident MB (`peak_mb`) of one process.

    Its standard output is discarded. Raises `SystemExit` if it fails.
    """
    words = [str(part) for part in command]
    measured = subprocess.run(
        [sys.executable, "-SEc", MEASURE, *words], stdout=subprocess.PIPE, check=True, env=environment
    )
    code, wall, cpu, peak = json.loads(measured.stdout)
    if code:
        raise SystemExit(f"{' '.join(words)}: exit status {code}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes; the kernels disagree
    return {"wall": wall, "cpu": cpu, "peak_mb": peak * unit / 1e6}
