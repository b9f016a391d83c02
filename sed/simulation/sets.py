"""Reproducible sets of simulated conversations, for tuning (`valid`) and evaluation (`test`).

In: one or several manifests (see `sed.corpora.manifest`) and the name of a split. Out: conversation plans (which
speakers talk to each other), and for each a conversation with its exact reference. The same arguments give the same
conversations. Speakers are named ``corpus/name``, as in `sed.corpora.manifest`.
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
_BATCH_SIZE = 30  # conversations whose speakers are in memory at the same time


@dataclass(frozen=True)
class ConversationPlan:
    """The `speakers` of the conversation `uri`, and the `seed` that determines it; `mixed`: of several corpora."""

    uri: str
    seed: int
    speakers: tuple[str, ...]
    mixed: bool


def speakers_in_split(corpora: Manifests, split: str, emotion: str | None = None) -> dict[str, list[str]]:
    """The speakers of `split` by corpus, both sorted; only those with an utterance of `emotion`, if given.

    Raises `FormatError` as `read_manifest` does.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for row in read_manifest(corpora, splits=[split], emotions=[] if emotion is None else [emotion]):
        found[row.corpus].add(row.speaker)
    return {corpus: sorted(names) for corpus, names in sorted(found.items())}


def plan_conversations(
    speakers: Mapping[str, Sequence[str]],
    split: str,
    count: int,
    *,
    seed: int = 0,
    sizes: Sequence[int] = (2, 3, 4),
) -> list[ConversationPlan]:
    """`count` plans with the `speakers` (corpus -> names) of `split`, whose sizes alternate between `sizes`.

    Every other round of sizes draws the speakers from one corpus, in turn among those with enough speakers; the other
    rounds mix corpora (`mixed`), whose speakers are easier to distinguish by voice and recording. Raises
    `OptionError` if there are fewer speakers than the largest size.

    >>> speakers = {"x": ["x/1", "x/2"], "y": ["y/1", "y/2"]}
    >>> [(plan.speakers, plan.mixed) for plan in plan_conversations(speakers, "valid", 2, sizes=(2,))]
    [(('x/1', 'x/2'), False), (('x/1', 'y/1'), True)]
    """
    all_speakers = sorted(name for names in speakers.values() for name in names)
    if len(all_speakers) < max(sizes):
        raise OptionError(f"split {split!r} has {len(all_speakers)} speakers, expected at least {max(sizes)}")
    rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
    plans = []
    for number in range(count):
        size = sizes[number % len(sizes)]
        round_number = number // len(sizes)
        corpora = sorted(corpus for corpus, names in speakers.items() if len(names) >= size)
        mixed = round_number % 2 == 1 or not corpora
        candidates = all_speakers if mixed else sorted(speakers[corpora[round_number // 2 % len(corpora)]])
        chosen: tuple[str, ...] = ()
        while len(chosen) < size or (
            size > 1 and mixed and len(speakers) > 1 and _one_corpus(chosen, speakers)
        ):
            chosen = tuple(sorted(str(name) for name in rng.choice(candidates, size, replace=False)))
        plans.append(ConversationPlan(f"{split}{number:03d}", int(rng.integers(2**31)), chosen, mixed))
    return plans


def _one_corpus(chosen: Sequence[str], speakers: Mapping[str, Sequence[str]]) -> bool:
    return any(set(chosen) <= set(names) for names in speakers.values())


def load_speakers(
    corpora: Manifests,
    speakers: Iterable[str],
    options: ConversationOptions | None = None,
    split: str | None = None,
) -> dict[str, list[Utterance]]:
    """The utterances of each of `speakers` with one of the emotions or the neutral label of `options`; only those of
    `split`, if given, because the splits of a corpus may share speakers.

    Raises `OptionError` for a speaker without utterances, `FormatError` and `AudioError` as `read_manifest` and
    `read_utterance` do.
    """
    options = options or ConversationOptions()
    utterances: dict[str, list[Utterance]] = {name: [] for name in sorted(speakers)}
    emotions = {options.neutral, *options.emotions}
    for row in read_manifest(corpora, splits=[] if split is None else [split], emotions=emotions):
        if row.speaker in utterances:
            utterances[row.speaker].append(Utterance(row.emotion, read_utterance(row)))
    if missing := [name for name, own in utterances.items() if not own]:
        raise OptionError(
            f"found no utterances of {', '.join(missing)} in {corpora}, expected some of each speaker"
        )
    return utterances


def conversation_set(
    corpora: Manifests,
    split: str,
    count: int,
    *,
    seed: int = 0,
    options: ConversationOptions | None = None,
    sizes: Sequence[int] = (2, 3, 4),
) -> Iterator[tuple[ConversationPlan, np.ndarray, Diarization]]:
    """Yield the plan, samples and reference of `count` simulated conversations of the speakers of `split`.

    Raises as `plan_conversations`, `load_speakers` and `simulate_conversation` do.
    """
    options = options or ConversationOptions()
    plans = plan_conversations(
        speakers_in_split(corpora, split, options.neutral), split, count, seed=seed, sizes=sizes
    )
    for start in range(0, count, _BATCH_SIZE):
        batch = plans[start : start + _BATCH_SIZE]
        names = {name for plan in batch for name in plan.speakers}
        loaded = load_speakers(corpora, names, options, split)
        for plan in batch:
            utterances = {without_blanks(name): loaded[name] for name in plan.speakers}
            yield plan, *simulate_conversation(utterances, plan.seed, options, uri=plan.uri)
