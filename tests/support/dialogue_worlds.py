"""Worlds in which emotions follow each other by known probabilities: conversations and posteriors from a seed."""

from __future__ import annotations

import numpy as np

LABELS = ("neutral", "happy", "angry", "sad")


def transition(inertia: float, contagion: float, size: int = len(LABELS)) -> np.ndarray:
    """``(own + 1, other + 1, next)``: keeps the own last emotion, takes over that of the other, or draws any."""
    found = np.full((size + 1, size + 1, size), (1 - inertia - contagion) / size)
    for label in range(size):
        found[label, :, label] += inertia
        found[:, label, label] += contagion
    return found / found.sum(2, keepdims=True)


def conversation(rng: np.random.Generator, chances: np.ndarray, turns: int, speakers: int = 2):
    """Names of speakers and label numbers of `turns` turns; who speaks next is drawn, mostly another speaker."""
    names, emotions = [], []
    last = [chances.shape[2]] * speakers
    other, speaker = chances.shape[2], 0
    for number in range(turns):
        if number and rng.random() < 0.8:
            other, speaker = last[speaker], int((speaker + rng.integers(1, max(2, speakers))) % speakers)
        last[speaker] = int(rng.choice(chances.shape[2], p=chances[last[speaker], other]))
        names.append(f"spk{speaker:02d}")
        emotions.append(last[speaker])
    return names, np.array(emotions)


def posteriors(rng: np.random.Generator, emotions: np.ndarray, clearness: float, size: int = len(LABELS)):
    """Calibrated posteriors ``(turns, labels)`` under equal priors: noise around the true label."""
    scores = rng.standard_normal((len(emotions), size)) * clearness**0.5
    scores[np.arange(len(emotions)), emotions] += clearness
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)
