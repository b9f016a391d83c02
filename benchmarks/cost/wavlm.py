"""Cost of a WavLM tagger: SpeechBrain's interface (one pass) and ours (windows), with the same weights.

    python -m benchmarks.cost.wavlm                          10 s, 60 s, 2 and 10 minutes, two threads
    python -m benchmarks.cost.wavlm --seconds 10 60 --rounds 5

Random weights of WavLM-base size in the layout of speechbrain/emotion-diarization-wavlm-large, created here: the
cost does not depend on their values. The audio is demo/conversation.flac, repeated. Each measurement is a separate
process that loads the model, then diarizes a file; the two alternate. Times are those of the file
(reading included, loading not), memory is the peak resident set that the kernel reports for the process. The address
space of every process is limited, so that a pass which needs more memory than the machine has fails without disturbing
the machine. Writes results/wavlm.md and .json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.cost.wavlm_model import LETTERS, write_model
from benchmarks.lib.report import commit, machine, save, table

ROOT = Path(__file__).resolve().parents[2]
RATE = 16_000
KINDS = ("speechbrain", "sed")


def write_audio(path: Path, seconds: float) -> None:
    """The demo conversation, repeated to `seconds`, 16-bit WAV."""
    samples, rate = soundfile.read(ROOT / "demo" / "conversation.flac", dtype="int16")
    if rate != RATE or samples.ndim != 1:
        raise SystemExit(f"found {rate} Hz in {samples.ndim} dimensions, expected {RATE} Hz, one channel")
    soundfile.write(path, np.resize(samples, round(seconds * RATE)), RATE, subtype="PCM_16")


def child(
    kind: str, folder: Path, audio: Path, threads: int, limit: int, passes: int, out: Path | None
) -> None:
    """One measurement, in this process; prints JSON. With `out` the posteriors are written there."""
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    import torch

    import sed.networks  # noqa: F401  (torchaudio imports after this)

    torch.set_num_threads(threads)
    started = time.perf_counter()
    if kind == "speechbrain":
        from speechbrain.inference.diarization import Speech_Emotion_Diarization

        theirs = Speech_Emotion_Diarization.from_hparams(
            source=str(folder), savedir=str(folder / "run"), run_opts={"device": "cpu"}
        )

        def work() -> None:
            theirs.diarize_file(str(audio))
    else:
        from sed.audio import open_audio
        from sed.emotion import load_tagger
        from sed.emotion.windows import PosteriorStream

        ours = load_tagger(folder, threads=threads, device="cpu")
        kept: list[np.ndarray] = []

        def work() -> None:
            stream = PosteriorStream(ours)
            with open_audio(audio) as blocks:
                parts = [stream.push(block) for block in blocks]
            kept[:] = [np.concatenate([*parts, stream.close()])]
            kept[0].argmax(1)

    found: dict[str, Any] = {"load": time.perf_counter() - started, "wall": [], "cpu": []}
    try:
        for _ in range(passes):
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            found["wall"].append(time.perf_counter() - wall)
            found["cpu"].append(time.process_time() - cpu)
    except (RuntimeError, MemoryError) as error:
        found["failed"] = " ".join(str(error).split())
    unit = 1 if sys.platform == "darwin" else 1024
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    if (
        out is not None and kind == "speechbrain"
    ):  # after measuring, as the interface itself returns no scores
        with torch.no_grad():
            samples = theirs.load_audio(str(audio))[None]
            states = theirs.hparams.avg_pool(theirs.encode_batch(samples, torch.tensor([1.0])))
            scores = theirs.hparams.log_softmax(theirs.mods.output_mlp(states))[0].exp().numpy()
        index = theirs.hparams.label_encoder.lab2ind
        np.save(out, scores[:, [index[letter] for letter in LETTERS]])
    elif out is not None:
        np.save(out, kept[0][:, [ours.labels.index(word) for word in LETTERS.values()]])
    print(json.dumps(found))


def measure(
    kind: str, folder: Path, audio: Path, arguments: argparse.Namespace, out: Path | None
) -> dict[str, Any]:
    """One measurement in a separate process, started by a small one, as a child's peak starts at its parent's."""
    command = [sys.executable, "-m", "benchmarks.cost.wavlm", "--child", kind, str(folder), str(audio)]
    command += ["--threads", str(arguments.threads), "--limit", str(arguments.limit)]
    command += ["--passes", str(arguments.passes if out is not None else 1)] + (
        ["--out", str(out)] if out else []
    )
    small = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    # Waiting threads sleep instead of spinning, as other jobs may use the machine.
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_WAIT_POLICY": "passive",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", small, *command], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        return {
            "failed": f"exit status {done.returncode}: {done.stderr.strip()[-300:]}",
            "wall": [],
            "cpu": [],
        }
    return json.loads(done.stdout.splitlines()[-1])


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over all passes of all processes; failures are kept."""
    failed = [run["failed"] for run in runs if "failed" in run]
    wall = [value for run in runs for value in run["wall"]]
    cpu = [value for run in runs for value in run["cpu"]]
    found: dict[str, Any] = {"runs": runs}
    if failed or not wall:
        return {
            **found,
            "failed": failed[0] if failed else "no pass",
            "peak_mb": max(r.get("peak_mb", 0) for r in runs),
        }
    return {
        **found,
        "wall": statistics.median(wall),
        "least_wall": min(wall),
        "cpu": statistics.median(cpu),
        "peak_mb": statistics.median(run["peak_mb"] for run in runs),
        "load": statistics.median(run["load"] for run in runs),
    }


def length(seconds: float) -> str:
    """``10 s`` or ``10 min``."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def report(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    rows, failures = [], []
    for row in found["rows"]:
        theirs, ours = row["speechbrain"], row["sed"]
        cells: list[Any] = [length(row["seconds"])]
        for name, digits in (("wall", 2), ("cpu", 2), ("peak_mb", 0)):
            values = [part.get(name) if "failed" not in part else None for part in (theirs, ours)]
            cells += ["fails" if value is None else f"{value:.{digits}f}" for value in values]
            cells.append("" if None in values else f"{values[0] / values[1]:.2f}")
        rows.append(cells)
        failures += [
            f"- {length(row['seconds'])}, {kind}: {row[kind]['failed']} (peak until then {row[kind]['peak_mb']:.0f} MB)"
            for kind in KINDS
            if "failed" in row[kind]
        ]
    agreement = found["agreement"]
    lines = [
        "# WavLM: SpeechBrain's interface against ours",
        "",
        f"`python -m benchmarks.cost.wavlm`, commit {found['commit']}. {found['machine']}. Load average at the start "
        f"{found['load'][0]:.1f}, at the end {found['load'][1]:.1f}: other jobs share the processor, so wall times "
        "are worth less than their ratios and processor times.",
        "",
        f"The same random weights of WavLM-base size for both, {found['threads']} threads (OMP_WAIT_POLICY=passive: "
        "waiting threads sleep), fp32. Theirs: "
        "`Speech_Emotion_Diarization.diarize_file`, the whole file in one pass. Ours: windows of "
        f"{found['window']:.0f} s that overlap by a fifth. Each measurement is a separate process, the two alternate; "
        "medians. Ratio: theirs / ours, so above 1 is in our favour.",
        "",
        table(
            [
                "audio",
                "wall s: theirs",
                "ours",
                "ratio",
                "processor s: theirs",
                "ours",
                "ratio",
                "peak MB: theirs",
                "ours",
                "ratio",
            ],
            rows,
        ),
    ]
    if failures:
        limit = found["limit"] / 1e9
        lines += [
            "",
            f"Every process may have {limit:.0f} GB of address space. Failures and their messages:",
            "",
            *failures,
        ]
    lines += [
        "",
        f"Agreement on {length(agreement['seconds'])}: {agreement['frames']} frames, largest difference of a "
        f"probability {agreement['difference']:.1g}, the same label in {100 * agreement['same']:.2f} % of frames. Ours "
        f"has {agreement['more']} frame more: theirs leaves out the end.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run everything, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 60, 120, 600])
    parser.add_argument(
        "--rounds", type=int, default=3, help="processes of each kind up to a minute of audio"
    )
    parser.add_argument("--passes", type=int, default=3, help="passes in a process, at the shortest length")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--limit", type=int, default=14_000_000_000, help="bytes of address space of a process"
    )
    parser.add_argument("--name", default="wavlm", help="of the result files")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, folder, audio = arguments.child
        out = arguments.out
        child(kind, Path(folder), Path(audio), arguments.threads, arguments.limit, arguments.passes, out)
        return
    from sed.emotion.wavlm import WINDOW

    found: dict[str, Any] = {
        "machine": machine(("torch", "transformers", "speechbrain")),
        "commit": commit(),
        "threads": arguments.threads,
        "limit": arguments.limit,
        "window": WINDOW / RATE,
        "rows": [],
    }
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_model(folder)
        for seconds in arguments.seconds:
            audio = folder / "audio.wav"
            write_audio(audio, seconds)
            first = seconds == arguments.seconds[0]
            runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
            for _ in range(arguments.rounds if seconds <= 60 else 1):
                for kind in KINDS:
                    out = folder / f"{kind}.npy" if first else None
                    runs[kind].append(measure(kind, folder, audio, arguments, out))
                    print(seconds, kind, runs[kind][-1], file=sys.stderr, flush=True)
            found["rows"].append({"seconds": seconds, **{kind: summarise(runs[kind]) for kind in KINDS}})
            if first:
                theirs, ours = (np.load(folder / f"{kind}.npy") for kind in KINDS)
                both = ours[: len(theirs)]
                found["agreement"] = {
                    "seconds": seconds,
                    "frames": len(theirs),
                    "more": len(ours) - len(theirs),
                    "difference": float(np.abs(both - theirs).max()),
                    "same": float((both.argmax(1) == theirs.argmax(1)).mean()),
                }
            found["load"] = [load, os.getloadavg()[0]]
            save(arguments.name, report(found), found)  # keeps the measurements so far
    print(report(found))


if __name__ == "__main__":
    main()
