"""Enrolment: which threshold names speakers, and what a speaker's own baseline gains; prints tables.

    python -m benchmarks.tuning.enrolment ../shared

`train` and `valid` speakers only, about 3 minutes of one core. Half of each speaker's clips enrol, the other half talks
in simulated conversations with rooms, noise and telephone lines. The baseline is tried on clips that the bundled tagger
never learnt from, beside the share of ordinary speech that is called neutral.
"""

from __future__ import annotations

import argparse
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sed.corpora.audio import load_speech, read_manifest, read_utterance, read_wave, to_float
from sed.corpora.manifest import Utterance as Clip
from sed.emotion import baseline, load_tagger
from sed.emotion.tagger import Tagger
from sed.emotion.windows import posteriors_of
from sed.formats import read_all
from sed.grid import SAMPLE_RATE
from sed.result import SpeakerProfile
from sed.simulation.conversation import Utterance, simulate_conversation
from sed.speakers import SegmentationDiarizer, Turns
from sed.training.data.augment import Augmentation

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
    """A speaker found in a conversation of `others` too: who it really is for over 80 % of the time."""

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
                yield Found(profiles[name], true, tuple(chosen))


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


@dataclass(frozen=True)
class Source:
    """Clips of a corpus or of ordinary speech: speaker, label and mean log posteriors ``(clips, labels)``, as recorded
    and as in another room or line."""

    speakers: np.ndarray
    emotions: np.ndarray
    means: np.ndarray
    elsewhere: np.ndarray

    def usual(
        self, number: int, rng: np.random.Generator, shares: dict[str, float], elsewhere: bool
    ) -> np.ndarray:
        """The centred mean of six other clips of the speaker of clip `number`, with `shares` of emotions."""
        own = np.flatnonzero(self.speakers == self.speakers[number])
        own = own[own != number]
        weights = np.array(
            [shares.get(LABELS[e], 0.0) / (self.emotions[own] == e).sum() for e in self.emotions[own]]
        )
        if not weights.sum():
            return np.full(len(LABELS), np.nan)
        rows = (self.elsewhere if elsewhere else self.means)[rng.choice(own, 6, p=weights / weights.sum())]
        mean: np.ndarray = rows.mean(0)
        return mean - mean.mean()


def source(rows: list[tuple[str, str, np.ndarray]], tagger: Tagger, augmented: bool) -> Source:
    """The clips in `rows`: speaker, emotion, samples."""
    change = Augmentation(speed=0, reverberation=0.5, noise=0.5, equaliser=0.5, telephone=0.34, codec=0.3)

    def mean(samples: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.log(np.maximum(posteriors_of(tagger, samples), 1e-5)).mean(0)
        return found

    means = np.stack([mean(samples) for _, _, samples in rows])
    rngs = [np.random.default_rng(zlib.crc32(samples.tobytes())) for _, _, samples in rows]
    elsewhere = means
    if augmented:
        elsewhere = np.stack([mean(change(rng, row[2])) for rng, row in zip(rngs, rows, strict=True)])
    emotions = np.array([LABELS.index(emotion) for _, emotion, _ in rows])
    return Source(np.array([speaker for speaker, _, _ in rows]), emotions, means, elsewhere)


def ordinary(shared: Path) -> dict[str, list[tuple[str, str, np.ndarray]]]:
    """Ordinary speech by source, with several clips of each speaker."""
    rows = read_manifest([shared / "natural" / "manifest.csv"], ["valid"])
    readers = [row for row in rows if row.corpus == "speechocean762"]
    found = {"readers": [(u.speaker, "neutral", to_float(s)) for u, s in load_speech(readers)]}
    folder = shared / "conversations"
    files = [
        (r, folder / f"{r.uri}.wav")
        for p in ("train", "development")
        for r in read_all(folder / f"debug.{p}.rttm")
    ]
    calls = sorted([*folder.glob("calls/hvb_00*.rttm"), *folder.glob("calls/hvb_02*.rttm")])
    files += [(r, path.with_suffix(".opus")) for path in calls for r in read_all(path)]
    for reference, audio in files:
        kind = "calls" if audio.suffix == ".opus" else "meetings"
        for turn in (turn for turn in reference if turn.duration >= 1):
            samples = read_wave(audio, turn.start, turn.end)
            found.setdefault(kind, []).append((f"{reference.uri} {turn.speaker}", "neutral", samples))
    return found


def recalls(one: Source, scores: np.ndarray) -> list[float]:
    """Recall of each label that `one` has, in percent."""
    valid = ~np.isnan(scores).any(1)
    right = scores.argmax(1) == one.emotions
    return [100 * float(right[valid & (one.emotions == n)].mean()) for n in np.unique(one.emotions)]


def gains(shared: Path) -> None:
    """Print recall with baselines from several enrolments, at the shares of ordinary speech called neutral."""
    tagger, sources = load_tagger(), {}
    for corpus in UNSEEN:
        rows = [c for own in clips(shared).values() for c in own if c.corpus == corpus][
            :: 3 if corpus == "nemo" else 1
        ]
        given = [(u.speaker, u.emotion, to_float(s)) for u, s in load_speech(rows)]
        sources[corpus] = source(given, tagger, augmented=True)
    plain = {name: source(rows, tagger, augmented=False) for name, rows in ordinary(shared).items()}
    enrolments = {
        "usual speech": ({"neutral": 1.0}, False),
        "usual speech, another room or line": ({"neutral": 1.0}, True),
        "75 % neutral": ({"neutral": 0.75, "happy": 1 / 12, "angry": 1 / 12, "sad": 1 / 12}, False),
        "all emotions alike": (dict.fromkeys(LABELS, 0.25), False),
        **{f"{label} only": ({label: 1.0}, False) for label in LABELS[1:]},
    }

    def row(
        title: str, offset: Callable[[np.ndarray], np.ndarray], shares: dict[str, float], away: bool
    ) -> None:
        found: dict[str, list[float]] = {}
        for name, one in {**sources, **plain}.items():
            rng = np.random.default_rng(0)
            given = shares if name in sources else {"neutral": 1.0}
            usual = np.stack([one.usual(n, rng, given, away) for n in range(len(one.means))])
            found[name] = recalls(one, one.means + np.where(np.isnan(usual), np.nan, offset(usual)))
        mean = np.mean([found[name] for name in sources], 0)
        print(
            f"| {title} | {mean.mean():.1f} | "
            + " | ".join(f"{np.mean(found[name]):.1f}" for name in sources)
            + f" | {' '.join(f'{value:.0f}' for value in mean)} | "
            + " | ".join(f"{found[name][0]:.1f}" for name in plain)
            + " |"
        )

    print(
        f"| enrolment | mean UAR | {' | '.join(sources)} | recall of {' '.join(LABELS)} | {' | '.join(plain)} |"
    )
    row("none", np.zeros_like, {"neutral": 1.0}, False)
    for title, (shares, away) in enrolments.items():
        row(title, lambda usual: np.stack([baseline.speaker_offset(u, LABELS) for u in usual]), shares, away)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        for shift in (0.0, -0.25, -0.5, -0.75, -1.0):
            move = np.array([shift, 0, 0, 0])

            def offset(usual: np.ndarray, share: float = share, move: np.ndarray = move) -> np.ndarray:
                return share * (np.array([baseline.USUAL[label] for label in LABELS]) - usual) + move

            row(f"usual speech, share {share}, shift {shift}", offset, {"neutral": 1.0}, False)


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    shared = parser.parse_args().shared
    naming(shared)
    gains(shared)


if __name__ == "__main__":
    main()
