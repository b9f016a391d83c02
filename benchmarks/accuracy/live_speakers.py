"""Speakers of a live stream against those of a whole file: DER at several latencies, and the number of speakers.

    python -m benchmarks.accuracy.live_speakers --shared ../shared          # tuning data: prints only
    python -m benchmarks.accuracy.live_speakers --shared ../shared --test   # into results/live_speakers.*

Tuning data: AMI clips of part train, the calls `hvb_00*` and `hvb_02*` (mixed to mono), and conversations simulated
from `valid` speakers. Data of ``--test``: AMI clips of parts development and test, the other calls, and conversations
simulated from `test` speakers. The long stream of both is an hour of the AMI clips of part train, one after another,
again and again. No collar, overlap scored. `refined` is the result that a stream offers at its end. Network outputs
are cached by content, in ``--cache`` from run to run.
"""

from __future__ import annotations

import argparse
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from benchmarks.accuracy.latency import Cached
from benchmarks.lib.report import commit, machine, percent, save, table
from sed.audio import open_audio
from sed.formats import read, read_all, read_uem
from sed.grid import HOP, SAMPLE_RATE, frame_count, frames_to_seconds, samples_to_seconds
from sed.result import Diarization, Segment
from sed.scoring import der
from sed.scoring.uncertainty import bootstrap
from sed.simulation.sets import conversation_set
from sed.speakers import SegmentationDiarizer, Turns
from sed.speakers.turns import runs
from sed.streaming.diarizer import steps_of

LATENCIES = (0.5, 1.0, 2.0, 5.0)
REFINED = (0.5, 1.0)  # latencies of the streams that are refined; with others the windows are those of 1 s
TUNED_CALLS = ("hvb_00", "hvb_02")
HOUR = 3600


class Item(NamedTuple):
    """A recording with its reference; errors are pooled within a `group`."""

    group: str
    samples: np.ndarray
    reference: Diarization
    uem: Any = None


def meetings(shared: Path, parts: tuple[str, ...]) -> Iterator[Item]:
    """The AMI clips of `parts`."""
    folder = shared / "conversations"
    for part in parts:
        regions = read_uem(folder / f"debug.{part}.uem")
        for reference in read_all(folder / f"debug.{part}.rttm"):
            samples, _ = soundfile.read(folder / f"{reference.uri}.wav", dtype="float32")
            yield Item("meetings", samples, reference, regions[reference.uri])


def calls(shared: Path, tuned: bool) -> Iterator[Item]:
    """The calls that are `tuned` on, or the others, mixed to mono."""
    for path in sorted((shared / "conversations" / "calls").glob("hvb_*.opus")):
        if path.name.startswith(TUNED_CALLS) == tuned:
            with open_audio(path) as audio:
                samples = np.concatenate(list(audio))
            yield Item("calls", samples, read(path.with_suffix(".rttm")))


def simulated(shared: Path, split: str, count: int) -> Iterator[Item]:
    """Conversations of 2 to 4 speakers of `split`."""
    for plan, samples, reference in conversation_set(shared / "corpora", split, count, seed=5):
        group = "simulated, " + ("several corpora" if plan.mixed else "one corpus")
        yield Item(group, np.float32(samples), reference)


def hour_of_meetings(shared: Path) -> tuple[np.ndarray, int]:
    """An hour of the AMI clips of part train, and how many speakers they have."""
    items = list(meetings(shared, ("train",)))
    names = {name for item in items for name in item.reference.speaker_names}
    once = np.concatenate([item.samples[: len(item.samples) // 8000 * 8000] for item in items])
    return np.resize(once, HOUR * SAMPLE_RATE), len(names)


def segments_of(turns: Turns, duration: float) -> list[Segment]:
    """`turns` as segments."""
    return [
        Segment(frames_to_seconds(start), min(frames_to_seconds(end), duration), name)
        for name, spans in zip(turns.names, turns.spans, strict=True)
        for start, end in spans
    ]


def offline(diarizer: SegmentationDiarizer, samples: np.ndarray) -> list[Segment]:
    """The segments of a whole recording."""
    session = diarizer.begin()
    session.push(samples)
    return segments_of(session.close(), samples_to_seconds(len(samples)))


def follow(session: Any, samples: np.ndarray, latency: float) -> list[Segment]:
    """The final turns of a stream, as `sed.streaming` would return them."""
    (step, ahead), frames = steps_of(latency), frame_count(len(samples))
    found: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(frames, bool))
    settled = 0
    for number in range(1, -(-frames // step) + 1):
        end = min(number * step, frames)
        final = frames if end == frames else max(settled, end - ahead)
        start = max(0, end - session.window)
        turns = session.step(samples[start * HOP : end * HOP], start, final)
        for name, active in zip(turns.names, turns.active.T, strict=True):
            found[name][settled:final] = active[: final - settled]
        settled = final
    turns = Turns(tuple(runs(active) for active in found.values()), tuple(found), frames)
    return segments_of(turns, samples_to_seconds(len(samples)))


def score(item: Item, segments: list[Segment]) -> dict[str, Any]:
    """Errors and total in seconds, and how many speakers too many there are."""
    rate = der(item.reference, segments, uem=item.uem, duration=samples_to_seconds(len(item.samples)))
    extra = len({s.speaker for s in segments}) - len(item.reference.speaker_names)
    return {"group": item.group, "errors": float(rate.errors), "total": float(rate.total), "extra": extra}


def measure(
    items: list[Item], diarizer: SegmentationDiarizer, latencies: tuple[float, ...] = LATENCIES
) -> dict[str, list[dict[str, Any]]]:
    """The scores of each item, by system."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in items:
        rows["offline"].append(score(item, offline(diarizer, item.samples)))
        for latency in latencies:
            session = diarizer.begin_online(refine=latency in REFINED)
            found = follow(session, item.samples, latency)
            rows[f"{latency:g} s"].append(score(item, found))
            if latency in REFINED:
                found = segments_of(session.refined(), samples_to_seconds(len(item.samples)))
                rows[f"refined, {latency:g} s"].append(score(item, found))
    return rows


def pooled(rows: list[dict[str, Any]]) -> tuple[float, tuple[float, float]]:
    """The pooled DER and its interval."""
    wrong, total = (np.array([row[key] for row in rows]) for key in ("errors", "total"))
    return float(wrong.sum() / total.sum()), tuple(bootstrap(wrong, total))  # type: ignore[return-value]


def report(rows: dict[str, list[dict[str, Any]]]) -> str:
    """DER of every group and system, and how far the number of speakers is off."""
    groups = list(dict.fromkeys(row["group"] for row in rows["offline"]))
    lines = []
    for name, own in rows.items():
        cells = []
        for group in groups:
            chosen = [row for row in own if row["group"] == group]
            extra = np.mean([row["extra"] for row in chosen])
            cells.append(f"{percent(*pooled(chosen))} {extra:+.1f}")
        mean = np.mean([pooled([r for r in own if r["group"] == g])[0] for g in groups])
        lines.append([name, *cells, percent(float(mean))])
    return table(["result", *groups, "mean of groups"], lines)


def cached(diarizer: SegmentationDiarizer, path: Path | None) -> Callable[[], None]:
    """Cache the outputs of the networks, loaded from `path` if it exists; returns what writes them there."""
    caches = Cached(diarizer.segmentation.activities), Cached(diarizer.embedding)
    diarizer.segmentation.activities, diarizer.embedding = caches  # type: ignore[method-assign, assignment]
    if path and path.exists():
        for cache, results in zip(caches, pickle.loads(path.read_bytes()), strict=True):
            cache.results.update(results)

    def write() -> None:
        if path:
            path.write_bytes(pickle.dumps([cache.results for cache in caches]))

    return write


def main() -> None:
    """Measure, print and, with --test, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--conversations", type=int, default=12)
    parser.add_argument("--test", action="store_true", help="the data that nothing was tuned on")
    parser.add_argument("--cache", type=Path, help="file that keeps the outputs of the networks")
    parser.add_argument("--hour", action="store_true", help="count the speakers of the long stream, too")
    arguments = parser.parse_args()
    parts, split = (("development", "test"), "test") if arguments.test else (("train",), "valid")
    items = [
        *meetings(arguments.shared, parts),
        *calls(arguments.shared, tuned=not arguments.test),
        *simulated(arguments.shared, split, arguments.conversations),
    ]
    diarizer = SegmentationDiarizer()
    write_cache = cached(diarizer, arguments.cache)
    found: dict[str, Any] = {"machine": machine(), "commit": commit(), "rows": measure(items, diarizer)}
    text = report(found["rows"])
    if arguments.hour:
        samples, count = hour_of_meetings(arguments.shared)
        found["hour"] = {}
        for latency in (1.0, 5.0):
            segments = follow(diarizer.begin_online(), samples, latency)
            found["hour"][f"{latency:g}"] = len({s.speaker for s in segments})
        counts = ", ".join(f"{number} at {latency} s" for latency, number in found["hour"].items())
        text += f"\n\nAn hour of meetings of {count} speakers: {counts}."
    print(text)
    write_cache()
    if arguments.test:
        head = "python -m benchmarks.accuracy.live_speakers --test"
        save(
            "live_speakers",
            f"# Live speakers\n\n`{head}`, commit {found['commit']}.\n\n{text}",
            found,
            test=True,
        )


if __name__ == "__main__":
    main()
