"""Accuracy of `sed`: speakers in meetings, emotions of unseen speakers, both in simulated conversations.

    python -m benchmarks.accuracy.accuracy --shared ../shared

Seeded; everything runs through the public `EmotionDiarizer` with its defaults. Writes results/accuracy.md and
.json and prints the tables. Use `--split valid` while tuning: the `test` speakers and the meetings'
development and test parts are for final figures. 95 % intervals are by bootstrap over recordings.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.lib.report import commit, machine, percent, save, table
from sed import EmotionDiarizer
from sed.corpora.audio import read_manifest, read_wave
from sed.formats import read_all, read_uem
from sed.grid import FRAME_RATE, SAMPLE_RATE, frame_at
from sed.result import Diarization, Segment
from sed.scoring import der, eder, joint_error
from sed.scoring.recall import recall_interval
from sed.scoring.uncertainty import bootstrap
from sed.simulation.sets import conversation_set
from sed.simulation.speech_pieces import speech_pieces
from sed.speakers import ReferenceTurns

PARTS = ("train", "development", "test")
COLLARS = (0.0, 0.25)
MEASURES = ("der", "der_collar", "eder", "eder_speech", "joint")
SYSTEMS = ("sed", "sed, reference turns", "baseline: one neutral speaker, reference speech")


class Score(NamedTuple):
    """Seconds of error and of scored time in one recording."""

    errors: float
    total: float


def pooled(scores: Sequence[Score]) -> tuple[float, tuple[float, float]]:
    """The pooled rate of `scores` and its interval."""
    errors, totals = np.array(scores).T
    return float(errors.sum() / totals.sum()), bootstrap(errors, totals)


def meetings(diarizer: EmotionDiarizer, folder: Path) -> dict[str, dict[str, Any]]:
    """DER on each part of the AMI clips at each collar, overlap scored, and the number of speakers found."""
    found: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        references = {d.uri: d for d in read_all(folder / f"debug.{part}.rttm")}
        scores: dict[float, list[Score]] = defaultdict(list)
        counts = []
        for uri, region in sorted(read_uem(folder / f"debug.{part}.uem").items()):
            result = diarizer(folder / f"{uri}.wav")
            for collar in COLLARS:
                rate = der(references[uri], result, uem=region, collar=collar)
                scores[collar].append(Score(rate.errors, rate.total))
            counts.append((len(references[uri].speaker_names), len(result.speaker_names)))
        found[part] = {"clips": len(counts), "speakers": counts}
        for collar in COLLARS:
            found[part][f"der_{collar}"] = pooled(scores[collar])
    return found


def utterances(diarizer: EmotionDiarizer, corpora: Path, split: str) -> dict[str, dict[str, Any]]:
    """Recall over utterances and frame accuracy of each corpus, on the speakers of `split`.

    The prediction for an utterance is the label with the largest mean posterior over its speech. Frame accuracy is over
    the frames of the utterance's speech (by energy), of the tagger and of the segments; a frame without a segment is
    wrong.
    """
    outcomes: dict[str, list[tuple[str, str, float, float, float]]] = defaultdict(list)
    for row in read_manifest(corpora / "manifest.csv", splits=[split], emotions=diarizer.labels):
        samples = read_wave(row.path)
        result = diarizer((samples, SAMPLE_RATE))
        truth = diarizer.labels.index(row.emotion)
        speech = np.zeros(len(result.posteriors), bool)  # type: ignore[arg-type]
        for start, end in speech_pieces(samples):
            speech[frame_at(start / SAMPLE_RATE) : frame_at(end / SAMPLE_RATE)] = True
        if not speech.any():
            continue
        decoded = np.full(len(speech), -1)
        for segment in result:
            first, last = round(segment.start * FRAME_RATE), round(segment.end * FRAME_RATE)
            decoded[first:last] = diarizer.labels.index(str(segment.emotion))
        posteriors = result.posteriors[speech]  # type: ignore[index]
        predicted = diarizer.labels[int(posteriors.mean(0).argmax())]
        right = float((posteriors.argmax(1) == truth).sum())
        kept = float((decoded[speech] == truth).sum())
        outcomes[row.corpus].append((row.emotion, predicted, right, kept, float(speech.sum())))
    return {corpus: _utterance_figures(rows) for corpus, rows in sorted(outcomes.items())}


def _utterance_figures(rows: list[tuple[str, str, float, float, float]]) -> dict[str, Any]:
    truth, predicted = [row[0] for row in rows], [row[1] for row in rows]
    numbers = {label: number for number, label in enumerate(dict.fromkeys([*truth, *predicted]))}
    sides = [np.array([numbers[label] for label in side]) for side in (truth, predicted)]
    recalls = {
        emotion: float(np.mean([v == emotion for t, v in zip(truth, predicted, strict=True) if t == emotion]))
        for emotion in sorted(set(truth))
    }
    return {
        "utterances": len(rows),
        "uar": recall_interval(sides[0], sides[1], len(numbers)),
        "recall": recalls,
        "frames_argmax": pooled([Score(row[2], row[4]) for row in rows]),
        "frames_segments": pooled([Score(row[3], row[4]) for row in rows]),
    }


def conversations(
    diarizer: EmotionDiarizer, corpora: Path, split: str, count: int, seed: int
) -> list[dict[str, Any]]:
    """Every measure of every system on each simulated conversation of the speakers of `split`."""
    rows = []
    for casting, samples, reference in conversation_set(corpora, split, count, seed=seed):
        audio = (samples, SAMPLE_RATE)
        results = dict(
            zip(
                SYSTEMS,
                (diarizer(audio), diarizer(audio, turns=ReferenceTurns(reference)), baseline(reference)),
                strict=True,
            )
        )
        rows.append(
            {
                "uri": casting.uri,
                "speakers": len(casting.speakers),
                "mixed": casting.mixed,
                "duration": reference.duration,
                "found": len(results["sed"].speaker_names),
                **describe(reference),
                "scores": {name: measure(reference, result) for name, result in results.items()},
            }
        )
    return rows


def describe(reference: Diarization) -> dict[str, float]:
    """Seconds of speech of all speakers, of speech that is not neutral, and of overlap."""
    spoken = reference.speakers.get_timeline()
    seconds = [(s.duration, s.duration * (s.emotion != "neutral")) for s in reference]
    speech, emotional = (sum(column) for column in zip(*seconds, strict=True))
    return {"speech": speech, "emotional": emotional, "overlap": spoken.get_overlap().duration()}


def baseline(reference: Diarization) -> Diarization:
    """One speaker, always neutral, who is active whenever any speaker of the reference is."""
    spoken = reference.speakers.get_timeline().support()
    segments = [Segment(part.start, part.end, "speaker", "neutral") for part in spoken]
    return Diarization(reference.uri, reference.duration, segments, reference.labels)


def measure(reference: Diarization, result: Diarization) -> dict[str, Score]:
    """The `MEASURES` of one result."""
    spoken = [(part.start, part.end) for part in reference.speakers.get_timeline().support()]
    rates = {
        "der": der(reference, result),
        "der_collar": der(reference, result, collar=0.25),
        "eder": eder(reference, result),
        "eder_speech": eder(reference, result, uem=spoken),
        "joint": joint_error(reference, result),
    }
    return {name: Score(rates[name].errors, rates[name].total) for name in MEASURES}


def report(found: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The figures as Markdown; a part that was not run is left out."""
    sections = [
        f"# Accuracy\n\n`python -m benchmarks.accuracy.accuracy --split {arguments.split} --conversations "
        f"{arguments.conversations} --seed {arguments.seed}` in {found['seconds']:.0f} s with {arguments.threads} "
        f"threads, commit {found['commit']}. {found['machine']}.\n\n"
        "Percent; in brackets the 95 % interval by bootstrap over recordings."
    ]
    if found["meetings"]:
        sections.append(_meetings_section(found["meetings"]))
    if found["utterances"]:
        sections.append(_utterances_section(found["utterances"], found["labels"], arguments.split))
    if found["conversations"]:
        sections.append(_conversations_section(found["conversations"], arguments.split))
    return "\n\n".join(sections)


def _meetings_section(parts: dict[str, dict[str, Any]]) -> str:
    rows = [
        [part + (" (tuned on)" if part == "train" else ""), figures["clips"]]
        + [percent(*figures[f"der_{collar}"]) for collar in COLLARS]
        + [" ".join(f"{hypothesis}/{truth}" for truth, hypothesis in figures["speakers"])]
        for part, figures in parts.items()
    ]
    header = ["part", "clips", "DER, no collar", "DER, collar 0.25 s", "speakers: found/present"]
    return (
        "## Real meetings: speakers\n\n"
        "AMI clips of 30 s, overlap scored. `train` was tuned on; the others were not.\n\n"
        + table(header, rows)
    )


def _utterances_section(corpora: dict[str, dict[str, Any]], labels: Sequence[str], split: str) -> str:
    rows = [
        [corpus, figures["utterances"], percent(*figures["uar"])]
        + [percent(figures["recall"][label]) for label in labels]
        + [percent(*figures["frames_argmax"]), percent(*figures["frames_segments"])]
        for corpus, figures in corpora.items()
    ]
    return (
        f"## Acted utterances of {split} speakers: emotions\n\n"
        "UAR: unweighted average recall over utterances, four labels, by mean posterior over the speech. Frame "
        "accuracy: over 20 ms frames of speech, of the tagger and of the segments of `sed-run`.\n\n"
        + table(["corpus", "utterances", "UAR", *labels, "frames, tagger", "frames, segments"], rows)
    )


def _conversations_section(rows: list[dict[str, Any]], split: str) -> str:
    sums = {k: sum(row[k] for row in rows) for k in ("duration", "speech", "emotional", "overlap")}
    groups = [[name, len(part), _counted(part), *_row(part, SYSTEMS[0])] for name, part in _groups(rows)]
    return (
        f"## Simulated conversations of {split} speakers: speakers and emotions\n\n"
        f"{len(rows)} conversations of 2 to 4 speakers, {sums['duration'] / 60:.0f} min, "
        f"{percent(sums['emotional'] / sums['speech'])} % of the speech emotional, "
        f"{percent(sums['overlap'] / sums['speech'])} % in overlap: rooms, noise, telephone and codec, "
        "turn-taking, overlap, ZED's event statistics (`sed.simulation.conversation`, defaults). EDER counts "
        "silence as neutral; EDER in speech leaves it out. The joint error has (speaker, emotion) as its label.\n\n"
        + table(["", *HEADER], [[name, *_row(rows, name)] for name in SYSTEMS])
        + "\n\n`sed` by number of speakers, and by whether the speakers are from one corpus or from several:\n\n"
        + table(["", "conversations", "count right", *HEADER], groups)
    )


HEADER = ("DER", "DER, collar 0.25 s", "EDER", "EDER in speech", "joint error")


def _row(rows: list[dict[str, Any]], system: str) -> list[str]:
    return [percent(*pooled([row["scores"][system][name] for row in rows])) for name in MEASURES]


def _counted(rows: list[dict[str, Any]]) -> str:
    return percent(float(np.mean([row["found"] == row["speakers"] for row in rows])))


def _groups(rows: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups = [(f"{n} speakers", [r for r in rows if r["speakers"] == n]) for n in (2, 3, 4)]
    groups += [
        (name, [r for r in rows if r["mixed"] == mixed])
        for name, mixed in (("one corpus", False), ("mixed", True))
    ]
    return [(name, part) for name, part in groups if part]


def main() -> None:
    """Run everything, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    parser.add_argument("--conversations", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tagger", help="an ONNX file (default: the bundled model)")
    parser.add_argument(
        "--only", choices=("meetings", "utterances", "conversations"), help="run one part and save nothing"
    )
    parser.add_argument("--name", help="name of the result files (default: accuracy, or accuracy-valid)")
    arguments = parser.parse_args()
    started = time.perf_counter()
    options = {"tagger": arguments.tagger, "threads": arguments.threads}
    diarizer = EmotionDiarizer(**options)
    corpora = arguments.shared / "corpora"
    found: dict[str, Any] = {"labels": diarizer.labels, "machine": machine(), "commit": commit()}
    wanted = [arguments.only] if arguments.only else ["meetings", "utterances", "conversations"]
    found["meetings"] = meetings(diarizer, arguments.shared / "conversations") if "meetings" in wanted else {}
    single_speaker = EmotionDiarizer(**options, diarizer="none")
    found["utterances"] = (
        utterances(single_speaker, corpora, arguments.split) if "utterances" in wanted else {}
    )
    count = arguments.conversations if "conversations" in wanted else 0
    found["conversations"] = conversations(diarizer, corpora, arguments.split, count, arguments.seed)
    found["seconds"] = time.perf_counter() - started
    text = report(found, arguments)
    print(text)
    if not arguments.only:
        test = arguments.split == "test"
        save(arguments.name or ("accuracy" if test else "accuracy-valid"), text, found, test=test)


if __name__ == "__main__":
    main()
