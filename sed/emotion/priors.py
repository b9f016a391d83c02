"""Moves the operating point of a tagger: another prior of its labels, or a sensitivity to all emotions but neutral.

In: a `Tagger` and a prior or a sensitivity. Out: a `Tagger` with reweighted posteriors, so that offline, live and every
decoder see the same. The posteriors p(c|x) of a model hold under the prior pi of the data that it was calibrated on
(key ``prior`` of its card; uniform if the card has none). Under another prior q, by Bayes' rule, they are proportional
to p(c|x) q(c) / pi(c) in each frame (Saerens, Latinne and Decaestecker, 2002).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sed.emotion.tagger import Tagger, is_multi_label
from sed.errors import ModelError, OptionError

NEUTRAL = "neutral"
_TOLERANCE = 1e-6  # of a sum of probabilities


class ReweightedTagger:
    """`tagger` with posteriors multiplied by `factors` ``(labels,)`` and normalised again.

    `prior` ``(labels,)`` replaces the posteriors of a frame in which no label with a factor above 0 is possible.
    `settings` describes the change; results carry it. All other attributes are those of `tagger`.
    """

    def __init__(
        self, tagger: Tagger, factors: np.ndarray, prior: np.ndarray, settings: Mapping[str, Any]
    ) -> None:
        self.labels, self.frame_rate, self.window = tagger.labels, tagger.frame_rate, tagger.window
        self.settings = {**getattr(tagger, "settings", {}), **settings}
        self._tagger, self._factors, self._prior = tagger, factors, prior

    def __getattr__(self, name: str) -> Any:
        if name == "_tagger":  # not set yet, while an object is copied
            raise AttributeError(name)
        return getattr(self._tagger, name)

    def posteriors(self, waves: np.ndarray) -> np.ndarray:
        """As `Tagger.posteriors`."""
        return self._reweight(self._tagger.posteriors(waves))

    def outputs(self, waves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As that of the tagger, if it estimates dimensions, with reweighted posteriors."""
        posteriors, dimensions = self._tagger.outputs(waves)  # type: ignore[attr-defined]
        return self._reweight(posteriors), dimensions

    def _reweight(self, posteriors: np.ndarray) -> np.ndarray:
        weighted = posteriors.astype(np.float64) * self._factors
        total = weighted.sum(-1, keepdims=True)
        possible = total > 0
        return np.where(possible, weighted / np.where(possible, total, 1.0), self._prior).astype(np.float32)


def reweighted(
    tagger: Tagger, prior: Mapping[str, float] | str | None = None, sensitivity: float | None = None
) -> Tagger:
    """`tagger` under another prior or with another sensitivity; `tagger` itself if neither changes anything.

    `prior` maps labels to probabilities, or is a text as for `parse_prior`. The labels that it leaves out share the
    rest in proportion to the prior of the model. `sensitivity` multiplies the odds of every label against ``neutral``:
    1 is as shipped, 2 finds more emotion, 0.5 less.

    Raises `OptionError` on both at once, on values that are not probabilities, on labels that the tagger does not have,
    on a sensitivity for a tagger without ``neutral``, and on a tagger with independent labels; `ModelError` if the
    prior in the model's card is damaged.
    """
    if prior is not None and sensitivity is not None:
        raise OptionError("prior cannot be combined with sensitivity: both move the share of neutral")
    if is_multi_label(tagger) and (prior is not None or sensitivity is not None):
        raise OptionError(
            f"{'sensitivity' if prior is None else 'prior'}: found a tagger with independent labels, expected one whose"
            " posteriors sum to 1"
        )
    if sensitivity is not None:
        factors = _sensitivity_factors(tagger.labels, sensitivity)
        new = factors * model_prior(tagger)
        settings: dict[str, Any] = {"sensitivity": float(sensitivity)}
    elif prior is not None:
        old = model_prior(tagger)
        new = complete_prior(parse_prior(prior) if isinstance(prior, str) else prior, tagger.labels, old)
        factors = new / old
        settings = {"prior": {label: round(float(p), 6) for label, p in zip(tagger.labels, new, strict=True)}}
    else:
        return tagger
    if np.ptp(factors) <= _TOLERANCE * factors.max():
        return tagger
    return ReweightedTagger(tagger, factors, new / new.sum(), settings)


def parse_prior(text: str) -> dict[str, float]:
    """The prior in `text`. Raises `OptionError` if it is not of the form ``label=probability,...``.

    >>> parse_prior("neutral=0.5, sad=0.1")
    {'neutral': 0.5, 'sad': 0.1}
    """
    prior: dict[str, float] = {}
    for item in text.split(","):
        label, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not label:
            raise OptionError(f"prior {item.strip()!r}: expected label=probability, such as neutral=0.5")
        if label in prior:
            raise OptionError(f"prior {text!r}: found {label!r} twice, expected each label at most once")
        try:
            prior[label] = float(value)
        except ValueError:
            raise OptionError(f"prior of {label!r}: found {value!r}, expected a number from 0 to 1") from None
    _check_probabilities(prior)
    return prior


def complete_prior(prior: Mapping[str, float], labels: Sequence[str], rest: np.ndarray) -> np.ndarray:
    """A probability ``(labels,)`` for each label: that in `prior`, or its share of the rest, in proportion to `rest`.

    Raises `OptionError` if `prior` is empty, names other labels, or does not fit.

    >>> complete_prior({"a": 0.5}, ("a", "b", "c"), np.array([0.5, 0.25, 0.25])).tolist()
    [0.5, 0.25, 0.25]
    """
    if not prior:
        raise OptionError("an empty prior: expected the probability of at least one label")
    if unknown := [label for label in prior if label not in labels]:
        raise OptionError(f"prior of {unknown[0]!r}: expected labels of the tagger, {', '.join(labels)}")
    _check_probabilities(prior)
    left = max(0.0, 1 - sum(prior.values()))
    named = np.array([label in prior for label in labels])
    if named.all() and left > _TOLERANCE:
        raise OptionError(f"a prior of all labels that sums to {1 - left:g}: expected a sum of 1")
    shares = np.array([prior.get(label, 0.0) for label in labels])
    if not named.all():
        shares[~named] = left * rest[~named] / rest[~named].sum()
    return shares / shares.sum()


def model_prior(tagger: Tagger) -> np.ndarray:
    """The prior ``(labels,)`` under which the posteriors of `tagger` were calibrated: that in its card, or uniform.

    Raises `ModelError` if the card's is not a positive probability of each label, with a sum of 1.
    """
    found = (getattr(tagger, "card", None) or {}).get("prior")
    if found is None:
        return np.full(len(tagger.labels), 1 / len(tagger.labels))
    values = list(found.values()) if isinstance(found, Mapping) else []
    numbers = all(isinstance(value, int | float) and 0 < value < math.inf for value in values)
    if not numbers or set(found) != set(tagger.labels) or abs(sum(values) - 1) > 1e-3:
        raise ModelError(
            f"found the prior {found!r} in the tagger's card, expected a probability above 0 of each of"
            f" {', '.join(tagger.labels)}, with a sum of 1"
        )
    prior = np.array([found[label] for label in tagger.labels], np.float64)
    return prior / prior.sum()


def _sensitivity_factors(labels: Sequence[str], sensitivity: float) -> np.ndarray:
    if not 0 < sensitivity < math.inf:
        raise OptionError(f"a sensitivity of {sensitivity}: expected a number above 0 (1 is as shipped)")
    if NEUTRAL not in labels:
        raise OptionError(
            f"a sensitivity for the labels {', '.join(labels)}: expected {NEUTRAL} among them (use prior)"
        )
    return np.array([1.0 if label == NEUTRAL else sensitivity for label in labels])


def _check_probabilities(prior: Mapping[str, float]) -> None:
    for label, value in prior.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise OptionError(f"prior of {label!r}: found {value!r}, expected a number from 0 to 1")
    if (total := sum(prior.values())) > 1 + _TOLERANCE:
        raise OptionError(f"a prior that sums to {total:g}: expected at most 1")
