"""What live costs: a step, an hour, and eight clients at once, with the delay at the socket.

    python -m benchmarks.cost.live --shared ../shared

Writes results/live.md and .json, and prints the tables. One stream on one thread, in a process of its own, over
AMI clips; then a real `sed-serve` held to two cores with clients in real time. Close everything else before.
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


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function` in a fresh process, so that memory and caches are its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def clips(folder: Path) -> list[Path]:
    """The AMI clips of every part, in order."""
    names: list[str] = []
    for part in ("train", "development", "test"):
        names += sorted(read_uem(folder / f"debug.{part}.uem"))
    return [folder / f"{name}.wav" for name in names]


def verdict(holds: bool) -> str:
    """Whether something that was wanted is so."""
    return "holds" if holds else "DOES NOT HOLD"


def report(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    return "\n\n".join(
        [
            "# Live",
            f"`python -m benchmarks.cost.live` in {found['took']:.0f} s, commit {found['commit']}. {found['machine']}. "
            f"Load average at the start {found['load']:.1f}; where it is well above 0, other programs were busy, "
            "and whatever is measured by the clock is too long.",
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
    head = ["latency", "min", *STAGES, "rest", "all", "of one core", "99 %", "99 % clock", "worst clock"]
    every = [*found["steps"], found["hour"]]
    share, slowest = max(row["mean"] / STEP for row in every), max(row["p99"] for row in every)
    clock = max(row["wall_p99"] for row in every)
    return (
        "## A step\n\nTime for half a second of audio, one stream on one thread, in ms: mean processor time of "
        "each stage and of all, its share of one core, its 99th percentile, then that of the clock and the worst. "
        "AMI meetings, where people speak nearly all the time.\n\n"
        + table(head, rows)
        + f"\n\nWanted: under {100 * SHARE:g} % of one core on average: {100 * share:.1f} % at most, "
        f"{verdict(share < SHARE)}. The 99th percentile under the step: {1000 * slowest:.0f} of {1000 * STEP:.0f} "
        f"ms of processor time, {verdict(slowest < STEP)}; {1000 * clock:.0f} ms by the clock."
    )


def _hour(row: dict[str, Any]) -> str:
    first, last = row["memory"][0][1], row["memory"][-1][1]
    return (
        f"## {row['minutes']:g} minutes of one stream\n\nResident memory of the process after so many minutes, at "
        f"{row['latency']:g} s; {row['people']} speakers were found on the way.\n\n"
        + table(
            ["minute", "MB"], [[f"{minute:g}", f"{megabytes:.1f}"] for minute, megabytes in row["memory"]]
        )
        + f"\n\nWanted: it holds its memory: {last - first:+.1f} MB since the first minute, "
        f"{verdict(last - first < 5)} (within 5 MB)."
    )


def _clients(runs: list[dict[str, Any]]) -> str:
    rows = [
        [row["clients"], f"{row['latency']:g}", row["finals"]]
        + [f"{row[name]:.2f}" for name in ("median", "p95", "most", "lag", "waiting", "cores", "starved")]
        + [f"{100 * row['a_client']:.1f} %", f"{row['mb']:.0f}"]
        for row in runs
    ]
    head = ["clients", "latency s", "finals", "median s", "95 % s", "most s", "lag s", "waiting s", "cores"]
    head += ["starved", "a client", "MB"]
    busiest = max(runs, key=lambda row: row["clients"])
    late = 1000 * max(row["late"] for row in runs)
    return (
        f"## Clients of one server on {CORES} cores\n\n`sed-serve`, every client sends {runs[0]['seconds']:g} s in "
        "real time. Median, 95 % and most: from the end of a segment's sound to its final event at the socket, the "
        "latency included. Lag: from the last sample to the last event, of the worst client. Waiting: audio in the "
        "server's queue at most. Cores: what the server used; starved: threads that were ready and found no free "
        "core, on average. A client: of one core. MB: of the server, at the end.\n\n"
        + table(head, rows)
        + f"\n\nWanted: {busiest['clients']} clients keep up: never more than {busiest['waiting']:.2f} s of audio "
        f"waited, {verdict(busiest['waiting'] < 2 and busiest['lag'] < 2)} (under 2 s, and the end within 2 s). "
        f"The clients themselves were late by {late:.0f} ms at worst."
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
        noted(apart(stream_cost.measure, sound, latency, arguments.minutes, arguments.tagger))
        for latency in (0.5, 1.0, 5.0)
    ]
    found["hour"] = noted(apart(stream_cost.measure, sound, 1.0, arguments.hour, arguments.tagger))
    found["took"] = time.perf_counter() - began
    text = report(found)
    print(text)
    save(arguments.name, text, found)


if __name__ == "__main__":
    main()
