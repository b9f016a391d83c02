"""What a shorter latency costs: error rates at 0.5, 1, 2 and 5 s with offline as the last point, and compute.

    python benchmarks/latency.py --shared ../shared

Seeded. Simulated conversations of `test` speakers (who felt what) and AMI clips of parts development and test
(who speaks). Writes results/latency.md, .json and .png and prints the tables. Networks remember what they
answered to a window of audio, since latencies share windows; compute is measured apart, without memory, as
processor time of one stream on one thread.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from accuracy import Score, pooled
from report import RESULTS, commit, machine, percent, save, table

from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.formats import read_all, read_uem
from sed.grid import SAMPLE_RATE
from sed.scoring import der, eder, joint_error
from sed.speakers import SegmentationDiarizer
from sed.training.conversation_sets import conversation_set

LATENCIES = (0.5, 1.0, 2.0, 5.0, None)
MEASURES = ("der_meetings", "der", "eder", "joint")
TITLES = ("DER, AMI", "DER, simulated", "EDER, simulated", "joint error, simulated")
PARTS = ("development", "test")


class Remembering:
    """A function of an array that is computed once for each content."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self._function, self._memory = function, {}

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """What the function says."""
        array = np.ascontiguousarray(array)
        key = hashlib.blake2b(array.tobytes() + str(array.shape).encode(), digest_size=16).digest()
        if key not in self._memory:
            self._memory[key] = self._function(array)
        return self._memory[key].copy()

    def forget(self) -> None:
        """Start afresh."""
        self._memory.clear()


class Models:
    """The bundled networks, of which any number of diarizers can be made."""

    def __init__(self, tagger: str | None) -> None:
        self.tagger = load_tagger(tagger)
        self.speakers = SegmentationDiarizer()

    def remember(self) -> list[Remembering]:
        """Let every network remember; returns the memories."""
        self.tagger.posteriors = Remembering(self.tagger.posteriors)  # type: ignore[method-assign]
        network = self.speakers.segmentation
        network.activities = Remembering(network.activities)  # type: ignore[method-assign]
        self.speakers.embedding = Remembering(self.speakers.embedding)  # type: ignore[assignment]
        return [self.tagger.posteriors, network.activities, self.speakers.embedding]  # type: ignore[list-item]

    def at(self, latency: float | None) -> EmotionDiarizer:
        """A diarizer at that latency."""
        return EmotionDiarizer(tagger=self.tagger, diarizer=self.speakers, latency=latency)


def meetings(models: Models, folder: Path, memories: list[Remembering]) -> dict[str, Any]:
    """DER of each AMI clip at each latency."""
    rows: dict[str, Any] = {}
    for part in PARTS:
        references = {d.uri: d for d in read_all(folder / f"debug.{part}.rttm")}
        for uri, region in sorted(read_uem(folder / f"debug.{part}.uem").items()):
            for latency in LATENCIES:
                rate = der(references[uri], models.at(latency)(folder / f"{uri}.wav"), uem=region)
                rows.setdefault(str(latency), []).append({"der_meetings": Score(rate.errors, rate.total)})
            for memory in memories:
                memory.forget()
    return rows


def conversations(
    models: Models, corpora: Path, split: str, count: int, memories: list[Remembering]
) -> dict[str, Any]:
    """Every measure of each simulated conversation at each latency."""
    rows: dict[str, Any] = {}
    for casting, samples, reference in conversation_set(corpora, split, count):
        for latency in LATENCIES:
            result = models.at(latency)((samples, SAMPLE_RATE))
            rates = {
                "der": der(reference, result),
                "eder": eder(reference, result),
                "joint": joint_error(reference, result),
            }
            row = {name: Score(rate.errors, rate.total) for name, rate in rates.items()}
            row |= {"uri": casting.uri, "extra": len(result.speaker_names) - len(casting.speakers)}
            rows.setdefault(str(latency), []).append(row)
        for memory in memories:
            memory.forget()
    return rows


class Stopwatch:
    """Processor time spent in a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        started = time.thread_time()
        result = self._function(*arguments)
        self.seconds += time.thread_time() - started
        return result


def compute(tagger: str | None, source: Path, latency: float, minutes: float) -> dict[str, float]:
    """Processor time of a stream by stage, by step of half a second, and the memory at its start and end."""
    models = Models(tagger)
    watches = {
        "segmentation": Stopwatch(models.speakers.segmentation.activities),
        "embedding": Stopwatch(models.speakers.embedding),
        "tagger": Stopwatch(models.tagger.posteriors),
    }
    models.speakers.segmentation.activities = watches["segmentation"]  # type: ignore[method-assign]
    models.speakers.embedding = watches["embedding"]  # type: ignore[assignment]
    models.tagger.posteriors = watches["tagger"]  # type: ignore[method-assign]
    samples, _ = soundfile.read(source, dtype="float32")
    samples = np.resize(samples, round(minutes * 60) * SAMPLE_RATE)
    stream, steps, memory = models.at(None).stream(latency), [], 0.0
    half = SAMPLE_RATE // 2
    for start in range(0, len(samples), half):
        if start == 60 * SAMPLE_RATE:
            memory = _resident()
        started = time.thread_time()
        stream.push(samples[start : start + half])
        steps.append(time.thread_time() - started)
    used = {name: watch.seconds / len(steps) for name, watch in watches.items()}
    mean = float(np.mean(steps))
    return {
        "latency": latency,
        "mean": mean,
        "p99": float(np.percentile(steps, 99)),
        "worst": max(steps),
        **used,
        "rest": mean - sum(used.values()),
        "memory_start": memory,
        "memory_end": _resident(),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "minutes": minutes,
    }


def _resident() -> float:
    """Resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def report(found: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The figures as Markdown."""
    rows = []
    for latency in LATENCIES:
        own = found["rates"][str(latency)]
        name = "offline" if latency is None else f"{latency:g} s"
        rows.append([name, *(percent(*own[measure]) for measure in MEASURES), f"{own['extra']:+.1f}"])
    costs = [
        [f"{row['latency']:g} s"]
        + [f"{1000 * row[name]:.0f}" for name in ("segmentation", "embedding", "tagger", "rest", "mean")]
        + [f"{100 * row['mean'] / 0.5:.0f} %", f"{1000 * row['p99']:.0f}", f"{1000 * row['worst']:.0f}"]
        + [f"{row['memory_start']:.0f} -> {row['memory_end']:.0f}"]
        for row in found["compute"]
    ]
    stages = ["latency", "segmentation", "voices", "tagger", "rest", "all", "of one core", "99th percentile"]
    loss = {m: found["rates"]["1.0"][m][0] - found["rates"]["None"][m][0] for m in MEASURES}
    said = ", ".join(f"{title} {100 * loss[m]:+.1f}" for title, m in zip(TITLES, MEASURES, strict=True))
    return (
        f"# Latency\n\n`python benchmarks/latency.py --split {arguments.split} --conversations "
        f"{arguments.conversations}` in {found['seconds']:.0f} s, commit {found['commit']}. {found['machine']}."
        f"\n\n{arguments.conversations} simulated conversations of {arguments.split} speakers (2 to 4 people), "
        "AMI clips of parts development and test, no collar, overlap scored. Percent, with the 95 % interval "
        "by bootstrap over recordings; the last column is how many speakers too many are found on average "
        "(simulated).\n\n"
        + table(["latency", *TITLES, "speakers"], rows)
        + f"\n\nWhat 1 s costs against offline, in points: {said}.\n\n![Error against latency](latency.png)\n\n"
        "## Compute\n\nProcessor time in ms for half a second of audio, one stream on one thread, "
        f"{found['compute'][0]['minutes']:g} min of an AMI meeting over and over (people speak nearly all the "
        "time); resident memory in MB after one minute and at the end.\n\n"
        + table([*stages, "worst", "memory"], costs)
    )


def plot(found: dict[str, Any], path: Path) -> None:
    """The curves as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.5), dpi=120)
    places = np.arange(len(LATENCIES))
    styles = zip(("#999999", "#0072b2", "#e69f00", "#d55e00"), "sovD", MEASURES, TITLES, strict=True)
    for number, (colour, marker, measure, title) in enumerate(styles):
        points = [found["rates"][str(latency)][measure] for latency in LATENCIES]
        middle = 100 * np.array([value for value, _ in points])
        low, high = 100 * np.array([interval for _, interval in points]).T
        x = places + 0.05 * (number - 1.5)
        spread = np.maximum([middle - low, high - middle], 0)
        axes.errorbar(x, middle, spread, color=colour, marker=marker, label=title, capsize=2.5, lw=1.6)
    axes.set_xticks(places, ["offline" if n is None else f"{n:g} s" for n in LATENCIES])
    axes.set_xlabel("latency: from a sound to its final label")
    axes.set_ylabel("error, %")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="lower left")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    """Run everything, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--split", choices=("train", "valid", "test"), default="test")
    parser.add_argument("--conversations", type=int, default=24)
    parser.add_argument("--minutes", type=float, default=3.0, help="of audio for the compute figures")
    parser.add_argument("--tagger", help="an ONNX file (default: the bundled model)")
    arguments = parser.parse_args()
    started = time.perf_counter()
    clips = arguments.shared / "conversations"
    found: dict[str, Any] = {"machine": machine(), "commit": commit()}
    costs = [(latency, arguments.minutes) for latency in (0.5, 1.0, 5.0)]
    found["compute"] = [compute(arguments.tagger, clips / "trn05.wav", *cost) for cost in costs]
    models = Models(arguments.tagger)
    memories = models.remember()
    heard = meetings(models, clips, memories)
    talked = conversations(
        models, arguments.shared / "corpora", arguments.split, arguments.conversations, memories
    )
    found["rates"] = {
        name: {
            "der_meetings": pooled([row["der_meetings"] for row in heard[name]]),
            **{measure: pooled([row[measure] for row in talked[name]]) for measure in MEASURES[1:]},
            "extra": float(np.mean([row["extra"] for row in talked[name]])),
        }
        for name in talked
    }
    found["conversations"] = talked
    found["seconds"] = time.perf_counter() - started
    text = report(found, arguments)
    print(text)
    name = "latency" if arguments.split == "test" else f"latency-{arguments.split}"
    save(name, text, found)
    plot(found, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
