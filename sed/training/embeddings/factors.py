"""Total-variability factor analysis of frame states (Dehak et al. 2011, *i-vectors*): an utterance's states in, the
most probable values of a few factors out.

Frames are from a mixture of Gaussians (the background model), whose means an utterance moves together, along a few
directions: ``means + T w`` with ``w`` normal. The embedding is the mean of ``w`` given the frames. Unlike pooled
statistics it weights a long utterance more than a short one, which stays close to the mean of all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sed.errors import MissingDependencyError, ModelError, OptionError, install_hint
from sed.files import atomic

_BLOCK = 512  # utterances at once


@dataclass(frozen=True)
class FactorOptions:
    """Sizes of the model."""

    factors: int = 64
    """Dimension of the embedding; 0: none is made."""
    components: int = 32
    """Gaussians of the background model."""
    width: int = 40
    """Principal components of the states that it is for."""
    iterations: int = 10
    """Of expectation and maximisation."""
    frames: int = 100_000
    """To find principal components and Gaussians with."""

    def __post_init__(self) -> None:
        """Raise `OptionError` on sizes that are not positive integers."""
        for name, value in asdict(self).items():
            lowest = 0 if name == "factors" else 1
            if not isinstance(value, int) or value < lowest:
                raise OptionError(f"{name}: found {value!r}, expected an integer of {lowest} or more")


@dataclass(frozen=True)
class FactorModel:
    """Maps the states of an utterance to its factors.

    `centre` ``(W,)`` and `projection` ``(W, D)`` lead from states to whitened principal components; `weights` ``(K,)``,
    `means` and `deviations` ``(K, D)`` are the background model, `matrix` ``(K, D, R)`` is ``T``, in deviations.
    """

    centre: np.ndarray
    projection: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    matrix: np.ndarray

    def statistics(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many frames each Gaussian has, ``(K,)``, and the sums of their deviations from its mean ``(K, D)``."""
        x = (np.asarray(states, np.float64) - self.centre) @ self.projection
        scaled = (x[:, None] - self.means) / self.deviations
        logs = np.log(self.weights) - np.log(self.deviations).sum(1) - 0.5 * np.square(scaled).sum(2)
        shares = np.exp(logs - logs.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        return shares.sum(0), np.einsum("fk,fkd->kd", shares, scaled)

    def embed(self, states: np.ndarray) -> np.ndarray:
        """The factors of `states` ``(frames, W)``: ``(R,)`` float32."""
        counts, sums = self.statistics(states)
        mean, _ = _expectation(counts[None], sums[None], self.matrix)
        return mean[0].astype(np.float32)

    def save(self, path: Path) -> None:
        """Write the model to an npz file, atomically."""
        with atomic(path) as part, part.open("wb") as file:
            np.savez(file, **{name: np.asarray(value) for name, value in vars(self).items()})  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> FactorModel:
        """Read a model. Raises `ModelError` if the file is missing or damaged."""
        try:
            with np.load(path) as stored:
                return cls(**{name: stored[name] for name in cls.__dataclass_fields__})
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"found no factor model in {path}: {error}") from error


def fit_background(frames: np.ndarray, options: FactorOptions, seed: int) -> FactorModel:
    """A model without factors (``R`` is 0), with the principal components and Gaussians of `frames` ``(N, W)``.

    Raises `OptionError` for fewer frames than Gaussians, and `MissingDependencyError` without scikit-learn.
    """
    try:
        from sklearn.decomposition import PCA
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise MissingDependencyError(
            f"factors need scikit-learn ({error}): {install_hint('train')}"
        ) from error
    width = min(options.width, frames.shape[1])
    if len(frames) < max(options.components, width + 1):
        raise OptionError(
            f"found {len(frames)} frames, expected more than width {width} and components {options.components}"
        )
    analysis = PCA(width, whiten=True, random_state=seed).fit(frames)
    projection = analysis.components_.T / np.maximum(np.sqrt(analysis.explained_variance_), 1e-8)
    x = (frames - analysis.mean_) @ projection
    mixture: Any = GaussianMixture(
        options.components, covariance_type="diag", reg_covar=1e-3, max_iter=50, random_state=seed
    )
    mixture.fit(x)
    deviations = np.sqrt(mixture.covariances_)
    return FactorModel(
        np.asarray(analysis.mean_),
        projection,
        mixture.weights_,
        mixture.means_,
        deviations,
        np.zeros((*deviations.shape, 0)),
    )


def fit_factors(
    counts: np.ndarray, sums: np.ndarray, factors: int, iterations: int, seed: int
) -> tuple[np.ndarray, list[float]]:
    """The matrix ``T`` ``(K, D, factors)`` for utterances with the statistics `counts` ``(N, K)`` and `sums`
    ``(N, K, D)``, by expectation and maximisation with minimum divergence; and the log-likelihood per utterance, up to
    a constant, before each iteration."""
    rng = np.random.default_rng(seed)
    matrix = 0.1 * rng.standard_normal((*sums.shape[1:], factors))
    history = []
    for _ in range(iterations):
        second = np.zeros((counts.shape[1], factors, factors))
        first = np.zeros(matrix.shape)
        spread = np.zeros((factors, factors))
        likelihood = 0.0
        for start in range(0, len(counts), _BLOCK):
            n, f = counts[start : start + _BLOCK], sums[start : start + _BLOCK]
            mean, covariance = _expectation(n, f, matrix)
            moments = covariance + mean[:, :, None] * mean[:, None]
            second += np.tensordot(n, moments, (0, 0))
            first += np.tensordot(f, mean, (0, 0))
            spread += moments.sum(0)
            projected = np.tensordot(f, matrix, ((1, 2), (0, 1)))
            likelihood += 0.5 * float((mean * projected).sum() + np.linalg.slogdet(covariance)[1].sum())
        history.append(likelihood / len(counts))
        regular = second + 1e-6 * np.eye(factors)
        matrix = np.linalg.solve(regular, first.transpose(0, 2, 1)).transpose(0, 2, 1)
        matrix = matrix @ np.linalg.cholesky(spread / len(counts))
    return matrix, history


def _expectation(counts: np.ndarray, sums: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``(N, R)`` and covariance ``(N, R, R)`` of the factors of each utterance."""
    products = np.einsum("kdr,kds->krs", matrix, matrix)
    precision = np.eye(matrix.shape[2]) + np.tensordot(counts, products, (1, 0))
    covariance = np.linalg.inv(precision)
    projected = np.tensordot(sums, matrix, ((1, 2), (0, 1)))
    return np.einsum("nrs,ns->nr", covariance, projected), covariance
