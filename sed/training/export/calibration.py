"""Calibration of a tagger's posteriors: one temperature, and an offset for each label.

In: a tagger and speech of speakers that it was not trained on. Out: a `Calibration`. Each emotion of each corpus has
the same weight, whatever its amount of speech; this corrects the bias towards a label (usually neutral) on unseen
speakers. With ordinary speech, posteriors are those for recordings in which a stated share of the speech is neutral.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sed.corpora.audio import to_float
from sed.emotion.onnx import OnnxTagger
from sed.errors import FormatError, ModelError
from sed.simulation.patterns import NEUTRAL

if TYPE_CHECKING:
    from torch import Tensor

    from sed.training.data.clips import Speech

OFFSET_PENALTY = 0.2  # weight of the offsets' mean square: the best offsets differ between speakers


@dataclass(frozen=True)
class Calibration:
    """Posteriors are the softmax of ``logits / temperature + offsets``; empty offsets are all 0. `prior` is how
    frequent each label is in the speech that they are calibrated for; empty: all equally."""

    temperature: float = 1.0
    offsets: tuple[float, ...] = ()
    prior: tuple[float, ...] = ()


def read_calibration(path: Path, labels: Sequence[str]) -> Calibration:
    """The calibration of an exported tagger. Raises `ModelError` if the file is not a tagger with these `labels`."""
    tagger = OnnxTagger(path)
    if list(tagger.labels) != list(labels):
        raise ModelError(f"{path}: found labels {' '.join(tagger.labels)}, expected {' '.join(labels)}")
    return calibration_from_card(tagger.card)


def calibration_from_card(card: Mapping[str, Any]) -> Calibration:
    """The calibration in an exported tagger's card."""
    prior = card.get("prior") or {}
    return Calibration(
        float(card.get("temperature", 1.0)),
        tuple(map(float, card.get("offsets", ()))),
        tuple(float(prior[label]) for label in card["labels"]) if prior else (),
    )


def utterance_logits(model: Any, wave: np.ndarray) -> Tensor:
    """Logits ``(F, labels)`` of a torch tagger for a ``(T,)`` wave, which is split into chunks of `max_samples`."""
    import torch

    device = next((parameter.device for parameter in model.parameters()), None)
    chunks = torch.from_numpy(wave)[None].to(device).split(model.max_samples or max(len(wave), 1), 1)
    return torch.cat([model(chunk)[0] for chunk in chunks])


def calibrated(
    model: Any, labels: Sequence[str], calibration: Calibration
) -> Callable[[np.ndarray], np.ndarray]:
    """A torch tagger as a function from a ``(T,)`` wave to calibrated posteriors ``(F, labels)`` over `labels` only."""
    import torch

    columns = [model.labels.index(label) for label in labels]
    offsets = torch.tensor(calibration.offsets or [0.0] * len(labels))

    def posteriors(wave: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = utterance_logits(model, wave)[:, columns].cpu()
            return torch.softmax(logits / calibration.temperature + offsets, 1).numpy()

    return posteriors


def fit_calibration(
    model: Any,
    speech: Speech,
    labels: Sequence[str],
    penalty: float = OFFSET_PENALTY,
    ordinary: Speech = (),
    neutral: float = 0.5,
) -> Calibration:
    """The calibration that fits the frame posteriors of `speech` best: `fit_logits` on the logits of `model`.

    With `ordinary` speech, whatever its labels, posteriors are those for recordings of which `neutral` of the speech is
    neutral: ordinary speech stands for that share, its sources alike, and the emotions in `speech` for the rest. Only
    the temperature and the offset of neutral are fitted then.

    Raises `FormatError` if there is no utterance of any of `labels`.
    """
    kept = [item for item in speech if item[0].emotion in labels]
    if not kept:
        raise FormatError(
            f"no utterance to calibrate on: expected some of {', '.join(labels)} that are not silent"
        )
    if not ordinary:
        return _fit_speech(model, kept, [item[0].emotion for item in kept], labels, penalty)
    acted = [item for item in kept if item[0].emotion != NEUTRAL]
    names = [item[0].emotion for item in acted] + [NEUTRAL] * len(ordinary)
    rest = (1 - neutral) / (len(labels) - 1)
    prior = tuple(neutral if label == NEUTRAL else rest for label in labels)
    return _fit_speech(model, [*acted, *ordinary], names, labels, 0.0, prior)


def _fit_speech(
    model: Any,
    speech: Speech,
    emotions: Sequence[str],
    labels: Sequence[str],
    penalty: float,
    prior: Sequence[float] = (),
) -> Calibration:
    import torch

    columns = [model.labels.index(label) for label in labels]
    with torch.inference_mode():
        logits = [
            utterance_logits(model.eval(), to_float(samples))[:, columns].double().cpu()
            for _, samples in speech
        ]
    truth = [list(labels).index(emotion) for emotion in emotions]
    free = [label == NEUTRAL or not prior for label in labels]
    return fit_logits(logits, truth, [utterance.corpus for utterance, _ in speech], penalty, prior, free)


def fit_logits(
    logits: Sequence[Tensor],
    truth: Sequence[int],
    corpora: Sequence[str],
    penalty: float = OFFSET_PENALTY,
    prior: Sequence[float] = (),
    free: Sequence[bool] = (),
) -> Calibration:
    """The calibration of lowest negative log-likelihood for the logits ``(F, labels)`` of utterances, each with one
    label (`truth`, its index) and one corpus; `penalty` keeps the offsets near 0.

    Temperature scaling as in Guo et al. (2017), within 0.25 and 4. All groups (one label in one corpus) have the same
    weight, divided equally among their utterances, and within an utterance among its frames. With a `prior` the groups
    of a label have its weight together. `free` are the labels whose offset is fitted; empty: all.
    """
    import torch

    groups = Counter(zip(corpora, truth, strict=True))
    corpora_of = Counter(label for _, label in groups)
    weights = {
        group: prior[group[1]] / corpora_of[group[1]] if prior else 1 / len(groups) for group in groups
    }
    scores = torch.cat([item.double() for item in logits])
    lengths = torch.tensor([len(item) for item in logits])
    shares = [weights[group] / groups[group] for group in zip(corpora, truth, strict=True)]
    weight = (torch.tensor(shares, dtype=torch.float64) / lengths).repeat_interleave(lengths)
    target = torch.tensor(list(truth)).repeat_interleave(lengths)
    scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)  # logarithm of the temperature
    offsets = torch.zeros(scores.shape[1], dtype=torch.float64, requires_grad=True)
    fitted = torch.tensor(list(free) or [True] * scores.shape[1])
    optimiser = torch.optim.LBFGS([scale, offsets], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        posteriors = torch.log_softmax(scores / scale.exp() + offsets * fitted, 1)
        value = -(weight * posteriors.gather(1, target[:, None])[:, 0]).sum() + penalty * (offsets**2).mean()
        value.backward()
        return value

    optimiser.step(loss)
    temperature = min(4.0, max(0.25, float(scale.detach().exp())))
    used = offsets.detach() * fitted
    centred = tuple(round(offset, 4) for offset in (used - used.mean()).tolist())
    return Calibration(round(temperature, 4), centred, tuple(prior))
