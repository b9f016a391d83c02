"""What `sed-train hparams/adapt.yaml --start bundled` gains on a speaker that no model was trained on.

``python -m benchmarks.accuracy.adapted ../shared``: for each ``valid`` speaker of
nEMO and RAVDESS (which the bundled model never learnt from), a few labelled clips per emotion of that speaker, or of
``train`` speakers of the corpus, adapt the model; recall is measured on the speaker's other clips, before and after.
``test`` speakers are not touched, and nothing is tuned: the recipe's own values are used.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.lib.report import commit, machine, percent, save, table
from sed.corpora.audio import Utterance, load_speech, read_manifest
from sed.networks.store import load_tagger
from sed.training.bundled import load_bundled
from sed.training.evaluation import evaluate
from sed.training.recipe.run import run_recipe

CORPORA = ("nemo", "ravdess")
PER_EMOTION = {"speaker": (6,), "others": (12,)}
RECIPE = Path(__file__).parents[2] / "hparams" / "adapt.yaml"


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    options = parser.parse_args()
    bundled, description = load_bundled()
    labels = description["labels"]
    rows = []
    for corpus in CORPORA:
        known = [
            u for u in read_manifest(options.shared / "corpora", ["train"], labels) if u.corpus == corpus
        ]
        new = [u for u in read_manifest(options.shared / "corpora", ["valid"], labels) if u.corpus == corpus]
        for speaker in sorted({u.speaker for u in new}):
            own = [u for u in new if u.speaker == speaker]
            for source, pool in (("speaker", own), ("others", known)):
                for count in PER_EMOTION[source]:
                    chosen = choose(pool, count, labels)
                    rest = load_speech([u for u in own if u not in chosen])
                    before = evaluate(bundled, rest, [], labels).scores()
                    adapted = adapt(chosen)
                    after = evaluate(adapted, rest, [], labels).scores()
                    rows.append(
                        {
                            "corpus": corpus,
                            "speaker": speaker,
                            "clips_of": source,
                            "clips": len(chosen),
                            "scored": len(rest),
                            "before": before,
                            "after": after,
                        }
                    )
                    print(line(rows[-1]), flush=True)
    text = table(HEADER, list(map(line, rows)))
    found = {"commit": commit(), "machine": machine(), "rows": rows}
    page = f"# The bundled model, adapted\n\n{__doc__}\nCommit {found['commit']}. {found['machine']}.\n\n{text}\n"
    save("adapted", page, found)


HEADER = ["speaker", "clips to adapt to", "clips scored", "recall before", "after", "nll before", "after"]


def line(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    whose = "of the speaker" if row["clips_of"] == "speaker" else "of other speakers"
    before, after = row["before"], row["after"]
    return [
        row["speaker"],
        f"{row['clips']} {whose}",
        str(row["scored"]),
        percent(before["uar"]),
        percent(after["uar"]),
        f"{before['nll']:.2f}",
        f"{after['nll']:.2f}",
    ]


def choose(pool: list[Utterance], count: int, labels: list[str]) -> list[Utterance]:
    """`count` clips of each emotion, at most half of them, evenly spaced over the pool (so over its speakers)."""
    by_emotion: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in pool:
        by_emotion[utterance.emotion].append(utterance)
    chosen = []
    for label in labels:
        clips = by_emotion[label]
        number = min(count, len(clips) // 2)
        chosen += [clips[n * len(clips) // number] for n in range(number)]
    return chosen


def adapt(clips: list[Utterance]) -> object:
    """The bundled model, adapted to `clips` by the recipe as it stands."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "clips.csv"
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "emotion"])
            writer.writerows([clip.path, clip.emotion] for clip in clips)
        options = {"start": "bundled", "clips_table": str(table), "output_folder": f"{folder}/run"}
        return load_tagger(run_recipe(RECIPE, options, {"device": "cpu"}))[0]


if __name__ == "__main__":
    main()
