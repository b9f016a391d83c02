"""Scoring: EDER, DER and related metrics, exact on intervals, with bootstrap confidence intervals.

>>> from sed.result import Diarization, Segment
>>> from sed.scoring import eder
>>> reference = Diarization("call", 10.0, [Segment(2, 8, "ann", "happy")])
>>> hypothesis = Diarization("call", 10.0, [Segment(2, 7, "spk00", "happy"), Segment(7, 8, "spk00", "sad")])
>>> eder(reference, hypothesis).rate
0.1

Times are seconds. The names below are imported on first use.
"""

from __future__ import annotations

from importlib import import_module

_MODULES = {
    "BoundaryScore": "events",
    "ConfusionMatrix": "confusion",
    "DetectionScore": "events",
    "EmotionErrorRate": "rates",
    "ErrorRate": "rates",
    "Interval": "uncertainty",
    "JointErrorRate": "rates",
    "MetricReport": "report",
    "Options": "report",
    "PairedTest": "uncertainty",
    "Report": "report",
    "SpeakerErrorRate": "rates",
    "SpeechBrainErrorRate": "rates",
    "bootstrap": "uncertainty",
    "boundary_score": "events",
    "concordance": "utterances",
    "der": "speakers",
    "eder": "emotion",
    "event_score": "events",
    "exact_recall_interval": "utterances",
    "expected_calibration_error": "utterances",
    "joint_error": "speakers",
    "macro_f1": "utterances",
    "paired_test": "uncertainty",
    "score": "corpus",
    "unweighted_average_recall": "utterances",
    "weighted_accuracy": "utterances",
    "weighted_f1": "utterances",
}
__all__ = [*_MODULES]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'sed.scoring' has no attribute {name!r}")
    return getattr(import_module(f"sed.scoring.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
