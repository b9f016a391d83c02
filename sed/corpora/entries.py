"""What a corpus reader consists of: `CorpusReader` describes it, `Entry` is its output, `ProblemLog` its report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sed.corpora.tree import Tree

_SHOWN_NAMES = 5  # names listed per problem; the others are only counted


@dataclass(frozen=True)
class Entry:
    """One utterance as the corpus describes it.

    `file` is the name of its audio in the tree, `speaker` the corpus's own name. `corpus` is set if it differs from
    the name of the reader. `split` is the split that the corpus assigns, if any; entries with the same `group` must
    be in the same split (None: those with the same speaker). `emotion` is empty if there is a `text` instead, and
    `label_source` names what it then comes from (`sed.corpora.text_labels`). `dimensions` are scaled to -1 to 1. Times
    are seconds.
    """

    id: str
    file: str
    speaker: str
    emotion: str
    corpus: str | None = None
    gender: str | None = None
    language: str | None = None
    intensity: str | None = None
    text: str | None = None
    split: str | None = None
    group: str | None = None
    start: float | None = None
    stop: float | None = None
    raters: Mapping[str, float] = field(default_factory=dict, hash=False)
    dimensions: Mapping[str, float] = field(default_factory=dict, hash=False)
    events: tuple[tuple[float, float, str], ...] = ()
    label_source: str | None = None


class ProblemLog:
    """Collects what is missing from or unreadable in a corpus, grouped by problem.

    >>> log = ProblemLog(); log.add("unknown emotion", "a.wav"); log.add("duplicate id", "b.wav")
    >>> log.add("duplicate id", "c.wav"); log.messages()
    ['unknown emotion (1): a.wav', 'duplicate id (2): b.wav, c.wav']
    """

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._messages: list[str] = []

    def add(self, problem: str, name: str) -> None:
        """Record that the file, row or utterance `name` has `problem`, a noun phrase."""
        self._names.setdefault(problem, []).append(name)

    def add_message(self, message: str) -> None:
        """Record a problem of the corpus as a whole."""
        self._messages.append(message)

    def messages(self) -> list[str]:
        """One message per problem, with its count and its first names."""
        lines = []
        for problem, names in self._names.items():
            rest = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
            lines.append(f"{problem} ({len(names)}): {', '.join(names[:_SHOWN_NAMES])}{rest}")
        return self._messages + lines


@dataclass(frozen=True)
class CorpusReader:
    """Describes one corpus and how to read it.

    `read(tree, problems)` yields the entries. It raises `FormatError` if the tree is not that corpus or lacks its
    label file. `title`, `languages`, `licence`, `url` and `split_summary` (what ``--split auto`` does) are shown to
    users. `published_utterances` (one number per edition) and `published_speakers` are compared with what is found;
    empty or None: not compared.

    ``--split auto`` depends on which of these is set. `folds`: names of `Entry.group`; one fold is test, the fold
    before it valid. `fixed_splits`: the speakers of valid and test; all others are train. `split_rule`: the splits of
    the entries are used, and the manifest states this name as their rule (`OFFICIAL`: splits may share speakers).
    None of them: speakers are drawn at random.

    `example` is a file that identifies the corpus, relative to its folder, and `signature` the regular expression for
    such files, for `sed.corpora.find`.
    """

    name: str
    title: str
    languages: str
    licence: str
    url: str
    read: Callable[[Tree, ProblemLog], Iterable[Entry]]
    published_utterances: tuple[int, ...] = ()
    published_speakers: int | None = None
    fixed_splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    split_rule: str | None = None
    folds: tuple[str, ...] = ()
    split_summary: str = "speakers are drawn at random"
    example: str = ""
    signature: str = ""
