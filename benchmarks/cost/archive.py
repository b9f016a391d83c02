"""An archive of short recordings: with workers, killed and resumed, on a cluster that loses a node.

    python -m benchmarks.cost.archive                1,000 recordings of a second
    python -m benchmarks.cost.archive --files 100    quicker

Recordings are seconds cut from the utterances in tests/data. Four runs of `sed-run` as a program, each into a folder
of its own: alone; two workers; two workers, killed (SIGKILL to the parent) at half and started again; a Ray
cluster of two nodes on this machine, of which one is killed at half. Every run has to end with the same bytes, and
every journal has to name every recording exactly once: otherwise this fails. Writes results/archive.md and .json.
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
    """Write `count` recordings of a second, no two of which begin at the same sample of an utterance."""
    voices = [soundfile.read(path, dtype="int16")[0] for path in sorted(DATA.glob("emodb_*.flac"))]
    folder.mkdir(parents=True)
    for number in range(count):
        voice = voices[number % len(voices)]
        room = len(voice) - RATE
        first = (number // len(voices)) * 97 % room
        soundfile.write(folder / f"{number:05d}.wav", voice[first : first + RATE], RATE)


def results(folder: Path) -> dict[str, bytes]:
    """What a run wrote, without its journal."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != JOURNAL}


def noted(folder: Path) -> Counter[str]:
    """How often a journal says of each recording that it was done; a torn last line says nothing."""
    lines = (folder / JOURNAL).read_text().split("\n")[:-1]
    rows = [json.loads(line) for line in lines]
    return Counter(row["recording"] for row in rows if "formats" in row)


def family(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        below = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [pid, *(p for child in below for p in family(child))]


def peak(pid: int) -> float:
    """The most memory a process held so far, MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


class Run:
    """`sed-run` on the recordings, watched until its end; `at_half` is called once when half is done."""

    def __init__(self, source: Path, out: Path, count: int, *arguments: str) -> None:
        command = [sys.executable, "-m", "sed.cli.run", str(source), "-o", "rttm,json", "-d", str(out)]
        self.out, self.count = out, count
        self.memory: dict[int, float] = {}
        self._begun = time.monotonic()
        self.process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)

    def watch(self, at_half: Callable[[], Any] | None = None) -> float:
        """Seconds until it ended."""
        journal = self.out / JOURNAL
        while self.process.poll() is None:
            for pid in family(self.process.pid):
                self.memory[pid] = max(self.memory.get(pid, 0.0), peak(pid))
            if at_half and journal.exists() and sum(noted(self.out).values()) >= self.count // 2:
                at_half()
                at_half = None
            time.sleep(0.2)
        assert at_half is None, f"it ended before half was done: {self.told}"
        return time.monotonic() - self._begun

    @property
    def told(self) -> str:
        """What it said on standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


def check(run: Run, reference: dict[str, bytes] | None) -> dict[str, bytes]:
    """The results of a run that has to be complete, each recording once, with the bytes of `reference`."""
    told = run.told
    assert run.process.returncode == 0, told
    counts = noted(run.out)
    assert len(counts) == run.count and set(counts.values()) == {1}, "a recording was lost or repeated"
    found = results(run.out)
    assert len(found) == 2 * run.count
    assert reference is None or found == reference, "the bytes differ"
    return found


def on_cluster(source: Path, out: Path, count: int) -> tuple[Run, float, int, str]:
    """The run on two nodes with a processor each, one of them killed at half; seconds; jobs that went with it."""
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
        told = run.told
        run.process.stderr = None
        lost = sum("lost with its worker" in line for line in told.splitlines())
        return run, seconds, lost, told
    finally:
        cluster.shutdown()


def main() -> None:
    """Run it all."""
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
        run = Run(folder / "in", folder / "alone", count)
        seconds = run.watch()
        reference = check(run, None)
        note("alone", seconds, run, "the reference")

        run = Run(folder / "in", folder / "two", count, "--workers", "2")
        seconds = run.watch()
        check(run, reference)
        note("2 workers", seconds, run, "same bytes")

        run = Run(folder / "in", folder / "killed", count, "--workers", "2")
        seconds = run.watch(run.process.kill)
        before = noted(folder / "killed")
        again = Run(folder / "in", folder / "killed", count, "--workers", "2")
        seconds += again.watch()
        check(again, reference)
        remark = f"{len(before)} done when killed, {count - len(before)} after; each once; same bytes"
        note("2 workers, killed at half, resumed", seconds, again, remark)

        if not options.no_cluster:
            run, seconds, lost, told = on_cluster(folder / "in", folder / "ray", count)
            assert run.process.returncode == 0, told
            counts = noted(folder / "ray")
            assert len(counts) == count and set(counts.values()) == {1}
            assert results(folder / "ray") == reference, "the bytes differ"
            note(
                "Ray, 2 nodes, 1 killed at half",
                seconds,
                run,
                f"{lost} went with it, done elsewhere; same bytes",
            )
    finally:
        shutil.rmtree(folder)

    head = [
        "run",
        "s",
        "s a recording",
        "peak MB, main process",
        "peak MB, largest process",
        "what came of it",
    ]
    text = f"""# Archives

{count:,} recordings of one second, RTTM and JSON each; default models, one thread a worker. Every run wrote the same
{2 * count:,} files, byte for byte, and its journal names every recording exactly once.

{table(head, rows)}

Seconds are from start to end of the program, models loaded, the time until the kill included, and on Ray the time
to notice the dead node. The workers of Ray belong to the cluster: their memory is not in the table. The load before
the runs was {load:.1f}: figures of time count only where it is near 0; what came of it counts always.

`python -m benchmarks.cost.archive` at {facts["commit"]}; {facts["machine"]}.
"""
    save("archive", text, facts)
    print(text)


if __name__ == "__main__":
    main()
