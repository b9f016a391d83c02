"""From a corpus as published to a manifest: read, check, split, write; and a report of what was found and missing.

Audio of a folder stays where it is. Audio of an archive that the manifest needs is unpacked beside the manifest,
into a folder named after it (``iemocap.json`` -> ``iemocap_audio/``). The manifest appears when it is complete; if
anything fails, what was unpacked for it goes again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.lengths import audio_lengths
from sed.corpora.manifest import OFFICIAL, SPLITS, Utterance, is_prepared, write_manifest
from sed.corpora.ratings import DIMENSIONS, Ratings
from sed.corpora.splits import draw_splits
from sed.corpora.tree import Tree, open_tree
from sed.errors import AudioError, FormatError, OptionError
from sed.files import NewFiles
from sed.formats.kind import without_blanks

SPLIT_CHOICES = ("auto", "speakers", *SPLITS)
_SPEAKERS = "speakers"


@dataclass(frozen=True)
class Options:
    """How a corpus is prepared.

    split: ``auto`` (what the corpus, the field, or this project's figures hold out, as `Preparer.splits` tells, else
        as ``speakers``), ``speakers`` (drawn by `seed`, each on one side), or one split for all.
    seed, valid, test: of the draw: its seed, and shares of speakers. None: 0, 0.1 and 0.2; to name one where no
        speakers are drawn is an `OptionError`.
    fold: which fold is test, from 1 on, for corpora that have folds; None: the last.
    rename: emotions to call otherwise, such as ``{"excited": "happy"}``.
    languages: only these (as ``en``); empty: all.
    corpus: what to call it; None: the preparer's name, or what a table says.
    strict: raise `FormatError` instead of leaving out what is wrong.
    """

    split: str = "auto"
    seed: int | None = None
    valid: float | None = None
    test: float | None = None
    fold: int | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    languages: Collection[str] = ()
    corpus: str | None = None
    strict: bool = False


@dataclass(frozen=True)
class Report:
    """What went into the manifest at `path`, and in `problems` a sentence for each kind of thing that didn't."""

    path: Path
    utterances: tuple[Utterance, ...]
    problems: tuple[str, ...]

    @property
    def summary(self) -> str:
        """Numbers in one line."""
        rows = self.utterances
        hours = sum(row.duration or 0.0 for row in rows) / 3600
        splits = Counter(row.split for row in rows)
        emotions = Counter(row.emotion for row in rows)
        return (
            f"{self.path}: {len(rows)} utterances, {len({row.speaker for row in rows})} speakers, {hours:.2f} h; "
            + " ".join(f"{name} {splits[name]}" for name in SPLITS if splits[name])
            + "; "
            + " ".join(f"{name} {count}" for name, count in emotions.most_common())
        )


def prepare(
    preparer: Preparer, source: str | Path, target: str | Path, options: Options | None = None
) -> Report:
    """Read the corpus at `source` and write its manifest to `target`.

    Raises `FormatError` where `source` is not that corpus, lacks its label file or has nothing that can be used, and
    with `Options.strict` where anything is missing; `OptionError` for options that don't fit the corpus, and for a
    `target` that is there and is no manifest of this function's;
    `MissingDependencyError` where film needs ffmpeg.
    """
    options, target = options or Options(), Path(target)
    _check(preparer, options, target)
    notes = Notes()
    unpacked = target.parent / f"{target.stem}_audio"
    tree = open_tree(source, unpacked)
    found = list(preparer.read(tree, notes))
    entries = _usable(found, options, notes)
    if not entries:
        raise FormatError(_nothing(preparer, tree, notes, found, options))
    _count(preparer, entries, options, notes)
    with NewFiles() as new_files:
        if options.strict:
            _demand(tree, notes)
        new_files.folder(target.parent)
        files = sorted({entry.file for entry in entries})
        paths = tree.fetch(files, unpacked, new_files)
        lengths = audio_lengths(paths.values())
        entries = [entry for entry in entries if _is_sound(entry, lengths[paths[entry.file]], notes)]
        if not entries:
            raise FormatError(_nothing(preparer, tree, notes))
        for name in sorted(set(options.rename) - _labels(entries)):
            notes.say(f"nothing is labelled {name}, which was to be renamed {options.rename[name]}")
        if options.strict:
            _demand(tree, notes)
        splits, rule = _split(preparer, entries, options)
        rows = []
        for entry, split in zip(entries, splits, strict=True):
            length = lengths[paths[entry.file]]
            assert isinstance(length, float)
            rows.append(_utterance(preparer, entry, split, rule, paths[entry.file], length, options))
        if shared := _shared(rows):
            what = "speaker is" if shared == 1 else "speakers are"
            advice = (
                "" if rule == OFFICIAL else ", which training refuses: --split speakers keeps each in one"
            )
            notes.say(f"{shared} {what} in more than one split{advice}")
        write_manifest(rows, target)
    return Report(target, tuple(rows), tuple(notes.sentences()))


def _check(preparer: Preparer, options: Options, target: Path) -> None:
    if options.split not in SPLIT_CHOICES:
        raise OptionError(f"split {options.split!r}: expected one of {', '.join(SPLIT_CHOICES)}")
    if options.fold is not None and not 1 <= options.fold <= len(preparer.folds):
        have = f"1 to {len(preparer.folds)}" if preparer.folds else "none: the corpus has no folds"
        raise OptionError(f"fold {options.fold} of {preparer.name}: expected {have}")
    if options.fold is not None and options.split != "auto":
        raise OptionError(f"fold {options.fold} with split {options.split}: expected split auto")
    given = [name for name in ("seed", "valid", "test") if getattr(options, name) is not None]
    held = bool(preparer.folds or preparer.fixed) and options.split == "auto"
    if given and (held or options.split in SPLITS):
        raise OptionError(
            f"{' and '.join(given)} of {preparer.name} with split {options.split}, where no speakers are drawn:"
            " expected split speakers"
        )
    draw_splits({}, valid=options.valid or 0.0, test=options.test or 0.0)
    if target.suffix.lower() != ".json":
        raise OptionError(f"{target}: expected a manifest with the suffix .json")
    if target.exists() and not is_prepared(target):
        raise OptionError(f"{target}: there is something else already, expected a new name")


def _usable(found: Iterable[Entry], options: Options, notes: Notes) -> list[Entry]:
    """The entries of the languages wanted, each id once, in an order that doesn't depend on the file system."""
    wanted = {language.casefold() for language in options.languages}
    entries: dict[str, Entry] = {}
    for entry in sorted(found, key=lambda entry: (entry.id, entry.file)):
        if options.languages and (entry.language or "").casefold() not in wanted:
            continue
        if entry.id in entries:
            notes.add("whose id is there already, left out", entry.file)
        else:
            entries[entry.id] = entry
    return list(entries.values())


def _is_sound(entry: Entry, length: float | AudioError, notes: Notes) -> bool:
    if isinstance(length, AudioError):
        notes.add(f"whose audio cannot be read ({length})", entry.file)
        return False
    ends = [entry.stop or entry.start or 0.0, *(end for _, end, _ in entry.events)]
    # Published times are rounded, and films end with the picture.
    if max(ends) > length + 0.05 or (entry.start or 0.0) >= length:
        notes.add("that go on past the end of their audio", f"{entry.id} ({max(ends):g} of {length:.3f} s)")
        return False
    return True


def _count(preparer: Preparer, entries: Sequence[Entry], options: Options, notes: Notes) -> None:
    if options.languages:
        return
    if preparer.utterances and len(entries) not in preparer.utterances:
        published = " or ".join(map(str, preparer.utterances))
        notes.say(f"found {len(entries)} utterances, published are {published}")
    speakers = len({entry.speaker for entry in entries})
    if preparer.speakers and speakers != preparer.speakers:
        notes.say(f"found {speakers} speakers, published are {preparer.speakers}")


def _labels(entries: Iterable[Entry]) -> set[str]:
    """Every word for an emotion in `entries`."""
    return {
        label
        for entry in entries
        for label in (entry.emotion, *entry.raters, *(label for _, _, label in entry.events))
    }


def _nothing(
    preparer: Preparer,
    tree: Tree,
    notes: Notes,
    found: Sequence[Entry] = (),
    options: Options | None = None,
) -> str:
    if found and options and options.languages:
        languages = ", ".join(sorted({entry.language or "none told" for entry in found}))
        return (
            f"{tree.title}: found {len(found)} utterances in languages {languages}, expected some in"
            f" {', '.join(options.languages)}"
        )
    text = f"{tree.title}: found nothing of {preparer.title} among {len(tree.names)} files"
    if tree.packed and not tree.audio:
        text += f"; {', '.join(tree.packed[:3])} is packed inside, so unpack it first"
    return text + "".join(f"; {sentence}" for sentence in notes.sentences())


def _demand(tree: Tree, notes: Notes) -> None:
    if sentences := notes.sentences():
        raise FormatError(f"{tree.title}: {'; '.join(sentences)}")


def _split(preparer: Preparer, entries: Sequence[Entry], options: Options) -> tuple[list[str], str]:
    """The split of each entry, and the name of the rule."""
    if options.split in SPLITS:
        return [options.split] * len(entries), "all"
    if options.split == "auto":
        if preparer.folds:
            place = (len(preparer.folds) if options.fold is None else options.fold) - 1
            held = {preparer.folds[place]: "test", preparer.folds[place - 1]: "valid"}
            return [held.get(entry.group or "", "train") for entry in entries], f"fold {place + 1}"
        if preparer.fixed:
            homes = {name: split for split, names in preparer.fixed.items() for name in names}
            return [homes.get(entry.speaker, "train") for entry in entries], "fixed"
        if preparer.own_rule:
            own = [entry.split for entry in entries if entry.split]
            if len(own) == len(entries):
                return own, preparer.own_rule
            if own:
                raise FormatError(
                    f"{len(entries) - len(own)} of {len(entries)} rows have no split: expected one in each, or"
                    " --split speakers"
                )
    kinds: dict[str, set[str]] = {}
    for entry in entries:
        kinds.setdefault(_group(entry), set()).add(f"{entry.language}/{entry.gender}")
    members = {name: " ".join(sorted(kind)) for name, kind in kinds.items()}
    shares = {"valid": options.valid, "test": options.test}
    drawn = draw_splits(
        members, options.seed or 0, **{name: share for name, share in shares.items() if share is not None}
    )
    return [drawn[_group(entry)] for entry in entries], _SPEAKERS


def _shared(rows: Iterable[Utterance]) -> int:
    homes: dict[str, set[str]] = {}
    for row in rows:
        homes.setdefault(row.speaker, set()).add(row.split)
    return sum(len(splits) > 1 for splits in homes.values())


def _group(entry: Entry) -> str:
    return f"{entry.corpus or ''}/{entry.group or entry.speaker}"


def _utterance(
    preparer: Preparer, entry: Entry, split: str, rule: str, path: Path, length: float, options: Options
) -> Utterance:
    corpus = options.corpus or entry.corpus or preparer.name
    own = without_blanks(entry.speaker)
    speaker = own if own.startswith(f"{corpus}_") else f"{corpus}_{own}"

    def name(label: str) -> str:
        return options.rename.get(label, label)

    raters: dict[str, float] = {}
    for label, votes in entry.raters.items():
        raters[name(label)] = raters.get(name(label), 0.0) + votes
    arousal, valence, dominance = (entry.dimensions.get(key, math.nan) for key in DIMENSIONS)
    stop = min(entry.stop, length) if entry.stop is not None else None
    return Utterance(
        corpus,
        path,
        f"{corpus}/{speaker}",
        name(entry.emotion),
        split,
        Ratings(raters, (arousal, valence, dominance)) or None,
        id=entry.id,
        duration=round((length if stop is None else stop) - (entry.start or 0.0), 6),
        start=entry.start,
        stop=stop,
        gender=entry.gender,
        language=entry.language,
        intensity=entry.intensity,
        text=entry.text,
        split_rule=rule,
        events=tuple((start, end, name(label)) for start, end, label in entry.events),
    )
