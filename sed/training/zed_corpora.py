"""The corpora of the paper on speech emotion diarization: a folder of published corpora in, manifests and splits out.

Manifests are written once and used again; a corpus that lacks utterances is an error unless that is allowed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.find import find_corpora
from sed.corpora.manifest import Utterance, is_prepared, read_manifest
from sed.corpora.prepare import Options, prepare
from sed.corpora.readers import find_reader
from sed.corpora.splits import draw_splits
from sed.corpora.tree import Tree
from sed.errors import FormatError, OptionError
from sed.simulation.patterns import NEUTRAL

_log = logging.getLogger("sed.training")

SPLIT_BY = ("speaker", "clip")


@dataclass(frozen=True)
class CorpusOptions:
    """Which part of the corpora is used, by names of corpora."""

    rename: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """New names of emotions."""
    languages: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Languages to keep."""
    utterances: Mapping[str, int] = field(default_factory=dict)
    """Published numbers of utterances in these languages."""
    sets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Published combinations of speaker and emotion, such as ``bea amused``, where the number is not known."""


def prepare_corpora(
    data_folder: str | Path,
    names: Sequence[str],
    manifests: str | Path,
    options: CorpusOptions,
    allow_incomplete: bool = False,
    few: int = 0,
) -> dict[str, Path]:
    """The manifest of each of the corpora `names`, written to the folder `manifests` unless it is there.

    Every utterance of a training corpus is in split train. With `few` above 0 a manifest has only that many
    utterances of each speaker and emotion. Raises `FormatError`, which lists all of them, if corpora are missing or,
    unless `allow_incomplete`, incomplete; then nothing is written.
    """
    targets = {name: Path(manifests) / f"{name}.json" for name in names}
    missing = [name for name, target in targets.items() if not (target.is_file() and is_prepared(target))]
    for name in names:
        if name not in missing:
            _log.info("%s: using %s", name, targets[name])
    problems = []
    sources = find_corpora(data_folder, missing) if missing else {}
    written = []
    for name, source in sources.items():
        counts: Counter[str] = Counter()
        reader = _watched(find_reader(name), counts, few)
        report = prepare(reader, source, targets[name], _prepare_options(reader, options))
        written.append(targets[name])
        _log.info("%s", report.summary)
        for message in report.problems:
            _log.warning("%s: %s", name, message)
        problems += [f"{name} in {source}: {problem}" for problem in _incomplete(name, counts, options)]
    if problems and not allow_incomplete:
        for target in written:
            target.unlink()
        raise FormatError(
            f"{data_folder}: {'; '.join(problems)}: complete the corpora, or use allow_incomplete: True"
        )
    return targets


def _prepare_options(reader: CorpusReader, options: CorpusOptions) -> Options:
    return Options(
        split="auto" if reader.split_rule else "train",
        rename=options.rename.get(reader.name, {}),
        languages=options.languages.get(reader.name, ()),
    )


def _watched(reader: CorpusReader, counts: Counter[str], few: int) -> CorpusReader:
    """`reader` that counts its entries, also by language, speaker and emotion, and yields only a `few` of each."""

    def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
        for entry in reader.read(tree, problems):
            key = f"{entry.speaker} {entry.emotion}"
            counts.update([key, f"language {entry.language}"])
            if not few or counts[key] <= few:
                yield entry

    return replace(reader, read=read, published_utterances=() if few else reader.published_utterances)


def _incomplete(name: str, counts: Counter[str], options: CorpusOptions) -> Iterator[str]:
    languages = options.languages.get(name) or [
        key.removeprefix("language ") for key in counts if key.startswith("language ")
    ]
    found = sum(counts[f"language {language}"] for language in languages)
    if found < (expected := options.utterances.get(name, 0)):
        yield f"found {found} utterances, expected {expected}"
    if missing := [key for key in options.sets.get(name, ()) if not counts[key]]:
        yield f"found no utterance of {', '.join(missing)}"


def split_corpora(
    manifests: Iterable[Path], labels: Sequence[str], by: str, share: float, seed: int
) -> tuple[list[Utterance], list[Utterance]]:
    """The training and the validation utterances, with about `share` of each corpus in validation.

    by: ``speaker`` (no speaker is in both; those of one IEMOCAP session stay together, since they are in each other's
    recordings), or ``clip``, as in the paper: any emotional utterances, and neutral ones on both sides.
    """
    if by not in SPLIT_BY:
        raise OptionError(f"split_by {by!r}: expected one of {', '.join(SPLIT_BY)}")
    utterances = read_manifest(list(manifests), ["train"], labels)
    if by == "clip":
        emotional = [n for n, utterance in enumerate(utterances) if utterance.emotion != NEUTRAL]
        order = np.random.default_rng([seed, 3]).permutation(emotional)
        held_out = set(order[: max(round(share * len(order)), 1)].tolist())
        neutral = [utterance for utterance in utterances if utterance.emotion == NEUTRAL]
        train = [utterance for n, utterance in enumerate(utterances) if n not in held_out]
        return train, [*neutral, *(utterances[n] for n in sorted(held_out))]
    corpora: dict[str, dict[str, set[str]]] = {}
    for utterance in utterances:
        corpora.setdefault(utterance.corpus, {}).setdefault(_group(utterance), set()).add(
            utterance.gender or ""
        )
    drawn = {
        name: draw_splits(
            {g: "".join(sorted(genders)) for g, genders in groups.items()}, seed, valid=share, test=0
        )
        for name, groups in corpora.items()
    }
    parts: dict[str, list[Utterance]] = {"train": [], "valid": []}
    for utterance in utterances:
        parts[drawn[utterance.corpus][_group(utterance)]].append(utterance)
    return parts["train"], parts["valid"]


def _group(utterance: Utterance) -> str:
    return utterance.speaker[:-1] if utterance.corpus == "iemocap" else utterance.speaker
