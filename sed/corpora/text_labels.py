"""Weak labels from transcripts: texts in, the share of each emotion out, by a lexicon or a text classifier.

Both are the user's: a table of words, or a folder of transformers. Nothing is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from sed.corpora.entries import Entry, ProblemLog
from sed.errors import FormatError, MissingDependencyError, ModelError, OptionError, install_hint
from sed.formats.csv import read_rows
from sed.formats.kind import number
from sed.labels import normalise_emotion

EVERY_TEXT = "*"
"""A word of a lexicon that counts once for every text, such as for neutral."""
_WORD = re.compile(r"\w+(?:['\N{RIGHT SINGLE QUOTATION MARK}]\w+)*")
_BATCH = 32  # texts that a classifier sees at once
_DIGITS = 4  # of a share in a manifest


class TextLabeller(Protocol):
    """Labels texts."""

    @property
    def name(self) -> str:
        """Of its file or folder."""
        ...

    def shares(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """For each text the share of each emotion, with a sum of 1; empty where the text shows none."""
        ...


@dataclass(frozen=True)
class Lexicon:
    """`words` maps words, in lower case, to weights by emotion. The weights of a text's words are added.

    >>> lexicon = Lexicon("my.csv", {"great": {"happy": 1.0}, "*": {"neutral": 1.0}})
    >>> lexicon.shares(["Great, great!", "Tuesday."])
    [{'neutral': 0.3333, 'happy': 0.6667}, {'neutral': 1.0}]
    """

    name: str
    words: Mapping[str, Mapping[str, float]]

    def shares(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """See `TextLabeller.shares`."""
        found = []
        for text in texts:
            totals: dict[str, float] = {}
            for word in (EVERY_TEXT, *_WORD.findall(text.casefold())):
                for emotion, weight in self.words.get(word, {}).items():
                    totals[emotion] = totals.get(emotion, 0.0) + weight
            found.append(_normalised(totals))
        return found


def read_lexicon(path: str | Path) -> Lexicon:
    """A CSV with the columns word, emotion and optionally weight (1); a word may have several rows.

    Known labels become labels of this project (`sed.labels`). Raises `FormatError` for a missing or invalid file.
    """
    path = Path(path)
    words: dict[str, dict[str, float]] = {}
    for where, row in read_rows(path):
        if missing := [name for name in ("word", "emotion") if not row.get(name)]:
            raise FormatError(
                f"{where}: found no {' and no '.join(missing)}, expected word, emotion and weight"
            )
        weight = number(row["weight"], where, "weight") if row.get("weight") else 1.0
        if weight < 0:
            raise FormatError(f"{where}: found weight {weight}, expected 0 or more")
        word, emotion = row["word"].strip().casefold(), _label(row["emotion"])
        if word != EVERY_TEXT and not _WORD.fullmatch(word):
            raise FormatError(
                f"{where}: found {row['word']!r}, expected one word, or {EVERY_TEXT} for every text"
            )
        own = words.setdefault(word, {})
        own[emotion] = own.get(emotion, 0.0) + weight
    if not words:
        raise FormatError(f"{path}: found no words, expected rows of word, emotion and weight")
    return Lexicon(path.name, words)


class TextClassifier:
    """A text classifier of transformers in a `folder`, with its tokenizer.

    Raises `ModelError` if there is none, and `MissingDependencyError` if transformers is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ImportError as error:
            raise MissingDependencyError(
                f"a text classifier needs transformers ({error}): {install_hint('wavlm')}"
            ) from error
        self.name = Path(folder).resolve().name
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers has no common base class of errors
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"{folder}: expected a text classifier of transformers with its tokenizer: {reason}"
            ) from error
        self._model = model.eval()
        self._labels = [_label(model.config.id2label[n]) for n in range(model.config.num_labels)]
        self._independent = model.config.problem_type == "multi_label_classification"

    def shares(self, texts: Sequence[str]) -> list[dict[str, float]]:
        """See `TextLabeller.shares`: softmax, or the sigmoid of independent labels, divided by their sum."""
        import torch

        found = []
        limit = min(
            self._tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", 512)
        )
        for start in range(0, len(texts), _BATCH):
            tokens = self._tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = self._model(**tokens).logits
            posteriors = torch.sigmoid(logits) if self._independent else torch.softmax(logits, 1)
            for row in posteriors.tolist():
                totals: dict[str, float] = {}
                for label, value in zip(self._labels, row, strict=True):
                    totals[label] = totals.get(label, 0.0) + value
                found.append(_normalised(totals))
        return found


def open_text_labeller(source: str | Path) -> TextLabeller:
    """A `TextClassifier` for a folder, a lexicon for a CSV file. Raises `OptionError` for anything else."""
    path = Path(source)
    if path.is_dir():
        return TextClassifier(path)
    if path.suffix.lower() == ".csv":
        return read_lexicon(path)
    found = "a file" if path.exists() else "nothing"
    raise OptionError(
        f"text labels {str(source)!r}: found {found}, expected a CSV with words and emotions, or the folder of a text"
        " classifier"
    )


def label_texts(
    entries: Iterable[Entry], labeller: TextLabeller, rename: Mapping[str, str], problems: ProblemLog
) -> list[Entry]:
    """`entries` in order; those without an emotion get the shares of their text as votes, and the largest as emotion.

    Labels that `rename` makes equal count together for the largest. An entry whose text shows no emotion is omitted and
    reported.
    """
    entries = list(entries)
    unlabelled = [n for n, entry in enumerate(entries) if not entry.emotion]
    found = dict(zip(unlabelled, labeller.shares([entries[n].text or "" for n in unlabelled]), strict=True))
    labelled = []
    for n, entry in enumerate(entries):
        if n not in found:
            labelled.append(entry)
        elif not found[n]:
            problems.add("no emotion in the text, omitted", entry.id)
        else:
            emotion = _largest(found[n], rename)
            labelled.append(
                replace(entry, emotion=emotion, raters=found[n], label_source=f"text: {labeller.name}")
            )
    return labelled


def _largest(shares: Mapping[str, float], rename: Mapping[str, str]) -> str:
    """The first label of those with the largest common share."""
    totals: dict[str, float] = {}
    for label, share in shares.items():
        totals[rename.get(label, label)] = totals.get(rename.get(label, label), 0.0) + share
    best = max(totals, key=lambda label: totals[label])
    return next(label for label in shares if rename.get(label, label) == best)


def _normalised(totals: Mapping[str, float]) -> dict[str, float]:
    """`totals` as shares with a sum of 1, without those that round to 0."""
    whole = sum(totals.values())
    shares = {label: round(value / whole, _DIGITS) for label, value in totals.items()} if whole else {}
    return {label: share for label, share in shares.items() if share}


def _label(text: str) -> str:
    return normalise_emotion(text) or text.strip().casefold()
