"""The bundled emotion tagger without diarization: recall by corpus, frames, and EDER on transition patterns.

    python -m benchmarks.accuracy.emotion --shared ../shared [--model FILE.onnx] [--split valid]

In: an ONNX tagger and a split of the corpora (`test` speakers are for final figures only). Out:
benchmarks/results/emotion.md and .json. Speech is trimmed of silence and equalised, as in the paper, and processed in
the windows of the tagger. All random numbers have a fixed seed.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.report import commit, machine, percent, save, table
from sed.corpora.audio import load_speech, read_manifest, to_float
from sed.emotion.bundled import bundled_path
from sed.emotion.decoding import DecoderOptions, decode
from sed.emotion.onnx import OnnxTagger
from sed.emotion.windows import posteriors_of
from sed.grid import frames_to_seconds, samples_to_seconds
from sed.result import Segment
from sed.scoring import bootstrap, eder, expected_calibration_error
from sed.scoring.recall import recall_interval
from sed.simulation.patterns import Event, frame_labels
from sed.training.data.clips import Speech, pattern_clips
from sed.training.export.onnx import sha256

SEED = 2306
CLIPS = 200


def utterances(tagger: OnnxTagger, speech: Speech) -> dict[str, dict[str, Any]]:
    """By corpus: UAR of the mean posterior, recall of each label, share of correct frames, calibration."""
    rows = defaultdict(list)
    for utterance, samples in speech:
        posteriors = posteriors_of(tagger, to_float(samples))
        true = tagger.labels.index(utterance.emotion)
        mean = posteriors.mean(axis=0)
        right = int(np.sum(posteriors.argmax(axis=1) == true))
        rows[utterance.corpus].append((true, int(mean.argmax()), right, len(posteriors), float(mean.max())))
    found = {}
    for corpus, values in rows.items():
        true, predicted, right, frames, confidence = (
            np.array(column) for column in zip(*values, strict=True)
        )
        uar, interval = recall_interval(true, predicted, len(tagger.labels), seed=SEED)
        recalls = {
            label: float(np.mean(predicted[true == number] == number))
            for number, label in enumerate(tagger.labels)
            if np.any(true == number)
        }
        found[corpus] = {
            "utterances": len(values),
            "uar": uar,
            "interval": interval,
            "recall": recalls,
            "frames": float(right.sum() / frames.sum()),
            "accuracy": float(np.mean(true == predicted)),
            "confidence": float(confidence.mean()),
            "ece": expected_calibration_error(np.minimum(confidence, 1.0), true == predicted),
        }
    return found


def _segments(decided: np.ndarray, samples: int, labels: Sequence[str]) -> list[Segment]:
    """Runs of equal decisions as segments; the last one ends with the clip."""
    edges = [0, *(np.flatnonzero(np.diff(decided)) + 1).tolist(), len(decided)]
    end = samples_to_seconds(samples)
    return [
        Segment(frames_to_seconds(a), min(frames_to_seconds(b), end), None, labels[decided[a]])
        for a, b in itertools.pairwise(edges)
    ]


def clip_errors(
    decided: np.ndarray, wave: np.ndarray, events: Sequence[Event], labels: Sequence[str]
) -> tuple[float, float]:
    """Seconds of error of the label numbers `decided` ``(frames,)`` of a clip, and seconds of the clip."""
    reference = [
        Segment(samples_to_seconds(e.start), samples_to_seconds(e.end), None, e.label) for e in events
    ]
    hypothesis = _segments(decided, len(wave), labels)
    found = eder(reference, hypothesis, duration=samples_to_seconds(len(wave)))
    return found.rate * found.total, found.total


def patterns(tagger: OnnxTagger, clips: Sequence[tuple[np.ndarray, list[Event]]]) -> dict[str, Any]:
    """EDER of the argmax, of the default decoder, and of labelling everything neutral."""
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    frames = []
    for wave, events in clips:
        posteriors = posteriors_of(tagger, wave)
        truth = frame_labels(events, len(wave), tagger.labels)
        decisions = {
            "argmax": posteriors.argmax(axis=1),
            "decoder": decode(posteriors, DecoderOptions(), labels=tagger.labels),
            "all neutral": np.full(len(posteriors), tagger.labels.index("neutral")),
        }
        frames.append((int(np.sum(decisions["argmax"] == truth)), len(truth)))
        for name, decided in decisions.items():
            errors[name].append(clip_errors(decided, wave, events, tagger.labels))
    found: dict[str, Any] = {
        "clips": len(clips),
        "frames": sum(a for a, _ in frames) / sum(b for _, b in frames),
    }
    for name, values in errors.items():
        wrong, total = (np.array(column) for column in zip(*values, strict=True))
        found[name] = {
            "eder": float(wrong.sum() / total.sum()),
            "macro": float(np.mean(wrong / total)),
            "interval": tuple(bootstrap(wrong, total, seed=SEED)),
        }
    return found


def real_time_factor(tagger: OnnxTagger) -> float:
    """CPU seconds per second of audio, one thread, windows of the tagger's length; the best of 20."""
    wave = np.random.default_rng(0).standard_normal((1, tagger.window)).astype(np.float32) * 0.05
    best = float("inf")
    for _ in range(20):
        start = time.process_time()
        tagger.posteriors(wave)
        best = min(best, time.process_time() - start)
    return best / samples_to_seconds(tagger.window)


def report(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    labels = found["labels"]
    rows = [
        [corpus, f["utterances"], percent(f["uar"], f["interval"])]
        + [percent(f["recall"][label]) if label in f["recall"] else "" for label in labels]
        + [percent(f["frames"]), percent(f["accuracy"]), percent(f["confidence"]), percent(f["ece"])]
        for corpus, f in found["corpora"].items()
    ]
    clips = found["patterns"]
    eders = [
        [name, percent(clips[name]["eder"], clips[name]["interval"]), percent(clips[name]["macro"])]
        for name in ("argmax", "decoder", "all neutral")
    ]
    head = ["corpus", "utterances", "UAR", *labels, "frames", "accuracy", "mean confidence", "ECE"]
    return "\n\n".join(
        [
            "# The emotion tagger without diarization",
            f"`{found['model']}`, SHA-256 {found['sha256']}, {found['size'] / 1e6:.1f} MB; split"
            f" `{found['split']}`: speakers it was not trained on. Percent, with 95 % bootstrap intervals over"
            " utterances and clips. By `benchmarks/accuracy/emotion.py`.",
            "By corpus: unweighted average recall of the utterances' mean posteriors, recall of each emotion,"
            " correct frames.",
            table(head, rows),
            f"EDER on {clips['clips']} clips of the paper's four patterns (pooled with its interval; mean over"
            " clips). `decoder` is the default one.",
            table(["decision", "EDER", "macro"], eders),
            f"Correct frames of the clips: {percent(clips['frames'])} %. Real-time factor on one thread:"
            f" {found['rtf']:.4f}.",
            f"Commit {found['commit']}. {found['machine']}.",
        ]
    )


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--model", type=Path, default=bundled_path())
    parser.add_argument("--split", default="test", choices=["test", "valid"])
    parser.add_argument("--name", help="name of the result files; default emotion, or emotion-SPLIT")
    arguments = parser.parse_args()
    tagger = OnnxTagger(arguments.model)
    manifest = arguments.shared / "corpora" / "manifest.csv"
    speech = load_speech(read_manifest(manifest, [arguments.split], tagger.labels))
    found = {
        "model": arguments.model.name,
        "sha256": sha256(arguments.model),
        "size": arguments.model.stat().st_size,
        "split": arguments.split,
        "labels": list(tagger.labels),
        "corpora": utterances(tagger, speech),
        "patterns": patterns(tagger, pattern_clips(speech, tagger.labels, CLIPS, SEED)),
        "rtf": real_time_factor(tagger),
        "commit": commit(),
        "machine": machine(),
    }
    text = report(found)
    save(
        arguments.name or ("emotion" if arguments.split == "test" else f"emotion-{arguments.split}"),
        text,
        found,
        test=arguments.split == "test",
    )
    print(text)


if __name__ == "__main__":
    main()
