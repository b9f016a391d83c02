"""Ordinary speech first: what the bundled tagger calls the speech of people who do not act.

    python -m benchmarks.accuracy.ordinary --shared ../shared [--tagger FILE] [--split valid]
        [--unseen RESULTS]

In: recordings of meetings, telephone calls and readers, in which nobody acts, each through the whole `EmotionDiarizer`.
Out: benchmarks/results/ordinary.md and .json: the share of the speech called each emotion, by source, and minutes of
false alarm in an hour of it. With `--unseen`, the output folder of ``sed-train hparams/leave_one_out.yaml``, also the
curve over the neutral prior: recall on corpora left out against the ordinary speech called neutral.

`valid` are the recordings to choose by (which training heard in part), `test` those for final figures.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.lib.report import commit, machine, percent, save, table
from sed import EmotionDiarizer
from sed.corpora.audio import read_manifest
from sed.formats import read_uem
from sed.simulation.patterns import NEUTRAL

TUNED_CALLS = ("hvb_00", "hvb_02")  # training hears these calls and the meetings' part train
TARGETS = {
    "meetings": 0.85,
    "read, learners": 0.85,
    "read, volunteers": 0.85,
    "read, audiobooks": 0.85,
    "calls": 0.75,
}
READ = {
    "speechocean762": "read, learners",
    "commonvoice6_multi": "read, volunteers",
    "commonvoice13delta_en": "read, volunteers",
    "librispeech": "read, audiobooks",
}


def recordings(shared: Path, split: str) -> Iterator[tuple[str, Path]]:
    """Source and path of each ordinary recording of `split`."""
    conversations = shared / "conversations"
    parts = ("development", "test") if split == "test" else ("train",)
    for part in parts:
        for uri in sorted(read_uem(conversations / f"debug.{part}.uem")):
            yield "meetings", conversations / f"{uri}.wav"
    for path in sorted((conversations / "calls").glob("*.opus")):
        if path.name.startswith(TUNED_CALLS) == (split == "valid"):
            yield "calls", path
    for row in read_manifest(shared / "natural", [split]):
        yield READ[row.corpus], row.path


def shares(diarizer: EmotionDiarizer, shared: Path, split: str) -> dict[str, dict[str, Any]]:
    """By source: number of recordings, minutes of speech, and the share of them with each label."""
    seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    count: dict[str, int] = defaultdict(int)
    for source, path in recordings(shared, split):
        count[source] += 1
        for segment in diarizer(path):
            seconds[source][segment.emotion] += segment.end - segment.start
    found = {}
    for source, by_label in seconds.items():
        total = sum(by_label.values())
        found[source] = {
            "recordings": count[source],
            "minutes": total / 60,
            "share": {label: by_label[label] / total for label in diarizer.labels},
        }
    return found


def report(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    labels = found["labels"]
    rows = [
        [source, f["recordings"], f"{f['minutes']:.1f}"]
        + [percent(f["share"][label]) for label in labels]
        + [f"{60 * (1 - f['share'][NEUTRAL]):.1f}", percent(TARGETS[source])]
        for source, f in found["sources"].items()
    ]
    mean = sum(f["share"][NEUTRAL] for f in found["sources"].values()) / len(rows)
    return "\n\n".join(
        [
            "# Ordinary speech",
            f"`{found['tagger']}`, split `{found['split']}`, by `python -m benchmarks.accuracy.ordinary`."
            " Segments of `EmotionDiarizer` with its defaults; percent of the speech. Nobody acts in these"
            " recordings and nobody annotated emotions: what is not neutral is counted as a false alarm, though some"
            " speakers are cheerful.",
            table(
                ["source", "recordings", "minutes", *labels, "false alarms, min/h", "neutral, wanted"], rows
            ),
            f"Neutral in the mean over the sources: {percent(mean)} %.",
            f"Commit {found['commit']}. {found['machine']}.",
        ]
    )


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--tagger", default="bundled", help="a file or folder of a tagger")
    parser.add_argument("--split", default="test", choices=["test", "valid"])
    parser.add_argument("--name", help="name of the result files; default ordinary, or ordinary-SPLIT")
    arguments = parser.parse_args()
    diarizer = EmotionDiarizer(tagger=arguments.tagger)
    found = {
        "tagger": arguments.tagger,
        "split": arguments.split,
        "labels": list(diarizer.labels),
        "sources": shares(diarizer, arguments.shared, arguments.split),
        "commit": commit(),
        "machine": machine(),
    }
    text = report(found)
    is_test = arguments.split == "test"
    save(arguments.name or ("ordinary" if is_test else "ordinary-valid"), text, found, test=is_test)
    print(text)


if __name__ == "__main__":
    main()
