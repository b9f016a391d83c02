"""Files that make a tagger's folder ready for the Hugging Face hub: its card (README.md) and config.json.

In: the folder of a trained tagger and its scores. `sed.emotion.load_tagger` opens the folder, and the same on the hub
by its name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sed.files import load_text, save_bytes
from sed.grid import FRAME_RATE, SAMPLE_RATE
from sed.networks.store import CARD

LICENCES = {
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
    "CC0 1.0": "cc0-1.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "ODbL": "odbl",
}
"""Licences by the names that cards use, and the hub's identifiers; any other is ``other`` with its name."""

_BODY = """
# {name}

Speech emotion diarization: {labels} for every 20 ms of speech at {rate} Hz.

```sh
pip install 'speech-emotion-diarization[wavlm]'
sed-run call.wav -o rttm --tagger OWNER/{name}
```

Trained with {title}. The emotions are those of the corpora, as acted or perceived there; they are no statement of what
a speaker feels.

- Origin: {origin}
- Licence: {licence}
- Network: {kind}, trained labels {trained}

## Scores

{scores}
"""


def write_hub_files(folder: str | Path, scores: Mapping[str, Any]) -> None:
    """Write README.md and config.json to the folder of a trained tagger. Existing ones are replaced.

    `scores` are those of ``scores.json``: rates of validation speakers, and of ZED by decoder if it was tested there.
    Raises `FormatError` if the folder holds no tagger or cannot be written.
    """
    folder = Path(folder)
    description = json.loads(load_text(folder / CARD))
    labels = description["labels"]
    config = {
        "model_type": f"sed-{description['kind']}",
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
        "sampling_rate": SAMPLE_RATE,
        "frame_rate": FRAME_RATE,
    }
    save_bytes((json.dumps(config, indent=1) + "\n").encode(), folder / "config.json")
    save_bytes(_readme(description, scores).encode(), folder / "README.md")


def _readme(description: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    from sed.errors import DISTRIBUTION

    card = description["card"]
    name = str(card.get("name") or "sed-tagger")
    licence = str(card.get("licence") or "unknown")
    results = [
        EvalResult(
            task_type="audio-classification",
            task_name="Speech emotion diarization",
            dataset_type="zed",
            dataset_name="ZED",
            metric_type="eder",
            metric_name=f"EDER in %, {decoder}, {title}",
            metric_value=round(100 * found[key], 2),
        )
        for decoder, found in scores.get("zed", {}).items()
        for key, title in (("script", "mean of recordings"), ("pooled", "pooled"))
    ]
    data = ModelCardData(
        license=LICENCES.get(licence, "other"),
        license_name=None if licence in LICENCES else licence,
        pipeline_tag="audio-classification",
        tags=["speech-emotion-diarization", "speech-emotion-recognition", "audio"],
        model_name=name if results else None,
        eval_results=results or None,
    )
    lines = [f"- validation, {key}: {value:.3f}" for key, value in scores.get("valid", {}).items()]
    lines += [
        f"- ZED, {decoder}: EDER {100 * found['script']:.1f} % (mean of {found['recordings']} recordings)"
        for decoder, found in scores.get("zed", {}).items()
    ]
    body = _BODY.format(
        name=name,
        labels=", ".join(description["labels"]),
        rate=SAMPLE_RATE,
        title=DISTRIBUTION,
        origin=card.get("origin") or "unknown",
        licence=licence,
        kind=description["kind"],
        trained=", ".join(description["trained_labels"]),
        scores="\n".join(lines) or "None were measured.",
    )
    return f"---\n{data.to_yaml()}\n---\n{body}"
