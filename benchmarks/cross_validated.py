"""What `gpu_trials.py` found, read: recall and wrong frames of voices that a tagger never heard.

    python benchmarks/cross_validated.py NAME.npz... --speech DIR [--shares 0 1 1]

In: the logits of each fold's held-out speakers. Out, on the screen: a row for each trial and pull of the calibration's
offsets (`sed.training.calibration`), with recall by corpus and its mean, and wrong frames of the pattern clips by the
argmax. Each fold is calibrated on the other folds' held-out speakers, so nothing was fitted to those whom it is judged
by.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from gpu_trials import MAIN, load
from report import table

from sed.training.calibration import Calibration, fit_logits
from sed.training.evaluation import unweighted_recall

PULLS = (None, 2.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.0)
Clip = tuple[np.ndarray, np.ndarray]  # logits (F, labels), and the number of what is right in each frame


def fold(
    found: dict[str, np.ndarray], key: str, shares: np.ndarray
) -> tuple[list[int], list[np.ndarray], list[Clip]]:
    """Numbers of the utterances, their logits, and the pattern clips of one fold."""
    logits = np.tensordot(found[f"{key} logits"].astype(np.float32), shares, ([1], [0]))
    pieces = np.split(logits, found[f"{key} lengths"].cumsum()[:-1])
    numbers = found[f"{key} utterances"].tolist()
    clips = pieces[len(numbers) :]
    truth = np.split(found[f"{key} truth"], np.cumsum([len(clip) for clip in clips])[:-1])
    return numbers, pieces[: len(numbers)], list(zip(clips, truth, strict=True))


def calibrated(logits: np.ndarray, calibration: Calibration) -> np.ndarray:
    """Logits after it."""
    return logits / calibration.temperature + np.array(calibration.offsets or [0.0] * logits.shape[1])


def mean_posteriors(logits: np.ndarray) -> np.ndarray:
    """Of an utterance, ``(labels,)``."""
    return torch.softmax(torch.from_numpy(logits), 1).mean(0).numpy()


def main() -> None:
    """The table, on the screen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trials", nargs="+", type=Path)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--shares", nargs="+", type=float, default=[0, 1, 1], help="of the branches")
    options = parser.parse_args()
    about = [utterance for utterance, _ in load(options.speech)]
    shares = np.array(options.shares, np.float32)
    names = list(dict.fromkeys(utterance.corpus for utterance in about))
    rows = []
    for path in options.trials:
        with np.load(path) as stored:
            found = dict(stored)
        keys = sorted({name.split()[0] for name in found if name.startswith("fold")})
        held = {key: fold(found, key, shares / shares.sum()) for key in keys}
        for pull in PULLS:
            confusions = {name: np.zeros((len(MAIN), len(MAIN)), int) for name in names}
            wrong = []
            for key in keys:
                others = [
                    (n, x) for other in keys if other != key for n, x in zip(*held[other][:2], strict=True)
                ]
                calibration = Calibration()
                if pull is not None:
                    calibration = fit_logits(
                        [torch.from_numpy(x) for _, x in others],
                        [MAIN.index(about[n].emotion) for n, _ in others],
                        [about[n].corpus for n, _ in others],
                        pull,
                    )
                numbers, utterances, clips = held[key]
                for n, logits in zip(numbers, utterances, strict=True):
                    decided = int(mean_posteriors(calibrated(logits, calibration)).argmax())
                    confusions[about[n].corpus][MAIN.index(about[n].emotion), decided] += 1
                right = np.concatenate([calibrated(x, calibration).argmax(1) == t for x, t in clips])
                wrong.append(1 - right[np.concatenate([t for _, t in clips]) >= 0].mean())
            recalls = [unweighted_recall(confusions[name]) for name in names]
            values = [*recalls, np.mean(recalls), np.mean(wrong)]
            label = "no offsets" if pull is None else f"{pull}"
            rows.append([path.stem, str(found["steps"]), label, *(f"{100 * value:.1f}" for value in values)])
    print(table(["trial", "steps", "pull", *names, "mean", "wrong frames"], rows))


if __name__ == "__main__":
    main()
