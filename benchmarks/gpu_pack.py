"""Speech and starting weights small enough to travel to a lent GPU, for `gpu_trials.py`.

    python benchmarks/gpu_pack.py DIR --shared ../shared

In: the `train` and `valid` speakers of the corpora, Whisper's encoder and CAM++. Out: ``DIR/speech``, an Opus file (28
kbit/s) a speaker with all utterances as `load_speech` gives them, and ``index.json``, which says where each is;
``DIR/weights/start.safetensors``, what `hparams/compact.yaml` starts from. 45 and 43 MB: where a machine takes 64 at
once, they travel in two calls. Nothing of `test` goes along.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
from gpu_trials import LABELS, SETTINGS
from safetensors.torch import save_file

from sed.grid import HOP, SAMPLE_RATE
from sed.training.clips import Speech
from sed.training.corpora import load_speech, read_manifest
from sed.training.model import CompactTagger

STARTED = ("conv1.", "conv2.", "embed_positions.", "layers.", "voice.encoder.")


def pack_speech(speech: Speech, folder: Path) -> None:
    """One file a speaker; between utterances a frame of silence, so that what the codec smears stays apart."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for speaker in sorted({utterance.speaker for utterance, _ in speech}):
        name, position, parts = speaker.replace("/", "_") + ".opus", 0, []
        for utterance, samples in speech:
            if utterance.speaker == speaker:
                row = {
                    key: getattr(utterance, key)
                    for key in ("corpus", "speaker", "emotion", "split", "gender")
                }
                rows.append(
                    {
                        **row,
                        "path": utterance.path.name,
                        "file": name,
                        "first": position,
                        "samples": len(samples),
                    }
                )
                parts += [samples, np.zeros(HOP, np.int16)]
                position += len(samples) + HOP
        command = f"ffmpeg -v error -y -f s16le -ar {SAMPLE_RATE} -ac 1 -i - -c:a libopus -b:a 28k".split()
        command.append(str(folder / name))
        subprocess.run(command, input=np.concatenate(parts).tobytes(), check=True)
    (folder / "index.json").write_text(json.dumps(rows), encoding="utf-8")


def pack_weights(encoder: Path, voice: Path, target: Path) -> None:
    """Whisper's weights in 16 bits, as they were published, and those of CAM++'s lower half."""
    tagger = CompactTagger(LABELS, **SETTINGS)
    tagger.load_encoder(encoder)
    tagger.load_voice(voice)
    weights = {name: value for name, value in tagger.state_dict().items() if name.startswith(STARTED)}
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value if name.startswith("voice.") else value.half() for name, value in weights.items()},
        target,
    )


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args()
    models = options.shared / "models"
    pack_weights(
        models / "whisper-base-encoder.safetensors",
        models / "campplus-zh-en.onnx",
        options.folder / "weights" / "start.safetensors",
    )
    speech = load_speech(read_manifest(options.shared / "corpora", ["train", "valid"], LABELS))
    pack_speech(speech, options.folder / "speech")
    print(f"{len(speech)} utterances in {options.folder}")


if __name__ == "__main__":
    main()
