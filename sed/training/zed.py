"""The experiment of Wang et al. (2023, arXiv 2306.12991): published corpora in, a tagger and its EDER on ZED out.

`hparams/zed.yaml` states every number of it and every difference from SpeechBrain's recipe.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import speechbrain as sb

from sed.errors import OptionError
from sed.files import save_bytes
from sed.networks.store import load_tagger
from sed.training.data.each_once import EachOnce, EachOnceClips, EachOnceOptions
from sed.training.data.loading import recipe_speech
from sed.training.evaluation import evaluate
from sed.training.export.hub_files import write_hub_files
from sed.training.recipe import checks
from sed.training.smoke import SMOKE_CLIPS, SMOKE_UTTERANCES, shorten, state_outcome, with_smoke
from sed.training.train import fit, process_count
from sed.training.zed_corpora import CorpusOptions, prepare_corpora, split_corpora
from sed.training.zed_test import comparison, score_zed

_log = logging.getLogger("sed.training")

SCORES = "scores.json"


@with_smoke
def zed(hparams: Mapping[str, Any], run_options: Mapping[str, Any] | None = None) -> Path:
    """Prepare the corpora, train, and test on ZED; resumes from the newest checkpoint. Returns the tagger's folder.

    Writes ``scores.json`` (``zed``: scores by decoder) and ``table.md`` to the output folder. Raises `FormatError` on
    missing or incomplete corpora before anything is trained. With ``smoke`` in `hparams`, a few utterances of each
    corpus go the whole way.
    """
    h, options = dict(hparams), dict(run_options or {})
    labels = h["labels"] = checks.as_list(h["labels"])
    checks.check_scores(h)
    checks.check_labels(labels, labels)
    training, test = checks.as_list(h["corpora"]), h["test_corpus"]
    smoke = bool(h.get("smoke"))
    prepared: dict[str, Path] = {}
    if sb.utils.distributed.if_main_process():
        prepared = prepare_corpora(
            h["data_folder"],
            [*training, test],
            h["manifests"],
            h["corpus_options"],
            bool(h["allow_incomplete"]),
            SMOKE_UTTERANCES if smoke else 0,
        )
    sb.utils.distributed.ddp_barrier()
    manifests = prepared or {name: Path(h["manifests"]) / f"{name}.json" for name in (*training, test)}
    utterances, held_out = split_corpora(
        [manifests[name] for name in training], labels, h["split_by"], h["valid_share"], h["seed"]
    )
    checks.check_label_coverage(labels, utterances)
    speech, valid = recipe_speech(h, utterances), recipe_speech(h, held_out)
    sampler = EachOnce(speech, labels, h["clips_once"], h["augmentation"], h["seed"])
    model = h["tagger"]
    if not model.supports_lengths and (h["clips_once"] or EachOnceOptions()).batch_clips != 1:
        raise OptionError(f"a {type(model).__name__} does not support padded clips: expected batch_clips: 1")
    _set_length(h, sampler, options)
    if smoke:
        shorten(h)
    clips = EachOnceClips(
        EachOnce(valid, labels, h["clips_once"], seed=h["seed"]), SMOKE_CLIPS if smoke else h["valid_clips"]
    )
    model.load_encoder(h["encoder_weights"])
    folder = fit(
        h,
        model,
        sampler,
        speech,
        lambda tagger: evaluate(tagger, valid, clips, labels, h["valid_utterances"]),
        options,
    )
    if sb.utils.distributed.if_main_process():
        _test(h, folder, manifests[test], str(options.get("device") or "cpu"))
        if smoke:
            state_outcome(h, sampler)
    sb.utils.distributed.ddp_barrier()
    return folder


def _set_length(h: dict[str, Any], sampler: EachOnce, options: Mapping[str, Any]) -> None:
    """An epoch is every clip once, divided among the processes."""
    processes = process_count()
    h["epoch_steps"] = -(-sampler.epoch_batches // processes)
    sampler.epoch_batches = h["epoch_steps"] * processes
    factor = int(options.get("grad_accumulation_factor") or 1)
    h["steps"] = -(-h["epochs"] * h["epoch_steps"] // factor)
    _log.info(
        "%d clips an epoch, %d epochs of %d batches in each of %d processes",
        len(sampler), h["epochs"], h["epoch_steps"], processes,
    )  # fmt: skip


def _test(h: Mapping[str, Any], folder: Path, manifest: Path, device: str) -> None:
    """Score the tagger that was kept, on ZED; adds the scores to those of validation."""
    output = Path(h["output_folder"])
    model, _ = load_tagger(folder)
    found = score_zed(
        model.to(device),
        manifest,
        h["labels"],
        checks.as_list(h["decoders"]),
        output,
        SMOKE_CLIPS if h.get("smoke") else None,
    )
    scores = json.loads((output / SCORES).read_text(encoding="utf-8"))
    scores["zed"] = found
    save_bytes((json.dumps(scores, indent=1) + "\n").encode(), output / SCORES)
    write_hub_files(folder, scores)
    text = comparison(found, h["published"])
    save_bytes(text.encode(), output / "table.md")
    _log.info("ZED\n%s", text)


__all__ = ["CorpusOptions", "zed"]
