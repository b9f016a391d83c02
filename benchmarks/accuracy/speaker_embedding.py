"""Equal error rate of the speaker embedding within one emotion and across emotions, in meetings, calls and read speech.

    python -m benchmarks.accuracy.speaker_embedding --shared ../shared [--other NAME=FILE.onnx ...]

In: `train` and `valid` speakers of the acted corpora (CREMA-D: `valid` only, as the projection learnt from the others;
EMO-DB's `train` speakers, too, were seen by the projection), AMI parts train and development, the calls that may be
tuned on, `valid` speakers of read speech. Nothing of `test`. Out: ``results/speaker_embedding.md`` and ``.json``, with
the bundled embedding and other models, plain and projected. 95 % intervals by bootstrap over speakers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.lib.report import commit, machine, percent, save, table
from benchmarks.lib.verification import Samples, pairs
from sed.audio.fbank import FEATURES_PER_FRAME, filter_bank
from sed.corpora.audio import read_manifest, read_wave
from sed.corpora.manifest import Utterance
from sed.formats import read, read_all
from sed.grid import FRAME_RATE, SAMPLE_RATE
from sed.result import Segment
from sed.simulation.speech_pieces import speech_pieces
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.projection import Projection
from sed.speakers.turns import runs

ACTED = {
    "emodb": ["train", "valid"],
    "ravdess": ["train", "valid"],
    "nemo": ["train", "valid"],
    "kaist": ["train", "valid"],
    "cremad": ["valid"],
}
READ = ("librispeech", "commonvoice6_multi", "commonvoice13delta_en")
CALLS = ("hvb_00*.opus", "hvb_02*.opus")
CLIPS = 24  # per speaker, over all emotions
MIN_SECONDS, MAX_SECONDS = 0.8, 2.5  # of a piece of a turn and of half a read clip
SEED = 0

Embed = Callable[[np.ndarray], np.ndarray]


class Piece(NamedTuple):
    """Features ``(frames, 80)`` of one speaker, in a group (corpus or recording), with an emotion."""

    features: np.ndarray
    speaker: str
    group: str
    emotion: str = ""


def chosen(rows: Sequence[Utterance], rng: np.random.Generator) -> list[Utterance]:
    """At most `CLIPS` rows of each speaker, evenly over emotions."""
    own: dict[str, dict[str, list[Utterance]]] = {}
    for n in rng.permutation(len(rows)):
        own.setdefault(rows[n].speaker, {}).setdefault(rows[n].emotion, []).append(rows[n])
    found: list[Utterance] = []
    for _, emotions in sorted(own.items()):
        ranked = sorted((rank, emotion) for emotion, clips in emotions.items() for rank in range(len(clips)))
        found += [emotions[emotion][rank] for rank, emotion in ranked[:CLIPS]]
    return found


def speech_of(row: Utterance) -> np.ndarray:
    """Features of the speech of an utterance, without its pauses."""
    samples = read_wave(row.path)
    parts = [samples[start:end] for start, end in speech_pieces(samples)]
    return filter_bank(np.concatenate(parts)) if parts else np.zeros((0, 80), np.float32)


def acted(shared: Path, corpus: str) -> Iterator[Piece]:
    """Whole utterances of an acted corpus."""
    rows = [
        r for r in read_manifest(shared / "corpora" / "manifest.csv", ACTED[corpus]) if r.corpus == corpus
    ]
    for row in chosen(rows, np.random.default_rng(SEED)):
        features = speech_of(row)
        if len(features) >= 50:
            yield Piece(features, row.speaker, row.corpus, row.emotion)


def read_speech(shared: Path) -> Iterator[Piece]:
    """Both halves of each clip of read speech."""
    for row in read_manifest(shared / "natural" / "manifest.csv", ["valid"]):
        if row.corpus in READ:
            features = speech_of(row)
            length = min(len(features) // 2, round(100 * MAX_SECONDS))
            if length >= 100 * MIN_SECONDS:
                for half in (features[:length], features[-length:]):
                    yield Piece(
                        half, row.speaker, "librispeech" if row.corpus == "librispeech" else "commonvoice"
                    )


def turns(uri: str, samples: np.ndarray, reference: Sequence[Segment], max_seconds: float) -> Iterator[Piece]:
    """Pieces of up to `max_seconds` of the turns of a recording, where one speaker speaks alone."""
    frames = len(samples) // (SAMPLE_RATE // FRAME_RATE)
    names = sorted({str(s.speaker) for s in reference})
    active = np.zeros((frames, len(names)), bool)
    for s in reference:
        active[round(s.start * FRAME_RATE) : round(s.end * FRAME_RATE), names.index(str(s.speaker))] = True
    features = filter_bank(np.concatenate([samples, np.zeros(400, np.float32)]))
    shortest, longest = (round(seconds * FRAME_RATE) for seconds in (MIN_SECONDS, max_seconds))
    for column, name in enumerate(names):
        for start, end in runs(active[:, column] & (active.sum(1) == 1)).tolist():
            for first in range(start, end - shortest + 1, longest):
                last = min(end, first + longest)
                if last - first >= shortest:
                    part = features[FEATURES_PER_FRAME * first : FEATURES_PER_FRAME * last]
                    yield Piece(part, f"{uri}/{name}", uri)


def meetings(shared: Path, max_seconds: float) -> Iterator[Piece]:
    """Pieces of AMI's turns, parts train and development."""
    folder = shared / "conversations"
    for part in ("train", "development"):
        for reference in read_all(folder / f"debug.{part}.rttm"):
            samples = read_wave(folder / f"{reference.uri}.wav")
            yield from turns(reference.uri, samples, list(reference), max_seconds)


def calls(shared: Path, max_seconds: float) -> Iterator[Piece]:
    """Pieces of the turns of calls, both channels mixed."""
    for pattern in CALLS:
        for path in sorted((shared / "conversations" / "calls").glob(pattern)):
            yield from turns(path.stem, read_wave(path), list(read(path.with_suffix(".rttm"))), max_seconds)


def material(shared: Path) -> dict[str, list[Piece]]:
    """All pieces by the name of their set."""
    return {
        **{corpus: list(acted(shared, corpus)) for corpus in ACTED},
        "meetings, 2.5 s": list(meetings(shared, MAX_SECONDS)),
        "meetings, 1 s": list(meetings(shared, 1.0)),
        "calls, 2.5 s": list(calls(shared, MAX_SECONDS)),
        "calls, 1 s": list(calls(shared, 1.0)),
        "read": list(read_speech(shared)),
    }


def rates(embedded: dict[str, Samples]) -> dict[str, dict[str, Any]]:
    """Equal error rate and its interval of each set, of acted corpora within and across emotions."""
    found = {}
    for name, samples in embedded.items():
        kinds = {"within": False, "across": True} if name in ACTED else {"": None}
        for kind, across in kinds.items():
            chosen_pairs = pairs(samples, across)
            found[f"{name} {kind}".strip()] = {
                "rate": chosen_pairs.equal_error_rate(),
                "interval": chosen_pairs.interval(),
                "pairs": len(chosen_pairs.same),
                "targets": int(chosen_pairs.same.sum()),
            }
    return found


def measure(pieces: dict[str, list[Piece]], embed: Embed) -> dict[str, Samples]:
    """The embeddings of all sets."""
    return {
        name: Samples.of(
            np.stack([embed(p.features) for p in own]),
            [p.speaker for p in own],
            [p.group for p in own],
            [p.emotion for p in own],
        )
        for name, own in pieces.items()
    }


def projected(embedded: dict[str, Samples], project: Projection) -> dict[str, Samples]:
    """The projections of all embeddings."""
    return {
        name: Samples(np.stack([project(v) for v in s.vectors]), s.speakers, s.groups, s.emotions)
        for name, s in embedded.items()
    }


def main() -> None:
    """Parse the command line, measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--other", action="append", default=[], metavar="NAME=FILE.onnx[,PROJECTION.npz]")
    parser.add_argument("--trial", action="store_true", help="print only")
    arguments = parser.parse_args()
    pieces = material(arguments.shared)
    plain = measure(pieces, SpeakerEmbedding())
    systems = {"bundled": rates(plain), "bundled, projected": rates(projected(plain, Projection.bundled()))}
    for other in arguments.other:
        name, _, files = other.partition("=")
        model, _, projection = files.partition(",")
        own = measure(pieces, SpeakerEmbedding(model))
        systems[name] = rates(own)
        if projection:
            with np.load(projection) as arrays:
                systems[f"{name}, projected"] = rates(
                    projected(own, Projection(arrays["mean"], arrays["matrix"]))
                )
    rows = [
        [name, str(systems["bundled"][name]["pairs"]), str(systems["bundled"][name]["targets"])]
        + [percent(system[name]["rate"], system[name]["interval"]) for system in systems.values()]
        for name in systems["bundled"]
    ]
    lines = [
        "# Speaker embedding across emotions",
        "",
        f"`python -m benchmarks.accuracy.speaker_embedding`, commit {commit()}. {machine()}.",
        "",
        "Equal error rate of pairs within one corpus or recording, percent (95 % by bootstrap over speakers); no"
        " speaker of `test`. `within`: pairs of one emotion, `across`: pairs of two emotions.",
        "",
        table(["set", "pairs", "of one speaker", *systems], rows),
    ]
    print("\n".join(lines))
    if not arguments.trial:
        save("speaker_embedding", "\n".join(lines), {"systems": systems})


if __name__ == "__main__":
    main()
