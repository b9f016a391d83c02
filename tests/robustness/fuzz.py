"""Fuzzes the readers of `sed`: containers, playlists and annotations, mutated with a seed.

    python tests/robustness/fuzz.py --seconds 3600 --seed 0 --output fuzz.json

Nothing may crash (an exception other than `SedError`, or a dead process), hang (longer than `--limit` seconds for
files of at most 1 MB), take more than `--memory` MB, or open the foreign recording that playlists refer to. inotify
records when that recording is opened, also by ffmpeg and ffprobe. Case `n` depends only on the seed and `n`, so
``--only n`` repeats a finding; its file is kept next to the output.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
sys.path.insert(0, str(SUPPORT))

from foreign_files import OpenedFiles  # noqa: E402
from fuzz_files import ANNOTATIONS, mutate, seeds  # noqa: E402


class Worker:
    """A process of `fuzz_worker.py`, restarted when it dies or hangs."""

    def __init__(self, code: Path, limit: float) -> None:
        self._code, self._limit = code, limit
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: Path) -> dict[str, object]:
        """The worker's result for `path`."""
        if self._process is None or self._process.poll() is not None:
            environment = {**os.environ, "PYTHONPATH": str(self._code), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, str(SUPPORT / "fuzz_worker.py")]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                text=True, env=environment, start_new_session=True,
            )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        started = time.monotonic()
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], self._limit)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        outcome = "crash" if ready else "hang"
        self.stop()
        return {"seconds": time.monotonic() - started, "outcome": outcome, "text": "", "peak_mb": 0}

    def stop(self) -> None:
        """End the worker and its child processes."""
        if self._process is not None:
            subprocess.run(["pkill", "-KILL", "-s", str(self._process.pid)], check=False)
            self._process.wait()
            self._process = None


def fuzz(
    seconds: float,
    seed: int,
    code: Path,
    keep: Path,
    limit: float,
    memory: int,
    only: int | None = None,
    cases: int | None = None,
) -> dict:
    """Run for `seconds`, or `cases` cases, or only case `only`; returns counts, and a row for each finding."""
    outcomes: Counter[str] = Counter()
    findings, slowest, peak = [], 0.0, 0
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-"))
        folder, private = Path(name), Path(name) / "private"
        private.mkdir()
        target = private / "foreign.wav"
        tone = ["-f", "lavfi", "-i", "sine=frequency=500:duration=2:sample_rate=16000"]
        subprocess.run(["ffmpeg", "-v", "error", *tone, str(target)], check=True)
        material = seeds(folder, target)
        names, bodies = list(material), list(material.values())
        opened, worker = stack.enter_context(OpenedFiles(private)), Worker(code, limit)
        started, number = time.monotonic(), -1
        while time.monotonic() - started < seconds if cases is None else number + 1 < cases:
            number = number + 1 if only is None else only
            rng = random.Random(f"{seed}:{number}")
            # The first cases are all seed files without a mutation.
            chosen = names[number] if number < len(names) else rng.choice(names)
            body = material[chosen] if number < len(names) else mutate(rng, material[chosen], bodies)
            suffix = (
                "".join(Path(chosen).suffixes)
                if rng.random() < 0.7
                else rng.choice(("", ".wav", ".m3u8", ".mp4"))
            )
            kind = "annotation" if chosen in ANNOTATIONS else "audio"
            path = folder / f"{kind}{number}{suffix}"
            path.write_bytes(body)
            row = worker.read(path)
            outcome = str(row["outcome"])
            outcomes[outcome] += 1
            slowest, peak = max(slowest, float(row["seconds"])), max(peak, int(row["peak_mb"]))
            foreign = bool(opened.names())
            if outcome in ("crash", "hang") or foreign or int(row["peak_mb"]) > memory:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{number}_{chosen}").write_bytes(body)
                findings.append({**row, "number": number, "seed_file": chosen, "foreign": foreign})
                worker.stop()
            path.unlink()
            if only is not None:
                break
        worker.stop()
    return {
        "seed": seed, "cases": sum(outcomes.values()), "seconds": round(time.monotonic() - started),
        "outcomes": outcomes, "slowest_s": slowest, "peak_mb": peak, "seed_files": len(names), "findings": findings,
    }  # fmt: skip


def main() -> int:
    """Run, print and write the result; returns 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cases", type=int, help="run this number of cases, however long they take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run only the case with this number")
    parser.add_argument("--limit", type=float, default=60.0, help="maximum seconds per file")
    parser.add_argument("--memory", type=int, default=600, help="maximum MB of the reading process")
    parser.add_argument("--code", type=Path, default=ROOT, help="checkout to test")
    parser.add_argument("--output", type=Path, default=Path("fuzz.json"))
    given = parser.parse_args()
    keep = given.output.with_suffix("")
    result = fuzz(
        given.seconds, given.seed, given.code, keep, given.limit, given.memory, given.only, given.cases
    )
    given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({**result, "findings": len(result["findings"])}))
    for row in result["findings"][:20]:
        print(
            row["number"],
            row["seed_file"],
            row["outcome"],
            "FOREIGN" if row["foreign"] else "",
            row["text"][-300:],
        )
    return int(bool(result["findings"]))


if __name__ == "__main__":
    sys.exit(main())
