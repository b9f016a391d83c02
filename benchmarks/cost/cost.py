"""Cost of `sed-run`: time and memory of the whole command by length, threads and files, and time by stage.

    python -m benchmarks.cost.cost --shared ../shared                  1 min to 10 h, 1 and 2 threads
    python -m benchmarks.cost.cost --shared ../shared --quick          to 1 h
    python -m benchmarks.cost.cost --shared ../shared --minutes 10     only this length

The conversations are simulated (four speakers, rooms, noise), repeated if a recording is longer, and written as 16
kHz WAV to a temporary folder, from which `sed-run` reads them in blocks. Each run is a separate process: real-time
factor is its wall time over the recording's duration, memory the peak resident set that the kernel reports for it.
Writes results/cost.{md,json,png}.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.cost.stages import stage_table, stages
from benchmarks.lib import plots
from benchmarks.lib.processes import run
from benchmarks.lib.report import commit, machine, save, table
from sed.grid import SAMPLE_RATE
from sed.simulation.conversation import ConversationOptions, simulate_conversation
from sed.simulation.sets import load_speakers

SPEAKERS = (
    "emodb/emodb_15",
    "kaist/kaist_neo",
    "nemo/nemo_WR0",
    "ravdess/ravdess_22",
)  # nothing is trained or tuned here
LENGTHS, QUICK = (1, 10, 60, 600), (1, 10, 60)
PROFILED = 10  # minutes of the recording whose stages are timed
FILES = (1, 4, 16)
CHUNK, CHUNKS = 300.0, 4  # seconds of one conversation, and number of different ones
BIN = Path(sys.executable).parent
GOAL = "One hour of conversation in under 90 s with two threads, peak under 700 MB."


def conversations(corpora: Path) -> list[np.ndarray]:
    """`CHUNKS` conversations of the same four speakers, ``(n,)`` float32."""
    speakers = load_speakers(corpora, SPEAKERS)
    options = ConversationOptions(duration=CHUNK)
    return [simulate_conversation(speakers, seed, options)[0] for seed in range(CHUNKS)]


def make_recording(path: Path, minutes: float, material: list[np.ndarray]) -> float:
    """Write `minutes` of `material`, repeated as needed, to `path`, 16-bit WAV; returns its duration in seconds."""
    left = round(minutes * 60 * SAMPLE_RATE)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, subtype="PCM_16") as file:
        while left > 0:
            for samples in material:
                file.write(samples[: max(0, left)])
                left -= len(samples)
    return soundfile.info(path).frames / SAMPLE_RATE


def start_up(times: int = 5) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of `sed-run --help`, ``import sed`` and bare Python."""
    commands: dict[str, list[str | Path]] = {
        "sed-run --help": [BIN / "sed-run", "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import sed'": [sys.executable, "-c", "import sed"],
    }
    for command in commands.values():
        run(command)  # fills the disk cache
    found = {}
    for name, command in commands.items():
        runs = [run(command) for _ in range(times)]
        wall, cpu = (statistics.median(one[what] for one in runs) for what in ("wall", "cpu"))
        found[name] = wall, cpu
    return found


def lengths(folder: Path, material: list[np.ndarray], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per length and number of threads."""
    rows = []
    path = folder / "conversation.wav"
    for minutes in arguments.minutes:
        duration = make_recording(path, minutes, material)
        for threads in arguments.threads if minutes <= max(QUICK) else arguments.threads[-1:]:
            command = [BIN / "sed-run", path, "-o", "rttm", "--threads", str(threads), "--quiet"]
            rows.append({"duration": duration, "threads": threads, **run(command)})
            print(rows[-1], file=sys.stderr, flush=True)
    path.unlink(missing_ok=True)
    return rows


def files(folder: Path, material: list[np.ndarray]) -> list[dict[str, Any]]:
    """One row per number of files of one minute in one command, on one thread."""
    rows = []
    paths = [folder / f"call{number:02d}.wav" for number in range(max(FILES))]
    for number, path in enumerate(paths):
        start = number * 60 * SAMPLE_RATE
        minute = np.take(np.concatenate(material), np.arange(start, start + 60 * SAMPLE_RATE), mode="wrap")
        soundfile.write(path, minute, SAMPLE_RATE, subtype="PCM_16")
    for count in FILES:
        command = [BIN / "sed-run", *paths[:count], "-o", "rttm", "-d", folder / f"out{count}", "--quiet"]
        rows.append({"files": count, **run(command)})
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


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
    many = [
        [r["files"], f"{r['wall']:.1f}", f"{r['wall'] / r['files']:.2f}", f"{r['cpu'] / r['files']:.2f}"]
        + [f"{r['peak_mb']:.0f}"]
        for r in found["files"]
    ]
    sections = [
        "# Cost",
        f"`python -m benchmarks.cost.cost`, commit {found['commit']}. {found['machine']}. Load average at the start "
        f"{found['load'][0]:.1f}, at the end {found['load'][1]:.1f}: wall times include the effect of this "
        "load.",
        f"![Time and memory by length, and stages](cost.png)\n\nGoal: {GOAL}",
        "The whole command, `sed-run conversation.wav -o rttm --threads N`, in a separate process:",
        table(["recording", "threads", "wall s", "of real time", "processor of real time", "peak MB"], rows),
    ]
    if many:
        sections += [
            "One command for several files of one minute each, one thread (the models are loaded once):",
            table(["files", "wall s", "wall s per file", "processor s per file", "peak MB"], many),
        ]
    sections += [
        f"Start-up, median of five (`import sed` alone: {found['import']:.3f} s of processor time):",
        table(
            ["command", "wall s", "processor s"],
            [[name, *(f"{value:.3f}" for value in values)] for name, values in found["start_up"].items()],
        ),
        f"Time by stage, {found['profiled'] / 60:.0f} min on one thread, in processor seconds:",
        stage_table(found["stages"], found["profiled"]),
    ]
    return "\n\n".join(sections)


def picture(found: dict[str, Any], trial: bool = False) -> None:
    """Time and memory by length, and the stages, into results/cost.png."""
    figure, (left, middle, right) = plots.panels(3, (14, 4.4), (1, 1, 1.3))
    time: dict[str, list[tuple[float, float]]] = {}
    memory: dict[str, list[tuple[float, float]]] = {}
    for row in found["runs"]:
        name = f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
        time.setdefault(name, []).append((row["duration"] / 60, 3600 * row["wall"] / row["duration"]))
        memory.setdefault(name, []).append((row["duration"] / 60, row["peak_mb"]))
    plots.lines(left, time, "length of the recording (min)", "wall s per hour of audio", "Time")
    plots.lines(middle, memory, "length of the recording (min)", "peak resident memory (MB)", "Memory")
    shares = {name: value for name, value in found["stages"].items() if value > 0}
    places = range(len(shares))
    values = [3600 * value / found["profiled"] for value in shares.values()]
    right.barh(places, values, color=plots.COLOURS[0])
    right.set_yticks(places, shares)
    right.invert_yaxis()
    right.tick_params(axis="y", length=0)
    for place, value in zip(places, values, strict=True):
        right.annotate(f" {value:.1f}", (value, place), va="center", fontsize=8)
    right.set_xlim(0, 1.12 * max(values))
    right.set_xlabel("processor s per hour of audio")
    right.set_title("Time by stage, one thread", fontsize=10, loc="left")
    plots.store(figure, "cost", trial)


def main() -> None:
    """Run everything, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--minutes", type=float, nargs="+", default=LENGTHS)
    parser.add_argument("--quick", action="store_true", help=f"lengths of {QUICK} min only")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--trial", action="store_true", help="save nothing")
    parser.add_argument("--no-files", action="store_true", help="leave out the runs over several files")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.minutes = QUICK
    found: dict[str, Any] = {"machine": machine(), "commit": commit(), "load": [os.getloadavg()[0]]}
    found["start_up"] = start_up()
    bare, imported = found["start_up"]["python -c pass"], found["start_up"]["python -c 'import sed'"]
    found["import"] = imported[1] - bare[1]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        material = conversations(arguments.shared / "corpora")
        make_recording(folder / "profiled.wav", min(PROFILED, max(arguments.minutes)), material)
        found["stages"], found["profiled"] = stages(folder / "profiled.wav")
        found["runs"] = lengths(folder, material, arguments)
        found["files"] = [] if arguments.no_files else files(folder, material)
    found["load"].append(os.getloadavg()[0])
    picture(found, arguments.trial)
    text = report(found)
    print(text)
    if not arguments.trial:
        save("cost", text, found)


if __name__ == "__main__":
    main()
