"""What `sed-run` costs: time and memory of the whole command, start-up, and where the time goes.

    python benchmarks/cost.py --shared ../shared                  10 minutes and 2 hours, 1 and 2 threads
    python benchmarks/cost.py --shared ../shared --minutes 10     the short one only

The conversations are simulated (four speakers, rooms, noise), written as 16 kHz WAV to a temporary folder.
Each run is a process of its own: real-time factor is its wall time over the recording's duration, memory the
peak resident set that the kernel reports for it. Writes results/cost.md and .json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from report import commit, machine, save, table

from sed.grid import SAMPLE_RATE
from sed.training.conversation_sets import load_speakers
from sed.training.conversations import ConversationOptions, simulate_conversation

SPEAKERS = (
    "emodb/emodb_15",
    "kaist/kaist_neo",
    "nemo/nemo_WR0",
    "ravdess/ravdess_22",
)  # nothing is learnt or chosen here
CHUNK = 300.0  # seconds simulated at once: bounds the memory of this script
BIN = Path(sys.executable).parent


def make_recording(path: Path, minutes: float, corpora: Path) -> float:
    """Write a conversation of `minutes` to `path`, 16-bit WAV; returns its exact duration in seconds."""
    people = load_speakers(corpora, SPEAKERS)
    left = round(minutes * 60 * SAMPLE_RATE)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, subtype="PCM_16") as file:
        for seed in range(10_000):
            options = ConversationOptions(duration=min(CHUNK, left / SAMPLE_RATE))
            samples, _ = simulate_conversation(people, seed, options)
            file.write(samples[:left])
            left -= len(samples)
            if left <= 0:
                break
    return soundfile.info(path).frames / SAMPLE_RATE


# A child's peak begins at that of the process which started it (Linux keeps it across exec), so a small process
# of its own starts and measures the command, not this one with its models and arrays.
MEASURE = """
import json, os, sys, time
started = time.perf_counter()
devnull = os.open(os.devnull, os.O_WRONLY)
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, devnull, 1)])
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - started
print(json.dumps([os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
"""


def run(command: Sequence[str | Path]) -> dict[str, float]:
    """Wall and processor seconds, and peak resident MB, of one process; raises where it fails."""
    words = [str(part) for part in command]
    measured = subprocess.run([sys.executable, "-SEc", MEASURE, *words], stdout=subprocess.PIPE, check=True)
    code, wall, cpu, peak = json.loads(measured.stdout)
    if code:
        raise SystemExit(f"{' '.join(words)}: exit status {code}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes; the kernels disagree
    return {"wall": wall, "cpu": cpu, "peak_mb": peak * unit / 1e6}


def start_up(times: int = 9) -> dict[str, float]:
    """Median wall seconds of `sed-run --help`, ``import sed`` beyond a bare Python, and bare Python."""
    commands: dict[str, list[str | Path]] = {
        "sed-run --help": [BIN / "sed-run", "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import sed'": [sys.executable, "-c", "import sed"],
    }
    for command in commands.values():
        run(command)  # fills the disk cache
    return {
        name: statistics.median(run(command)["wall"] for _ in range(times))
        for name, command in commands.items()
    }


def stages(path: Path, threads: int = 1) -> dict[str, float]:
    """Processor seconds of each stage over the recording at `path`, one after the other in this process."""
    from sed.audio import open_audio
    from sed.emotion import load_tagger
    from sed.emotion.windows import PosteriorStream
    from sed.formats import write
    from sed.joining import join
    from sed.result import Diarization
    from sed.speakers import make_diarizer

    found: dict[str, float] = {}

    def timed(name: str, started: float) -> None:
        found[name] = time.process_time() - started

    started = time.process_time()
    tagger, diarizer = load_tagger(threads=threads), make_diarizer(threads=threads)
    session, stream = diarizer.begin(), PosteriorStream(tagger)
    timed("loading the models", started)
    started = time.process_time()
    with open_audio(path) as audio:
        blocks = list(audio)
    timed("reading audio", started)
    started = time.process_time()
    for block in blocks:
        session.push(block)
    timed("speech and speaker embeddings", started)
    started = time.process_time()
    turns = session.close()
    timed("clustering and turns", started)
    started = time.process_time()
    posteriors = np.concatenate([*(stream.push(block) for block in blocks), stream.close()])
    timed("emotion", started)
    started = time.process_time()
    duration = sum(map(len, blocks)) / SAMPLE_RATE
    segments = join(turns, posteriors, tagger.labels, duration)
    timed("decoding", started)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        write(Diarization("x", duration, segments, tagger.labels, posteriors), Path(folder) / "x.json")
    timed("writing json", started)
    return found


def report(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    rows = [
        [
            f"{row['duration'] / 60:.0f} min",
            row["threads"],
            f"{row['wall']:.1f}",
            f"{row['wall'] / row['duration']:.4f}",
            f"{row['cpu'] / row['duration']:.4f}",
            f"{row['peak_mb']:.0f}",
        ]
        for row in found["runs"]
    ]
    whole, seconds = found["stages_duration"], sum(found["stages"].values())
    return "\n".join(
        [
            "# Cost",
            "",
            f"`python benchmarks/cost.py`, commit {found['commit']}. {found['machine']}. Load average at the "
            f"start {found['load']:.1f}.",
            "",
            "The whole command, `sed-run conversation.wav -o rttm --threads N`, as a process of its own:",
            "",
            table(
                ["recording", "threads", "wall s", "of real time", "processor of real time", "peak MB"], rows
            ),
            "",
            f"Start-up, median of nine, seconds of wall time (`import sed` alone: {found['import']:.3f}):",
            "",
            table(["command", "s"], [[name, f"{value:.3f}"] for name, value in found["start_up"].items()]),
            "",
            f"Where the time goes, {whole / 60:.0f} min on one thread, one stage after the other, in "
            "processor seconds:",
            "",
            table(
                ["stage", "s", "of real time", "share"],
                [
                    [name, f"{value:.2f}", f"{value / whole:.4f}", f"{100 * value / seconds:.0f} %"]
                    for name, value in found["stages"].items()
                ],
            ),
        ]
    )


def main() -> None:
    """Run everything, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 120])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--name", default="cost", help="of the result files")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "commit": commit(), "load": os.getloadavg()[0], "runs": []}
    found["start_up"] = start_up()
    found["import"] = found["start_up"]["python -c 'import sed'"] - found["start_up"]["python -c pass"]
    with tempfile.TemporaryDirectory() as folder:
        for minutes in arguments.minutes:
            path = Path(folder) / "conversation.wav"
            duration = make_recording(path, minutes, arguments.shared / "corpora")
            if "stages" not in found:
                found["stages"], found["stages_duration"] = stages(path), duration
            for threads in arguments.threads:
                command = [BIN / "sed-run", path, "-o", "rttm", "--threads", str(threads), "--quiet"]
                row = {"duration": duration, "threads": threads, **run(command)}
                found["runs"].append(row)
                print(row, file=sys.stderr, flush=True)
    text = report(found)
    print(text)
    save(arguments.name, text, found)


if __name__ == "__main__":
    main()
