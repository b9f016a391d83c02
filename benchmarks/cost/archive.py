"""An archive of short recordings: with workers, killed and resumed, and on a cluster that loses a node.

    python -m benchmarks.cost.archive                1,000 recordings of one second
    python -m benchmarks.cost.archive --files 100    faster

Recordings are one-second extracts of the utterances in tests/data. Four runs of the program `sed-run`, each into a
separate folder: one process; two workers; two workers, killed (SIGKILL to the parent) halfway and started again; a Ray
cluster of two nodes on this machine, one of which is killed halfway. Fails unless every run writes the same bytes and
every journal names every recording exactly once. Writes results/archive.md and .json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import soundfile

from benchmarks.lib.report import commit, machine, save, table

DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
JOURNAL = ".sed-journal.jsonl"
RATE = 16_000


def make(folder: Path, count: int) -> None:
    """Write `count` recordings of one second, each of which starts at a different sample of an utterance."""
    utterances = [soundfile.read(path, dtype="int16")[0] for path in sorted(DATA.glob("emodb_*.flac"))]
    folder.mkdir(parents=True)
    for number in range(count):
        utterance = utterances[number % len(utterances)]
        last = len(utterance) - RATE
        first = (number // len(utterances)) * 97 % last
        soundfile.write(folder / f"{number:05d}.wav", utterance[first : first + RATE], RATE)


def results(folder: Path) -> dict[str, bytes]:
    """The output files of a run, without its journal."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != JOURNAL}


def journal_counts(folder: Path) -> Counter[str]:
    """How often a journal reports each recording as done; an incomplete last line is ignored."""
    lines = (folder / JOURNAL).read_text().split("\n")[:-1]
    rows = [json.loads(line) for line in lines]
    return Counter(row["recording"] for row in rows if "formats" in row)


def process_tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    try:
        children = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [pid, *(p for child in children for p in process_tree(child))]


def peak(pid: int) -> float:
    """Peak resident memory of a process so far, in MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


class Run:
    """`sed-run` on the recordings, observed until it ends."""

    def __init__(self, source: Path, out: Path, count: int, *arguments: str) -> None:
        command = [sys.executable, "-m", "sed.cli.run", str(source), "-o", "rttm,json", "-d", str(out)]
        self.out, self.count = out, count
        self.memory: dict[int, float] = {}
        self._started = time.monotonic()
        self.process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)

    def watch(self, at_half: Callable[[], Any] | None = None) -> float:
        """Wait for the end and return the seconds; `at_half` is called once when half of the recordings are done."""
        journal = self.out / JOURNAL
        while self.process.poll() is None:
            for pid in process_tree(self.process.pid):
                self.memory[pid] = max(self.memory.get(pid, 0.0), peak(pid))
            if at_half and journal.exists() and sum(journal_counts(self.out).values()) >= self.count // 2:
                at_half()
                at_half = None
            time.sleep(0.2)
        assert at_half is None, f"it ended before half was done: {self.messages}"
        return time.monotonic() - self._started

    @property
    def messages(self) -> str:
        """Its standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


def check(run: Run, reference: dict[str, bytes] | None) -> dict[str, bytes]:
    """The results of a run; they have to be complete, each recording once, and equal to `reference`."""
    messages = run.messages
    assert run.process.returncode == 0, messages
    counts = journal_counts(run.out)
    assert len(counts) == run.count and set(counts.values()) == {1}, "a recording was lost or repeated"
    found = results(run.out)
    assert len(found) == 2 * run.count
    assert reference is None or found == reference, "the bytes differ"
    return found


def on_cluster(source: Path, out: Path, count: int) -> tuple[Run, float, int, str]:
    """The run on two nodes of one processor, one of which is killed halfway; its seconds, lost jobs and messages."""
    from ray.cluster_utils import Cluster

    size = 80 * 2**20
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": size},
    )
    try:
        node = cluster.add_node(num_cpus=1, object_store_memory=size)
        run = Run(source, out, count, "--ray", cluster.address)
        seconds = run.watch(lambda: cluster.remove_node(node, allow_graceful=False))
        messages = run.messages
        run.process.stderr = None
        lost = sum("lost with its worker" in line for line in messages.splitlines())
        return run, seconds, lost, messages
    finally:
        cluster.shutdown()


def main() -> None:
    """Run all of them and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--no-cluster", action="store_true")
    options = parser.parse_args()
    count = options.files
    for name, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120",
        "RAY_agent_register_timeout_ms": "120000",
        "OMP_NUM_THREADS": "1",
    }.items():
        os.environ.setdefault(name, value)
    load = os.getloadavg()[1]
    folder = Path(tempfile.mkdtemp(prefix="sed-archive-"))
    rows: list[list[Any]] = []
    facts: dict[str, Any] = {"files": count, "machine": machine(), "commit": commit(), "load": load}

    def note(name: str, seconds: float, run: Run, remark: str) -> None:
        each = sorted(run.memory.values())
        main_mb = run.memory.get(run.process.pid, 0.0)
        rows.append(
            [name, f"{seconds:.0f}", f"{seconds / count:.3f}", f"{main_mb:.0f}", f"{each[-1]:.0f}", remark]
        )
        facts[name] = {"seconds": seconds, "main_mb": main_mb, "largest_mb": each[-1], "remark": remark}
        print(rows[-1], flush=True)

    try:
        make(folder / "in", count)
        run = Run(folder / "in", folder / "one", count)
        seconds = run.watch()
        reference = check(run, None)
        note("one process", seconds, run, "the reference")

        run = Run(folder / "in", folder / "two", count, "--workers", "2")
        seconds = run.watch()
        check(run, reference)
        note("2 workers", seconds, run, "same bytes")

        run = Run(folder / "in", folder / "killed", count, "--workers", "2")
        seconds = run.watch(run.process.kill)
        before = journal_counts(folder / "killed")
        again = Run(folder / "in", folder / "killed", count, "--workers", "2")
        seconds += again.watch()
        check(again, reference)
        remark = f"{len(before)} done before the kill, {count - len(before)} after; each once; same bytes"
        note("2 workers, killed halfway, resumed", seconds, again, remark)

        if not options.no_cluster:
            run, seconds, lost, messages = on_cluster(folder / "in", folder / "ray", count)
            assert run.process.returncode == 0, messages
            counts = journal_counts(folder / "ray")
            assert len(counts) == count and set(counts.values()) == {1}
            assert results(folder / "ray") == reference, "the bytes differ"
            note(
                "Ray, 2 nodes, 1 killed halfway",
                seconds,
                run,
                f"{lost} lost and repeated on the other node; same bytes",
            )
    finally:
        shutil.rmtree(folder)

    head = [
        "run",
        "s",
        "s per recording",
        "peak MB, main process",
        "peak MB, largest process",
        "result",
    ]
    text = f"""# Archives

{count:,} recordings of one second, RTTM and JSON each; default models, one thread per worker. Every run wrote the same
{2 * count:,} files, byte for byte, and its journal names every recording exactly once.

{table(head, rows)}

Seconds are from start to end of the program, including the loading of models, the time until the kill and, on Ray,
the time to detect the dead node. The workers of Ray belong to the cluster; their memory is not in the table. The load
before the runs was {load:.1f}; times are valid only if it is near 0.

`python -m benchmarks.cost.archive` at {facts["commit"]}; {facts["machine"]}.
"""
    save("archive", text, facts)
    print(text)


if __name__ == "__main__":
    main()
