"""The test of the paper on ZED: a tagger and ZED's manifest in; predictions and emotion diarization error rates out.

Every frame gets a label: ZED's recordings are speech throughout, and the paper scores them so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sed.corpora.audio import Utterance, read_manifest, read_utterance
from sed.emotion.decoding import DecoderOptions, decode
from sed.errors import FormatError
from sed.files import save_bytes
from sed.grid import HOP, SAMPLE_RATE
from sed.result import Segment
from sed.scoring.emotion import eder
from sed.scoring.rates import EmotionErrorRate
from sed.scoring.speechbrain import frame_segments
from sed.scoring.uncertainty import bootstrap
from sed.training.export.calibration import Calibration, calibrated

FRAME = HOP / SAMPLE_RATE


def score_zed(
    model: Any,
    manifest: str | Path,
    labels: Sequence[str],
    decoders: Sequence[str],
    folder: Path,
    most: int | None = None,
) -> dict[str, Any]:
    """Scores of a torch tagger on ZED, by decoder; its predictions are written to ``zed_DECODER.json`` in `folder`.

    A recording is one input, as in the paper. For each decoder: ``script``, the mean over recordings of what
    SpeechBrain's `EDER` gives, which is what the paper reports; ``eder``, the same with exact intervals; ``pooled``,
    errors over time; ``interval``, its 95 % bootstrap interval over speakers; and the seconds of each kind of error.
    `most` limits the recordings.
    """
    utterances = read_manifest(manifest, ["test"])[:most]
    if unscorable := [u.id for u in utterances if len(u.events) != 1 or not u.duration]:
        raise FormatError(
            f"{manifest}: found {unscorable[0]} without exactly one emotion, expected ZED, which has one each"
        )
    posteriors = calibrated(model.eval(), labels, Calibration())
    found = [posteriors(read_utterance(utterance)) for utterance in utterances]
    scores = {}
    for name in decoders:
        decoded = [decode(each, DecoderOptions(name), labels=labels) for each in found]
        predictions = [[labels[index] for index in frames] for frames in decoded]
        scores[name] = _scores(utterances, predictions)
        listed = {
            u.id: _segments(frames, u.duration) for u, frames in zip(utterances, predictions, strict=True)
        }
        rows = {
            name: [{"start": s.start, "end": s.end, "emotion": s.emotion} for s in segments]
            for name, segments in listed.items()
        }
        save_bytes((json.dumps(rows, indent=1) + "\n").encode(), folder / f"zed_{name}.json")
    return scores


def _scores(utterances: Sequence[Utterance], predictions: Sequence[Sequence[str]]) -> dict[str, Any]:
    rates: list[EmotionErrorRate] = []
    script = []
    for utterance, frames in zip(utterances, predictions, strict=True):
        duration = float(utterance.duration or 0.0)
        reference = [Segment(start, end, emotion=label) for start, end, label in utterance.events]
        rates.append(eder(reference, _segments(frames, duration), duration=duration))
        letters = frame_segments([label[0] for label in frames], FRAME, FRAME)
        script.append(eder(reference, letters, duration=duration, compat="speechbrain").rate)
    errors, totals = [rate.errors for rate in rates], [rate.total for rate in rates]
    interval = bootstrap(errors, totals, groups=[utterance.speaker for utterance in utterances])
    parts = ("false_alarm", "missed_emotion", "confusion", "overlap")
    return {
        "script": float(np.mean(script)),
        "eder": float(np.mean([rate.rate for rate in rates])),
        "pooled": sum(errors) / sum(totals),
        "interval": [interval.low, interval.high],
        "recordings": len(rates),
        **{f"{part}_seconds": float(sum(getattr(rate, part) for rate in rates)) for part in parts},
    }


def _segments(frames: Sequence[str], duration: float | None) -> list[Segment]:
    """Runs of equal labels as segments; the last one ends at `duration`."""
    changes = [n for n in range(len(frames)) if not n or frames[n] != frames[n - 1]]
    ends = [*(n * FRAME for n in changes[1:]), float(duration or 0.0)]
    return [
        Segment(round(first * FRAME, 6), round(end, 6), emotion=frames[first])
        for first, end in zip(changes, ends, strict=True)
        if first * FRAME < end
    ]


def comparison(scores: Mapping[str, Mapping[str, Any]], published: Mapping[str, Sequence[float]]) -> str:
    """A Markdown table of one tagger's `scores` by decoder beside `published` means and deviations, in %."""
    lines = ["| ZED, every frame labelled | EDER % | exact % | pooled % (95 %) |", "|---|---:|---:|---:|"]
    for name, found in scores.items():
        low, high = (100 * value for value in found["interval"])
        lines.append(
            f"| {name} | {100 * found['script']:.1f} | {100 * found['eder']:.1f} |"
            f" {100 * found['pooled']:.1f} ({low:.1f}-{high:.1f}) |"
        )
    lines += [f"| {name} | {mean:.1f} ± {spread:.1f} | - | - |" for name, (mean, spread) in published.items()]
    return "\n".join(lines) + "\n"
