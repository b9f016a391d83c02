"""Emotion recognition: taggers (audio to frame posteriors) and decoders (posteriors to labels)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sed.emotion.bundled import NAME, is_bundled
from sed.errors import ModelError

if TYPE_CHECKING:
    from sed.emotion.tagger import Tagger


def load_tagger(
    name: str | Path | None = None, threads: int = 1, device: str = "auto", precision: str = "auto"
) -> Tagger:
    """Load the tagger `name`:

    - None or ``bundled``: the tagger in the package (`sed.emotion.bundled`);
    - an ONNX file with a model card, as written by ``sed-export``;
    - a folder written by ``sed-train`` (the run's folder or its ``tagger``);
    - a folder in SpeechBrain's layout: hyperparams.yaml, wav2vec2.ckpt, model.ckpt, label_encoder.txt;
    - a folder in Hugging Face's layout, with an audio classification model: config.json, model.safetensors
      (`sed.emotion.audio_classification`);
    - a folder in FunASR's layout, with emotion2vec+: config.yaml, model.pt, tokens.txt (`sed.emotion.funasr`);
    - the name of such a model on the Hugging Face hub, such as ``speechbrain/emotion-diarization-wavlm-large`` or
      ``owner/name@revision``: loaded from the hub's cache, or downloaded. This is the only case in which the network is
      used.

    `threads` is the number of CPU threads. `device` is ``auto`` (for torch models a GPU if there is one, for ONNX files
    the CPU), ``cpu``, ``cuda`` or ``cuda:N``. `precision` (``auto``, ``fp32``, ``fp16``, ``bf16``) applies to torch
    models; ONNX files have their own.

    Raises `ModelError` if there is no such model or it is not a tagger, and `MissingDependencyError` if it needs the
    extra ``sed[wavlm]``.

    >>> load_tagger().labels
    ('neutral', 'happy', 'angry', 'sad')
    """
    from sed.emotion.onnx import OnnxTagger

    if is_bundled(name):
        return OnnxTagger.bundled(threads, device)
    path = Path(name or "")
    if path.suffix == ".onnx":
        return OnnxTagger(path, threads, device)
    from sed.emotion.folders import LAYOUTS, OPTIONAL, open_folder
    from sed.hub import fetch, is_hub_name

    if path.is_dir():
        return open_folder(path, threads=threads, device=device, precision=precision)
    if not path.exists() and is_hub_name(str(name)):
        folder = fetch(str(name), LAYOUTS, OPTIONAL)
        return open_folder(folder, hub=True, threads=threads, device=device, precision=precision)
    found = "a file without the suffix .onnx" if path.exists() else "nothing"
    raise ModelError(
        f"tagger {str(name)!r}: found {found}, expected {NAME},"
        " an ONNX file (its name ends in .onnx), the folder of a tagger, or the name of a model on the Hugging Face hub"
        " (owner/name)"
    )
