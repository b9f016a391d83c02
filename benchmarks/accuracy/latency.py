"""Cost of a shorter latency: error rates at 0.5, 1, 2 and 5 s and offline.

    python -m benchmarks.accuracy.latency --shared ../shared

Seeded. Simulated conversations of `test` speakers (emotions) and AMI clips of parts development and test (speakers).
Writes results/latency.md, .json and .png and prints the tables. Network outputs are cached by window of audio, as
latencies share windows. Processing time of a step: `benchmarks/cost/live.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.accuracy import Score, pooled
from benchmarks.lib.report import RESULTS, commit, machine, percent, save, table
from sed import EmotionDiarizer
from sed.emotion import load_tagger
from sed.formats import read_all, read_uem
from sed.grid import SAMPLE_RATE
from sed.scoring import der, eder, joint_error
from sed.scoring.uncertainty import paired_test
from sed.simulation.sets import conversation_set
from sed.speakers import SegmentationDiarizer

LATENCIES = (0.5, 1.0, 2.0, 5.0, None)
MEASURES = ("der_meetings", "der", "eder", "joint")
TITLES = ("DER, AMI", "DER, simulated", "EDER, simulated", "joint error, simulated")
PARTS = ("development", "test")
REPORTED = 1.0  # seconds: the latency whose cost is reported


class Cached:
    """A function of an array that is computed once per content."""

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self._function = function
        self.results: dict[bytes, np.ndarray] = {}

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """The output of the function, from the cache if possible."""
        array = np.ascontiguousarray(array)
        key = hashlib.blake2b(array.tobytes() + str(array.shape).encode(), digest_size=16).digest()
        if key not in self.results:
            self.results[key] = self._function(array)
        return self.results[key].copy()

    def clear(self) -> None:
        """Empty the cache."""
        self.results.clear()


class Models:
    """The bundled networks, shared by all diarizers."""

    def __init__(self, tagger: str | None) -> None:
        self.tagger = load_tagger(tagger)
        self.speakers = SegmentationDiarizer()

    def enable_caches(self) -> list[Cached]:
        """Cache the outputs of every network; returns the caches."""
        self.tagger.posteriors = Cached(self.tagger.posteriors)  # type: ignore[method-assign]
        network = self.speakers.segmentation
        network.activities = Cached(network.activities)  # type: ignore[method-assign]
        self.speakers.embedding = Cached(self.speakers.embedding)  # type: ignore[assignment]
        return [self.tagger.posteriors, network.activities, self.speakers.embedding]  # type: ignore[list-item]

    def at(self, latency: float | None) -> EmotionDiarizer:
        """A diarizer with that latency."""
        return EmotionDiarizer(tagger=self.tagger, diarizer=self.speakers, latency=latency)


def meetings(models: Models, folder: Path, caches: list[Cached]) -> dict[str, Any]:
    """DER of each AMI clip at each latency."""
    rows: dict[str, Any] = {}
    for part in PARTS:
        references = {d.uri: d for d in read_all(folder / f"debug.{part}.rttm")}
        for uri, region in sorted(read_uem(folder / f"debug.{part}.uem").items()):
            for latency in LATENCIES:
                rate = der(references[uri], models.at(latency)(folder / f"{uri}.wav"), uem=region)
                rows.setdefault(str(latency), []).append({"der_meetings": Score(rate.errors, rate.total)})
            for cache in caches:
                cache.clear()
    return rows


def conversations(
    models: Models, corpora: Path, split: str, count: int, caches: list[Cached]
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
        for cache in caches:
            cache.clear()
    return rows


def cost_of(latency: float, rows: dict[str, list[Any]], measure: str) -> dict[str, float]:
    """Difference of the pooled rate at `latency` to offline, with its interval over the same recordings."""
    live, offline = (np.array([row[measure] for row in rows[str(x)]]).T for x in (latency, None))
    found = paired_test((offline[0], offline[1]), (live[0], live[1]))
    return {"points": found.difference, "low": found.interval.low, "high": found.interval.high}


def report(found: dict[str, Any], arguments: argparse.Namespace, name: str) -> str:
    """The figures as Markdown."""
    rows = []
    for latency in LATENCIES:
        own = found["rates"][str(latency)]
        place = "offline" if latency is None else f"{latency:g} s"
        rows.append([place, *(percent(*own[measure]) for measure in MEASURES), f"{own['extra']:+.1f}"])
    cost = found["cost"]
    costs = "; ".join(
        f"{title} {100 * cost[m]['points']:+.1f} ({100 * cost[m]['low']:+.1f} to {100 * cost[m]['high']:+.1f})"
        for title, m in zip(TITLES, MEASURES, strict=True)
    )
    return (
        f"# Latency\n\n`python -m benchmarks.accuracy.latency --split {arguments.split} --conversations "
        f"{arguments.conversations}` in {found['seconds']:.0f} s, commit {found['commit']}. {found['machine']}."
        f"\n\n{arguments.conversations} simulated conversations of {arguments.split} speakers (2 to 4 speakers each), "
        "AMI clips of parts development and test, no collar, overlap scored. Percent, with the 95 % interval "
        "by bootstrap over recordings; the last column is the mean number of excess speakers "
        "(simulated).\n\n"
        + table(["latency", *TITLES, "speakers"], rows)
        + f"\n\nDifference at {REPORTED:g} s to offline, in points with the 95 % interval over the same "
        f"recordings: {costs}.\n\n![Error against latency]({name}.png)"
    )


def plot(found: dict[str, Any], path: Path) -> None:
    """The curves as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.8), dpi=120)
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
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.2)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    """Run everything, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--split", choices=("train", "valid", "test"), default="test")
    parser.add_argument("--conversations", type=int, default=24)
    parser.add_argument("--name", help="name of the result files (default: latency)")
    parser.add_argument("--tagger", help="an ONNX file (default: the bundled model)")
    arguments = parser.parse_args()
    started = time.perf_counter()
    clips = arguments.shared / "conversations"
    found: dict[str, Any] = {"machine": machine(), "commit": commit()}
    models = Models(arguments.tagger)
    caches = models.enable_caches()
    meeting_rows = meetings(models, clips, caches)
    conversation_rows = conversations(
        models, arguments.shared / "corpora", arguments.split, arguments.conversations, caches
    )
    found["rates"] = {
        name: {
            "der_meetings": pooled([row["der_meetings"] for row in meeting_rows[name]]),
            **{
                measure: pooled([row[measure] for row in conversation_rows[name]]) for measure in MEASURES[1:]
            },
            "extra": float(np.mean([row["extra"] for row in conversation_rows[name]])),
        }
        for name in conversation_rows
    }
    found["cost"] = {
        measure: cost_of(REPORTED, meeting_rows if measure == "der_meetings" else conversation_rows, measure)
        for measure in MEASURES
    }
    found["meetings"], found["conversations"] = meeting_rows, conversation_rows
    found["seconds"] = time.perf_counter() - started
    name = arguments.name or ("latency" if arguments.split == "test" else f"latency-{arguments.split}")
    text = report(found, arguments, name)
    print(text)
    save(name, text, found, test=arguments.split == "test")
    plot(found, RESULTS / f"{name}.png")


if __name__ == "__main__":
    main()
