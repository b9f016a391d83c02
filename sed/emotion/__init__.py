"""What they feel: taggers (audio to frame posteriors) and decoders (posteriors to labels)."""

from __future__ import annotations

from pathlib import Path

from sed.emotion.tagger import Tagger
from sed.errors import ModelError


def load_tagger(
    name: str | Path | None = None, threads: int = 1, device: str = "auto", precision: str = "auto"
) -> Tagger:
    """The tagger called `name`, one of:

    - None: the bundled one;
    - an ONNX file with a card inside, as ``sed-export`` writes;
    - a folder that ``sed-train`` wrote (the run's or its ``tagger``);
    - a folder in SpeechBrain's layout: hyperparams.yaml, wav2vec2.ckpt, model.ckpt, label_encoder.txt;
    - a name on the Hugging Face hub, such as ``speechbrain/emotion-diarization-wavlm-large``: taken from the
      hub's cache, or fetched into it. Nothing else here uses the network.

    `threads` are processor threads. `device` (``auto``, ``cpu``, ``cuda``, ...) and `precision` (``auto``,
    ``fp32``, ``fp16``, ``bf16``) are for torch models; ONNX files run on the processor as they are.

    Raises `ModelError` where there is no such model or it is not a tagger, and `MissingDependencyError` where
    it needs the extra ``sed[wavlm]``.

    >>> load_tagger().labels
    ('neutral', 'happy', 'angry', 'sad')
    """
    from sed.emotion.onnx import OnnxTagger

    if name is None:
        return OnnxTagger.bundled(threads)
    path = Path(name)
    if path.suffix == ".onnx":
        return OnnxTagger(path, threads)
    from sed.emotion.folders import SPEECHBRAIN, TRAINED, open_folder
    from sed.emotion.hub import fetch, is_hub_name

    if path.is_dir():
        return open_folder(path, threads=threads, device=device, precision=precision)
    if not path.exists() and is_hub_name(str(name)):
        folder = fetch(str(name), [TRAINED, SPEECHBRAIN], ["config.json", "preprocessor_config.json"])
        return open_folder(folder, hub=True, threads=threads, device=device, precision=precision)
    found = "a file that is no ONNX file" if path.exists() else "nothing"
    raise ModelError(
        f"tagger {str(name)!r}: found {found}, expected an ONNX file (its name ends in .onnx), a tagger's folder,"
        " or the name of a model on the Hugging Face hub (owner/name)"
    )
