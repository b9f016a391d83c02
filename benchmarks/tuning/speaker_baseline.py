"""What a speaker's own baseline gains: recall with offsets from several kinds of enrolment; prints tables.

    python -m benchmarks.tuning.speaker_baseline ../shared

`train` and `valid` speakers only, about 4 minutes of one core: clips of corpora that the bundled tagger never learnt
from, beside the share of ordinary speech that is called neutral. Then the grid for the numbers of
`sed.emotion.baseline`, and recall in simulated conversations.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.tuning.enrolment import LABELS, UNSEEN, clips, halves, recording
from sed.corpora.audio import load_speech, read_manifest, read_utterance, read_wave, to_float
from sed.emotion import baseline, load_tagger
from sed.emotion.tagger import Tagger
from sed.emotion.windows import posteriors_of
from sed.formats import read_all
from sed.grid import FRAME_RATE
from sed.result import Segment
from sed.segmenting import join
from sed.simulation.conversation import ConversationOptions, Utterance, simulate_conversation
from sed.speakers import ReferenceTurns
from sed.training.data.augment import Augmentation


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
    """Print recall with baselines from several enrolments, and the shares of ordinary speech called neutral."""
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


def indices(segments: Iterable[Segment], frames: int, speaker: str) -> np.ndarray:
    """The label of each frame of a speaker, -1 without speech, ``(frames,)``."""
    found = np.full(frames, -1)
    for one in (segment for segment in segments if segment.speaker == speaker):
        found[round(one.start * FRAME_RATE) : round(one.end * FRAME_RATE)] = LABELS.index(str(one.emotion))
    return found


def conversations(shared: Path) -> None:
    """Print frame recalls in simulated conversations of two speakers with given turns, enrolled with clean speech."""
    rng, tagger = np.random.default_rng(3), load_tagger()
    parts = {name: halves(own, rng) for name, own in clips(shared).items() if name.split("/")[0] in UNSEEN}
    dry = ConversationOptions(room=0, noise=None, lines={"wide": 1})
    offsets = [(0.0, shift) for shift in (0.25, 0.0, -0.25, -0.5)] + [
        (0.75, s) for s in (0.0, -0.25, -0.5, -0.75)
    ]
    counts: dict[tuple[str, float, float], dict[str, np.ndarray]] = {}
    for number in range(36):
        corpus = UNSEEN[number % 3]
        pool = [name for name in parts if name.startswith(corpus)]
        chosen = [str(name) for name in rng.choice(pool, 2, replace=False)]
        talk = {name: parts[name][1][:: 6 if corpus == "nemo" else 1][:80] for name in chosen}
        own = {name: [Utterance(c.emotion, read_utterance(c)) for c in talk[name]] for name in chosen}
        neutral = {name: [c for c in parts[name][0] if c.emotion == "neutral"] for name in chosen}
        clean = {name: recording(neutral[name], 10, rng).astype(np.float32) for name in chosen}
        usual = {name: baseline.centred_log_mean(posteriors_of(tagger, clean[name])) for name in chosen}
        for title, options in (("dry", dry), ("rooms, noise, lines", ConversationOptions())):
            samples, reference = simulate_conversation(own, number, options)
            session = ReferenceTurns(reference).begin()
            session.push(samples)
            turns, posteriors = session.close(), posteriors_of(tagger, samples)
            for share, shift in offsets:
                mean, move = np.array([baseline.USUAL[label] for label in LABELS]), np.array([shift, 0, 0, 0])
                given = {name: share * (mean - usual[name]) + move for name in chosen}
                segments = join(turns, posteriors, LABELS, reference.duration, offsets=given)
                of = counts.setdefault((title, share, shift), {name: np.zeros((4, 4)) for name in UNSEEN})
                for name in chosen:
                    true, found = (indices(s, len(posteriors), name) for s in (reference, segments))
                    both = (true >= 0) & (found >= 0)
                    np.add.at(of[corpus], (true[both], found[both]), 1)
    for (title, share, shift), of in counts.items():
        recall = np.mean([100 * np.diag(m) / np.maximum(m.sum(1), 1) for m in of.values()], 0)
        wrong = np.mean([100 * (1 - np.trace(m) / m.sum()) for m in of.values()])
        print(
            f"{title}, share {share}, shift {shift}: neutral {recall[0]:.1f}, emotions {recall[1:].mean():.1f},"
            f" UAR {recall.mean():.1f}, wrong {wrong:.1f} %"
        )


def main() -> None:
    """Print the table and the recalls."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    shared = parser.parse_args().shared
    gains(shared)
    conversations(shared)


if __name__ == "__main__":
    main()
