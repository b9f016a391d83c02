"""Ordinary speech first: what the bundled tagger calls the speech of speakers who do not act.

    python -m benchmarks.accuracy.ordinary --shared ../shared [--tagger FILE] [--split valid]
    python -m benchmarks.accuracy.ordinary --shared ../shared --split valid --curve
    python -m benchmarks.accuracy.ordinary --shared ../shared --split valid --damaged

In: recordings of meetings, telephone calls and readers, in which nobody acts, each through the whole `EmotionDiarizer`.
Out: benchmarks/results/ordinary.md and .json: the share of the speech called each emotion, by source, and minutes of
false alarm in an hour of it. `--curve` adds other operating points and the reliability (`benchmarks.accuracy.curve`);
`--damaged` measures some of the recordings under noise, rooms, distance, telephone and MP3.

`valid` are the recordings to choose by (training used some of them), `test` those for final figures.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.accuracy import curve
from benchmarks.accuracy.operating import record, record_all, shares
from benchmarks.lib.effects import DAMAGES
from benchmarks.lib.report import commit, machine, percent, save, table
from sed import EmotionDiarizer
from sed.corpora.audio import read_manifest, read_wave
from sed.formats import read_uem
from sed.grid import SAMPLE_RATE
from sed.simulation.patterns import NEUTRAL

TUNED_CALLS = ("hvb_00", "hvb_02")  # training uses these calls and the meetings' part train
ORDINARY_DAMAGES = (
    "clean",
    "noise 20 dB",
    "noise 10 dB",
    "reverberation",
    "distance",
    "telephone",
    "MP3 16 kbit/s",
)
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


def damaged(diarizer: EmotionDiarizer, shared: Path, split: str, limit: int) -> dict[str, dict[str, Any]]:
    """By damage, `operating.shares` of at most `limit` recordings of each source, evenly spaced."""
    by_source: dict[str, list[Path]] = defaultdict(list)
    for source, path in recordings(shared, split):
        by_source[source].append(path)
    chosen = [
        (source, path) for source, paths in by_source.items() for path in paths[:: -(-len(paths) // limit)]
    ]
    waves = [(source, read_wave(path)) for source, path in chosen]
    found = {}
    for damage in DAMAGES:
        if damage.name in ORDINARY_DAMAGES:
            recorded = [
                record(diarizer, source, (damage(wave, number), SAMPLE_RATE))
                for number, (source, wave) in enumerate(waves)
            ]
            found[damage.name] = shares(diarizer, recorded)
    return found


def damaged_report(found: dict[str, Any]) -> str:
    """The figures of `damaged` as Markdown."""
    words = {damage.name: damage.words for damage in DAMAGES}
    clean = found["damages"]["clean"]
    neutral = [
        [name, words[name], *(percent(by_source[source]["share"][NEUTRAL]) for source in clean)]
        for name, by_source in found["damages"].items()
    ]
    alarms = [
        [name, *(_alarms(by_source[source]["share"]) for source in clean)]
        for name, by_source in found["damages"].items()
    ]
    size = ", ".join(f"{f['recordings']} of {source}" for source, f in clean.items())
    return "\n\n".join(
        [
            "# Ordinary speech, damaged",
            f"`{found['tagger']}`, split `{found['split']}`, by `python -m benchmarks.accuracy.ordinary --damaged`."
            f" Recordings: {size}; each under every damage (`benchmarks/lib/effects.py`), all through"
            " `EmotionDiarizer` with its defaults. Speech called neutral, percent:",
            table(["damage", "description", *clean], neutral),
            "False alarms in an hour of speech, minutes (happy, angry, sad):",
            table(["damage", *clean], alarms),
            f"Commit {found['commit']}. {found['machine']}.",
        ]
    )


def _alarms(share: dict[str, float]) -> str:
    parts = [60 * value for label, value in share.items() if label != NEUTRAL]
    return f"{sum(parts):.1f} ({', '.join(f'{part:.1f}' for part in parts)})"


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
    parser.add_argument("--curve", action="store_true", help="other operating points, and the reliability")
    parser.add_argument("--damaged", action="store_true", help="a part of the recordings under damage")
    parser.add_argument("--limit", type=int, default=20, help="recordings of each source for --damaged")
    arguments = parser.parse_args()
    diarizer = EmotionDiarizer(tagger=arguments.tagger)
    found = {
        "tagger": arguments.tagger,
        "split": arguments.split,
        "labels": list(diarizer.labels),
        "commit": commit(),
        "machine": machine(),
    }
    suffix = "" if arguments.split == "test" else f"-{arguments.split}"
    if arguments.damaged:
        found["damages"] = damaged(diarizer, arguments.shared, arguments.split, arguments.limit)
        _save(arguments.name or f"ordinary-damaged{suffix}", damaged_report(found), found)
        return
    recorded = record_all(diarizer, recordings(arguments.shared, arguments.split))
    if arguments.curve:
        found |= curve.measure(diarizer, recorded, arguments.shared, arguments.split)
        name = arguments.name or f"operating-curve{suffix}"
        curve.draw(found, name)
        _save(name, curve.report(found, name), found)
        return
    found["sources"] = shares(diarizer, recorded)
    _save(arguments.name or f"ordinary{suffix}", report(found), found)


def _save(name: str, text: str, found: dict[str, Any]) -> None:
    save(name, text, found, test=found["split"] == "test")
    print(text)


if __name__ == "__main__":
    main()
