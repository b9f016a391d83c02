"""Pseudo-labels of frames: speech and a network's states in, the k-means cluster of every 20 ms frame out.

The states are those of a layer of the encoder itself, as in HuBERT's later iterations (TAPT), or those that the last
layer of a fine-tuned tagger sees, so that the clusters are of emotional states (P-TAPT: Chen & Rudnicky, ICASSP 2023).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sed.corpora.audio import to_float
from sed.corpora.stored import lengths_of
from sed.errors import MissingDependencyError, OptionError, install_hint
from sed.files import atomic
from sed.grid import FRAME_RATE, HOP, frame_count
from sed.networks.masked import MaskedEncoder
from sed.networks.store import load_tagger, tagger_folder
from sed.training.data.clips import Speech
from sed.training.objectives.base import FeatureTap

_log = logging.getLogger("sed.training")

States = Callable[[np.ndarray], np.ndarray]
"""From a ``(T,)`` wave to ``(ceil(T / 320), width)`` float32 states."""
_PART = 20 * FRAME_RATE * HOP  # samples that a network sees at once


def encoder_states(model: MaskedEncoder, layer: int, device: str) -> States:
    """The states of transformer layer `layer` of `model`."""
    model.to(device).eval()
    return _in_parts(lambda wave: model.layer_states(wave.to(device), layer), model.max_samples)


def tagger_states(folder: str | Path, device: str) -> States:
    """The states that the last layer of the tagger in `folder` (its own, or that of a run) sees."""
    tagger, _ = load_tagger(tagger_folder(folder))
    tagger.to(device)
    tap = FeatureTap(tagger)

    def states(wave: Tensor) -> Tensor:
        tagger(wave.to(device))
        return tap.take()

    return _in_parts(states, tagger.max_samples)


def _in_parts(states: Callable[[Tensor], Tensor], max_samples: int | None) -> States:
    """`states` for a whole wave, in parts of bounded length; a frame that a network lacks is that before it."""
    part = min(_PART, (max_samples or _PART) // HOP * HOP)

    def whole(wave: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(wave), part):
            piece = torch.from_numpy(np.ascontiguousarray(wave[start : start + part], np.float32))
            with torch.inference_mode():
                rows = states(piece[None])[0].float().cpu().numpy()
            frames = frame_count(len(piece))
            found.append(rows[np.minimum(np.arange(frames), len(rows) - 1)])
        return np.concatenate(found)

    return whole


def cluster_frames(
    parts: Sequence[Speech], states: States, clusters: int, sample: int, seed: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Centres ``(clusters, width)``, and the nearest one to each frame of every utterance of `parts`, ``(F,)`` int16.

    The centres are those of about `sample` frames of randomly chosen utterances of the first part, so that utterances
    for validation have no share in them. Raises `OptionError` if these have fewer frames than `clusters`.
    """
    try:
        from sklearn.cluster import MiniBatchKMeans
    except ImportError as error:
        raise MissingDependencyError(
            f"clusters need scikit-learn ({error}): {install_hint('train')}"
        ) from error
    rng = np.random.default_rng([seed, 0])
    chosen, found = [], 0
    for number in rng.permutation(len(parts[0])):
        chosen.append(states(to_float(parts[0][int(number)][1])))
        found += len(chosen[-1])
        if found >= sample:
            break
    if found < clusters:
        raise OptionError(f"clusters: found {clusters}, expected at most the {found} frames of the speech")
    rows = np.concatenate(chosen)
    rows = rows[np.sort(rng.permutation(len(rows))[:sample])]
    means = MiniBatchKMeans(clusters, random_state=seed, batch_size=4096, n_init=3).fit(rows)
    labels = [
        means.predict(states(to_float(samples))).astype(np.int16) for part in parts for _, samples in part
    ]
    return means.cluster_centers_, labels


def stored_clusters(
    path: Path,
    stamp: Mapping[str, Any],
    parts: Sequence[Speech],
    make: Callable[[], tuple[np.ndarray, list[np.ndarray]]],
) -> list[np.ndarray]:
    """The labels in the file at `path`, or those of `make`, which are then kept there.

    `stamp` describes how they are made. A file with another one, or of speech of other lengths, is replaced.
    """
    lengths = [frame_count(samples) for part in parts for _, samples in lengths_of(part)]
    text = json.dumps(dict(stamp), sort_keys=True)
    if path.is_file():
        try:
            with np.load(path) as stored:
                if str(stored["stamp"]) == text and stored["lengths"].tolist() == lengths:
                    return _split(stored["labels"], lengths)
        except (OSError, ValueError, KeyError):  # damaged: made again
            pass
    _log.info("clustering the frames of %d utterances", len(lengths))
    centres, labels = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part, part.open("wb") as file:
        np.savez(file, stamp=text, lengths=lengths, centres=centres, labels=np.concatenate(labels))
    return labels


def _split(labels: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    return np.split(labels, np.cumsum(lengths)[:-1])
