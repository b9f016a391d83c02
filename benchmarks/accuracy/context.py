"""What a context of emotions gains on turns of acted clips, in conversations whose emotions follow each other.

``python -m benchmarks.accuracy.context ../shared``: no corpus of labelled dialogues is at hand, so conversations are
made of acted clips: two speakers of one corpus take turns, and the emotion of a turn is with some probability that of
the speaker's own last one (inertia) or of the other's (contagion), else any. A context is learnt from label sequences
alone, of the same kind of conversations, and decodes the mean posteriors that the bundled tagger gives for the clips,
with equal priors. Clips are of `train` and `valid` speakers of corpora that it never learnt from (RAVDESS, nEMO,
KAIST), and of `valid` speakers of those that it did (CREMA-D, EMO-DB). This shows what a context does to the errors of
a real tagger; how strongly real emotions follow each other it does not show.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.lib.report import commit, machine, save, table
from sed.corpora.audio import read_manifest
from sed.emotion import load_tagger
from sed.emotion.context import Context, learn_context
from sed.emotion.priors import reweighted
from sed.labelling import label_utterances

CORPORA = {
    "ravdess": ("train", "valid"),
    "nemo": ("train", "valid"),
    "kaist": ("train", "valid"),
    "cremad": ("valid",),
    "emodb": ("valid",),
}
WORLDS = {"nothing follows": (0.0, 0.0), "weak": (0.2, 0.1), "inertia": (0.5, 0.0), "both": (0.4, 0.3)}
CLIPS = 8  # of each speaker and emotion, at most
CONVERSATIONS, TURNS, LEARNT = 60, 24, 300
STRENGTHS = (0.3, 1.0)
SEED = 8

Speakers = dict[str, dict[int, list[np.ndarray]]]
"""Posteriors of clips by speaker and label number."""


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    clips = labelled_clips(parser.parse_args().shared)
    labels = load_tagger().labels
    contexts = {name: learnt(*world, labels) for name, world in WORLDS.items()}
    found: dict[str, dict[str, list[float]]] = {}
    for corpus, speakers in clips.items():
        found[corpus] = {name: errors_of(speakers, world, contexts[name]) for name, world in WORLDS.items()}
        wrong = errors_of(speakers, WORLDS["nothing follows"], contexts["both"])
        found[corpus]["nothing follows, context of both"] = wrong
    columns = list(next(iter(found.values())))
    kinds = [f"{name} {WORLDS[name]}" if name in WORLDS else name for name in columns]
    rows = [
        [corpus, *(" > ".join(f"{100 * error:.1f}" for error in own[name]) for name in columns)]
        for corpus, own in found.items()
    ]
    text = table(["corpus", *kinds], rows)
    note = (
        "Turns with a wrong emotion in percent: without a context > with a strength of 0.3 > with the whole context."
        " Brackets: inertia, contagion."
    )
    page = f"# A context of emotions\n\n{__doc__}\n{note}\n\n{text}\n\nCommit {commit()}. {machine()}.\n"
    print(text)
    save("context", page, {"commit": commit(), "machine": machine(), "errors": found})


def labelled_clips(shared: Path) -> dict[str, Speakers]:
    """Mean posteriors of at most `CLIPS` clips of each speaker and emotion, by corpus."""
    tagger = load_tagger()
    tagger = reweighted(tagger, dict.fromkeys(tagger.labels, 1 / len(tagger.labels)))
    cells = defaultdict(list)
    for split in ("train", "valid"):
        for utterance in read_manifest(shared / "corpora", [split], tagger.labels):
            if split in CORPORA.get(utterance.corpus, ()):
                cells[utterance.speaker, utterance.emotion].append(utterance)
    chosen = [
        own[n]
        for own in cells.values()
        for n in np.unique(np.linspace(0, len(own) - 1, min(CLIPS, len(own))).astype(int))
    ]
    found: dict[str, Speakers] = {corpus: defaultdict(lambda: defaultdict(list)) for corpus in CORPORA}
    for prediction in label_utterances(tagger, chosen):
        speaker = found[prediction.groups["corpus"]][prediction.speaker]
        speaker[tagger.labels.index(prediction.emotion)].append(prediction.posterior)
    return {
        corpus: {name: own for name, own in speakers.items() if len(own) == len(tagger.labels)}
        for corpus, speakers in found.items()
    }


def sequence(
    rng: np.random.Generator, inertia: float, contagion: float, labels: int
) -> tuple[list[int], list[int]]:
    """Numbers of speakers (0, 1) and labels of the turns of a conversation; a speaker goes on in a fifth of them."""
    speakers, emotions, last, speaker = [], [], [-1, -1], 0
    for number in range(TURNS):
        if number and rng.random() < 0.8:
            speaker = 1 - speaker
        drawn, own, other = rng.random(), last[speaker], last[1 - speaker]
        if drawn < inertia and own >= 0:
            emotion = own
        elif inertia <= drawn < inertia + contagion and other >= 0:
            emotion = other
        else:
            emotion = int(rng.integers(labels))
        last[speaker] = emotion
        speakers.append(speaker)
        emotions.append(emotion)
    return speakers, emotions


def learnt(inertia: float, contagion: float, labels: tuple[str, ...]) -> Context:
    """The context of `LEARNT` conversations of this kind."""
    rng = np.random.default_rng(SEED)
    drawn = [sequence(rng, inertia, contagion, len(labels)) for _ in range(LEARNT)]
    turns = [[(str(s), labels[e]) for s, e in zip(*one, strict=True)] for one in drawn]
    return learn_context(turns).for_labels(labels)


def errors_of(speakers: Speakers, world: tuple[float, float], context: Context) -> list[float]:
    """`error_of` without a context, and with each of `STRENGTHS`."""
    contexts = (None, *(replace(context, strength=strength) for strength in STRENGTHS))
    return [error_of(speakers, world, one) for one in contexts]


def error_of(speakers: Speakers, world: tuple[float, float], context: Context | None) -> float:
    """The share of turns with a wrong emotion."""
    rng = np.random.default_rng(SEED + 1)
    labels = len(next(iter(speakers.values())))
    wrong = 0
    for _ in range(CONVERSATIONS):
        pair = rng.choice(sorted(speakers), 2, replace=len(speakers) < 2)
        numbers, emotions = sequence(rng, *world, labels)
        rows = [speakers[pair[s]][e] for s, e in zip(numbers, emotions, strict=True)]
        found = np.array([own[rng.integers(len(own))] for own in rows])
        names = [str(number) for number in numbers]
        decoded = found.argmax(1) if context is None else context.decode(names, found)
        wrong += int((decoded != np.array(emotions)).sum())
    return wrong / (CONVERSATIONS * TURNS)


if __name__ == "__main__":
    main()
