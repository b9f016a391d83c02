"""The splits of a corpus: options and entries in, a split of each entry out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sed.corpora.entries import CorpusReader, Entry
from sed.corpora.manifest import SPLITS, Utterance, is_prepared
from sed.corpora.splits import balance_labels, draw_splits
from sed.errors import FormatError, OptionError

SPLIT_CHOICES = ("auto", "speakers", "balanced", *SPLITS)


@dataclass(frozen=True)
class Options:
    """How to prepare a corpus.

    split: ``auto`` (the splits described in `CorpusReader.split_summary`), ``speakers`` (speakers drawn at random,
        each in one split), ``balanced`` (the same, with the labels of each split in about the same proportions), or
        the name of one split for all utterances.
    seed, valid, test: the seed of the random draw and the shares of speakers; None: 0, 0.1 and 0.2. Setting one of
        them raises `OptionError` if no speakers are drawn.
    fold: the test fold, from 1, of a corpus with folds; None: the last.
    rename: new names of emotions, such as ``{"excited": "happy"}``.
    languages: the languages to keep (such as ``en``); empty: all.
    corpus: the name of the corpus in the manifest; None: that of the reader or of the table.
    text_labels: a CSV with words and emotions, or the folder of a text classifier, which labels utterances that have a
        text and no emotion (`sed.corpora.text_labels`).
    strict: raise `FormatError` instead of omitting what is missing or invalid.
    """

    split: str = "auto"
    seed: int | None = None
    valid: float | None = None
    test: float | None = None
    fold: int | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    languages: Collection[str] = ()
    corpus: str | None = None
    text_labels: str | None = None
    strict: bool = False


def check_options(reader: CorpusReader, options: Options, target: Path) -> None:
    """Raise `OptionError` for options that do not suit the corpus, and a `target` that is no manifest to replace."""
    if options.split not in SPLIT_CHOICES:
        raise OptionError(f"split {options.split!r}: expected one of {', '.join(SPLIT_CHOICES)}")
    if options.fold is not None and not 1 <= options.fold <= len(reader.folds):
        expected = f"1 to {len(reader.folds)}" if reader.folds else "none because the corpus has no folds"
        raise OptionError(f"fold {options.fold} of {reader.name}: expected {expected}")
    if options.fold is not None and options.split != "auto":
        raise OptionError(
            f"fold {options.fold} cannot be combined with split {options.split}: expected split auto"
        )
    given = [name for name in ("seed", "valid", "test") if getattr(options, name) is not None]
    predefined = bool(reader.folds or reader.fixed_splits) and options.split == "auto"
    if given and (predefined or options.split in SPLITS):
        raise OptionError(
            f"{' and '.join(given)} cannot be combined with split {options.split} of {reader.name}, which draws no"
            " speakers: expected split speakers"
        )
    draw_splits({}, valid=options.valid or 0.0, test=options.test or 0.0)
    if target.suffix.lower() != ".json":
        raise OptionError(f"{target}: expected a manifest with the suffix .json")
    if target.exists() and not is_prepared(target):
        raise OptionError(f"{target}: found a file that is not a prepared manifest, expected a new name")


def assign_splits(reader: CorpusReader, entries: Sequence[Entry], options: Options) -> tuple[list[str], str]:
    """The split of each entry, and the name of the split rule."""
    if options.split in SPLITS:
        return [options.split] * len(entries), "all"
    if options.split == "auto":
        if reader.folds:
            index = (len(reader.folds) if options.fold is None else options.fold) - 1
            held_out = {reader.folds[index]: "test", reader.folds[index - 1]: "valid"}
            return [held_out.get(entry.group or "", "train") for entry in entries], f"fold {index + 1}"
        if reader.fixed_splits:
            splits = {name: split for split, names in reader.fixed_splits.items() for name in names}
            return [splits.get(entry.speaker, "train") for entry in entries], "fixed"
        if reader.split_rule:
            own = [entry.split for entry in entries if entry.split]
            if len(own) == len(entries):
                return own, reader.split_rule
            if own:
                raise FormatError(
                    f"{len(entries) - len(own)} of {len(entries)} rows have no split, expected one in each row:"
                    " use --split speakers"
                )
    strata: dict[str, set[str]] = {}
    for entry in entries:
        strata.setdefault(_group(entry), set()).add(f"{entry.language}/{entry.gender}")
    groups = {name: " ".join(sorted(values)) for name, values in strata.items()}
    shares = {"valid": options.valid, "test": options.test}
    drawn = draw_splits(
        groups, options.seed or 0, **{name: share for name, share in shares.items() if share is not None}
    )
    if options.split == "balanced":
        labels: dict[str, Counter[str]] = {name: Counter() for name in groups}
        for entry in entries:
            labels[_group(entry)][options.rename.get(entry.emotion, entry.emotion)] += 1
        drawn = balance_labels(drawn, groups, labels)
    return [
        drawn[_group(entry)] for entry in entries
    ], "balanced" if options.split == "balanced" else "speakers"


def count_shared_speakers(rows: Iterable[Utterance]) -> int:
    """The number of speakers in more than one split."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row.speaker, set()).add(row.split)
    return sum(len(names) > 1 for names in splits.values())


def _group(entry: Entry) -> str:
    return f"{entry.corpus or ''}/{entry.group or entry.speaker}"
