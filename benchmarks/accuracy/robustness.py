"""Robustness to damaged audio and fairness between groups of speakers, on the same test material.

    python -m benchmarks.accuracy.robustness --shared ../shared
    python -m benchmarks.accuracy.robustness --shared ../shared --conversations 2 --clips 12 --trial  # unsaved

In: clean conversations simulated from `test` speakers, and clips of them in the paper's patterns; both also under each
damage of `effects.py`. Everything runs through the public `EmotionDiarizer` and the bundled tagger with their
defaults. Out: results/robustness.{md,json,png}: DER, EDER and joint error for each damage with the change against
clean; and a fairness table: recall, EDER and DER by corpus, language and gender. 95 % intervals are by bootstrap over
recordings, clips or utterances.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.emotion import SEED, clip_errors
from benchmarks.accuracy.fairness import GROUP_CLIPS, Pairs, fairness, speaker_groups
from benchmarks.lib import plots
from benchmarks.lib.effects import DAMAGES, Damage
from benchmarks.lib.report import commit, machine, percent, save, table
from sed import EmotionDiarizer
from sed.corpora.audio import load_speech, read_manifest
from sed.emotion.decoding import decode
from sed.emotion.windows import posteriors_of
from sed.grid import SAMPLE_RATE
from sed.result import Diarization
from sed.scoring import bootstrap, der, eder, joint_error
from sed.scoring.uncertainty import paired_test
from sed.simulation.conversation import ConversationOptions
from sed.simulation.patterns import Event
from sed.simulation.sets import conversation_set
from sed.training.data.clips import pattern_clips

MEASURES = ("der", "eder", "joint", "clips")
HEADS = ("DER", "EDER", "joint error", "EDER, clips")
CLEAN = ConversationOptions(room=0, noise=None, lines={"wide": 1})
Clips = Sequence[tuple[np.ndarray, list[Event]]]


def faster(reference: Diarization, speed: float) -> Diarization:
    """`reference` for a recording that is played `speed` times as fast."""
    segments = [replace(s, start=s.start / speed, end=s.end / speed) for s in reference]
    return Diarization(reference.uri, reference.duration / speed, segments, reference.labels)


def score_conversation(
    diarizer: EmotionDiarizer, wave: np.ndarray, reference: Diarization
) -> tuple[Any, Any]:
    """The result, and (errors, total) of DER, EDER and the joint error."""
    found = diarizer((wave, SAMPLE_RATE))
    rates = {
        "der": der(reference, found),
        "eder": eder(reference, found),
        "joint": joint_error(reference, found),
    }
    return found, {name: (rate.errors, rate.total) for name, rate in rates.items()}


def score_clips(diarizer: EmotionDiarizer, clips: Clips, damage: Damage) -> Pairs:
    """(errors, total) of EDER of each clip: the tagger and the decoder, all of the clip being speech."""
    found = []
    for number, (wave, events) in enumerate(clips):
        damaged = damage(wave, number)
        moved = [Event(round(e.start / damage.speed), round(e.end / damage.speed), e.label) for e in events]
        posteriors = posteriors_of(diarizer.tagger, damaged)
        decided = decode(posteriors, diarizer.decoder, labels=diarizer.labels)
        found.append(clip_errors(decided, damaged, moved, diarizer.labels))
    return found


def damages(
    diarizer: EmotionDiarizer, conversations: Sequence[tuple[np.ndarray, Diarization]], clips: Clips
) -> tuple[dict[str, dict[str, Pairs]], list[Diarization]]:
    """For each damage the pairs of every measure; and the results on the clean conversations."""
    found: dict[str, dict[str, Pairs]] = {}
    clean = []
    for damage in DAMAGES:
        pairs: dict[str, Pairs] = defaultdict(list)
        for number, (wave, reference) in enumerate(conversations):
            result, own = score_conversation(diarizer, damage(wave, number), faster(reference, damage.speed))
            if damage is DAMAGES[0]:
                clean.append(result)
            for name, pair in own.items():
                pairs[name].append(pair)
        pairs["clips"] = score_clips(diarizer, clips, damage)
        found[damage.name] = dict(pairs)
        print(f"{damage.name}: done", file=sys.stderr, flush=True)
    return found, clean


def rate(pairs: Pairs) -> tuple[float, tuple[float, float]]:
    """The pooled rate and its interval."""
    wrong, total = np.array(pairs).T
    return float(wrong.sum() / total.sum()), tuple(bootstrap(wrong, total))  # type: ignore[return-value]


def change(pairs: Pairs, clean: Pairs) -> str:
    """Difference to clean in points, with the interval of the paired difference."""
    test = paired_test(tuple(np.array(clean).T), tuple(np.array(pairs).T), samples=2000)
    low, high = (100 * value for value in test.interval)
    return f"{100 * test.difference:+.1f} ({low:+.1f} to {high:+.1f})"


NOTE = """The same {conversations} conversations ({minutes:.0f} min, 2 to 4 `test` speakers, without room acoustics,
noise or line) and {clips} clips in the paper's patterns under every damage. Percent; in brackets the 95 % interval by
bootstrap over recordings. Clips have one speaker, always active, so their EDER depends only on the tagger and the
decoder."""
FAIR_NOTE = """Clean material of `test` speakers. Recall (UAR) is over utterances, for several corpora the mean of
theirs; EDER over {clips} clips of each corpus and gender; the last column is the share of these speakers' speech in
the conversations above that was missed or assigned to another speaker. Each corpus has one language, so the effects of
the two cannot be separated. A row has few speakers: its intervals reflect the choice of recordings, not the
choice of speakers."""


def report(found: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The figures as Markdown."""
    clean = found["damages"]["clean"]
    rows, moved = [], []
    for damage in DAMAGES:
        own = found["damages"][damage.name]
        rows.append([damage.name, damage.words, *(percent(*rate(own[m])) for m in MEASURES)])
        if damage.name != "clean":
            moved.append([damage.name, *(change(own[m], clean[m]) for m in MEASURES)])
    fair = [
        [name, r["speakers"], r["utterances"], percent(*r["uar"]), percent(*rate(r["eder"]))]
        + [percent(*rate(r["der"])) if r["der"] else ""]
        for name, r in found["fairness"].items()
    ]
    options = f"--conversations {arguments.conversations} --clips {arguments.clips} --seed {arguments.seed}"
    return "\n\n".join(
        [
            "# Robustness and fairness",
            f"`python -m benchmarks.accuracy.robustness {options}`, commit {found['commit']}. {found['machine']}. "
            f"{found['seconds']:.0f} s of processor time.",
            "![Errors under each damage, and by group](robustness.png)",
            NOTE.format(minutes=found["minutes"], **vars(arguments)),
            table(["damage", "description", *HEADS], rows),
            "Difference to clean, in points, with the interval of the paired difference:",
            table(["damage", *HEADS], moved),
            "## Groups of speakers",
            FAIR_NOTE.format(clips=GROUP_CLIPS),
            table(["group", "speakers", "utterances", "UAR", "EDER, clips", "missed or confused"], fair),
        ]
    )


def picture(found: dict[str, Any], trial: bool = False) -> None:
    """Errors under each damage, and by group, into results/robustness.png."""
    figure, (left, right) = plots.panels(2, (14, 5.4), (1.6, 1))
    names = [damage.name for damage in DAMAGES]
    series = {
        head: [rate(found["damages"][name][measure]) for name in names]
        for head, measure in zip(HEADS, MEASURES, strict=True)
        if measure != "joint"
    }
    plots.rows(left, names, series, "error (%)", "Under each damage")
    fair = found["fairness"]
    plots.rows(
        right,
        list(fair),
        {
            "missed or confused speech": [rate(r["der"]) if r["der"] else None for r in fair.values()],
            "EDER, clips": [rate(r["eder"]) for r in fair.values()],
            "1 - UAR": [(1 - r["uar"][0], (1 - r["uar"][1][1], 1 - r["uar"][1][0])) for r in fair.values()],
        },
        "error (%)",
        "By corpus, language and gender, clean",
    )
    plots.store(figure, "robustness", trial)


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--conversations", type=int, default=9)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--trial", action="store_true", help="use every third utterance and save nothing")
    arguments = parser.parse_args()
    diarizer = EmotionDiarizer()
    corpora = arguments.shared / "corpora"
    rows = read_manifest(corpora / "manifest.csv", ["test"], diarizer.labels)
    speech = load_speech(rows[::3] if arguments.trial else rows)
    conversations = [
        (samples, reference)
        for _, samples, reference in conversation_set(
            corpora, "test", arguments.conversations, seed=arguments.seed, options=CLEAN
        )
    ]
    clips = pattern_clips(speech, diarizer.labels, arguments.clips, SEED)
    started = time.process_time()
    found: dict[str, Any] = {"machine": machine(), "commit": commit()}
    found["minutes"] = sum(reference.duration for _, reference in conversations) / 60
    found["damages"], clean = damages(diarizer, conversations, clips)
    who = speaker_groups(corpora / "manifest.csv")
    found["fairness"] = fairness(diarizer, speech, who, conversations, clean, score_clips)
    found["seconds"] = time.process_time() - started
    picture(found, arguments.trial)
    text = report(found, arguments)
    print(text)
    if not arguments.trial:
        save("robustness", text, found, test=True)


if __name__ == "__main__":
    main()
