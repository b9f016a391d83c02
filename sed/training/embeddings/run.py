"""The recipe of utterance embeddings: a tagger or an encoder and manifests in, one vector per utterance out.

What one can do with them is shown by a probe, a linear classifier that learns from the training speakers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sed.corpora.audio import Utterance, read_manifest, to_float
from sed.corpora.stored import utterances_of
from sed.errors import MissingDependencyError, OptionError, install_hint
from sed.files import atomic, save_bytes
from sed.networks.pretrained import EncoderTagger
from sed.spooling import SpooledArray
from sed.training.data.clips import Speech
from sed.training.data.frame_states import States, encoder_states, tagger_states
from sed.training.data.loading import recipe_speech
from sed.training.embeddings.factors import FactorModel, FactorOptions, fit_background, fit_factors
from sed.training.embeddings.pooling import check_statistics, pooled
from sed.training.recipe.checks import as_list
from sed.training.recipe.encoder import encoder_folder
from sed.training.smoke import few

_log = logging.getLogger("sed.training")

FACTORS, EMBEDDINGS, SCORES = "factors.npz", "embeddings.npz", "scores.json"


def embed(hparams: Mapping[str, Any], run_options: Mapping[str, Any] | None = None) -> Path:
    """Write ``embeddings.npz`` to the output folder, and what a probe on each kind recognises to ``scores.json``.

    The arrays are ``id``, ``corpus``, ``speaker``, ``emotion`` and ``split`` ``(N,)`` and, if they are asked for,
    ``statistics`` ``(N, W * statistics)`` and ``factors`` ``(N, R)``, float32. Only utterances of the split ``train``,
    without the corpora in ``leave_out``, determine the factors and train the probe. Returns the file.

    Raises `OptionError` on invalid options, and if there is no training utterance.
    """
    h = dict(hparams)
    names = as_list(h["statistics"])
    options: FactorOptions = h["factors"]
    if names or not options.factors:
        check_statistics(names)
    rows = few(read_manifest(h["corpora"], as_list(h["splits"])), h["utterances"] or 10**9)
    speech = recipe_speech(h, rows)
    left_out = set(as_list(h["leave_out"]))
    known = [u.split == "train" and u.corpus not in left_out for u in utterances_of(speech)]
    if not any(known):
        raise OptionError("found no utterance of the split train, expected some")
    states = open_states(h, str((run_options or {}).get("device") or "cpu"))
    vectors, frames = _pool(speech, states, names, options.factors > 0)
    output = Path(h["output_folder"])
    if frames is not None:
        model, vectors["factors"] = _factors(frames, known, options, h["seed"])
        model.save(output / FACTORS)
    utterances = utterances_of(speech)
    with atomic(output / EMBEDDINGS) as part, part.open("wb") as file:
        columns = {
            name: _column(utterances, name) for name in ("id", "corpus", "speaker", "emotion", "split")
        }
        np.savez(file, **columns, **vectors)  # type: ignore[arg-type]
    scores = {
        kind: probe_scores(rows, utterances, known, as_list(h["labels"]), h["probe_strength"], h["seed"])
        for kind, rows in vectors.items()
    }
    for kind, found in scores.items():
        _log.info("%s: UAR of a probe %s", kind, ", ".join(f"{k} {100 * v:.1f}" for k, v in found.items()))
    save_bytes((json.dumps(scores, indent=1) + "\n").encode(), output / SCORES)
    return output / EMBEDDINGS


def open_states(h: Mapping[str, Any], device: str) -> States:
    """The states of the frames: of a layer of ``encoder``, or those that the last layer of ``tagger`` sees.

    Raises `OptionError` if both are named or neither.
    """
    if bool(h["encoder"]) == bool(h["tagger"]):
        raise OptionError("found tagger and encoder both or neither, expected one of them (--tagger null)")
    if not h["encoder"]:
        return tagger_states(h["tagger"], device)
    folder = encoder_folder(h["encoder"])
    model = EncoderTagger(["none", "other"], folder, layers="last", norm="none")
    model.load_encoder(folder)
    return encoder_states(model, h["layer"], device)


def open_embedder(output: str | Path, states: States) -> Callable[[np.ndarray], np.ndarray]:
    """From a ``(T,)`` wave at 16 kHz to its factors ``(R,)``, with the model of a run in the folder `output`; `states`
    as in that run. Raises `ModelError` if there is none."""
    model = FactorModel.load(Path(output) / FACTORS)
    return lambda wave: model.embed(states(wave))


def _pool(
    speech: Speech, states: States, names: Sequence[str], keep: bool
) -> tuple[dict[str, np.ndarray], tuple[SpooledArray, list[int]] | None]:
    """Statistics of all utterances, and if `keep`, the states of their frames (on disk) and the numbers of these."""
    statistics, lengths = [], []
    frames: SpooledArray | None = None
    for number, (_, samples) in enumerate(speech):
        found = states(to_float(samples))
        if names:
            statistics.append(pooled(found, names))
        if keep:
            frames = frames or SpooledArray(found.shape[1], on_disk=True)
            frames.append(found)
            lengths.append(len(found))
        if number % 500 == 499:
            _log.info("states of %d of %d utterances", number + 1, len(speech))
    vectors = {"statistics": np.stack(statistics)} if names else {}
    return vectors, None if frames is None else (frames, lengths)


def _factors(
    frames: tuple[SpooledArray, list[int]], known: Sequence[bool], options: FactorOptions, seed: int
) -> tuple[FactorModel, np.ndarray]:
    """The model, determined by the utterances that are `known`, and the factors ``(N, R)`` of all."""
    rows, lengths = frames
    ends = np.cumsum(lengths)
    spans = [slice(end - length, end) for end, length in zip(ends.tolist(), lengths, strict=True)]
    sample = _sample(
        rows, [span for span, own in zip(spans, known, strict=True) if own], options.frames, seed
    )
    model = fit_background(sample, options, seed)
    found = [model.statistics(rows[span]) for span in spans]
    counts, sums = np.stack([n for n, _ in found]), np.stack([f for _, f in found])
    own = np.array(known)
    matrix, history = fit_factors(counts[own], sums[own], options.factors, options.iterations, seed)
    _log.info("log-likelihood of the factors %s", " ".join(f"{value:.1f}" for value in history))
    model = replace(model, matrix=matrix)
    return model, np.stack([model.embed(rows[span]) for span in spans])


def _sample(rows: SpooledArray, spans: Sequence[slice], frames: int, seed: int) -> np.ndarray:
    """About `frames` frames, evenly from randomly chosen `spans`."""
    rng = np.random.default_rng(seed)
    total = sum(span.stop - span.start for span in spans)
    step = max(1, total // frames)
    chosen = [rows[spans[int(n)]][int(rng.integers(step)) :: step] for n in rng.permutation(len(spans))]
    return np.concatenate(chosen).astype(np.float64)[: frames + 1]


def probe_scores(
    vectors: np.ndarray,
    utterances: Sequence[Utterance],
    known: Sequence[bool],
    labels: Sequence[str],
    strength: float,
    seed: int,
) -> dict[str, float]:
    """The unweighted average recall of `labels` by corpus, on utterances that are not `known`, of a linear classifier
    of the `known` ones; a corpus that lacks a label is left out. `strength` is the inverse of its regularisation."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import recall_score
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingDependencyError(
            f"a probe needs scikit-learn ({error}): {install_hint('train')}"
        ) from error
    emotions = np.array([u.emotion for u in utterances])
    usable = np.isin(emotions, list(labels))
    train = usable & np.array(known)
    if missing := set(labels) - set(emotions[train]):
        raise OptionError(
            f"labels: found no training utterance of {', '.join(sorted(missing))}, expected some"
        )
    classifier = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000, random_state=seed)
    probe = make_pipeline(StandardScaler(), classifier).fit(vectors[train], emotions[train])
    corpora = np.array([u.corpus for u in utterances])
    scores = {}
    for corpus in sorted(set(corpora)):
        own = usable & ~np.array(known) & (corpora == corpus)
        if set(emotions[own]) == set(labels):
            scores[corpus] = float(recall_score(emotions[own], probe.predict(vectors[own]), average="macro"))
    return scores


def _column(utterances: Sequence[Utterance], name: str) -> np.ndarray:
    return np.array([str(getattr(utterance, name)) for utterance in utterances])
