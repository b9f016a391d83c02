"""Loads taggers from folders that `sed-train` wrote, or in the layout of SpeechBrain, Hugging Face or FunASR, as their
files show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sed.errors import MissingDependencyError, ModelError, install_hint
from sed.files import described
from sed.grid import FRAME_RATE, HOP

if TYPE_CHECKING:
    from sed.emotion.neural import Network, TorchTagger

TRAINED = ("tagger.json", "tagger.safetensors")
SPEECHBRAIN = ("hyperparams.yaml", "wav2vec2.ckpt", "model.ckpt", "label_encoder.txt")
TRANSFORMERS = ("config.json", "model.safetensors")
TRANSFORMERS_OLD = ("config.json", "pytorch_model.bin")
FUNASR = ("config.yaml", "model.pt", "tokens.txt")
LAYOUTS = (TRAINED, SPEECHBRAIN, TRANSFORMERS, TRANSFORMERS_OLD, FUNASR)
OPTIONAL = ("config.json", "preprocessor_config.json")


def open_folder(folder: str | Path, hub: bool = False, **options: Any) -> TorchTagger:
    """Load the tagger in `folder`, or in its subfolder ``tagger`` (as a training run stores it).

    `options` are passed to `sed.emotion.neural.TorchTagger` (threads, device, precision). `hub` allows downloading the
    configuration of the encoder. Raises `ModelError` if files are missing or damaged, and `MissingDependencyError` if
    torch or transformers are not installed.
    """
    folder = Path(folder)
    if (trained := trained_folder(folder)) is not None:
        _require_torch(trained)
        return _open_trained(trained, **options)
    return read_network(folder, hub).tagger(**options)


def trained_folder(folder: Path) -> Path | None:
    """Where the tagger that ``sed-train`` wrote is in `folder`; None if it holds something else. Raises `ModelError` if
    one of its files is missing."""
    for candidate in (folder, folder / "tagger"):
        if any((candidate / name).is_file() for name in TRAINED):
            _require_files(candidate, TRAINED)
            return candidate
    return None


def read_network(folder: Path, hub: bool = False) -> Network:
    """The model in `folder`, which has the layout of SpeechBrain, Hugging Face or FunASR; raises as `open_folder`."""
    if any((folder / name).is_file() for name in SPEECHBRAIN):
        _require_files(folder, SPEECHBRAIN)
        _require_torch(folder)
        from sed.emotion.wavlm import read_speechbrain

        return read_speechbrain(folder, hub)
    if (folder / FUNASR[0]).is_file():
        _require_files(folder, FUNASR)
        _require_torch(folder)
        from sed.emotion.funasr import read_funasr

        return read_funasr(folder)
    if (folder / "config.json").is_file():
        _require_torch(folder)
        from sed.emotion.audio_classification import read_audio_classification

        return read_audio_classification(folder, hub)
    raise ModelError(
        f"{folder}: found {_listing(folder)}, expected a tagger: {' and '.join(TRAINED)} as sed-train writes"
        f" them, {', '.join(SPEECHBRAIN)} as SpeechBrain does, {' and '.join(TRANSFORMERS)} as Hugging Face does, or"
        f" {', '.join(FUNASR)} as FunASR does"
    )


def _open_trained(folder: Path, **options: Any) -> TorchTagger:
    from sed.emotion.neural import TorchTagger
    from sed.networks.dimensions import HEAD, load_head
    from sed.networks.store import load_tagger

    model, description = load_tagger(folder)
    card = description["card"]
    window = card.get("window", min(5 * FRAME_RATE * HOP, model.max_samples or 5 * FRAME_RATE * HOP))
    head = load_head(folder) if (folder / HEAD).is_file() else None
    try:
        return TorchTagger(model, description["labels"], window, card, head=head, **options)
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error


def _require_files(folder: Path, names: tuple[str, ...]) -> None:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder}: found {_listing(folder)}, expected {', '.join(missing)} too")


def _listing(folder: Path) -> str:
    names = [described(path) for path in sorted(folder.iterdir())]
    return ", ".join([*names[:6], *(["..."] if len(names) > 6 else [])]) or "nothing"


def _require_torch(folder: Path) -> None:
    import sed.networks  # noqa: F401  (must precede the import of torchaudio)

    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"the tagger in {folder} needs torch and transformers ({error}): {install_hint('wavlm')}"
        ) from error
