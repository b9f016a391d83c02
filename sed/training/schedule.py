"""Learning rate schedule and numbered batches: a step's number in, its learning rate factor and batch out."""

from __future__ import annotations

import math
from typing import Protocol

import torch

from sed.errors import SedError
from sed.training.data.clips import Batch


def learning_rate_factor(step: int, steps: int, warmup: int, decay: int) -> float:
    """Factor of the learning rate at `step`: linear warm-up over `warmup` steps, then constant, then cosine decay
    to 0 over the last `decay` of `steps` steps.

    >>> [round(learning_rate_factor(step, 100, 10, 50), 3) for step in (0, 9, 50, 75, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """
    rising = min(1.0, (step + 1) / max(warmup, 1))
    left = min(1.0, max(0.0, (steps - step) / max(decay, 1)))
    return rising * (0.5 - 0.5 * math.cos(math.pi * left))


class Batches(Protocol):
    """A deterministic source of numbered batches."""

    def batch(self, number: int) -> Batch:
        """Batch `number`, the same at every call."""
        ...


class NumberedBatches(torch.utils.data.Dataset):
    """The batches of one epoch in this process; no two epochs or processes share a batch number."""

    def __init__(self, sampler: Batches, batches: int) -> None:
        self.sampler, self.batches = sampler, batches
        self.epoch, self.rank, self.world = 0, 0, 1
        if torch.distributed.is_initialized():
            self.rank, self.world = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index: int) -> Batch | SedError:
        """A batch, or the error raised while making it: torch would turn a worker process's error into text."""
        if not 0 <= index < self.batches:
            raise IndexError(index)
        try:
            return self.sampler.batch(((self.epoch * self.batches) + index) * self.world + self.rank)
        except SedError as error:
            return error
