"""`Preparer` says which corpus it reads and how; `Entry` is what it reads; `Notes` what it misses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sed.corpora.tree import Tree

_SHOWN = 5  # names after a problem; the rest is counted


@dataclass(frozen=True)
class Entry:
    """One utterance as a corpus describes it. `file` is its name in the tree.

    `speaker` is the corpus's own name. `corpus` is named where it isn't
    the preparer's; `split` is the corpus's own, where it has one; `group` is what must stay on
    one side of a split (None: the speaker). `dimensions` are scaled from -1 to 1. Times are seconds.
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


class Notes:
    """What was missing or could not be read: names by problem, told in sentences.

    >>> notes = Notes(); notes.add("with an emotion that is not known", "a.wav"); notes.add("said twice", "b.wav")
    >>> notes.add("said twice", "c.wav"); notes.sentences()
    ['1 with an emotion that is not known: a.wav', '2 said twice: b.wav, c.wav']
    """

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}
        self._whole: list[str] = []

    def add(self, problem: str, name: str) -> None:
        """One more file `name` with `problem`, which goes on from a number: "with ...", "that ..."."""
        self._found.setdefault(problem, []).append(name)

    def say(self, sentence: str) -> None:
        """A problem of the corpus as a whole."""
        self._whole.append(sentence)

    def sentences(self) -> list[str]:
        """One sentence a problem, with its first names."""
        lines = []
        for problem, names in self._found.items():
            rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            lines.append(f"{len(names)} {problem}: {', '.join(names[:_SHOWN])}{rest}")
        return self._whole + lines


@dataclass(frozen=True)
class Preparer:
    """How one corpus is read: `read(tree, notes)` gives its entries, and raises `FormatError` where the tree is
    not that corpus or lacks its label file.

    `title`, `languages`, `licence` and `address` are for people. `utterances` and `speakers` are the published
    numbers (several: of several editions; none: not checked). `splits` tells what ``--split auto`` does. With `folds`
    (names of `Entry.group`) one is test and the one before it valid. `fixed` names the speakers held out; all others
    train. With `own_rule` the entries' own splits are taken, and called that in the manifest (`OFFICIAL`: they may
    share speakers). With none of these, speakers are drawn.
    """

    name: str
    title: str
    languages: str
    licence: str
    address: str
    read: Callable[[Tree, Notes], Iterable[Entry]]
    utterances: tuple[int, ...] = ()
    speakers: int | None = None
    fixed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own_rule: str | None = None
    folds: tuple[str, ...] = ()
    splits: str = "speakers are drawn by the seed"
