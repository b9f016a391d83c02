"""Fixed sets of simulated conversations from a corpora folder, for tuning (`valid`) and figures (`test`).

In: a manifest or several (see `sed.corpora.manifest`) and the name of a split. Out: castings (who
speaks with whom), and for each a conversation with its exact reference. The same arguments give the same
conversations. Speakers are called ``corpus/name``, as `sed.corpora.audio` has it.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sed.corpora.audio import read_manifest, read_utterance
from sed.errors import OptionError
from sed.formats.kind import without_blanks
from sed.result import Diarization
from sed.simulation.conversation import ConversationOptions, Utterance, simulate_conversation

Manifests = str | Path | Sequence[str | Path]
_AT_ONCE = 30  # conversations whose speakers are held in memory together


@dataclass(frozen=True)
class Casting:
    """Who speaks in one conversation: `uri` names it, `seed` decides the rest, `mixed` tells whether the
    `speakers` come from several corpora."""

    uri: str
    seed: int
    speakers: tuple[str, ...]
    mixed: bool


def speakers_of(corpora: Manifests, split: str, having: str | None = None) -> dict[str, list[str]]:
    """The speakers of `split` by corpus, both sorted; only those with an utterance of the emotion `having`.

    Raises `FormatError` as `read_manifest` does.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for row in read_manifest(corpora, splits=[split], emotions=[] if having is None else [having]):
        found[row.corpus].add(row.speaker)
    return {corpus: sorted(names) for corpus, names in sorted(found.items())}


def cast(
    speakers: Mapping[str, Sequence[str]],
    split: str,
    count: int,
    *,
    seed: int = 0,
    sizes: Sequence[int] = (2, 3, 4),
) -> list[Casting]:
    """`count` castings from `speakers` (corpus -> names) of `split`: the sizes in turn, and corpora in turn.

    Every other round of sizes stays within one corpus where one has enough speakers; the rest mix corpora
    (`mixed`), which is easier to tell apart by voice and recording. Raises `OptionError` where there are
    fewer speakers than asked for.

    >>> people = {"x": ["x/1", "x/2"], "y": ["y/1", "y/2"]}
    >>> [(c.speakers, c.mixed) for c in cast(people, "valid", 2, sizes=(2,))]
    [(('x/1', 'x/2'), False), (('x/1', 'y/1'), True)]
    """
    everybody = sorted(name for names in speakers.values() for name in names)
    if len(everybody) < max(sizes):
        raise OptionError(
            f"split {split!r} has {len(everybody)} speakers: expected at least {max(sizes)} of them"
        )
    rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
    castings = []
    for number in range(count):
        size = sizes[number % len(sizes)]
        around = number // len(sizes)
        rich = sorted(corpus for corpus, names in speakers.items() if len(names) >= size)
        mixed = around % 2 == 1 or not rich
        choice = everybody if mixed else sorted(speakers[rich[around // 2 % len(rich)]])
        chosen: tuple[str, ...] = ()
        while len(chosen) < size or (
            size > 1 and mixed and len(speakers) > 1 and _one_corpus(chosen, speakers)
        ):
            chosen = tuple(sorted(str(name) for name in rng.choice(choice, size, replace=False)))
        castings.append(Casting(f"{split}{number:03d}", int(rng.integers(2**31)), chosen, mixed))
    return castings


def _one_corpus(chosen: Sequence[str], speakers: Mapping[str, Sequence[str]]) -> bool:
    return any(set(chosen) <= set(names) for names in speakers.values())


def load_speakers(
    corpora: Manifests,
    speakers: Iterable[str],
    options: ConversationOptions | None = None,
    split: str | None = None,
) -> dict[str, list[Utterance]]:
    """The utterances of each of `speakers` whose emotion is one of `options` or its neutral label; only those of
    `split`, where one is named: the splits of a corpus may share speakers.

    Raises `OptionError` for a speaker who has none, `FormatError` and `AudioError` as
    `sed.corpora.audio` does.
    """
    options = options or ConversationOptions()
    people: dict[str, list[Utterance]] = {name: [] for name in sorted(speakers)}
    emotions = {options.neutral, *options.emotions}
    for row in read_manifest(corpora, splits=[] if split is None else [split], emotions=emotions):
        if row.speaker in people:
            people[row.speaker].append(Utterance(row.emotion, read_utterance(row)))
    if missing := [name for name, own in people.items() if not own]:
        raise OptionError(
            f"no utterances of {', '.join(missing)} in {corpora}: expected some of each speaker"
        )
    return people


def conversation_set(
    corpora: Manifests,
    split: str,
    count: int,
    *,
    seed: int = 0,
    options: ConversationOptions | None = None,
    sizes: Sequence[int] = (2, 3, 4),
) -> Iterator[tuple[Casting, np.ndarray, Diarization]]:
    """`count` simulated conversations of the speakers of `split`, with castings and references.

    Raises what `cast`, `load_speakers` and `simulate_conversation` raise.
    """
    options = options or ConversationOptions()
    castings = cast(speakers_of(corpora, split, options.neutral), split, count, seed=seed, sizes=sizes)
    for start in range(0, count, _AT_ONCE):
        batch = castings[start : start + _AT_ONCE]
        people = load_speakers(
            corpora, {name for casting in batch for name in casting.speakers}, options, split
        )
        for casting in batch:
            own = {without_blanks(speaker): people[speaker] for speaker in casting.speakers}
            yield casting, *simulate_conversation(own, casting.seed, options, uri=casting.uri)
