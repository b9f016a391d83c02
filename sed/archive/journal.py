"""The journal of an output folder: which recordings are done, with which settings, to resume a killed run.

A ledger of JSON lines. Each run starts with a header ``{"sed": "journal", "version", "settings", "fresh"}``: the
lines after it were made with its settings, and a fresh header discards the lines before it. Then one line per
recording: ``{"recording", "source", "changed", "formats", "duration", "spent"}``, or ``"error"`` in place of
``"formats"``. Results are written before the line that records them, so every recorded result exists; a recording
that was in progress when the run was killed is processed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sed import formats
from sed.archive import remote
from sed.archive.inputs import Input
from sed.archive.ledger import Ledger, open_ledger
from sed.archive.outputs import Outputs
from sed.archive.work import Report
from sed.emotion.bundled import bundled_path, is_bundled
from sed.emotion.folders import LAYOUTS, TRAINED
from sed.errors import OptionError
from sed.files import PART, is_hidden, part_stem

VERSION = 1
POSTERIORS = ("json", "jsonl", "npz", "html")  # the formats that --posteriors changes
BESIDE = ("dimensions.safetensors",)  # beside the files of sed-train, if it learnt them
ENCODER = ("config.json", "preprocessor_config.json")  # beside the files of other libraries


class Entry(NamedTuple):
    """The journal's entry of a finished recording."""

    source: str
    changed: str | None
    formats: tuple[str, ...]


def _variant(kind: str, outputs: Outputs, posteriors: bool) -> str:
    """What distinguishes files of format `kind` that other flags would write differently."""
    audio = "+audio" if outputs.embed_audio and formats.plays_audio(kind) else ""
    return ("+posteriors" if posteriors and kind in POSTERIORS else "") + audio


class Journal:
    """Which recordings are done in the folder of `outputs`; `settings` are those that change results.

    With `fresh` nothing counts as done. Otherwise the results of earlier runs with the same settings do, unless the
    source has changed or a result is missing. Raises `OptionError` if the folder holds results of other settings or
    another run writes into it.
    """

    def __init__(
        self, outputs: Outputs, settings: Mapping[str, Any], *, posteriors: bool = False, fresh: bool = False
    ) -> None:
        assert outputs.directory is not None
        self._outputs = outputs
        self._required = tuple(kind + _variant(kind, outputs, posteriors) for kind in outputs.kinds)
        self._done: dict[str, Entry] = {}
        self._listing: set[str] | None = None  # names in a remote folder, fetched on first use
        # Written with the first line: a run that fails to start leaves no trace.
        header = {"sed": "journal", "version": VERSION, "settings": dict(settings), "fresh": fresh}
        self._header = [json.dumps(header)]
        self._ledger: Ledger = open_ledger(outputs.directory)
        try:
            before = self._read()
            if before is not None and self._done and not fresh and (other := differences(before, settings)):
                raise OptionError(
                    f"{outputs.directory}: holds results of other settings ({other}): expected the same "
                    "settings, another folder, or --fresh to process everything again"
                )
            if fresh:
                self._done.clear()
        except BaseException:
            self._ledger.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.close()

    @property
    def name(self) -> str:
        """The file or folder of the journal."""
        return self._ledger.name

    def _read(self) -> dict[str, Any] | None:
        """Read which recordings are done; returns the settings of the last run."""
        settings: dict[str, Any] | None = None
        for line in self._ledger.lines():
            try:
                row = json.loads(line)
                if row.get("sed") == "journal":
                    if row["version"] > VERSION:
                        raise OptionError(f"{self.name}: a newer sed wrote it, expected version {VERSION}")
                    if row["fresh"] or (settings is not None and differences(settings, row["settings"])):
                        self._done.clear()
                    settings = row["settings"]
                elif "formats" in row:
                    self._note(row["recording"], Entry(row["source"], row["changed"], tuple(row["formats"])))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if isinstance(error, OptionError):
                    raise
                continue  # a damaged line: its recording is processed again
        return settings

    def _note(self, recording: str, entry: Entry) -> None:
        before = self._done.get(recording)
        if before is not None and before[:2] == entry[:2]:  # another format of the same recording
            entry = entry._replace(formats=tuple(dict.fromkeys([*before.formats, *entry.formats])))
        self._done[recording] = entry

    def is_done(self, recording: Input) -> bool:
        """Whether every required format of a recording exists, made from the current source."""
        entry = self._done.get(recording.stem)
        if self._outputs.paths:  # single output files are not recorded
            return False
        if entry is None or recording.path == "-" or entry.source != _absolute(recording.path):
            return False
        if recording.version is not None and entry.changed != recording.version:
            return False
        return set(self._required) <= set(entry.formats) and all(
            map(self._exists, self._outputs.names(recording))
        )

    def _exists(self, name: str) -> bool:
        folder = self._outputs.directory or ""
        if not self._outputs.is_remote:
            return os.path.exists(os.path.join(folder, name))
        if self._listing is None:  # one listing is cheaper than one request per recording
            self._listing = remote.names_below(folder)
        return name in self._listing

    def forget_listing(self) -> None:
        """Free the names of a remote folder and the entries, which are not needed any more."""
        self._listing = None
        self._done.clear()

    def add(self, done: Iterable[tuple[Input, Report]]) -> None:
        """Record finished or failed recordings. Raises `FormatError` if the journal cannot be written."""
        rows: list[str] = []
        for recording, report in done:
            row: dict[str, Any] = {
                "recording": recording.stem,
                "source": _absolute(recording.path),
                "changed": recording.version,
            }
            if report.error is None:
                row["formats"] = list(self._required)
                row |= {"duration": report.duration, "spent": round(report.spent, 3)}
            else:
                row["error"] = report.error
            rows.append(json.dumps(row))
        self._ledger.append([*self._header, *rows])
        self._header = []

    def sweep(self, recordings: Iterable[Input]) -> None:
        """Remove temporary files that a killed run left for `recordings`; object stores keep none."""
        if self._outputs.is_remote:
            return
        wanted: dict[Path, set[str]] = {}
        for recording in recordings:
            for name in self._outputs.names(recording):
                path = Path(self._outputs.directory or "", name)
                wanted.setdefault(path.parent, set()).add(part_stem(path.name))
        for folder, names in wanted.items():
            for part in folder.glob(f".*{PART}"):
                if part.name.removesuffix(PART).rpartition(".")[0].removeprefix(".") in names:
                    part.unlink(missing_ok=True)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """A description of the settings that differ; empty if none do.

    >>> differences({"latency": None, "vad": "webrtc"}, {"latency": 1.0, "vad": "webrtc"})
    'latency: none, now 1.0'
    """

    def word(value: Any) -> str:
        return "none" if value is None else str(value)

    names = [n for n in {**before, **now} if before.get(n) != now.get(n)]
    return ", ".join(f"{n}: {word(before.get(n))}, now {word(now.get(n))}" for n in names)


def fingerprint(
    settings: Mapping[str, Any], speech: str | None = None, turns: bytes | None = None
) -> dict[str, Any]:
    """The settings of a run that change its results, as plain data; files and folders by their content.

    `settings` are those of `EmotionDiarizer`, `speech` is a file of given turns, and `turns` its content if it was
    read already (a pipe can be read only once).
    """
    from sed import __version__

    plain = {k: v for k, v in settings.items() if k != "threads" and v is not None}
    if plain.get("device") in ("auto", "cpu"):  # on a GPU the last digits differ
        del plain["device"]
    if is_bundled(tagger := plain.get("tagger")):
        plain["tagger"] = _by_content(str(bundled_path()), _tagger_files)
    elif isinstance(tagger, str):
        plain["tagger"] = _by_content(tagger, _tagger_files)
    if isinstance(diarizer := plain.get("diarizer"), str):
        name, colon, model = diarizer.partition(":")
        plain["diarizer"] = name + colon + _by_content(model, _all_files) if model else diarizer
    if "enrol" in plain:
        plain["enrol"] = {
            name: [_by_content(f, _no_files) for f in own] for name, own in plain["enrol"].items()
        }
    if "context" in plain:
        plain["context"] = _by_content(str(plain["context"]), _no_files)
    if speech is not None:
        named = "" if turns is not None and not Path(speech).is_file() else Path(speech).name
        digest = _digest(speech) if turns is None else hashlib.sha256(turns).hexdigest()[:16]
        plain["speech"] = f"{named} {digest}".strip()
    return {"sed": __version__, **plain}


def _by_content(model: str, files_of: Callable[[Path], dict[str, Path]]) -> str:
    """A digest of a model's file or folder, independent of its location; the name itself if it is no path."""
    path = Path(model)
    if path.is_file():
        return f"{path.name} {_digest(path)}"
    files = files_of(path) if path.is_dir() else {}
    if not files:
        return model
    listing = "".join(f"{name} {_digest(file)}\n" for name, file in sorted(files.items()))
    return f"folder {hashlib.sha256(listing.encode()).hexdigest()[:16]}"


def _tagger_files(folder: Path) -> dict[str, Path]:
    """The files that `sed.emotion.folders.open_folder` reads, by name."""
    places = ((folder, TRAINED), (folder / "tagger", TRAINED), *((folder, names) for names in LAYOUTS))
    for place, names in places:
        if all((place / name).is_file() for name in names):
            wanted = (*names, *(BESIDE if names is TRAINED else ENCODER))
            return {name: place / name for name in wanted if (place / name).is_file()}
    return {}


def _no_files(_: Path) -> dict[str, Path]:
    return {}


def _all_files(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its relative name, except hidden ones."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {name.as_posix(): path for name, path in files.items() if not is_hidden(name)}


def _digest(path: str | Path) -> str:
    hasher = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while data := file.read(1 << 20):
                hasher.update(data)
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror or error})") from None
    return hasher.hexdigest()[:16]


def _absolute(path: str) -> str:
    return path if path == "-" or remote.is_url(path) else os.path.abspath(path)
