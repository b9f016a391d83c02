"""Trained taggers of several branches, branch by branch: which should count for how much?

    python benchmarks/branches.py FOLDER... --shared ../shared [--left-out nemo] [--every 4]

In: folders of `sed-train`, and the `valid` speakers of all corpora, or with `--left-out` the `train` and `valid`
speakers of the corpus that these taggers never heard. Out, on the screen: a Markdown table with a row for each tagger
and each of `SHARES`: recall by corpus, its mean as it is and over a telephone, and wrong frames of pattern clips as
they are, over a telephone and as MP3 at 16 kbit/s. With a corpus left out, recall is calibrated on `valid` speakers of
the others, as in `sed.training.leave_one_out`. Nothing here hears `test`: it is for choosing.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from effects import DAMAGES
from report import table
from torch import Tensor, nn

from sed.errors import OptionError
from sed.training.calibration import Calibration, calibrated, fit_calibration
from sed.training.clips import Speech, pattern_clips
from sed.training.corpora import load_speech, read_manifest, to_float
from sed.training.evaluation import evaluate_posteriors
from sed.training.folder import load_tagger, tagger_folder
from sed.training.objectives import FeatureTap

SHARES = ((1, 1, 1), (1, 2, 1), (1, 3, 1), (0, 1, 1), (0, 2, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1))
SEED, CLIPS = 3, 80
TELEPHONE, MP3 = (next(d for d in DAMAGES if d.name.startswith(name)) for name in ("telephone", "MP3"))
Clips = Sequence[tuple[np.ndarray, list[Any]]]


class Shared(nn.Module):
    """`tagger` with other shares of its branches: waves ``(B, T)`` to logits ``(B, F, labels)``.

    What the branches said to a wave is kept, so that other shares cost nothing.
    """

    def __init__(self, tagger: Any) -> None:
        super().__init__()
        self.tagger, self.labels, self.settings = tagger, tagger.labels, tagger.settings
        self.tap = FeatureTap(tagger)
        self.said: dict[bytes, Tensor] = {}
        self.shares: Sequence[float] = [1.0] * len(tagger.heads)

    @torch.no_grad()
    def forward(self, waves: Tensor) -> Tensor:
        """Logits by `shares`."""
        key = hashlib.blake2b(waves.numpy().tobytes()).digest()
        if key not in self.said:
            self.tagger(waves)
            self.said[key] = torch.stack(self.tagger.alone(self.tap.take())).half()
        weights = torch.tensor(self.shares, dtype=torch.float32)
        return torch.tensordot(weights / weights.sum(), self.said[key].float(), 1)


def damaged(clips: Clips, damage: Callable[[np.ndarray, int], np.ndarray]) -> Clips:
    """`clips` under `damage`, numbered."""
    return [(damage(wave, number), events) for number, (wave, events) in enumerate(clips)]


def over_telephone(speech: Speech) -> Speech:
    """Every second utterance over a telephone."""
    return [
        (utterance, np.round(TELEPHONE(to_float(samples), number) * 32767).astype(np.int16))
        for number, (utterance, samples) in enumerate(speech[::2])
    ]


def rows(folder: Path, labels: Sequence[str], speech: Speech, heard: Speech, clips: Clips) -> list[list[str]]:
    """The table's rows for the tagger in `folder`; calibrated on `heard` where there is any."""
    model = Shared(load_tagger(tagger_folder(folder))[0]).eval()
    if len(model.tagger.heads) != len(SHARES[0]):
        raise OptionError(f"{folder}: found {len(model.tagger.heads)} branches, expected {len(SHARES[0])}")
    corpora = sorted({utterance.corpus for utterance, _ in speech})
    narrow = over_telephone(speech)
    conditions = [clips, damaged(clips, TELEPHONE), damaged(clips, MP3)]
    found = []
    for shares in SHARES:
        model.shares = shares
        posteriors = calibrated(
            model, labels, fit_calibration(model, heard, labels) if heard else Calibration()
        )
        clean = evaluate_posteriors(posteriors, speech, conditions[0], labels)
        recalls = clean.recalls()
        line = evaluate_posteriors(posteriors, narrow, conditions[1], labels)
        small = evaluate_posteriors(posteriors, speech[:1], conditions[2], labels)
        values = [*(recalls[corpus] for corpus in corpora), clean.scores()["uar"], line.scores()["uar"]]
        values += [clean.pattern_error, line.pattern_error, small.pattern_error]
        found.append([folder.name, ", ".join(map(str, shares)), *(f"{100 * value:.1f}" for value in values)])
    return found


def main() -> None:
    """The table, on the screen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--left-out", help="a corpus that the taggers never heard")
    parser.add_argument("--every", type=int, default=1, help="score every so many utterances of it")
    options = parser.parse_args()
    labels = ["neutral", "happy", "angry", "sad"]
    corpora, out = options.shared / "corpora", options.left_out
    speech = load_speech(read_manifest(corpora, ["train", "valid"] if out else ["valid"], labels))
    heard: Speech = []
    if out:
        heard = [item for item in speech if item[0].corpus != out and item[0].split == "valid"]
        speech = [item for item in speech if item[0].corpus == out]
        if not speech:
            raise SystemExit(f"--left-out {out}: no such corpus in {corpora}")
    clips = pattern_clips(speech, labels, CLIPS, SEED)
    found = []
    for folder in options.folders:
        found += rows(folder, labels, speech[:: options.every], heard, clips)
    names = sorted({utterance.corpus for utterance, _ in speech})
    heads = ["tagger", "shares", *names, "mean", "telephone", "wrong frames", "telephone", "MP3"]
    print(table(heads, found))


if __name__ == "__main__":
    main()
