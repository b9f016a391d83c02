"""What turns a tagger's logits into posteriors that can be believed: one temperature, and an offset for each label.

In: a tagger and speech of speakers that it was not trained on. Out: a `Calibration`. Each emotion of each corpus
counts the same, whatever there is of it: so a label that the tagger falls back to on unheard voices (neutral, most
of all) is taken back.
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

if TYPE_CHECKING:
    from torch import Tensor

    from sed.training.data.clips import Speech

PULL = 0.2  # of the offsets towards 0, on their mean square: what some speakers need is not what others do


@dataclass(frozen=True)
class Calibration:
    """Posteriors are the softmax of ``logits / temperature + offsets``; no offsets: all 0."""

    temperature: float = 1.0
    offsets: tuple[float, ...] = ()


def calibration_of(path: Path, labels: Sequence[str]) -> Calibration:
    """That of an exported tagger. Raises `ModelError` where the file is none, or one of other labels than `labels`."""
    tagger = OnnxTagger(path)
    if list(tagger.labels) != list(labels):
        raise ModelError(f"{path}: found labels {' '.join(tagger.labels)}, expected {' '.join(labels)}")
    return calibration_in(tagger.card)


def calibration_in(card: Mapping[str, Any]) -> Calibration:
    """What an exported tagger's card says of its calibration."""
    return Calibration(float(card.get("temperature", 1.0)), tuple(map(float, card.get("offsets", ()))))


def utterance_logits(model: Any, wave: np.ndarray) -> Tensor:
    """``(F, labels)`` of a torch tagger for a ``(T,)`` wave, which it hears in pieces where it is too long for it."""
    import torch

    device = next((parameter.device for parameter in model.parameters()), None)
    pieces = torch.from_numpy(wave)[None].to(device).split(model.max_samples or max(len(wave), 1), 1)
    return torch.cat([model(piece)[0] for piece in pieces])


def calibrated(
    model: Any, labels: Sequence[str], calibration: Calibration
) -> Callable[[np.ndarray], np.ndarray]:
    """A torch tagger as a function from a ``(T,)`` wave to calibrated posteriors ``(F, labels)`` of `labels` alone."""
    import torch

    columns = [model.labels.index(label) for label in labels]
    offsets = torch.tensor(calibration.offsets or [0.0] * len(labels))

    def posteriors(wave: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = utterance_logits(model, wave)[:, columns].cpu()
            return torch.softmax(logits / calibration.temperature + offsets, 1).numpy()

    return posteriors


def fit_calibration(model: Any, speech: Speech, labels: Sequence[str], pull: float = PULL) -> Calibration:
    """The calibration at which the frame posteriors of `speech` fit best: `fit_logits` of what `model` says.

    Raises `FormatError` where there is no utterance of any of `labels`.
    """
    import torch

    columns = [model.labels.index(label) for label in labels]
    kept = [item for item in speech if item[0].emotion in labels]
    if not kept:
        raise FormatError(
            f"no utterance to calibrate on: expected some of {', '.join(labels)} that can be heard"
        )
    with torch.inference_mode():
        logits = [
            utterance_logits(model.eval(), to_float(samples))[:, columns].double().cpu()
            for _, samples in kept
        ]
    truth = [list(labels).index(utterance.emotion) for utterance, _ in kept]
    return fit_logits(logits, truth, [utterance.corpus for utterance, _ in kept], pull)


def fit_logits(
    logits: Sequence[Tensor], truth: Sequence[int], corpora: Sequence[str], pull: float = PULL
) -> Calibration:
    """The calibration of lowest negative log-likelihood for utterances ``(F, labels)``, of which each is of one label
    (`truth`, its number) and one corpus; `pull` keeps offsets near 0.

    Temperature after Guo et al. (2017); it stays within 0.25 and 4. Frames of an utterance share its weight, the
    utterances of one label in one corpus that of their group, and all groups weigh the same.
    """
    import torch

    groups = Counter(zip(corpora, truth, strict=True))
    scores = torch.cat([item.double() for item in logits])
    lengths = torch.tensor([len(item) for item in logits])
    shares = [1 / (groups[group] * len(groups)) for group in zip(corpora, truth, strict=True)]
    weight = (torch.tensor(shares, dtype=torch.float64) / lengths).repeat_interleave(lengths)
    target = torch.tensor(list(truth)).repeat_interleave(lengths)
    scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)  # logarithm of the temperature
    offsets = torch.zeros(scores.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scale, offsets], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        posteriors = torch.log_softmax(scores / scale.exp() + offsets, 1)
        value = -(weight * posteriors.gather(1, target[:, None])[:, 0]).sum() + pull * (offsets**2).mean()
        value.backward()
        return value

    optimiser.step(loss)
    temperature = min(4.0, max(0.25, float(scale.detach().exp())))
    centred = (offsets - offsets.mean()).tolist()
    return Calibration(round(temperature, 4), tuple(round(offset, 4) for offset in centred))
