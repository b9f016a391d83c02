"""Searches for the clustering parameters of speaker diarization, on tuning data; prints DER.

`benchmarks/peers/diarization.py --tune`, `--tune-peer` and `--tune-resemblyzer` run these. The networks run once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.lib.diarization_sets import Recording, errors, meetings, simulated
from benchmarks.peers.diarizers import Place, Resemblyzer, Turn, turns_to_list
from sed.grid import FRAME_RATE, SAMPLE_RATE
from sed.speakers import SegmentationDiarizer
from sed.speakers.agglomeration import Linkage
from sed.speakers.clustering import ClusteringOptions
from sed.speakers.diarizer import DiarizationOptions, cluster_speech_runs, turns_of_speakers


def tuning_set(shared: Path) -> list[Recording]:
    """The tuning data: AMI clips of part train, and conversations of `train` speakers."""
    return [*meetings(shared, ["train"]), *simulated(shared, "train", 24, seed=11)]


def tune(shared: Path, _: Path | None) -> None:
    """Print the DER of our clustering parameters on the tuning set."""
    recordings, outputs = tuning_set(shared), []
    diarizer = SegmentationDiarizer()
    for recording in recordings:
        session = diarizer.begin()
        session.push(recording.samples)
        outputs.append((session.close(), session.speech_runs))
    plain = DiarizationOptions()
    for threshold, mean_share in itertools.product((0.16, 0.19, 0.21, 0.23), (0.0, 0.3, 0.35, 0.4)):
        for linkage in (
            Linkage(0.6, 0.11, 0.03, window_bonus=0.22),
            Linkage(0.5, 0.11, 0.03, window_bonus=0.22),
            Linkage(0.6, 0.09, 0.03, window_bonus=0.17),
            Linkage(0.6, 0.05, 0.05),
            Linkage(),
        ):
            for share in (0.04, 0.05, 0.06):
                options = ClusteringOptions(threshold, mean_share, linkage, min_speaker_share=share)
                found = []
                for turns, speech_runs in outputs:
                    speakers = cluster_speech_runs(speech_runs, options)
                    seconds = plain.min_duration_off, plain.min_duration_on
                    durations = (round(s * FRAME_RATE) for s in seconds)
                    named = turns_of_speakers(speech_runs, speakers, turns.frames, *durations)
                    found.append(turns_to_list(named))
                report(options, recordings, found)


def tune_peer(shared: Path, _: Path | None) -> None:
    """Print the DER of pyannote's clustering thresholds on the tuning set."""
    import torch

    from sed.speakers.pyannote import MIN_CLUSTER_SIZE, PyannoteDiarizer

    diarizer = PyannoteDiarizer(shared / "models" / "pyannote-segmentation-3.0")
    pipeline = diarizer.pipeline
    pipeline.training = True  # then it keeps network outputs in the file's dictionary
    recordings = tuning_set(shared)
    files: list[dict[str, Any]] = [
        {"uri": r.uri, "waveform": torch.from_numpy(r.samples)[None], "sample_rate": SAMPLE_RATE}
        for r in recordings
    ]
    for smallest in (3, 6, MIN_CLUSTER_SIZE):
        for threshold in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8):
            clustering = {"method": "centroid", "min_cluster_size": smallest, "threshold": threshold}
            pipeline.instantiate({"segmentation": {"min_duration_off": 0.0}, "clustering": clustering})
            found = []
            for file in files:
                tracks = pipeline(file).speaker_diarization.itertracks(yield_label=True)
                found.append([(interval.start, interval.end, name) for interval, _, name in tracks])
            report(clustering, recordings, found)


def tune_resemblyzer(shared: Path, peers: Path | None) -> None:
    """Print the DER of the clustering thresholds of resemblyzer's windows."""
    system = Resemblyzer(Place(shared, peers))
    recordings = tuning_set(shared)
    embedded = [system.embed(recording.samples) for recording in recordings]
    for threshold in (0.1, 0.14, 0.18, 0.22, 0.26, 0.3, 0.35, 0.4):
        system.threshold = threshold
        report(threshold, recordings, [system.name(*parts) for parts in embedded])


def report(options: Any, recordings: list[Recording], found: list[list[Turn]]) -> None:
    """Print one line of a search: the mean of the sets' DER, the sets', the options."""
    by_part: dict[str, list[np.ndarray]] = {}
    for recording, turns in zip(recordings, found, strict=True):
        by_part.setdefault(recording.part, []).append(errors(recording, turns))
    rates = {part: float(np.sum(rows, 0)[:3].sum() / np.sum(rows, 0)[3]) for part, rows in by_part.items()}
    parts = "  ".join(f"{part} {100 * rate:.2f}" for part, rate in rates.items())
    print(f"{100 * np.mean(list(rates.values())):.2f}  {parts}  {options}", flush=True)


TUNERS: dict[str, Callable[[Path, Path | None], None]] = {
    "tune": tune,
    "tune-peer": tune_peer,
    "tune-resemblyzer": tune_resemblyzer,
}
