"""Cut the small recordings of `tests/data` out of the shared corpora; run once, kept for the record.

In: the shared folder (EMO-DB as Opus with `corpora/manifest.csv`, AMI clips as WAV with RTTM and UEM). Out:
16 kHz mono 16-bit FLAC in this folder, with the RTTM and UEM slices of the AMI clips renamed to their new
file stems.

    python tests/data/make_data.py ../shared
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

SPEAKERS = ("15", "16")  # split `test`: no shipped model has heard them
EMOTIONS = ("neutral", "happy", "angry", "sad")
CLIPS = (("train", "trn00"), ("development", "dev00"))


def choose_utterances(rows: list[dict[str, str]]) -> dict[str, str]:
    """New stem -> path of the utterance of median duration of every speaker and emotion."""
    chosen = {}
    for speaker in SPEAKERS:
        for emotion in EMOTIONS:
            key = ("emodb", f"emodb_{speaker}", emotion)
            fitting = [row for row in rows if (row["corpus"], row["speaker"], row["emotion"]) == key]
            fitting.sort(key=lambda row: (float(row["duration"]), row["path"]))
            chosen[f"emodb_{speaker}_{emotion}_1"] = fitting[len(fitting) // 2]["path"]
    return chosen


def main(shared: Path, out: Path) -> None:
    """Write everything this folder holds but the README."""
    import soundfile

    def convert(source: Path, stem: str) -> None:
        samples, rate = soundfile.read(source, dtype="float32")
        soundfile.write(out / f"{stem}.flac", samples, rate, subtype="PCM_16")

    with (shared / "corpora" / "manifest.csv").open(encoding="utf-8") as file:
        chosen = choose_utterances(list(csv.DictReader(file)))
    for stem, path in chosen.items():
        convert(shared / "corpora" / path, stem)
    for part, uri in CLIPS:
        convert(shared / "conversations" / f"{uri}.wav", f"ami_{uri}")
        for suffix, column in (("rttm", 1), ("uem", 0)):
            lines = (
                (shared / "conversations" / f"debug.{part}.{suffix}").read_text(encoding="utf-8").splitlines()
            )
            rows = [line.split() for line in lines if line.split()[column] == uri]
            for row in rows:
                row[column] = f"ami_{uri}"
            text = "".join(" ".join(row) + "\n" for row in rows)
            (out / f"ami_{uri}.{suffix}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).resolve().parent)
