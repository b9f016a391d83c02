"""Manifests: one row an utterance, as a JSON or a CSV file; read into `Utterance`, and written.

JSON is SpeechBrain's: ``{id: {"wav", "duration", "corpus", "speaker", "gender", "language", "emotion",
"intensity", "split", "split_rule", "start", "stop", "raters", "arousal", "valence", "dominance", "text"}}``, every
key in every row, null where the corpus doesn't say. Strings are templates, as in SpeechBrain:
``DynamicItemDataset.from_json(path, replacements={"data_root": folder})``, where ``{data_root}`` is the folder of
the manifest. `duration`, `start` and `stop` are seconds; `start` and `stop` are null where the whole file is meant.
`raters` maps labels to votes; arousal, valence and dominance are scaled to -1 (lowest) to 1 (highest). `emotion` is
a word, or for corpora with boundaries a list ``[{"emo", "start", "end"}]`` as in ZED.json. CSV has at least the
columns of `COLUMNS`, maybe those of `sed.corpora.ratings`, and paths relative to its folder.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sed.corpora.corrections import corrected
from sed.corpora.ratings import DIMENSIONS, Ratings, read_ratings
from sed.errors import FormatError
from sed.files import load_text, save_bytes, to_bytes
from sed.formats.csv import read_rows
from sed.formats.json import load, to_text
from sed.formats.kind import number, short

logger = logging.getLogger("sed")

COLUMNS = ("corpus", "path", "speaker", "emotion", "split")
SPLITS = ("train", "valid", "test")
OFFICIAL = "official"
"""A `split_rule`: the split is the corpus's own, and may have one speaker on several sides."""
ROOT = "{data_root}/"
_NAMES = ("manifest.csv", "manifest.json")
_ROW = ("wav", "corpus", "speaker", "emotion", "split")


@dataclass(frozen=True)
class Utterance:
    """One recording of one emotion: where it is, and who shows what.

    `speaker` is ``corpus/name``. `start` and `stop` are seconds within `path`; None: from its beginning, to its
    end. `ratings` are what raters said, None where there is nothing; `events` are ``(start, end, label)`` in seconds
    for corpora whose emotions have boundaries. `split_rule` tells how the split was made (see `OFFICIAL`).
    """

    corpus: str
    path: Path
    speaker: str
    emotion: str
    split: str
    ratings: Ratings | None = None
    id: str = ""
    duration: float | None = None
    start: float | None = None
    stop: float | None = None
    gender: str | None = None
    language: str | None = None
    intensity: str | None = None
    text: str | None = None
    split_rule: str | None = None
    events: tuple[tuple[float, float, str], ...] = ()


def find_manifest(path: str | Path) -> Path:
    """`path` itself, or the manifest in it where it is a folder: ``manifest.csv`` or ``manifest.json``.

    Raises `FormatError` for a folder with neither or with both.
    """
    path = Path(path)
    if not path.is_dir():
        return path if path.suffix else path / _NAMES[0]  # a folder that isn't there: what was looked for
    found = [path / name for name in _NAMES if (path / name).is_file()]
    if len(found) != 1:
        here = "both" if found else "neither"
        raise FormatError(f"{path}: found {here} of {' and '.join(_NAMES)}, expected one of them")
    return found[0]


def read_manifest(
    path: str | Path | Sequence[str | Path],
    splits: Collection[str] = (),
    emotions: Collection[str] = (),
    leave_out: Collection[str] = (),
) -> list[Utterance]:
    """Rows of a manifest in its order, only those of `splits` and `emotions` (empty: all), less the corpora
    in `leave_out`. `path` may be a folder with a manifest, or a sequence of manifests, which are read as one.
    Labels that the release of a corpus is known to have wrong are put right (`sed.corpora.corrections`), and counted
    in a warning.

    Raises `FormatError` where a file is missing, lacks a column, has a row without a value, or has nothing that
    was asked for, and where a speaker is in two splits, unless the split is the corpus's own (a warning then).
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    found: list[Utterance] = []
    home: dict[str, str] = {}
    shared: dict[str, set[str]] = {}
    mended: Counter[str] = Counter()
    for manifest in map(find_manifest, paths):
        for where, utterance in read_lines(manifest):
            speaker, split = utterance.speaker, utterance.split
            if home.setdefault(speaker, split) != split:
                if utterance.split_rule != OFFICIAL:
                    raise FormatError(
                        f"{where}: speaker {speaker} is in splits {home[speaker]} and {split}:"
                        " expected each speaker in one split"
                    )
                shared.setdefault(utterance.corpus, set()).add(speaker)
            emotion = corrected(utterance.corpus, utterance.path.stem, utterance.emotion)
            if (
                (not splits or split in splits)
                and (not emotions or emotion in emotions)
                and utterance.corpus not in leave_out
            ):
                if emotion != utterance.emotion:
                    mended[utterance.corpus] += 1
                    utterance = replace(utterance, emotion=emotion)
                found.append(utterance)
    for corpus, speakers in shared.items():
        logger.warning("%s: its own splits share %d speakers; figures on them flatter", corpus, len(speakers))
    for corpus, count in mended.items():
        logger.warning(
            "%s: put right %d labels that its release has wrong (see sed.corpora.corrections)", corpus, count
        )
    if not found:
        raise FormatError(
            f"{', '.join(map(str, paths))}: no utterance of splits {sorted(splits)} and emotions"
            f" {sorted(emotions)}"
        )
    return found


def read_lines(path: Path) -> Iterable[tuple[str, Utterance]]:
    """Every row as the file has it, and where it is. Raises `FormatError` as `read_manifest` does."""
    return _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)


def _csv_rows(path: Path) -> Iterable[tuple[str, Utterance]]:
    for where, row in read_rows(path):
        if lacking := [name for name in COLUMNS if not row.get(name)]:
            raise FormatError(f"{where}: no {', '.join(lacking)}: expected {', '.join(COLUMNS)}")
        yield (
            where,
            Utterance(
                row["corpus"],
                path.parent / row["path"],
                f"{row['corpus']}/{row['speaker']}",
                row["emotion"],
                row["split"],
                read_ratings(row, where),
                id=Path(row["path"]).stem,
                duration=_number(row, "duration", where),
                start=_number(row, "start", where),
                stop=_number(row, "stop", where),
                gender=row.get("gender") or None,
                language=row.get("language") or None,
                intensity=row.get("intensity") or None,
                text=row.get("text") or None,
            ),
        )


def _number(row: Mapping[str, Any], key: str, where: str) -> float | None:
    value = row.get(key)
    return None if value is None or value == "" else number(value, where, key)


def _json_rows(path: Path) -> Iterable[tuple[str, Utterance]]:
    data = load(load_text(path), str(path))
    if not isinstance(data, dict):
        raise FormatError(f"{path}: found a JSON {type(data).__name__}, expected an object with a key a row")
    root = {"data_root": str(path.parent.resolve())}
    for name, row in data.items():
        where = f"{path}, {name}"
        if not isinstance(row, dict):
            raise FormatError(f"{where}: found {short(row)}, expected an object with {', '.join(_ROW)}")
        try:
            row = {
                key: value.format_map(root) if isinstance(value, str) else value for key, value in row.items()
            }
        except (KeyError, ValueError, IndexError) as error:
            raise FormatError(
                f"{where}: found a template with {error}, expected {{data_root}} only"
            ) from None
        if lacking := [key for key in _ROW if not row.get(key)]:
            raise FormatError(f"{where}: no {', '.join(lacking)}: expected {', '.join(_ROW)}")
        if wrong := [key for key in _ROW if key != "emotion" and not isinstance(row[key], str)]:
            raise FormatError(f"{where}: found {wrong[0]} {short(row[wrong[0]])}, expected text")
        yield where, _utterance(name, row, path.parent, where)


def _utterance(name: str, row: Mapping[str, Any], folder: Path, where: str) -> Utterance:
    events: tuple[tuple[float, float, str], ...] = ()
    emotion = row["emotion"]
    if isinstance(emotion, list):
        events = tuple(_event(event, where) for event in emotion)
        kinds = sorted({label for _, _, label in events})
        emotion = kinds[0] if len(kinds) == 1 else "mixed"
    return Utterance(
        row["corpus"],
        folder / row["wav"],
        f"{row['corpus']}/{row['speaker']}",
        str(emotion),
        row["split"],
        _ratings(row, where),
        id=name,
        duration=_number(row, "duration", where),
        start=_number(row, "start", where),
        stop=_number(row, "stop", where),
        gender=row.get("gender"),
        language=row.get("language"),
        intensity=row.get("intensity"),
        text=row.get("text"),
        split_rule=row.get("split_rule"),
        events=events,
    )


def _ratings(row: Mapping[str, Any], where: str) -> Ratings | None:
    raters = row.get("raters") or {}
    if not isinstance(raters, dict):
        raise FormatError(f"{where}: found raters {short(raters)}, expected an object of labels and votes")
    votes = {label: number(count, where, "votes") for label, count in raters.items()}
    known = [_number(row, name, where) for name in DIMENSIONS]
    arousal, valence, dominance = (math.nan if value is None else value for value in known)
    return Ratings(votes, (arousal, valence, dominance)) or None


def _event(event: Any, where: str) -> tuple[float, float, str]:
    if not isinstance(event, dict) or not isinstance(event.get("emo"), str):
        raise FormatError(f"{where}: found event {short(event)}, expected an object with emo, start and end")
    return number(event.get("start"), where, "start"), number(event.get("end"), where, "end"), event["emo"]


def is_prepared(path: str | Path) -> bool:
    """Whether there is a JSON manifest at `path` that `write_manifest` wrote."""
    try:
        rows = load(load_text(path), str(path))
    except FormatError:
        return False
    row = next(iter(rows.values()), None) if isinstance(rows, Mapping) else None
    return isinstance(row, Mapping) and set(_ROW) | {"split_rule"} <= row.keys()


def write_manifest(utterances: Iterable[Utterance], path: str | Path) -> None:
    """Write a JSON manifest that appears, or is replaced, when it is complete.

    Audio under the manifest's folder is written relative to it (``{data_root}/...``), other audio with its whole
    path. Raises `FormatError` where two rows have one id, or the file cannot be written.
    """
    folder = Path(path).parent.resolve()
    rows: dict[str, Any] = {}
    for utterance in utterances:
        if utterance.id in rows:
            raise FormatError(f"{path}: found two rows {utterance.id!r}, expected ids that differ")
        rows[utterance.id] = _row(utterance, folder)
    body = ",\n".join(f"{json.dumps(name, ensure_ascii=False)}: {to_text(row)}" for name, row in rows.items())
    save_bytes(to_bytes(f"{{\n{body}\n}}\n"), path)


def _row(utterance: Utterance, folder: Path) -> dict[str, Any]:
    audio = utterance.path.resolve()
    wav = ROOT + _literal(audio.relative_to(folder).as_posix()) if audio.is_relative_to(folder) else None
    events = [{"emo": label, "start": start, "end": end} for start, end, label in utterance.events]
    ratings = utterance.ratings or Ratings()
    row: dict[str, Any] = {
        "wav": wav or _literal(str(audio)),
        "duration": utterance.duration,
        "corpus": utterance.corpus,
        "speaker": utterance.speaker.removeprefix(f"{utterance.corpus}/"),
        "gender": utterance.gender,
        "language": utterance.language,
        "emotion": events or utterance.emotion,
        "intensity": utterance.intensity,
        "split": utterance.split,
        "split_rule": utterance.split_rule,
        "start": utterance.start,
        "stop": utterance.stop,
        "raters": dict(ratings.votes) or None,
        **{
            name: None if math.isnan(value) else value
            for name, value in zip(DIMENSIONS, ratings.dimensions, strict=True)
        },
        "text": utterance.text,
    }
    return {
        key: _literal(value) if isinstance(value, str) and key != "wav" else value
        for key, value in row.items()
    }


def _literal(text: str) -> str:
    """`text` as a template that means itself: SpeechBrain formats every string."""
    return text.replace("{", "{{").replace("}", "}}")
