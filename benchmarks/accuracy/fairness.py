"""Fairness: recall, EDER and DER of groups of speakers, by corpus, language and gender.

In: clean utterances and conversations of `test` speakers, and the results of `sed` on them. Out: the figures of each
group, as `benchmarks/accuracy/robustness.py` reports them.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.emotion import SEED
from benchmarks.lib.effects import DAMAGES
from sed import EmotionDiarizer
from sed.corpora.audio import to_float
from sed.emotion.windows import posteriors_of
from sed.result import Diarization
from sed.scoring.recall import recall_interval
from sed.training.data.clips import Speech, pattern_clips

UNKNOWN = "gender not given"
GROUP_CLIPS = 25  # clips of each corpus and gender
Pairs = list[tuple[float, float]]  # seconds of error and of scored time, one pair per recording


def speaker_groups(manifest: Path) -> dict[str, tuple[str, str, str]]:
    """Corpus, language and gender of each speaker."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        f"{r['corpus']}/{r['speaker']}": (r["corpus"], r["language"], r["gender"] or UNKNOWN) for r in rows
    }


def groups(who: dict[str, tuple[str, str, str]], speakers: set[str]) -> dict[str, set[str]]:
    """The speakers of each corpus and gender, of each corpus, and of each gender."""
    found: dict[str, set[str]] = defaultdict(set)
    for speaker in sorted(speakers):
        corpus, language, gender = who[speaker]
        for name in (f"{corpus} ({language})", f"{corpus} ({language}), {gender}", "all", f"all, {gender}"):
            found[name].add(speaker)
    found.pop(f"all, {UNKNOWN}", None)
    return dict(sorted(found.items(), key=lambda item: (item[0].startswith("all"), item[0])))


def fairness(
    diarizer: EmotionDiarizer,
    speech: Speech,
    who: dict[str, tuple[str, str, str]],
    conversations: Sequence[tuple[np.ndarray, Diarization]],
    found: Sequence[Diarization],
    score_clips: Callable[..., Pairs],
) -> dict[str, dict[str, Any]]:
    """For each group of speakers: recall over utterances, EDER of clips, and missed or confused speech.

    `score_clips` takes a diarizer, clips and a damage, and returns pairs (errors, total).
    """
    labels = diarizer.labels
    predicted = np.array([posteriors_of(diarizer.tagger, to_float(s)).mean(0).argmax() for _, s in speech])
    true = np.array([labels.index(u.emotion) for u, _ in speech])
    speaker = np.array([u.speaker for u, _ in speech])
    corpora = np.array([u.corpus for u, _ in speech])
    every = groups(who, set(speaker.tolist()))
    eders: dict[str, Pairs] = defaultdict(list)
    for name, members in every.items():
        if "," in name and not name.startswith(
            "all"
        ):  # corpus and gender: its clips count for every group that contains it
            own = [item for item in speech if item[0].speaker in members]
            clips = score_clips(diarizer, pattern_clips(own, labels, GROUP_CLIPS, SEED), DAMAGES[0])
            for larger, others in every.items():
                if members <= others:
                    eders[larger] += clips
    rows = {}
    for name, members in every.items():
        mine = np.isin(speaker, sorted(members))
        rows[name] = {
            "speakers": len(members),
            "utterances": int(mine.sum()),
            "uar": recall_interval(true[mine], predicted[mine], len(labels), strata=corpora[mine], seed=SEED),
            "eder": eders[name],
            "der": [
                pair
                for (_, reference), result in zip(conversations, found, strict=True)
                if (pair := der_while(reference, result, members))[1] > 0
            ],
        }
    return rows


def der_while(reference: Diarization, found: Diarization, members: set[str]) -> tuple[float, float]:
    """Seconds of the speech of `members` that is missed or confused, and total seconds of it.

    Names are mapped once, for the whole recording.
    """
    from pyannote.core import Annotation
    from pyannote.metrics.diarization import DiarizationErrorRate

    truth = reference.speakers
    mapping = DiarizationErrorRate().optimal_mapping(truth, found.speakers)
    own: Annotation = truth.subset(sorted(members))
    named = found.speakers.rename_labels(
        {label: mapping.get(label, f"? {label}") for label in found.speakers.labels()}
    )
    total = right = 0.0
    for label in own.labels():
        spoken = own.label_timeline(label).support()
        total += spoken.duration()
        right += spoken.crop(named.label_timeline(label).support()).duration()
    return total - right, total
