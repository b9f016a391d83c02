"""Preparation of a corpus: a published corpus in, a manifest and a report of its problems out.

Audio in a folder stays there. Audio in an archive that the manifest needs is extracted beside the manifest, into a
folder named after it (``iemocap.json`` -> ``iemocap_audio/``). The manifest is written atomically; after a failure
the files extracted for it are removed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sed.corpora.assignment import Options, assign_splits, check_options, count_shared_speakers
from sed.corpora.durations import audio_durations
from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.manifest import OFFICIAL, SPLITS, Utterance, write_manifest
from sed.corpora.ratings import DIMENSIONS, Ratings
from sed.corpora.text_labels import label_texts, open_text_labeller
from sed.corpora.tree import Tree, open_tree
from sed.errors import AudioError, FormatError
from sed.files import NewFiles
from sed.formats.kind import without_blanks


@dataclass(frozen=True)
class Report:
    """The `utterances` written to the manifest at `path`, and one message per problem in `problems`."""

    path: Path
    utterances: tuple[Utterance, ...]
    problems: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line with the numbers of utterances and speakers, hours, split sizes and emotion counts."""
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
    reader: CorpusReader, source: str | Path, target: str | Path, options: Options | None = None
) -> Report:
    """Read the corpus at `source` and write its manifest to `target`.

    Raises `FormatError` if `source` is not that corpus, lacks its label file or has no usable utterance, and with
    `Options.strict` if there is any problem; `OptionError` for options that do not suit the corpus, and if `target`
    exists and is not a prepared manifest; `MissingDependencyError` if video files need ffmpeg.
    """
    options, target = options or Options(), Path(target)
    check_options(reader, options, target)
    problems = ProblemLog()
    audio_folder = target.parent / f"{target.stem}_audio"
    tree = open_tree(source, audio_folder)
    found = list(reader.read(tree, problems))
    entries = _select_entries(found, options, problems)
    if not entries:
        raise FormatError(_no_entries_message(reader, tree, problems, found, options))
    entries = _with_emotions(entries, options, problems, tree.title)
    _compare_with_published(reader, entries, options, problems)
    with NewFiles() as new_files:
        if options.strict:
            _raise_problems(tree, problems)
        new_files.folder(target.parent)
        files = sorted({entry.file for entry in entries})
        paths = tree.fetch(files, audio_folder, new_files)
        durations = audio_durations(paths.values())
        entries = [entry for entry in entries if _has_audio(entry, durations[paths[entry.file]], problems)]
        if not entries:
            raise FormatError(_no_entries_message(reader, tree, problems))
        for name in sorted(set(options.rename) - _labels(entries)):
            problems.add_message(f"found no label {name} to rename to {options.rename[name]}")
        if options.strict:
            _raise_problems(tree, problems)
        splits, rule = assign_splits(reader, entries, options)
        rows = []
        for entry, split in zip(entries, splits, strict=True):
            duration = durations[paths[entry.file]]
            assert isinstance(duration, float)
            rows.append(_utterance(reader, entry, split, rule, paths[entry.file], duration, options))
        if shared := count_shared_speakers(rows):
            subject = "speaker is" if shared == 1 else "speakers are"
            advice = "" if rule == OFFICIAL else ", which training rejects: use --split speakers"
            problems.add_message(f"{shared} {subject} in more than one split{advice}")
        write_manifest(rows, target)
    return Report(target, tuple(rows), tuple(problems.messages()))


def _select_entries(found: Iterable[Entry], options: Options, problems: ProblemLog) -> list[Entry]:
    """The entries in the requested languages with unique ids, in an order independent of the file system."""
    languages = {language.casefold() for language in options.languages}
    entries: dict[str, Entry] = {}
    for entry in sorted(found, key=lambda entry: (entry.id, entry.file)):
        if options.languages and (entry.language or "").casefold() not in languages:
            continue
        if entry.id in entries:
            problems.add("duplicate id, omitted", entry.file)
        else:
            entries[entry.id] = entry
    return list(entries.values())


def _with_emotions(entries: list[Entry], options: Options, problems: ProblemLog, title: str) -> list[Entry]:
    """`entries`, those without an emotion labelled by their text; `FormatError` if there is nothing to label with."""
    missing = [entry.id for entry in entries if not entry.emotion]
    if not missing:
        return entries
    if options.text_labels is None:
        raise FormatError(
            f"{title}: found {len(missing)} utterances without emotion, such as {missing[0]}, expected one for each, or"
            " text_labels to take it from their texts"
        )
    labelled = label_texts(entries, open_text_labeller(options.text_labels), options.rename, problems)
    if not labelled:
        raise FormatError(f"{title}: found no emotion in any text with {options.text_labels}, expected some")
    return labelled


def _has_audio(entry: Entry, duration: float | AudioError, problems: ProblemLog) -> bool:
    if isinstance(duration, AudioError):
        problems.add(f"unreadable audio: {duration}", entry.file)
        return False
    ends = [entry.stop or entry.start or 0.0, *(end for _, end, _ in entry.events)]
    # Published times are rounded, and the audio of a video may end before the picture.
    if max(ends) > duration + 0.05 or (entry.start or 0.0) >= duration:
        problems.add("times after the end of the audio", f"{entry.id} ({max(ends):g} of {duration:.3f} s)")
        return False
    return True


def _compare_with_published(
    reader: CorpusReader, entries: Sequence[Entry], options: Options, problems: ProblemLog
) -> None:
    if options.languages:
        return
    if reader.published_utterances and len(entries) not in reader.published_utterances:
        published = " or ".join(map(str, reader.published_utterances))
        problems.add_message(f"found {len(entries)} utterances, expected {published} as published")
    speakers = len({entry.speaker for entry in entries})
    if reader.published_speakers and speakers != reader.published_speakers:
        problems.add_message(f"found {speakers} speakers, expected {reader.published_speakers} as published")


def _labels(entries: Iterable[Entry]) -> set[str]:
    """All emotion labels in `entries`."""
    return {
        label
        for entry in entries
        for label in (entry.emotion, *entry.raters, *(label for _, _, label in entry.events))
    }


def _no_entries_message(
    reader: CorpusReader,
    tree: Tree,
    problems: ProblemLog,
    found: Sequence[Entry] = (),
    options: Options | None = None,
) -> str:
    if found and options and options.languages:
        languages = ", ".join(sorted({entry.language or "unknown" for entry in found}))
        return (
            f"{tree.title}: found {len(found)} utterances in languages {languages}, expected some in"
            f" {', '.join(options.languages)}"
        )
    text = f"{tree.title}: found no file of {reader.title} among {len(tree.names)} files"
    if tree.archives and not tree.audio:
        text += f"; extract the nested archive {', '.join(tree.archives[:3])} first"
    return text + "".join(f"; {message}" for message in problems.messages())


def _raise_problems(tree: Tree, problems: ProblemLog) -> None:
    if messages := problems.messages():
        raise FormatError(f"{tree.title}: {'; '.join(messages)}")


def _utterance(
    reader: CorpusReader, entry: Entry, split: str, rule: str, path: Path, duration: float, options: Options
) -> Utterance:
    corpus = options.corpus or entry.corpus or reader.name
    name = without_blanks(entry.speaker)
    speaker = name if name.startswith(f"{corpus}_") else f"{corpus}_{name}"

    def renamed(label: str) -> str:
        return options.rename.get(label, label)

    raters: dict[str, float] = {}
    for label, votes in entry.raters.items():
        raters[renamed(label)] = raters.get(renamed(label), 0.0) + votes
    arousal, valence, dominance = (entry.dimensions.get(key, math.nan) for key in DIMENSIONS)
    stop = min(entry.stop, duration) if entry.stop is not None else None
    return Utterance(
        corpus,
        path,
        f"{corpus}/{speaker}",
        renamed(entry.emotion),
        split,
        Ratings(raters, (arousal, valence, dominance)) or None,
        id=entry.id,
        duration=round((duration if stop is None else stop) - (entry.start or 0.0), 6),
        start=entry.start,
        stop=stop,
        gender=entry.gender,
        language=entry.language,
        intensity=entry.intensity,
        text=entry.text,
        split_rule=rule,
        label_source=entry.label_source,
        events=tuple((start, end, renamed(label)) for start, end, label in entry.events),
    )
