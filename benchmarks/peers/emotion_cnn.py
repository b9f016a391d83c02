"""A small convolutional network on log-mel spectrograms, trained from scratch: the peer without pretrained weights.

In: spectrograms ``(frames, 40)`` with labels. Out: a network from ``(batch, frames, 40)`` to logits ``(batch,
labels)``, for 16 or more frames. Four blocks of 3 x 3 convolution, batch norm, ReLU and pooling; mean and maximum
over the remaining frames; one linear layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

CHANNELS = (16, 32, 48, 64)
CROP = 200  # spectrogram frames in a training crop: 2 s
BATCH = 32
RATE = 2e-3
MIN_FRAMES = 16  # spectrogram frames: four poolings leave one


class LogMelCnn(nn.Module):
    """The network."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for before, after in zip((1, *CHANNELS), CHANNELS, strict=False):
            blocks += [
                nn.Conv2d(before, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.blocks = nn.Sequential(*blocks)
        self.classify = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * CHANNELS[-1], labels))

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Logits of ``(batch, frames, 40)`` spectrograms; subtracts each one's mean, so loudness has no effect."""
        x = self.blocks((spectrograms - spectrograms.mean((1, 2), keepdim=True))[:, None])
        return self.classify(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


def logits(model: LogMelCnn, spectrograms: np.ndarray) -> np.ndarray:
    """``(batch, labels)`` for spectrograms of one length."""
    if spectrograms.shape[1] < MIN_FRAMES:
        spectrograms = np.pad(
            spectrograms, ((0, 0), (0, MIN_FRAMES - spectrograms.shape[1]), (0, 0)), mode="edge"
        )
    with torch.inference_mode():
        return model(torch.from_numpy(np.ascontiguousarray(spectrograms, np.float32))).numpy()


def train(
    spectrograms: Sequence[np.ndarray],
    labels: np.ndarray,
    weights: np.ndarray,
    validate: Callable[[LogMelCnn], float],
    epochs: int,
    seed: int,
) -> LogMelCnn:
    """Train on crops drawn by `weights`; the epoch with the highest `validate` score is kept."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = LogMelCnn(int(labels.max()) + 1)
    steps = -(-len(spectrograms) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, epochs * steps)
    best, best_score = {name: value.clone() for name, value in model.state_dict().items()}, -np.inf
    for _ in range(epochs):
        model.train()
        for _ in range(steps):
            chosen = rng.choice(len(spectrograms), BATCH, p=weights / weights.sum())
            batch = np.stack([_crop(rng, spectrograms[number]) for number in chosen])
            loss = nn.functional.cross_entropy(
                model(torch.from_numpy(batch)), torch.from_numpy(labels[chosen]), label_smoothing=0.05
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        model.eval()
        if (score := validate(model)) > best_score:
            best_score, best = score, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(best)
    return model.eval()


def _crop(rng: np.random.Generator, spectrogram: np.ndarray) -> np.ndarray:
    """A random crop (a shorter spectrogram is repeated) with a range of frames and of bands masked."""
    start = int(rng.integers(max(1, len(spectrogram) - CROP + 1)))
    crop = np.take(spectrogram, np.arange(start, start + CROP), axis=0, mode="wrap").astype(np.float32)
    mean = crop.mean()
    for axis, widest in ((0, 30), (1, 6)):
        width = int(rng.integers(widest + 1))
        place = int(rng.integers(crop.shape[axis] - width + 1))
        crop[
            (slice(place, place + width), slice(None))
            if axis == 0
            else (slice(None), slice(place, place + width))
        ] = mean
    return crop
