"""Scoring: agreement with other implementations, and speed.

    python -m benchmarks.accuracy.scoring --shared ../shared

Writes results/scoring.md and .json. Random cases are seeded. Agreement: EDER with pyannote.metrics' identification
error rate, its compatible form with SpeechBrain's function, DER with pyannote.metrics and, where installed, with
NIST's md-eval (Debian: sctk). Speed: the 180 utterances of ZED in this process, and 1,000 hours of RTTM
through `sed-score` in a separate process, with wall and processor time and peak memory.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.agreement import (
    LABELS,
    disagreements_with_speechbrain,
    largest_difference_to_pyannote,
    meetings,
)
from benchmarks.lib.report import commit, machine, save, table
from sed.result import Diarization, Segment
from sed.scoring import score


def zed_seconds(shared: Path) -> tuple[int, float, float]:
    """Utterances of ZED, and wall and processor seconds to score them by every metric, after import."""
    with (shared / "corpora" / "zed_boundaries.csv").open() as file:
        references = [
            Diarization(
                r["id"], float(r["duration"]), [Segment(float(r["start"]), float(r["end"]), None, r["emo"])]
            )
            for r in csv.DictReader(file)
        ]
    rng = np.random.default_rng(3)
    hypotheses = [
        Diarization(r.uri, r.duration, [Segment(s.start * rng.random(), s.end, None, s.emotion) for s in r])
        for r in references
    ]
    score(references[:1], hypotheses[:1])
    wall, processor = time.perf_counter(), time.process_time()
    report = score(references, hypotheses)
    for metric in report.metrics.values():
        _ = metric.interval, metric.macro_interval
    return len(references), time.perf_counter() - wall, time.process_time() - processor


def write_hours(folder: Path, hours: int, turns: int) -> list[str]:
    """Write references and hypotheses of `hours` one-hour conversations of about `turns` segments; returns paths."""
    rng = np.random.default_rng(4)
    paths = [folder / "ref.rttm", folder / "hyp.rttm"]
    with paths[0].open("w") as reference, paths[1].open("w") as hypothesis:
        for number in range(hours):
            length, pause = rng.uniform(0.5, 6, turns), rng.uniform(-0.6, 1.0, turns)
            start = np.maximum(np.cumsum(length + pause) - length - pause, 0)
            scale = 3590 / (start[-1] + length[-1])
            start, length = start * scale, length * scale
            who, what = rng.integers(0, 4, (2, turns))
            keep = rng.random((2, turns)) < [[0.8], [0.7]]
            other = np.where(keep, [who, what], rng.integers(0, 4, (2, turns)))
            moved = np.maximum(start + rng.normal(0, 0.2, turns), 0)
            lasting = np.maximum(length + rng.normal(0, 0.2, turns), 0.05)
            for file, columns in (
                (reference, (start, length, what, who)),
                (hypothesis, (moved, lasting, other[1], other[0])),
            ):
                file.writelines(
                    f"SPEAKER call{number:04d} 1 {a:.3f} {b:.3f} {LABELS[e]} <NA> spk{s} <NA> <NA>\n"
                    for a, b, e, s in zip(*columns, strict=True)
                )
    return [str(path) for path in paths]


def thousand_hours(hours: int, turns: int) -> dict[str, dict[str, float]]:
    """Wall seconds, processor seconds and peak memory (MB) of `sed-score` on `hours` hours."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_hours(Path(folder), hours, turns)
        for name, options in (("EDER and DER", ["-m", "eder", "-m", "der"]), ("all metrics", [])):
            command = [sys.executable, "-m", "sed.cli.score", *paths, *options, "-o", "json"]
            wall = time.perf_counter()
            messages = Path(folder) / "messages.txt"
            with messages.open("w") as file:
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, messages.read_text()[-2000:]
            found[name] = {
                "wall": time.perf_counter() - wall,
                "processor": usage.ru_utime + usage.ru_stime,
                "megabytes": usage.ru_maxrss / 1024,
            }
    return found


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--hours", type=int, default=1000)
    parser.add_argument(
        "--turns", type=int, default=1000, help="segments per hour, in reference and hypothesis each"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    count, wall, processor = zed_seconds(options.shared)
    result: dict[str, Any] = {
        "ier": largest_difference_to_pyannote(options.cases),
        "speechbrain": disagreements_with_speechbrain(options.cases),
        "meetings": {str(collar): meetings(options.shared, collar) for collar in (0.0, 0.25)},
        "zed": {"utterances": count, "wall": wall, "processor": processor},
        "hours": thousand_hours(options.hours, options.turns),
        "load": os.getloadavg()[0],
    }
    engines = list(result["meetings"]["0.0"])
    text = "\n".join(
        [
            "# Scoring",
            "",
            f"`python -m benchmarks.accuracy.scoring`, commit {commit()}, {machine()},"
            f" load {result['load']:.1f} when done.",
            "",
            "## Agreement",
            "",
            table(
                ["compared with", "cases", "result"],
                [
                    [
                        "EDER: IdentificationErrorRate of pyannote.metrics, neutral filled in",
                        options.cases,
                        f"largest difference {result['ier']:.1e}",
                    ],
                    [
                        '`compat="speechbrain"`: `speechbrain.utils.EDER.EDER`',
                        options.cases,
                        f"{result['speechbrain']} floats differ",
                    ],
                ],
            ),
            "",
            "DER of damaged references of the 14 AMI clips, in per cent:",
            "",
            table(
                ["collar", *engines],
                [[f"{c} s", *(f"{row[e]:.3f}" for e in engines)] for c, row in result["meetings"].items()],
            ),
            "",
            "With a collar, md-eval maps speakers before it leaves collars out, sed and pyannote.metrics after: where",
            "two mappings are nearly as good (trn00 here), md-eval's rate is the higher one. Without, all agree.",
            "",
            "## Speed",
            "",
            table(
                ["task", "wall", "processor", "peak memory"],
                [
                    [
                        f"{count} utterances of ZED, all metrics that apply, intervals",
                        f"{wall:.2f} s",
                        f"{processor:.2f} s",
                        "",
                    ],
                    *(
                        [
                            f"`sed-score`, {options.hours} h of RTTM, 2 x {options.turns} segments per hour: {name}",
                            f"{row['wall']:.0f} s",
                            f"{row['processor']:.0f} s",
                            f"{row['megabytes']:.0f} MB",
                        ]
                        for name, row in result["hours"].items()
                    ),
                ],
            ),
            "",
        ]
    )
    save("scoring", text, result)
    print(text)


if __name__ == "__main__":
    main()
