"""Tunes the options of live speaker diarization on training data.

    python -m benchmarks.tuning.online_speakers --shared ../shared

Data, all of part or split `train`: AMI clips, and seeded simulated conversations of 90 s with speakers of one corpus
and of several. Network outputs are cached by window of audio. Each option is varied in turn over its grid at a latency
of 1 s and changed if the mean DER of the three groups (plus 0.2 points per excess or missing speaker) decreases. Prints
one line per trial and the best options.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from benchmarks.accuracy.latency import Cached
from benchmarks.accuracy.live_speakers import follow
from sed.formats import read_all
from sed.grid import samples_to_seconds
from sed.result import Diarization
from sed.scoring import der
from sed.simulation.conversation import ConversationOptions
from sed.simulation.sets import conversation_set
from sed.speakers import SegmentationDiarizer
from sed.speakers.online import SegmentationActivity
from sed.speakers.online_clustering import OnlineClusteringOptions, OnlineClusteringSession
from sed.speakers.registry import RegistryOptions

GRIDS: dict[str, tuple[float, ...]] = {
    "threshold": (0.2, 0.25, 0.28, 0.31, 0.35),
    "min_seconds_to_create": (0.6, 0.8, 1.0, 1.5),
    "min_evidence_seconds": (0.4, 0.6, 0.8),
    "continuity_bonus": (0.05, 0.15, 0.25),
    "max_run_seconds": (1.0, 1.5, 2.0),
    "min_pause": (0.2, 0.3, 0.5),
    "min_embed_seconds": (0.4, 0.6),
    "window": (5.0, 7.0, 10.0),
}


class Item(NamedTuple):
    """A recording with its reference; results are averaged within a `group` first."""

    group: str
    samples: np.ndarray
    reference: Diarization


def material(shared: Path, count: int) -> list[Item]:
    """The tuning data."""
    folder, items = shared / "conversations", []
    for reference in read_all(folder / "debug.train.rttm"):
        samples, _ = soundfile.read(folder / f"{reference.uri}.wav", dtype="float32")
        items.append(Item("meetings", samples, reference))
    options = ConversationOptions(duration=90.0)
    for casting, samples, reference in conversation_set(
        shared / "corpora", "train", count, seed=7, options=options
    ):
        items.append(Item("several corpora" if casting.mixed else "one corpus", samples, reference))
    return items


def trial(items: list[Item], speakers: SegmentationDiarizer, values: dict[str, Any], latency: float) -> float:
    """The cost of the options `values`; prints it with its parts."""
    names = {field.name for field in fields(RegistryOptions)}
    registry = RegistryOptions(**{k: v for k, v in values.items() if k in names})
    options = OnlineClusteringOptions(
        **{k: v for k, v in values.items() if k not in names}, registry=registry
    )
    rates, wrong = defaultdict(list), []
    for group, samples, reference in items:
        activity = SegmentationActivity(speakers.segmentation)
        session = OnlineClusteringSession(activity, speakers.embedding, options, speakers.projection)
        segments = follow(session, samples, latency)
        rates[group].append(der(reference, segments, duration=samples_to_seconds(len(samples))))
        wrong.append(abs(len({s.speaker for s in segments}) - len(reference.speaker_names)))
    pooled = {name: sum(r.errors for r in own) / sum(r.total for r in own) for name, own in rates.items()}
    cost = float(np.mean(list(pooled.values()))) + 0.002 * float(np.mean(wrong))
    parts = ", ".join(f"{name} {100 * rate:.1f}" for name, rate in pooled.items())
    print(f"{100 * cost:.2f}: {parts}, speakers off by {np.mean(wrong):.1f}; {values}", flush=True)
    return cost


def main() -> None:
    """Vary every option in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--conversations", type=int, default=12)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--knobs", default=",".join(GRIDS), help="options to vary, in order")
    arguments = parser.parse_args()
    items = material(arguments.shared, arguments.conversations)
    speakers = SegmentationDiarizer()
    speakers.segmentation.activities = Cached(speakers.segmentation.activities)  # type: ignore[method-assign]
    speakers.embedding = Cached(speakers.embedding)  # type: ignore[assignment]
    best: dict[str, Any] = {}
    lowest = trial(items, speakers, best, arguments.latency)
    for name in arguments.knobs.split(","):
        for value in GRIDS[name]:
            cost = trial(items, speakers, {**best, name: value}, arguments.latency)
            if cost < lowest:
                lowest, best = cost, {**best, name: value}
    print(f"best options, changes to the defaults: {best}")


if __name__ == "__main__":
    main()
