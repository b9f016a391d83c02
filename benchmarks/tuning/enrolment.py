"""Enrolment: which thresholds name known speakers, and link speakers across recordings; prints rates.

    python -m benchmarks.tuning.enrolment ../shared

`train` and `valid` speakers only, about 2 minutes of one core. Half of each speaker's clips enrol, the other half talks
in simulated conversations with rooms, noise and telephone lines.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sed.corpora.audio import read_manifest, read_utterance
from sed.corpora.manifest import Utterance as Clip
from sed.grid import SAMPLE_RATE
from sed.result import SpeakerProfile
from sed.simulation.conversation import Utterance, simulate_conversation
from sed.speakers import SegmentationDiarizer, Turns
from sed.speakers.linking import link_speakers

LABELS = ("neutral", "happy", "angry", "sad")
UNSEEN = ("ravdess", "nemo", "kaist")  # corpora that the bundled tagger never learnt from
VALID_ONLY = ("cremad", "emodb")
CONVERSATIONS = 60
ENROLMENTS = {
    "neutral 10 s": (("neutral",), 10),
    "mixed 10 s": (LABELS, 10),
    "neutral 3 s": (("neutral",), 3),
}


def clips(shared: Path) -> dict[str, list[Clip]]:
    """The clips of every speaker whom neither the tagger nor the projection learnt from."""
    found: dict[str, list[Clip]] = defaultdict(list)
    for row in read_manifest([shared / "corpora" / "manifest.csv"], ["train", "valid"], LABELS):
        if row.corpus in UNSEEN or (row.corpus in VALID_ONLY and row.split == "valid"):
            found[row.speaker].append(row)
    return dict(sorted(found.items()))


def halves(own: list[Clip], rng: np.random.Generator) -> tuple[list[Clip], list[Clip]]:
    """The clips of a speaker in two random halves, each with half of every emotion."""
    shuffled = [own[n] for n in rng.permutation(len(own))]
    by_emotion = [[c for c in shuffled if c.emotion == label] for label in LABELS]
    return [c for part in by_emotion for c in part[::2]], [c for part in by_emotion for c in part[1::2]]


def recording(own: list[Clip], seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Random clips with pauses, until there are `seconds` of them."""
    parts: list[np.ndarray] = []
    for n in rng.permutation(len(own)):
        parts += [read_utterance(own[n]), np.zeros(SAMPLE_RATE * 2 // 5, np.float32)]
        if sum(map(len, parts)) >= seconds * SAMPLE_RATE:
            break
    return np.concatenate(parts)


def diarize(diarizer: SegmentationDiarizer, samples: np.ndarray) -> Turns:
    """The turns of a recording."""
    session = diarizer.begin()
    session.push(samples.astype(np.float32))
    return session.close()


@dataclass(frozen=True)
class Found:
    """A speaker found in conversation `number` between `others`: who it really is for over 80 % of the time."""

    number: int
    profile: SpeakerProfile
    speaker: str
    others: tuple[str, ...]


def conversations(
    diarizer: SegmentationDiarizer, talk: dict[str, list[Clip]], rng: np.random.Generator
) -> Iterator[Found]:
    """The speakers that are found in simulated conversations; every other one is within a corpus."""
    corpora = sorted({name.split("/")[0] for name in talk})
    for number in range(CONVERSATIONS):
        size, corpus = 2 + number % 3, corpora[number // 3 % len(corpora)]
        same = [name for name in talk if name.startswith(corpus + "/")]
        pool = same if number % 2 == 0 and len(same) >= size else list(talk)
        chosen = [str(name) for name in rng.choice(pool, size, replace=False)]
        own = {name: [Utterance(c.emotion, read_utterance(c)) for c in talk[name][:60]] for name in chosen}
        samples, reference = simulate_conversation(own, number)
        turns = diarize(diarizer, samples)
        active, profiles = turns.active, turns.profiles or {}
        shared = {name: np.zeros(len(turns.names)) for name in chosen}
        for turn in reference:
            shared[str(turn.speaker)] += active[round(turn.start * 50) : round(turn.end * 50)].sum(0)
        for column, name in enumerate(turns.names):
            times = {one: float(seconds[column]) for one, seconds in shared.items()}
            true = max(times, key=lambda one: times[one])
            if name in profiles and times[true] > 0.8 * sum(times.values()):
                yield Found(number, profiles[name], true, tuple(chosen))


def naming(shared: Path) -> None:
    """Print who is not recognised, and who is taken for a stranger of the same corpus, by threshold."""
    rng, diarizer = np.random.default_rng(0), SegmentationDiarizer()
    parts = {name: halves(own, rng) for name, own in clips(shared).items()}
    known: dict[str, dict[str, SpeakerProfile]] = {}
    refused = 0
    for kind, (labels, seconds) in ENROLMENTS.items():
        known[kind] = {}
        for name, (own, _) in parts.items():
            samples = recording([c for c in own if c.emotion in labels], seconds, rng)
            profiles = sorted((diarize(diarizer, samples).profiles or {}).values(), key=lambda p: -p.seconds)
            total = sum(p.seconds for p in profiles)
            refused += sum(p.seconds >= 0.15 * total for p in profiles) > 1
            known[kind][name] = profiles[0]
    print(f"{refused} of {len(ENROLMENTS) * len(parts)} recordings of one speaker would be refused")
    found = list(conversations(diarizer, {name: talk for name, (_, talk) in parts.items()}, rng))
    linking(found)
    thresholds = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
    print(f"{len(found)} speakers; % not recognised / % of strangers accepted, by threshold {thresholds}")
    for kind, profiles_of in known.items():
        for low, high in ((0, 5), (5, 15), (15, 999), (0, 999)):
            chosen = [one for one in found if low <= one.profile.seconds < high]
            own = np.array([profiles_of[one.speaker].similarity(one.profile) for one in chosen])
            others = np.array(
                [
                    profile.similarity(one.profile)
                    for one in chosen
                    for name, profile in profiles_of.items()
                    if name.split("/")[0] == one.speaker.split("/")[0] and name not in one.others
                ]
            )
            rates = [f"{100 * (own < t).mean():.0f} / {100 * (others >= t).mean():.1f}" for t in thresholds]
            print(f"{kind}, {low} to {high} s found ({len(own)}, {len(others)}): " + ", ".join(rates))


def linking(found: list[Found]) -> None:
    """Print how well speakers with 5 s or more are linked across the conversations."""
    chosen = [one for one in found if one.profile.seconds >= 5]
    recordings: dict[int, dict[str, SpeakerProfile]] = defaultdict(dict)
    for n, one in enumerate(chosen):
        recordings[one.number][str(n)] = one.profile
    true = np.array([one.speaker for one in chosen])
    numbers = np.array([one.number for one in chosen])
    pairs = np.triu(numbers[:, None] != numbers, 1)
    same = (true[:, None] == true)[pairs]
    for threshold in (0.4, 0.45, 0.5, 0.55, 0.6, 0.65):
        linked = link_speakers(list(recordings.values()), threshold)
        names = {n: name for own in linked for n, name in own.items()}
        label = np.array([names[str(n)] for n in range(len(chosen))])
        together = (label[:, None] == label)[pairs]
        right = (same & together).sum()
        print(
            f"linked at {threshold}: {len(set(label))} speakers of {len(set(true))}, pairs found"
            f" {100 * right / same.sum():.0f} %, right {100 * right / max(together.sum(), 1):.0f} %"
        )


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    naming(parser.parse_args().shared)


if __name__ == "__main__":
    main()
