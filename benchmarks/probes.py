"""Which frozen layers know the emotions of voices, and of corpora, that a classifier never heard.

In minutes, where fine-tuning takes an hour: mean and deviation over time of layers of Whisper base and CAM++, and
small classifiers of whole utterances on them. Comes in: the `train` and `valid` speakers of the corpora, each
utterance as it is and augmented once. Goes out: unweighted recall by corpus, in folds by speaker, and with each corpus
left out in turn; ``training/probes.md`` in the results. Everything is drawn from a seed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent))
from emotion_features import Campplus, Whisper, cached
from emotion_systems import cell_weights, recalls, truth_of
from report import RESULTS, commit, machine, percent, save, table

from sed.training.augment import Augmentation, change_speed
from sed.training.corpora import Utterance, load_speech, read_manifest, to_float

LABELS = ("neutral", "happy", "angry", "sad")
EVERY = {"nemo": 3}  # this corpus is as large as all others together: a third of it tells as much
FOLDS = 4
AUGMENTATION = Augmentation(
    speed=0.8,
    speed_range=(0.8, 1.25),
    reverberation=0.3,
    equaliser=0.6,
    spread=4.0,
    telephone=0.08,
    clipping=0.05,
)
Layers = tuple[tuple[str, int], ...]  # name of the features, number of the layer
W2, W3, W4, W5, W6 = (("whisper-base", layer) for layer in (2, 3, 4, 5, 6))
V2, V3 = (("campplus", transition - 1) for transition in (2, 3))


@dataclass(frozen=True)
class Material:
    """`features` by name, ``(2, utterances, layers, dimensions)``: as they are, and augmented; what each utterance
    is."""

    features: dict[str, np.ndarray]
    corpora: np.ndarray
    speakers: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class Split:
    """What a classifier hears and what it is asked about: rows ``(utterances, dimensions)`` of each layer."""

    seen: list[np.ndarray]
    held: list[np.ndarray]
    targets: np.ndarray
    """``(seen, labels)``, smoothed."""
    weights: np.ndarray
    """``(seen,)``."""


@dataclass(frozen=True)
class Network:
    """Two hidden layers of 256 units, all layers side by side."""

    layers: Layers
    smoothing: float = 0.2
    passes: int = 25
    batch: int = 64

    def __call__(self, split: Split, seed: int) -> np.ndarray:
        """Posteriors ``(held, labels)``."""
        torch.manual_seed(seed)
        rows, wanted = torch.from_numpy(np.concatenate(split.seen, 1)), torch.from_numpy(split.targets)
        model = nn.Sequential(
            nn.Dropout(0.1),
            nn.Linear(rows.shape[1], 256),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(256, 256),
            nn.GELU(),
            nn.Linear(256, len(LABELS)),
        )
        optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
        steps = max(self.passes * len(rows) // self.batch, 2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, steps)
        shares = split.weights / split.weights.sum()
        drawn = np.random.default_rng(seed).choice(len(rows), (steps, self.batch), p=shares)
        for chosen in torch.from_numpy(drawn):
            loss = functional.cross_entropy(model(rows[chosen]), wanted[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        with torch.inference_mode():
            return torch.softmax(model.eval()(torch.from_numpy(np.concatenate(split.held, 1))), 1).numpy()


@dataclass(frozen=True)
class Linear:
    """Multinomial logistic regression on each layer; the mean of their posteriors."""

    layers: Layers
    smoothing: float = 0.05
    penalty: float = 0.01

    def __call__(self, split: Split, seed: int) -> np.ndarray:
        """As `Network`; nothing is drawn from `seed`."""
        wanted = torch.from_numpy(split.targets)
        shares = torch.from_numpy((split.weights / split.weights.sum()).astype(np.float32))
        found = []
        for own, other in zip(split.seen, split.held, strict=True):
            rows = torch.from_numpy(own)
            model = nn.Linear(rows.shape[1], len(LABELS))
            for parameter in model.parameters():
                nn.init.zeros_(parameter)
            optimiser = torch.optim.LBFGS(model.parameters(), max_iter=40, line_search_fn="strong_wolfe")

            def loss(model: nn.Linear = model, rows: Tensor = rows) -> Tensor:
                model.zero_grad()
                losses = functional.cross_entropy(model(rows), wanted, reduction="none")
                total = (losses * shares).sum() + self.penalty * model.weight.square().sum()
                total.backward()
                return total

            optimiser.step(loss)
            with torch.inference_mode():
                found.append(torch.softmax(model(torch.from_numpy(other)), 1).numpy())
        return np.mean(found, 0)


TRIALS: dict[str, Network | Linear] = {
    **{
        f"linear, {name}": Linear((layer,))
        for name, layer in (
            ("Whisper 2", W2),
            ("Whisper 3", W3),
            ("Whisper 4", W4),
            ("Whisper 5", W5),
            ("Whisper 6", W6),
            ("CAM++ 2", V2),
            ("CAM++ 3", V3),
        )
    },
    "linear, mean of Whisper 2, 3, 4, CAM++ 2, 3": Linear((W2, W3, W4, V2, V3)),
    "network, Whisper 3, 4": Network((W3, W4)),
    "network, CAM++ 2, 3": Network((V2, V3)),
    "network, Whisper 2, CAM++ 2": Network((W2, V2)),
    "network, Whisper 3, CAM++ 2": Network((W3, V2)),
    "network, Whisper 3, 4, CAM++ 2": Network((W3, W4, V2)),
    "the same, labels not smoothed": Network((W3, W4, V2), smoothing=0.0),
    "the same, labels smoothed by 0.4": Network((W3, W4, V2), smoothing=0.4),
    "the same, half of the passes": Network((W3, W4, V2), passes=12),
    "network, Whisper 3, 4, CAM++ 2, 3": Network((W3, W4, V2, V3)),
    "network, Whisper 2, 3, 4, CAM++ 2, 3": Network((W2, W3, W4, V2, V3)),
    "network, Whisper 4, 5, 6, CAM++ 2": Network((W4, W5, W6, V2)),
    "network, Whisper 4, 5, 6, CAM++ 2, 3": Network((W4, W5, W6, V2, V3)),
}


def load(shared: Path, most: int | None, cache: Path | None) -> Material:
    """Features of the utterances, at most `most` of each speaker."""
    chosen: list[Utterance] = []
    of_corpus: Counter[str] = Counter()
    of_speaker: Counter[str] = Counter()
    for utterance in read_manifest(shared / "corpora", ["train", "valid"], list(LABELS)):
        turn = of_corpus[utterance.corpus] % EVERY.get(utterance.corpus, 1)
        of_corpus[utterance.corpus] += 1
        if not turn and (most is None or of_speaker[utterance.speaker] < most):
            of_speaker[utterance.speaker] += 1
            chosen.append(utterance)
    speech = load_speech(chosen)
    plain = [to_float(samples) for _, samples in speech]
    changed = []
    for number, wave in enumerate(plain):
        rng = np.random.default_rng([7, number])
        changed.append(
            np.ascontiguousarray(AUGMENTATION(rng, change_speed(wave, AUGMENTATION.draw_speed(rng))))
        )
    features = {}
    for maker in (Whisper(shared), Campplus(shared)):
        both = [
            np.concatenate(cached(maker, waves, [[(0, len(wave))] for wave in waves], cache))
            for waves in (plain, changed)
        ]
        features[maker.name] = np.stack(both)
    true, corpora, _ = truth_of(speech, LABELS)
    return Material(features, corpora, np.array([utterance.speaker for utterance, _ in speech]), true)


def folds(material: Material, seed: int) -> np.ndarray:
    """A fold for each utterance: speakers of a corpus are dealt out, so that no speaker is in two."""
    rng = np.random.default_rng(seed)
    dealt = np.zeros(len(material.true), int)
    for corpus in dict.fromkeys(material.corpora):
        for place, speaker in enumerate(
            rng.permutation(np.unique(material.speakers[material.corpora == corpus]))
        ):
            dealt[material.speakers == speaker] = place % FOLDS
    return dealt


def told(trial: Network | Linear, material: Material, groups: np.ndarray, seed: int) -> np.ndarray:
    """The label of each utterance, by a classifier that heard none of its group."""
    found = np.zeros(len(material.true), int)
    for group in np.unique(groups):
        held = groups == group
        seen_rows, held_rows = [], []
        for name, layer in trial.layers:
            rows = np.concatenate(material.features[name][:, ~held, layer])
            mean, deviation = rows.mean(0), rows.std(0) + 1e-4
            seen_rows.append((rows - mean) / deviation)
            held_rows.append((material.features[name][0, held, layer] - mean) / deviation)
        corpora, true = np.tile(material.corpora[~held], 2), np.tile(material.true[~held], 2)
        hard = np.eye(len(LABELS), dtype=np.float32)[true]
        targets = hard * (1 - trial.smoothing) + trial.smoothing / len(LABELS)
        split = Split(seen_rows, held_rows, targets, cell_weights(true, corpora, 1.0))
        found[held] = trial(split, seed).argmax(1)
    return found


def main() -> None:
    """Each trial, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, help="a folder that keeps the features")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--limit", type=int, help="utterances of each speaker: a quick look that saves nothing"
    )
    parser.add_argument("--only", help="trials whose name has this in it; saves nothing")
    arguments = parser.parse_args()
    material = load(arguments.shared, arguments.limit, arguments.cache)
    corpora = list(dict.fromkeys(material.corpora))
    rows, data = [], {}
    for name, trial in TRIALS.items():
        if arguments.only and arguments.only not in name:
            continue
        cells, values = [], {}
        for kind in ("speakers", "corpora"):
            found = []
            once = kind == "corpora" and isinstance(trial, Linear)  # no seed changes anything
            for seed in range(1, 2 if once else arguments.seeds + 1):
                groups = folds(material, seed) if kind == "speakers" else material.corpora
                labels = told(trial, material, groups, seed)
                by_corpus = recalls(material.true, labels, material.corpora, len(LABELS))
                found.append([by_corpus[corpus] for corpus in corpora])
            mean = np.mean(found, 0)
            values[kind] = dict(zip(corpora, map(float, mean), strict=True))
            cells += [percent(value) for value in (*mean, mean.mean())]
        rows.append([name, *cells])
        data[name] = values
        print(" | ".join(rows[-1]), flush=True)
    heads = [*corpora, "mean", *(f"without {corpus}" for corpus in corpora), "mean"]
    text = f"""# Frozen features and small classifiers of whole utterances

`python benchmarks/probes.py`, commit {commit()}; {machine(("torch",))}.
{len(material.true)} utterances of {len(set(material.speakers))} speakers of `train` and `valid` (of nEMO every third),
clean and augmented once; {FOLDS} folds by speaker, then each corpus left out; {arguments.seeds} seeds. Unweighted
recall of {", ".join(LABELS)}, percent. Whisper's layers count from 1, CAM++'s numbers are its transitions.

{table(["", *heads], rows)}
"""
    if not (arguments.limit or arguments.only):
        save("probes", text, data, RESULTS / "training")


if __name__ == "__main__":
    main()
