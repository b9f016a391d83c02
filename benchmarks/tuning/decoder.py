"""Tunes the parameters of the decoders on validation speakers.

    python -m benchmarks.tuning.decoder --shared ../shared

Material, all from `valid` speakers and seeded: simulated conversations (with reference turns, so that only
emotions can be wrong) and clips in the four transition patterns. Posteriors are computed once; then each parameter is
varied in turn over its grid and changed if the mean of the two emotion error rates decreases. Prints one line per trial
and a table of the best parameters of each decoder; writes the table to benchmarks/results/decoder.md.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sed.corpora.levels import equalise_loudness, trim_silence
from sed.emotion import load_tagger
from sed.emotion.decoding import DecoderOptions
from sed.emotion.windows import posteriors_of
from sed.grid import SAMPLE_RATE, frame_count, samples_to_seconds
from sed.result import Diarization, Segment
from sed.scoring import eder, joint_error
from sed.segmenting import join
from sed.simulation.patterns import transition_pattern
from sed.simulation.sets import conversation_set, load_speakers, speakers_in_split
from sed.speakers import ReferenceTurns
from sed.speakers.turns import Turns

GRIDS: dict[str, dict[str, list[float]]] = {
    "viterbi": {
        "switch_cost": [2, 4, 6, 8, 12, 16, 24, 32, 48],
        "minimum_duration": [0.1, 0.3, 0.6, 1.0, 1.4],
        "turn_discount": [0.0, 0.25, 0.5, 0.75, 1.0],
        "memory": [0.5, 1, 2, 5, 10, 20],
        "overlap_weight": [0.0, 0.25, 0.5, 1.0],
    },
    "argmax": {},
    "median": {"median_window": [0.3, 0.6, 1.0, 1.5, 2.0, 3.0]},
    "tv": {"tv_weight": [2, 5, 10, 15, 20, 30, 50]},
}


@dataclass
class Item:
    """One recording: posteriors, turns and reference."""

    posteriors: np.ndarray
    turns: Turns
    reference: Diarization


def conversations(tagger, corpora: Path, count: int) -> list[Item]:
    """Simulated conversations of validation speakers with the reference's turns."""
    items = []
    for _, samples, reference in conversation_set(corpora, "valid", count, seed=1):
        session = ReferenceTurns(reference).begin()
        session.push(samples)
        items.append(Item(posteriors_of(tagger, samples), session.close(), reference))
    return items


def patterns(tagger, corpora: Path, count: int) -> list[Item]:
    """Clips in the four transition patterns, each one turn of one speaker."""
    names = [name for own in speakers_in_split(corpora, "valid").values() for name in own]
    speakers = load_speakers(corpora, names)
    rng = np.random.default_rng(2)
    items = []
    for number in range(count):
        name = names[number % len(names)]
        own: dict[str, list[np.ndarray]] = {}
        for utterance in speakers[name]:
            own.setdefault(utterance.emotion, []).append(utterance.samples)
        emotion = str(rng.choice(sorted(set(own) - {"neutral"})))
        ready = {
            e: [equalise_loudness(trim_silence(own[e][i])) for i in rng.permutation(len(own[e]))[:4]]
            for e in ("neutral", emotion)
        }
        samples, events = transition_pattern(rng, ready["neutral"], ready[emotion], emotion)
        segments = [Segment(e.start / SAMPLE_RATE, e.end / SAMPLE_RATE, name, e.label) for e in events]
        reference = Diarization(f"pattern{number}", samples_to_seconds(len(samples)), segments)
        everywhere = Turns.from_active(np.ones((frame_count(len(samples)), 1), bool), (name,))
        items.append(Item(posteriors_of(tagger, samples), everywhere, reference))
    return items


def errors(items: list[Item], labels: tuple[str, ...], options: DecoderOptions, joint: bool) -> float:
    """Pooled joint error or EDER of `items` under `options`, in percent."""
    measure = joint_error if joint else eder
    rates = []
    for item in items:
        segments = join(item.turns, item.posteriors, labels, item.reference.duration, options)
        found = Diarization(item.reference.uri, item.reference.duration, segments)
        rates.append(measure(item.reference, found))
    return 100 * sum(rates[1:], rates[0]).rate


def main() -> None:
    """Tune every decoder and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--tagger", help="an ONNX file (default: the bundled model)")
    parser.add_argument("--conversations", type=int, default=36)
    parser.add_argument("--patterns", type=int, default=200)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).resolve().parents[1] / "results" / "decoder.md"
    )
    arguments = parser.parse_args()
    tagger = load_tagger(arguments.tagger)
    corpora = arguments.shared / "corpora"
    talk = conversations(tagger, corpora, arguments.conversations)
    clips = patterns(tagger, corpora, arguments.patterns)

    def measure(options: DecoderOptions) -> tuple[float, float]:
        return errors(talk, tagger.labels, options, True), errors(clips, tagger.labels, options, False)

    rows = []
    for method, grid in GRIDS.items():
        best = DecoderOptions(method)
        score = measure(best)
        for _, (option, values) in itertools.product(range(2), grid.items()):
            for value in values:
                trial = replace(best, **{option: float(value)})
                result = measure(trial)
                if sum(result) < sum(score) - 1e-9:
                    best, score = trial, result
            print(
                f"{method:8s} {option:17s} {getattr(best, option):6.2f}  {score[0]:6.2f} {score[1]:6.2f}",
                flush=True,
            )
        parameters = ", ".join(f"{option} {getattr(best, option):g}" for option in grid)
        rows.append(f"| {method} | {parameters or '-'} | {score[0]:.1f} | {score[1]:.1f} |")
    shipped = measure(DecoderOptions())
    rows.append(
        f"| as shipped | {DecoderOptions()} | {shipped[0]:.1f} | {shipped[1]:.1f} |".replace(
            "DecoderOptions", ""
        )
    )
    table = [
        "# Decoders, tuned on validation speakers",
        "",
        f"`python -m benchmarks.tuning.decoder`: {len(talk)} simulated conversations (joint error with the"
        f" reference turns, so emotion only) and {len(clips)} clips in the four patterns (EDER), pooled, percent."
        " The parameters were tuned on this data; see accuracy.md for test speakers.",
        "",
        "| decoder | parameters | joint error, conversations | EDER, patterns |",
        "|---|---|---|---|",
        *rows,
    ]
    arguments.out.write_text("\n".join(table) + "\n", encoding="utf-8")
    print("\n".join(table))


if __name__ == "__main__":
    main()
