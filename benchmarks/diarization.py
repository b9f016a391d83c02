"""Speaker diarization: ours against pyannote.audio's own pipeline on the same segmentation-3.0 and CAM++.

    python benchmarks/diarization.py ../shared            # the table, into benchmarks/results/diarization.md
    python benchmarks/diarization.py ../shared --tune      # our numbers, on part train and `train` speakers only
    python benchmarks/diarization.py ../shared --tune-peer # pyannote's clustering threshold, on the same

In: the AMI clips (parts train, development, test), and conversations simulated from the corpora. Out: DER by
pyannote.metrics, overlap scored, with collars of 0 and 0.25 s each side, in the scored regions; missed speech,
false alarm and confusion in percent of the speech; processor time over audio time on one thread. Intervals are 95 %
bootstrap over recordings.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sed.grid import FRAME_RATE, SAMPLE_RATE, samples_to_seconds
from sed.scoring.uncertainty import bootstrap
from sed.speakers import SegmentationDiarizer, Turns, VoiceActivityDiarizer
from sed.speakers.clustering import ClusteringOptions
from sed.speakers.diarizer import DiarizationOptions, name_stretches
from sed.speakers.smoothing import runs, turns_of

PARTS = ("train", "development", "test")
COLLARS = (0.0, 0.25)
RESULT = Path(__file__).resolve().parent / "results" / "diarization.md"


@dataclass(frozen=True, eq=False)
class Recording:
    """Audio ``(n,)`` at 16 kHz with its reference and scored region (pyannote.core), and what set it is of."""

    part: str
    uri: str
    samples: np.ndarray
    reference: Any
    region: Any


def meetings(shared: Path, parts: Sequence[str] = PARTS) -> Iterator[Recording]:
    """The AMI clips of `parts`."""
    import soundfile
    from pyannote.core import Annotation, Segment, Timeline

    folder = shared / "conversations"
    for part in parts:
        references: dict[str, Annotation] = {}
        for number, line in enumerate((folder / f"debug.{part}.rttm").read_text("utf-8").splitlines()):
            _, uri, _, start, duration, _, _, speaker, *_ = line.split()
            interval = Segment(float(start), float(start) + float(duration))
            references.setdefault(uri, Annotation(uri=uri))[interval, number] = speaker
        for line in (folder / f"debug.{part}.uem").read_text("utf-8").splitlines():
            uri, _, start, end = line.split()
            samples = soundfile.read(folder / f"{uri}.wav", dtype="float32")[0]
            yield Recording(
                f"AMI {part}", uri, samples, references[uri], Timeline([Segment(float(start), float(end))])
            )


def simulated(shared: Path, split: str, count: int, seed: int) -> Iterator[Recording]:
    """Emotional conversations of 2-4 speakers of `split`, 60 s each."""
    from pyannote.core import Segment, Timeline

    from sed.training.conversation_sets import conversation_set

    for casting, samples, reference in conversation_set(shared / "corpora", split, count, seed=seed):
        region = Timeline([Segment(0, samples_to_seconds(len(samples)))])
        kind = "several corpora" if casting.mixed else "one corpus"
        yield Recording(
            f"simulated {split}, {kind}", casting.uri, np.float32(samples), reference.speakers, region
        )


def annotation_of(turns: Turns, uri: str) -> Any:
    """`turns` as a `pyannote.core.Annotation`."""
    from pyannote.core import Annotation, Segment

    annotation = Annotation(uri=uri)
    for name, column in zip(turns.names, turns.active.T, strict=True):
        for start, end in runs(column):
            annotation[Segment(start / FRAME_RATE, end / FRAME_RATE), name] = name
    return annotation


def errors(recording: Recording, turns: Turns, collar: float) -> np.ndarray:
    """Seconds of missed speech, false alarm, confusion, and of speech in all."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    found = DiarizationErrorRate(collar=2 * collar, skip_overlap=False)(
        recording.reference, annotation_of(turns, recording.uri), uem=recording.region, detailed=True
    )
    return np.array([found[name] for name in ("missed detection", "false alarm", "confusion", "total")])


def diarize(diarizer: Any, samples: np.ndarray) -> Turns:
    """All of a recording at once."""
    session = diarizer.begin()
    session.push(samples)
    return session.close()


def systems(shared: Path) -> dict[str, Callable[[], Any]]:
    """What is compared, by name; each is made on one thread when its turn comes."""

    def windows() -> Any:
        from sed.speech.silero import SileroDetector

        return VoiceActivityDiarizer(SileroDetector())

    def peer() -> Any:
        from sed.speakers.pyannote import PyannoteDiarizer

        return PyannoteDiarizer(shared / "models" / "pyannote-segmentation-3.0")

    return {
        "ours (segmentation)": SegmentationDiarizer,
        "ours (--vad silero)": windows,
        "pyannote.audio pipeline": peer,
    }


def measure(recordings: Sequence[Recording], make: Callable[[], Any]) -> list[dict[str, Any]]:
    """A row for each set of recordings: errors of each recording and collar, speakers, processor time."""
    diarizer = make()
    diarize(diarizer, np.zeros(SAMPLE_RATE, np.float32))  # what is loaded on first use is not counted
    rows: dict[str, dict[str, Any]] = {}
    for recording in recordings:
        row = rows.setdefault(
            recording.part, {"part": recording.part, "time": 0.0, "audio": 0.0, "count": [], "errors": []}
        )
        started = time.process_time()
        turns = diarize(diarizer, recording.samples)
        row["time"] += time.process_time() - started
        row["audio"] += samples_to_seconds(len(recording.samples))
        row["count"].append(len(turns.names) - len(recording.reference.labels()))
        row["errors"].append([errors(recording, turns, collar) for collar in COLLARS])
    return list(rows.values())


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """The results in Markdown."""
    lines = [
        "| recordings | system | DER % (95 %) | missed | false alarm | confusion | DER %, collar 0.25 s "
        "| speakers off by | processor time / audio time |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    parts = [row["part"] for row in next(iter(results.values()))]
    for part in parts:
        for name, rows in results.items():
            row = next(row for row in rows if row["part"] == part)
            plain, forgiving = np.array(row["errors"]).transpose(1, 0, 2)
            total = plain[:, 3].sum()
            low, high = bootstrap(plain[:, :3].sum(1), plain[:, 3])
            shares = " | ".join(f"{100 * value:.1f}" for value in plain[:, :3].sum(0) / total)
            lines.append(
                f"| {part} ({len(plain)}) | {name} | {100 * plain[:, :3].sum() / total:.1f} "
                f"({100 * low:.1f}-{100 * high:.1f}) | {shares} "
                f"| {100 * forgiving[:, :3].sum() / forgiving[:, 3].sum():.1f} "
                f"| {np.abs(row['count']).mean():.2f} | {row['time'] / row['audio']:.4f} |"
            )
    return "\n".join(lines)


def machine() -> str:
    """What this runs on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = found[0] if found else model
    return f"{model}, {os.cpu_count()} cores, one thread, Python {platform.python_version()}"


def tuning_set(shared: Path) -> list[Recording]:
    """What may be tuned on: AMI clips of part train, and conversations of `train` speakers."""
    return [*meetings(shared, ["train"]), *simulated(shared, "train", 24, seed=11)]


def tune(shared: Path) -> None:
    """Print the DER of our clustering numbers on the tuning set; the networks run once."""
    recordings, heard = tuning_set(shared), []
    diarizer = SegmentationDiarizer()
    for recording in recordings:
        session = diarizer.begin()
        session.push(recording.samples)
        heard.append((session.close(), session.stretches))
    plain = DiarizationOptions()
    for threshold in (0.35, 0.38, 0.41, 0.44):
        for apart in (0.0, 0.2, 0.4):
            for share in (0.02, 0.04, 0.06):
                options = ClusteringOptions(threshold, apart, smallest_share=share)
                by_part: dict[str, list[np.ndarray]] = {}
                for recording, (turns, stretches) in zip(recordings, heard, strict=True):
                    people = name_stretches(stretches, options)
                    active = np.zeros((len(turns.active), int(people.max(initial=-1)) + 1), bool)
                    for stretch, person in zip(stretches, people, strict=True):
                        if person >= 0:
                            active[stretch.start : stretch.end, person] |= stretch.active
                    named = turns_of(active, *(round(s * FRAME_RATE) for s in (plain.fill, plain.shortest)))
                    by_part.setdefault(recording.part, []).append(errors(recording, named, 0.0))
                report(options, by_part)


def tune_peer(shared: Path) -> None:
    """Print the DER of pyannote's clustering thresholds on the tuning set; the networks run once."""
    import torch

    from sed.speakers.pyannote import SMALLEST_CLUSTER, PyannoteDiarizer

    diarizer = PyannoteDiarizer(shared / "models" / "pyannote-segmentation-3.0")
    pipeline = diarizer.pipeline
    pipeline.training = True  # it then keeps what the networks gave in the file's dictionary
    recordings = tuning_set(shared)
    files: list[dict[str, Any]] = [
        {"uri": r.uri, "waveform": torch.from_numpy(r.samples)[None], "sample_rate": SAMPLE_RATE}
        for r in recordings
    ]
    for smallest in (3, 6, SMALLEST_CLUSTER):
        for threshold in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8):
            clustering = {"method": "centroid", "min_cluster_size": smallest, "threshold": threshold}
            pipeline.instantiate({"segmentation": {"min_duration_off": 0.0}, "clustering": clustering})
            by_part: dict[str, list[np.ndarray]] = {}
            for recording, file in zip(recordings, files, strict=True):
                found = pipeline(file).speaker_diarization
                active = np.zeros((len(recording.samples) // 320 + 1, len(found.labels())), bool)
                for interval, _, name in found.itertracks(yield_label=True):
                    start, end = (round(t * FRAME_RATE) for t in (interval.start, interval.end))
                    active[max(0, start) : end, found.labels().index(name)] = True
                by_part.setdefault(recording.part, []).append(errors(recording, turns_of(active), 0.0))
            report(clustering, by_part)


def report(options: Any, by_part: dict[str, list[np.ndarray]]) -> None:
    """Print one line of a search."""
    rates = {part: float(np.sum(rows, 0)[:3].sum() / np.sum(rows, 0)[3]) for part, rows in by_part.items()}
    parts = "  ".join(f"{part} {100 * rate:.2f}" for part, rate in rates.items())
    print(f"{100 * np.mean(list(rates.values())):.2f}  {parts}  {options}", flush=True)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with models/, corpora/ and conversations/")
    parser.add_argument("--simulated", type=int, default=24, help="conversations of `test` speakers")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULT)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--tune", action="store_true")
    choice.add_argument("--tune-peer", action="store_true")
    arguments = parser.parse_args()
    if arguments.tune or arguments.tune_peer:
        (tune if arguments.tune else tune_peer)(arguments.shared)
        return
    recordings = [*meetings(arguments.shared)]
    recordings += simulated(arguments.shared, "test", arguments.simulated, arguments.seed)
    results = {name: measure(recordings, make) for name, make in systems(arguments.shared).items()}
    text = "\n".join([(__doc__ or "").split("\n\n")[0], "", machine(), "", table(results), ""])
    arguments.output.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
