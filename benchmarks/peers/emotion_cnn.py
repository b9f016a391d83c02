"""A small convolutional network on log-mel pictures, trained from nothing: the peer that owns no pretrained weights.

In: pictures ``(frames, 40)`` with labels. Out: a network from ``(batch, frames, 40)`` to logits ``(batch, labels)``,
for any number of frames from 16 on. Four blocks of 3 x 3 convolution, batch norm, ReLU and pooling; mean and maximum
over what is left; one linear layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

CHANNELS = (16, 32, 48, 64)
CROP = 200  # picture frames in a training crop: 2 s
BATCH = 32
RATE = 2e-3
SHORTEST = 16  # picture frames: four poolings leave one


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

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits of ``(batch, frames, 40)`` pictures; each picture's mean is taken off: loudness tells nothing."""
        x = self.blocks((pictures - pictures.mean((1, 2), keepdim=True))[:, None])
        return self.classify(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


def logits(model: LogMelCnn, pictures: np.ndarray) -> np.ndarray:
    """``(batch, labels)`` for pictures of one length."""
    if pictures.shape[1] < SHORTEST:
        pictures = np.pad(pictures, ((0, 0), (0, SHORTEST - pictures.shape[1]), (0, 0)), mode="edge")
    with torch.inference_mode():
        return model(torch.from_numpy(np.ascontiguousarray(pictures, np.float32))).numpy()


def train(
    pictures: Sequence[np.ndarray],
    labels: np.ndarray,
    weights: np.ndarray,
    judge: Callable[[LogMelCnn], float],
    epochs: int,
    seed: int,
) -> LogMelCnn:
    """Train on crops drawn by `weights`; the epoch that `judge` (higher is better) likes best is kept."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = LogMelCnn(int(labels.max()) + 1)
    steps = -(-len(pictures) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, epochs * steps)
    best, least = {name: value.clone() for name, value in model.state_dict().items()}, -np.inf
    for _ in range(epochs):
        model.train()
        for _ in range(steps):
            chosen = rng.choice(len(pictures), BATCH, p=weights / weights.sum())
            batch = np.stack([_crop(rng, pictures[number]) for number in chosen])
            loss = nn.functional.cross_entropy(
                model(torch.from_numpy(batch)), torch.from_numpy(labels[chosen]), label_smoothing=0.05
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        model.eval()
        if (score := judge(model)) > least:
            least, best = score, {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(best)
    return model.eval()


def _crop(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A random crop (a shorter picture goes round) with a stretch of time and of bands hidden."""
    start = int(rng.integers(max(1, len(picture) - CROP + 1)))
    crop = np.take(picture, np.arange(start, start + CROP), axis=0, mode="wrap").astype(np.float32)
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
