"""Recordings with known speakers, and the errors of a diarization on them, by pyannote.metrics.

In: the shared folder; (start, end, name) in seconds. Out: `Recording`s; seconds of each kind of error, over a whole
recording or over the time of each emotion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.diarizers import Turn
from sed.grid import samples_to_seconds

PARTS = ("train", "development", "test")
EMOTIONS = ("neutral", "happy", "angry", "sad")


@dataclass(frozen=True, eq=False)
class Recording:
    """Audio ``(n,)`` at 16 kHz with its reference, scored region (pyannote.core) and set.

    `emotions` is the time of each emotion, if known.
    """

    part: str
    uri: str
    samples: np.ndarray
    reference: Any
    region: Any
    emotions: dict[str, Any] = field(default_factory=dict)


def meetings(shared: Path, parts: Sequence[str] = PARTS) -> Iterator[Recording]:
    """The AMI clips of `parts`."""
    import soundfile
    from pyannote.core import Annotation, Segment, Timeline

    folder = shared / "conversations"
    for part in parts:
        references: dict[str, Annotation] = {}
        for number, line in enumerate((folder / f"debug.{part}.rttm").read_text("utf-8").splitlines()):
            _, uri, _, start, duration, _, _, speaker, *_ = line.split()
            interval = Segment(float(start), float(start) + float(duration))
            references.setdefault(uri, Annotation(uri=uri))[interval, number] = speaker
        for line in (folder / f"debug.{part}.uem").read_text("utf-8").splitlines():
            uri, _, start, end = line.split()
            samples = soundfile.read(folder / f"{uri}.wav", dtype="float32")[0]
            yield Recording(
                f"AMI {part}", uri, samples, references[uri], Timeline([Segment(float(start), float(end))])
            )


def simulated(shared: Path, split: str, count: int, seed: int) -> Iterator[Recording]:
    """Emotional conversations of 2-4 speakers of `split`, 60 s each."""
    from pyannote.core import Segment, Timeline

    from sed.simulation.sets import conversation_set

    for casting, samples, reference in conversation_set(shared / "corpora", split, count, seed=seed):
        region = Timeline([Segment(0, samples_to_seconds(len(samples)))])
        kind = "several corpora" if casting.mixed else "one corpus"
        emotions = {
            emotion: Timeline([Segment(s.start, s.end) for s in reference if s.emotion == emotion]).support()
            for emotion in EMOTIONS
        }
        yield Recording(
            f"simulated {split}, {kind}",
            casting.uri,
            np.float32(samples),
            reference.speakers,
            region,
            emotions,
        )


def annotation_of(turns: Sequence[Turn], uri: str) -> Any:
    """`turns` as a `pyannote.core.Annotation`."""
    from pyannote.core import Annotation, Segment

    annotation = Annotation(uri=uri)
    for number, (start, end, name) in enumerate(turns):
        if end > start:
            annotation[Segment(start, end), number] = name
    return annotation


def errors(recording: Recording, turns: Sequence[Turn], collar: float = 0.0) -> np.ndarray:
    """Seconds of missed speech, false alarm, confusion, and total speech."""
    from pyannote.metrics.diarization import DiarizationErrorRate

    found = DiarizationErrorRate(collar=2 * collar, skip_overlap=False)(
        recording.reference, annotation_of(turns, recording.uri), uem=recording.region, detailed=True
    )
    return np.array([found[name] for name in ("missed detection", "false alarm", "confusion", "total")])


def errors_by_emotion(recording: Recording, turns: Sequence[Turn]) -> dict[str, tuple[float, float]]:
    """Seconds of error and of speech in the time of each emotion, with the mapping of speakers of the whole recording.

    Overlap of different emotions counts for both.
    """
    from pyannote.metrics.diarization import DiarizationErrorRate
    from pyannote.metrics.identification import IdentificationErrorRate

    hypothesis = annotation_of(turns, recording.uri)
    mapping = DiarizationErrorRate().optimal_mapping(recording.reference, hypothesis, uem=recording.region)
    named = hypothesis.rename_labels(
        {label: mapping.get(label, f"unmatched {label}") for label in hypothesis.labels()}
    )
    found = {}
    for emotion, region in recording.emotions.items():
        if not region:
            continue
        parts = IdentificationErrorRate()(recording.reference, named, uem=region, detailed=True)
        wrong = parts["missed detection"] + parts["false alarm"] + parts["confusion"]
        found[emotion] = (float(wrong), float(parts["total"]))
    return found
