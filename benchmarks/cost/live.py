"""Cost of live processing: a step, an hour, and eight concurrent clients, with the delay at the socket.

    python -m benchmarks.cost.live --shared ../shared

Writes results/live.md and .json, and prints the tables. One stream on one thread, in a separate process, over
AMI clips; then a real `sed-serve` restricted to two cores, with clients in real time. Close other programs first.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cost import clients, stream_cost
from benchmarks.cost.stream_cost import STAGES, STEP
from benchmarks.lib.report import commit, machine, save, table
from sed.formats import read_uem

SHARE = 0.2  # of one core that a step may use on average
CORES = 2


def in_new_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function` in a new process, so that memory and caches are not shared."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def clips(folder: Path) -> list[Path]:
    """The AMI clips of every part, in order."""
    names: list[str] = []
    for part in ("train", "development", "test"):
        names += sorted(read_uem(folder / f"debug.{part}.uem"))
    return [folder / f"{name}.wav" for name in names]


def verdict(holds: bool) -> str:
    """Whether a goal is met, in words."""
    return "holds" if holds else "DOES NOT HOLD"


def report(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    return "\n\n".join(
        [
            "# Live",
            f"`python -m benchmarks.cost.live` in {found['took']:.0f} s, commit {found['commit']}. {found['machine']}. "
            f"Load average at the start {found['load']:.1f}; if it is well above 0, other programs were busy "
            "and wall times are too long.",
            _steps(found),
            _hour(found["hour"]),
            _clients(found["clients"]),
        ]
    )


def _steps(found: dict[str, Any]) -> str:
    rows = [
        [f"{row['latency']:g} s", f"{row['minutes']:g}"]
        + [f"{1000 * row[name]:.0f}" for name in (*STAGES, "rest", "mean")]
        + [f"{100 * row['mean'] / STEP:.1f} %"]
        + [f"{1000 * row[name]:.0f}" for name in ("p99", "wall_p99", "wall_worst")]
        for row in [*found["steps"], found["hour"]]
    ]
    head = ["latency", "min", *STAGES, "rest", "all", "of one core", "99 %", "99 % wall", "worst wall"]
    every = [*found["steps"], found["hour"]]
    share, slowest = max(row["mean"] / STEP for row in every), max(row["p99"] for row in every)
    clock = max(row["wall_p99"] for row in every)
    return (
        "## A step\n\nTime for half a second of audio, one stream on one thread, in ms: mean processor time of "
        "each stage and of all, its share of one core, its 99th percentile, then the 99th percentile and maximum of "
        "wall time. AMI meetings, with speech nearly all the time.\n\n"
        + table(head, rows)
        + f"\n\nGoal: under {100 * SHARE:g} % of one core on average; maximum {100 * share:.1f} %, "
        f"{verdict(share < SHARE)}. The 99th percentile under the step: {1000 * slowest:.0f} of {1000 * STEP:.0f} "
        f"ms of processor time, {verdict(slowest < STEP)}; {1000 * clock:.0f} ms of wall time."
    )


def _hour(row: dict[str, Any]) -> str:
    first, last = row["memory"][0][1], row["memory"][-1][1]
    return (
        f"## {row['minutes']:g} minutes of one stream\n\nResident memory of the process over time, at "
        f"{row['latency']:g} s; {row['people']} speakers were found.\n\n"
        + table(
            ["minute", "MB"], [[f"{minute:g}", f"{megabytes:.1f}"] for minute, megabytes in row["memory"]]
        )
        + f"\n\nGoal: constant memory: {last - first:+.1f} MB since the first minute, "
        f"{verdict(last - first < 5)} (within 5 MB)."
    )


def _clients(runs: list[dict[str, Any]]) -> str:
    rows = [
        [row["clients"], f"{row['latency']:g}", row["finals"]]
        + [f"{row[name]:.2f}" for name in ("median", "p95", "most", "lag", "waiting", "cores", "starved")]
        + [f"{100 * row['a_client']:.1f} %", f"{row['mb']:.0f}"]
        for row in runs
    ]
    head = ["clients", "latency s", "finals", "median s", "95 % s", "maximum s", "lag s", "waiting s"]
    head += ["cores", "starved", "per client", "MB"]
    busiest = max(runs, key=lambda row: row["clients"])
    late = 1000 * max(row["late"] for row in runs)
    return (
        f"## Clients of one server on {CORES} cores\n\n`sed-serve`, each client sends {runs[0]['seconds']:g} s in "
        "real time. Median, 95 % and maximum: from the end of a segment to its final event at the socket, latency "
        "included. Lag: from the last sample to the last event, of the worst client. Waiting: maximum of audio in "
        "the queue of the server. Cores: used by the server; starved: mean number of threads that were runnable "
        "without a free core. Per client: share of one core. MB: of the server, at the end.\n\n"
        + table(head, rows)
        + f"\n\nGoal: {busiest['clients']} clients keep up: at most {busiest['waiting']:.2f} s of audio "
        f"waited, {verdict(busiest['waiting'] < 2 and busiest['lag'] < 2)} (under 2 s, and the end within 2 s). "
        f"The clients themselves were at most {late:.0f} ms late."
    )


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--minutes", type=float, default=3.0, help="of audio at each latency")
    parser.add_argument("--hour", type=float, default=60.0, help="minutes of the long stream")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=float, default=60.0, help="that each client sends")
    parser.add_argument("--tagger", help="an ONNX file for the steps (default: the bundled model)")
    parser.add_argument("--name", default="live", help="of the result files")
    arguments = parser.parse_args()
    began = time.perf_counter()
    found: dict[str, Any] = {"machine": machine(), "commit": commit(), "load": os.getloadavg()[0]}
    sound = clips(arguments.shared / "conversations")

    def noted(row: dict[str, Any]) -> dict[str, Any]:
        print(row, file=sys.stderr, flush=True)
        return row

    found["clients"] = [
        noted(clients.measure(count, arguments.seconds, 1.0, CORES)) for count in arguments.clients
    ]
    found["steps"] = [
        noted(in_new_process(stream_cost.measure, sound, latency, arguments.minutes, arguments.tagger))
        for latency in (0.5, 1.0, 5.0)
    ]
    found["hour"] = noted(in_new_process(stream_cost.measure, sound, 1.0, arguments.hour, arguments.tagger))
    found["took"] = time.perf_counter() - began
    text = report(found)
    print(text)
    save(arguments.name, text, found)


if __name__ == "__main__":
    main()
