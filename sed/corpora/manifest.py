"""Manifests, one row per utterance: JSON or CSV files in, `Utterance` out, and back to JSON.

JSON follows SpeechBrain: ``{id: {"wav", "duration", "corpus", "speaker", "gender", "language", "emotion",
"intensity", "split", "split_rule", "start", "stop", "raters", "arousal", "valence", "dominance", "text",
"label_source"}}``, all keys in each row, null if unknown. Strings are SpeechBrain templates:
``DynamicItemDataset.from_json(path, replacements={"data_root": folder})``, where ``{data_root}`` is the folder of
the manifest. `duration`, `start` and `stop` are seconds; `start` and `stop` are null for a whole file. `raters` maps
labels to votes; arousal, valence and dominance range from -1 to 1. `emotion` is a label, or in corpora with emotion
boundaries a list ``[{"emo", "start", "end"}]`` as in ZED.json. CSV has the columns `COLUMNS`, optionally those of
`sed.corpora.ratings`, and paths relative to its folder.
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

from sed.corpora.corrections import corrected_emotion
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
"""A `split_rule`: the splits are published with the corpus and may share speakers."""
ROOT = "{data_root}/"
_FILE_NAMES = ("manifest.csv", "manifest.json")
_TEXTS = ("gender", "language", "intensity", "text", "label_source")
_REQUIRED_KEYS = ("wav", "corpus", "speaker", "emotion", "split")


@dataclass(frozen=True)
class Utterance:
    """One utterance of a corpus: its audio, speaker and labels.

    `speaker` is ``corpus/name``. `start` and `stop` are seconds in `path`; None: its start, its end. `events` are
    ``(start, end, label)`` in seconds, in corpora with emotion boundaries. `split_rule` names how the split was made
    (see `OFFICIAL`), `label_source` where a label comes from that no rater gave (`sed.corpora.text_labels`).
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
    label_source: str | None = None
    events: tuple[tuple[float, float, str], ...] = ()


def find_manifest(path: str | Path) -> Path:
    """`path`, or if it is a folder the ``manifest.csv`` or ``manifest.json`` in it.

    Raises `FormatError` for a folder with neither or with both.
    """
    path = Path(path)
    if not path.is_dir():
        return path if path.suffix else path / _FILE_NAMES[0]  # a missing folder: an error names this file
    found = [path / name for name in _FILE_NAMES if (path / name).is_file()]
    if len(found) != 1:
        names = f"both {' and '.join(_FILE_NAMES)}" if found else f"neither {' nor '.join(_FILE_NAMES)}"
        raise FormatError(f"{path}: found {names}, expected one of them")
    return found[0]


def read_manifest(
    path: str | Path | Sequence[str | Path],
    splits: Collection[str] = (),
    emotions: Collection[str] = (),
    leave_out: Collection[str] = (),
) -> list[Utterance]:
    """The rows of a manifest in order: those with one of `splits` and of `emotions` (empty: all), without the
    corpora in `leave_out`.

    `path` may be a folder with a manifest, or a sequence of manifests, which are concatenated. Labels that are wrong
    in the published release of a corpus are corrected (`sed.corpora.corrections`); a warning states their number.

    Raises `FormatError` if a file is missing or invalid, if no row is selected, and if a speaker is in two splits.
    Published splits may share speakers (`OFFICIAL`); this is only a warning.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    selected: list[Utterance] = []
    split_of_speaker: dict[str, str] = {}
    shared: dict[str, set[str]] = {}
    corrections: Counter[str] = Counter()
    for manifest in map(find_manifest, paths):
        for where, utterance in read_lines(manifest):
            speaker, split = utterance.speaker, utterance.split
            if split_of_speaker.setdefault(speaker, split) != split:
                if utterance.split_rule != OFFICIAL:
                    raise FormatError(
                        f"{where}: speaker {speaker} is in splits {split_of_speaker[speaker]} and {split},"
                        " expected each speaker in one split"
                    )
                shared.setdefault(utterance.corpus, set()).add(speaker)
            emotion = corrected_emotion(utterance.corpus, utterance.path.stem, utterance.emotion)
            if (
                (not splits or split in splits)
                and (not emotions or emotion in emotions)
                and utterance.corpus not in leave_out
            ):
                if emotion != utterance.emotion:
                    corrections[utterance.corpus] += 1
                    utterance = replace(utterance, emotion=emotion)
                selected.append(utterance)
    for corpus, speakers in shared.items():
        logger.warning("%s: published splits share %d speakers: scores are optimistic", corpus, len(speakers))
    for corpus, count in corrections.items():
        logger.warning("%s: corrected %d labels of the release (sed.corpora.corrections)", corpus, count)
    if not selected:
        names = ", ".join(map(str, paths))
        raise FormatError(f"{names}: no utterance of splits {sorted(splits)} and emotions {sorted(emotions)}")
    return selected


def read_lines(path: Path) -> Iterable[tuple[str, Utterance]]:
    """Yield the location (for messages) and the utterance of each row. Raises `FormatError` for an invalid file."""
    return _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)


def _csv_rows(path: Path) -> Iterable[tuple[str, Utterance]]:
    for where, row in read_rows(path):
        if missing := [name for name in COLUMNS if not row.get(name)]:
            raise FormatError(f"{where}: found no {', '.join(missing)}, expected {', '.join(COLUMNS)}")
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
                **{name: row.get(name) or None for name in _TEXTS},  # type: ignore[arg-type]
            ),
        )


def _number(row: Mapping[str, Any], key: str, where: str) -> float | None:
    value = row.get(key)
    return None if value is None or value == "" else number(value, where, key)


def _json_rows(path: Path) -> Iterable[tuple[str, Utterance]]:
    data = load(load_text(path), str(path))
    if not isinstance(data, dict):
        raise FormatError(f"{path}: found a JSON {type(data).__name__}, expected an object of rows")
    root = {"data_root": str(path.parent.resolve())}
    for name, row in data.items():
        where = f"{path}, {name}"
        if not isinstance(row, dict):
            raise FormatError(
                f"{where}: found {short(row)}, expected an object with {', '.join(_REQUIRED_KEYS)}"
            )
        try:
            row = {
                key: value.format_map(root) if isinstance(value, str) else value for key, value in row.items()
            }
        except (KeyError, ValueError, IndexError) as error:
            raise FormatError(
                f"{where}: found a template with {error}, expected only {{data_root}}"
            ) from None
        if missing := [key for key in _REQUIRED_KEYS if not row.get(key)]:
            raise FormatError(f"{where}: found no {', '.join(missing)}, expected {', '.join(_REQUIRED_KEYS)}")
        if wrong := [key for key in _REQUIRED_KEYS if key != "emotion" and not isinstance(row[key], str)]:
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
        **{name: row.get(name) for name in _TEXTS},
        split_rule=row.get("split_rule"),
        events=events,
    )


def _ratings(row: Mapping[str, Any], where: str) -> Ratings | None:
    raters = row.get("raters") or {}
    if not isinstance(raters, dict):
        raise FormatError(f"{where}: found raters {short(raters)}, expected an object with votes by label")
    votes = {label: number(count, where, "votes") for label, count in raters.items()}
    known = [_number(row, name, where) for name in DIMENSIONS]
    arousal, valence, dominance = (math.nan if value is None else value for value in known)
    return Ratings(votes, (arousal, valence, dominance)) or None


def _event(event: Any, where: str) -> tuple[float, float, str]:
    if not isinstance(event, dict) or not isinstance(event.get("emo"), str):
        raise FormatError(f"{where}: found event {short(event)}, expected an object with emo, start and end")
    return number(event.get("start"), where, "start"), number(event.get("end"), where, "end"), event["emo"]


def is_prepared(path: str | Path) -> bool:
    """Whether `path` is a JSON manifest that `write_manifest` wrote."""
    try:
        rows = load(load_text(path), str(path))
    except FormatError:
        return False
    row = next(iter(rows.values()), None) if isinstance(rows, Mapping) else None
    return isinstance(row, Mapping) and set(_REQUIRED_KEYS) | {"split_rule"} <= row.keys()


def write_manifest(utterances: Iterable[Utterance], path: str | Path) -> None:
    """Write a JSON manifest atomically.

    Paths of audio in the folder of the manifest are relative to it (``{data_root}/...``), others are absolute. Raises
    `FormatError` if two utterances have the same id or the file cannot be written.
    """
    folder = Path(path).parent.resolve()
    rows: dict[str, Any] = {}
    for utterance in utterances:
        if utterance.id in rows:
            raise FormatError(f"{path}: found two rows with id {utterance.id!r}, expected unique ids")
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
        "label_source": utterance.label_source,
    }
    return {
        key: _literal(value) if isinstance(value, str) and key != "wav" else value
        for key, value in row.items()
    }


def _literal(text: str) -> str:
    """Escape `text` for SpeechBrain, which formats every string as a template."""
    return text.replace("{", "{{").replace("}", "}}")
