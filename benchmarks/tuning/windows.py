"""Window of the emotion tagger and cost of the decoder: emotions of conversations offline beside live, ordinary speech.

    python -m benchmarks.tuning.windows ../shared

In: simulated conversations of `valid` speakers, the `valid` recordings of ordinary speech, `valid` utterances and clips
of the paper's patterns. Out: benchmarks/results/windows.md: for each window and switch cost what the bundled tagger
does to all of them, and the same conversations with live posteriors in their offline turns, which shows what the
difference between offline and live comes from.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import emotion, operating, ordinary
from benchmarks.accuracy.latency import Models
from benchmarks.lib.report import RESULTS, commit, machine, table
from sed import EmotionDiarizer
from sed.audio.stream import open_audio
from sed.corpora.audio import load_speech, read_manifest
from sed.emotion.decoding import DecoderOptions, decode
from sed.emotion.onnx import OnnxTagger
from sed.emotion.windows import posteriors_of
from sed.grid import SAMPLE_RATE
from sed.result import Diarization
from sed.scoring import EmotionErrorRate, eder
from sed.scoring.uncertainty import paired_test
from sed.segmenting import join
from sed.simulation.patterns import NEUTRAL
from sed.simulation.sets import conversation_set
from sed.training.data.clips import pattern_clips

SECONDS = (5.0, 3.0, 2.0)
DECODERS = {
    "32, any first label": DecoderOptions(switch_cost=32.0, start_cost=0.0),
    "32": DecoderOptions(switch_cost=32.0),
    "48": DecoderOptions(switch_cost=48.0),
}
LIVE = 5.0  # seconds of latency


@dataclass(eq=False)
class Conversation:
    """A conversation with its offline turns, and live posteriors and segments by decoder."""

    samples: np.ndarray
    reference: Diarization
    offline: operating.Recorded
    posteriors: np.ndarray
    live: dict[str, Diarization]


class Counting:
    """Counts the samples that a tagger processes."""

    def __init__(self, tagger: OnnxTagger) -> None:
        self.samples, self._posteriors = 0, tagger.posteriors
        tagger.posteriors = self  # type: ignore[method-assign, assignment]

    def __call__(self, waves: np.ndarray) -> np.ndarray:
        """The posteriors of `waves`."""
        self.samples += waves.size
        return self._posteriors(waves)


def conversations(models: Models, corpora: Path, count: int) -> list[Conversation]:
    """`count` conversations of `valid` speakers."""
    caches, found = models.enable_caches(), []

    def at(latency: float | None, decoder: DecoderOptions) -> EmotionDiarizer:
        return EmotionDiarizer(
            tagger=models.tagger, diarizer=models.speakers, decoder=decoder, latency=latency
        )

    for _, samples, reference in conversation_set(corpora, "valid", count):
        audio = samples, SAMPLE_RATE
        live = {name: at(LIVE, decoder)(audio) for name, decoder in DECODERS.items()}
        offline = operating.record(at(None, DecoderOptions()), "", audio)
        rows = next(iter(live.values())).posteriors
        assert rows is not None
        found.append(Conversation(samples, reference, offline, rows, live))
        for cache in caches:
            cache.clear()
    return found


def decoded(
    own: Conversation, rows: np.ndarray, labels: Sequence[str], decoder: DecoderOptions
) -> EmotionErrorRate:
    """EDER of `rows` in the offline turns."""
    length = own.reference.duration
    segments = join(own.offline.turns, rows, labels, length, decoder)
    return eder(own.reference, Diarization(own.reference.uri, length, segments))


def pooled(rates: Sequence[EmotionErrorRate]) -> float:
    """Percent of all."""
    return 100 * sum(rate.errors for rate in rates) / sum(rate.total for rate in rates)


def difference(before: Sequence[EmotionErrorRate], after: Sequence[EmotionErrorRate]) -> str:
    """Points from `before` to `after` with the interval over the same conversations."""
    pairs = (np.array([(rate.errors, rate.total) for rate in rates]).T for rates in (before, after))
    found = paired_test(*((wrong, total) for wrong, total in pairs))
    low, high = 100 * found.interval.low, 100 * found.interval.high
    return f"{100 * found.difference:+.1f} ({low:+.1f} to {high:+.1f})"


class Material:
    """All of it, and the decoders' inputs of one window."""

    def __init__(self, shared: Path, count: int) -> None:
        self.talk = conversations(Models(None), shared / "corpora", count)
        self.tagger = tagger = OnnxTagger.bundled()
        diarizer = EmotionDiarizer(tagger=tagger)
        self.ordinary = []
        for source, path in ordinary.recordings(shared, "valid"):
            with open_audio(path) as audio:
                samples = np.concatenate(list(audio))
            self.ordinary.append((samples, operating.record(diarizer, source, (samples, SAMPLE_RATE))))
        manifest = shared / "corpora" / "manifest.csv"
        self.speech = load_speech(read_manifest(manifest, ["valid"], tagger.labels))
        self.clips = pattern_clips(self.speech, tagger.labels, emotion.CLIPS, emotion.SEED)

    def rows(self, seconds: float, counter: Counting) -> list[list[Any]]:
        """A row of the table for each decoder, with windows of `seconds`."""
        tagger, found = self.tagger, []
        tagger.window = round(seconds * SAMPLE_RATE)
        counter.samples = 0
        talk = [posteriors_of(tagger, own.samples) for own in self.talk]
        passes = counter.samples / sum(len(own.samples) for own in self.talk)
        counter.samples = 0
        plain = [replace(own, posteriors=posteriors_of(tagger, samples)) for samples, own in self.ordinary]
        calm = counter.samples / sum(len(samples) for samples, _ in self.ordinary)
        clips = [posteriors_of(tagger, wave) for wave, _ in self.clips]
        recall = emotion.utterances(tagger, self.speech)
        uar = 100 * float(np.mean([own["uar"] for own in recall.values()]))
        for name, decoder in DECODERS.items():
            rates = [decoded(own, p, tagger.labels, decoder) for own, p in zip(self.talk, talk, strict=True)]
            live = [eder(own.reference, own.live[name]) for own in self.talk]
            diarizer = EmotionDiarizer(tagger=tagger, decoder=decoder)
            neutral = [own["share"][NEUTRAL] for own in operating.shares(diarizer, plain).values()]
            patterns = np.sum(
                [
                    emotion.clip_errors(decode(p, decoder, labels=tagger.labels), *clip, tagger.labels)
                    for p, clip in zip(clips, self.clips, strict=True)
                ],
                axis=0,
            )
            found.append(
                [f"{seconds:g} s", name, f"{passes:.2f}", f"{calm:.2f}", f"{pooled(rates):.1f}"]
                + [difference(live, rates), f"{100 * float(np.mean(neutral)):.1f}"]
                + [f"{100 * min(neutral):.1f}", f"{100 * patterns[0] / patterns[1]:.1f}", f"{uar:.1f}"]
            )
        return found

    def causes(self) -> list[list[str]]:
        """EDER of the posteriors of 5 s windows and of live ones, in the offline turns with the offline decoder."""
        self.tagger.window = round(SECONDS[0] * SAMPLE_RATE)
        first = next(iter(DECODERS))
        offline = [posteriors_of(self.tagger, own.samples) for own in self.talk]
        sides = [
            [
                decoded(own, p, self.tagger.labels, DECODERS[first])
                for own, p in zip(self.talk, rows, strict=True)
            ]
            for rows in (offline, [own.posteriors for own in self.talk])
        ]
        live = [eder(own.reference, own.live[first]) for own in self.talk]
        return [
            ["windows of 5 s", "offline", "offline", f"{pooled(sides[0]):.1f}", ""],
            ["live", "offline", "offline", f"{pooled(sides[1]):.1f}", difference(sides[0], sides[1])],
            ["live", "live", "live", f"{pooled(live):.1f}", difference(sides[0], live)],
        ]


def main() -> None:
    """Measure, save, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--conversations", type=int, default=48)
    parser.add_argument("--output", type=Path, default=RESULTS / "windows.md")
    arguments = parser.parse_args()
    material = Material(arguments.shared, arguments.conversations)
    counter = Counting(material.tagger)
    rows = [row for seconds in SECONDS for row in material.rows(seconds, counter)]
    head = ["window", "switch cost", "passes", "passes, ordinary", "EDER", f"to live at {LIVE:g} s"]
    head += ["neutral, mean", "neutral, least", "EDER, patterns", "UAR"]
    text = "\n\n".join(
        [
            "# Windows of the emotion tagger",
            f"`python -m benchmarks.tuning.windows ../shared`, commit {commit()}. {machine()}.",
            f"{arguments.conversations} simulated conversations of `valid` speakers in their offline turns (EDER, and"
            " its difference to live with the same decoder, in points with the 95 % interval over conversations),"
            " ordinary speech of `valid` called neutral (mean over the five sources, and the least of them),"
            f" {emotion.CLIPS} clips of the paper's patterns, and the recall of `valid` utterances (mean over corpora)."
            " Passes: how often the tagger processes a second of audio. Switch cost: also that of a first label other"
            " than neutral, if not said otherwise. Percent.",
            table(head, rows),
            "Where the difference was, with the first decoder:",
            table(["posteriors", "turns", "decoder", "EDER", "difference"], material.causes()),
        ]
    )
    arguments.output.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
