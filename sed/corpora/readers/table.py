"""Any corpus described by a CSV or TSV file, or by an audformat database (``db.yaml``; folders only).

Required columns: file (or path, wav, filename), emotion (or label; it may be empty in rows with a text), speaker.
Optional: start and end in the file (seconds, or pandas time deltas as audformat writes them), corpus, gender,
language, intensity, split, text (or transcription), arousal, valence, dominance (-1 to 1), and the votes of raters
(``votes`` with ``happy=3 neutral=1``, or one column ``votes.LABEL`` per label). File names are relative to the folder
of the table. Known labels become labels of this project (`sed.labels`); others are kept in lower case.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.ratings import DIMENSIONS, read_ratings
from sed.corpora.readers.audformat import read_database
from sed.corpora.tables import read_table
from sed.corpora.tree import TableTree, Tree
from sed.errors import FormatError
from sed.formats.csv import seconds
from sed.formats.kind import number
from sed.labels import normalise_emotion, normalise_gender

_ALIASES = {
    "file": ("file", "path", "wav", "filename", "audio"),
    "emotion": ("emotion", "label"),
    "speaker": ("speaker", "speaker_id"),
    "corpus": ("corpus", "dataset"),
    "gender": ("gender", "sex"),
    "language": ("language",),
    "intensity": ("intensity",),
    "split": ("split", "subset", "partition"),
    "start": ("start",),
    "end": ("end", "stop"),
    "text": ("text", "transcription", "transcript"),
}
_SPLITS = {"dev": "valid", "devel": "valid", "val": "valid", "validation": "valid", "eval": "test"}
_VOTES = "votes."


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    if any(PurePosixPath(name).name == "db.yaml" for name in tree.names):
        rows = read_database(tree)
    else:
        table = _table(tree)
        delimiter = "\t" if table.lower().endswith(".tsv") else ","
        folder = PurePosixPath(table).parent
        rows = (
            (where, _canonical(row, folder))
            for where, row in read_table(tree, table, (), delimiter=delimiter)
        )
    for where, row in rows:
        missing = [key for key in ("file", "emotion", "speaker") if not row.get(key)]
        if missing and (missing != ["emotion"] or not row.get("text")):
            raise FormatError(
                f"{tree.title}, {where}: found no {', '.join(missing)}, expected file, emotion (or text) and speaker"
            )
        if row["file"] not in tree:
            problems.add("listed in the table but missing", row["file"])
            continue
        try:
            yield _entry(row, f"{tree.title}, {where}")
        except FormatError as error:
            problems.add("invalid row", str(error).removeprefix(f"{tree.title}, "))


def _table(tree: Tree) -> str:
    if isinstance(tree, TableTree):
        return tree.table.name
    found = [name for name in tree.names if name.lower().endswith((".csv", ".tsv"))]
    preferred = [name for name in found if PurePosixPath(name).stem.lower() == "manifest"] or found
    if len(preferred) != 1:
        raise FormatError(
            f"{tree.title}: found {len(found)} tables, expected one CSV or TSV file or a manifest.csv"
        )
    return preferred[0]


def _canonical(row: dict[str, str], folder: PurePosixPath) -> dict[str, str]:
    """`row` with canonical column names, and its file name relative to the tree instead of to `folder`."""
    lower = {key.strip().casefold(): value for key, value in row.items()}
    canonical = {key: next((lower[a] for a in names if lower.get(a)), "") for key, names in _ALIASES.items()}
    if canonical["file"]:
        canonical["file"] = (folder / canonical["file"].replace("\\", "/")).as_posix()
    return {**lower, **canonical}


def _entry(row: dict[str, str], where: str) -> Entry:
    start = seconds(row["start"], where) if row.get("start") else None
    stop = seconds(row["end"], where) if row.get("end") and row["end"] != "NaT" else None
    if start is not None and start < 0:
        raise FormatError(f"{where}: found start {start}, expected 0 or later")
    if stop is not None and stop <= (start or 0):
        raise FormatError(f"{where}: found start {start} and end {stop}, expected an end after the start")
    dimensions = {key: number(row[key], where, key) for key in DIMENSIONS if row.get(key)}
    if wrong := [key for key, value in dimensions.items() if not -1 <= value <= 1]:
        raise FormatError(f"{where}: found {wrong[0]} {dimensions[wrong[0]]}, expected -1 to 1")
    split = row.get("split", "").casefold()
    split = _SPLITS.get(split, split)
    if split not in ("", "train", "valid", "test"):
        raise FormatError(f"{where}: found split {row['split']!r}, expected train, valid or test")
    suffix = "" if start is None and stop is None else f"_{round((start or 0) * 1000):08d}"
    return Entry(
        id=str(PurePosixPath(row["file"]).with_suffix("")).strip("/").replace("/", "_") + suffix,
        file=row["file"],
        speaker=row["speaker"],
        emotion=normalise_emotion(row["emotion"]) or row["emotion"].casefold() if row["emotion"] else "",
        corpus=row.get("corpus") or None,
        gender=normalise_gender(row.get("gender")),
        language=row.get("language") or None,
        intensity=row.get("intensity") or None,
        text=row.get("text") or None,
        split=split or None,
        start=start,
        stop=stop,
        raters=_votes(row, where),
        dimensions=dimensions,
    )


def _votes(row: dict[str, str], where: str) -> dict[str, float]:
    ratings = read_ratings({"votes": row.get("votes", "")}, where)
    found = dict(ratings.votes) if ratings else {}
    for key, value in row.items():
        if key.startswith(_VOTES) and value:
            found[key.removeprefix(_VOTES)] = number(value, where, key)
    votes: dict[str, float] = {}
    for label, count in found.items():  # labels such as joy and happy are merged
        emotion = normalise_emotion(label) or label.casefold()
        votes[emotion] = votes.get(emotion, 0.0) + count
    return {label: count for label, count in votes.items() if count}


READER = CorpusReader(
    name="csv",
    title="any corpus with a CSV or TSV table, or an audformat database",
    languages="as in the table",
    licence="that of the corpus",
    url="https://audeering.github.io/audformat",
    read=read,
    split_rule="table",
    split_summary="those of the table; if it has none, speakers are drawn at random",
)
