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

from sed.corpora.audio import to_float
from sed.corpora.stored import lengths_of
from sed.errors import MissingDependencyError, OptionError, install_hint
from sed.files import atomic
from sed.grid import frame_count
from sed.training.data.clips import Speech
from sed.training.data.frame_states import States

_log = logging.getLogger("sed.training")


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
