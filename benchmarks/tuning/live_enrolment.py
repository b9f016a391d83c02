"""Known speakers in live streams against whole files: how much of their speech has their name; prints shares.

    python -m benchmarks.tuning.live_enrolment ../shared

`valid` speakers only, in the simulated conversations of `benchmarks.accuracy.live_speakers`. All speakers but the last
of each conversation are enrolled with about 10 s of neutral clips, of which the conversation may have some in another
room and on another line. Counted is the time in which one speaker talks.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.accuracy.live_speakers import cached, follow, segments_of, simulated
from benchmarks.tuning.enrolment import diarize, recording
from sed.corpora.audio import read_manifest
from sed.corpora.manifest import Utterance
from sed.formats.kind import without_blanks
from sed.grid import frame_count, samples_to_seconds, seconds_to_frames
from sed.result import Segment, SpeakerProfile
from sed.speakers import SegmentationDiarizer
from sed.speakers.matching import name_speakers

CONVERSATIONS, SECONDS = 12, 10.0
LATENCIES = (0.5, 1.0, 5.0)


def active(segments: list[Segment], frames: int) -> dict[str, np.ndarray]:
    """Activity ``(frames,)`` bool of each speaker."""
    found: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(frames, bool))
    for segment in segments:
        found[str(segment.speaker)][seconds_to_frames(segment.start) : seconds_to_frames(segment.end)] = True
    return found


def main() -> None:
    """Print the shares of each result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--cache", type=Path, help="file that keeps the outputs of the networks")
    arguments = parser.parse_args()
    shared, rng, diarizer = arguments.shared, np.random.default_rng(0), SegmentationDiarizer()
    write_cache = cached(diarizer, arguments.cache)
    clips: dict[str, list[Utterance]] = defaultdict(list)
    for row in read_manifest(shared / "corpora", ["valid"], ["neutral"]):
        clips[without_blanks(row.speaker)].append(row)
    profiles: dict[str, SpeakerProfile] = {}
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(5))
    for item in simulated(shared, "valid", CONVERSATIONS):
        names = list(item.reference.speaker_names)
        for name in names:
            if name not in profiles:
                found = diarize(diarizer, recording(clips[name], SECONDS, rng)).profiles or {}
                profiles[name] = max(found.values(), key=lambda profile: profile.seconds)
        known = {name: profiles[name] for name in names[:-1]}
        duration, frames = samples_to_seconds(len(item.samples)), frame_count(len(item.samples))
        results = {"offline": segments_of(name_speakers(diarize(diarizer, item.samples), known), duration)}
        for latency in LATENCIES:
            session = diarizer.begin_online(enrolled=known)
            results[f"{latency:g} s"] = follow(session, item.samples, latency)
        truth = active(list(item.reference), frames)
        alone = sum(own.astype(int) for own in truth.values()) == 1
        for title, segments in results.items():
            given = active(segments, frames)
            for name in names:
                own = truth[name] & alone
                right = (given[name] & own).sum() if name in known else 0
                wrong = sum((given[other] & own).sum() for other in known if other != name)
                shares = [own.sum(), right, wrong, 0, 0] if name in known else [0, 0, 0, own.sum(), wrong]
                counts[title] += shares
    write_cache()
    for title, (total, right, wrong, strange, taken) in counts.items():
        print(
            f"{title}: known speakers named {100 * right / total:.0f} %, under another's name"
            f" {100 * wrong / total:.0f} %; strangers under a name {100 * taken / strange:.0f} %"
        )


if __name__ == "__main__":
    main()
