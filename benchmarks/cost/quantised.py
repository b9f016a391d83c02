"""Cost of quantisation: the bundled speech and speaker models compared with the files that they were made from.

    python -m benchmarks.cost.quantised ../shared

In: the shared models and the `train` speakers of the corpora, AMI part train, and conversations simulated from
`train` speakers. Out: `benchmarks/results/quantised.md`: equal error rate of speaker embeddings, changed segmentation
frames, DER of the whole diarizer and time on one thread, published float32 files beside int8 ones. (The bundled
segmentation is trained further before it becomes int8: `benchmarks.tuning.segmentation`.)
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.cost.quantise_models import (
    MODELS,
    folded,
    make_segmentation,
    remove_last_relu,
    remove_unused,
    share_context_masks,
)
from benchmarks.lib.diarization_sets import errors
from benchmarks.lib.report import machine
from benchmarks.lib.verification import Samples, pairs
from benchmarks.peers.diarizers import whole_recording
from benchmarks.tuning.clustering import tuning_set
from sed.audio.fbank import filter_bank
from sed.corpora.audio import load_speech, read_manifest, to_float
from sed.grid import SAMPLE_RATE
from sed.speakers import SegmentationDiarizer
from sed.speakers.embedding import SpeakerEmbedding
from sed.speech.segmentation import WINDOW, Segmentation

RESULT = Path(__file__).resolve().parents[1] / "results" / "quantised.md"
CLIPS = 8  # of each speaker
SEED = 1


def speaker_clips(shared: Path) -> tuple[list[np.ndarray], list[str]]:
    """Clips of exactly 3 s with all emotions mixed, and their speakers."""
    rng = np.random.default_rng(SEED)
    speech = load_speech(read_manifest(shared / "corpora" / "manifest.csv", ["train"]))
    of: dict[str, list[np.ndarray]] = {}
    for n in rng.permutation(len(speech)):
        utterance, samples = speech[n]
        have = of.setdefault(utterance.speaker, [])
        if len(samples) >= 3 * SAMPLE_RATE and len(have) < CLIPS:
            have.append(to_float(samples[: 3 * SAMPLE_RATE]))
    return [clip for clips in of.values() for clip in clips], [s for s, clips in of.items() for _ in clips]


def equal_error_rate(vectors: np.ndarray, speakers: list[str]) -> float:
    """Equal error rate over all pairs within one corpus, in percent."""
    corpora = [name.split("/")[0] for name in speakers]
    return 100 * pairs(Samples.of(vectors, speakers, corpora)).equal_error_rate()


def milliseconds(job: Callable[[], object], times: int = 25) -> float:
    """Shortest of `times` runs."""
    spent = []
    for _ in range(times):
        started = time.process_time()
        job()
        spent.append(time.process_time() - started)
    return 1000 * min(spent)


def main() -> None:
    """Parse the command line, measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--output", type=Path, default=RESULT)
    arguments = parser.parse_args()
    shared: Path = arguments.shared
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        model = folded(shared / "models" / "campplus-zh-en.onnx", Path(folder))
        remove_last_relu(model)
        share_context_masks(model)
        remove_unused(model)
        onnx.save(model, Path(folder) / "plain.onnx")
        embeddings = {
            "published": SpeakerEmbedding(shared / "models" / "campplus-zh-en.onnx"),
            "no ReLU, masks shared, float32": SpeakerEmbedding(Path(folder) / "plain.onnx"),
            "bundled": SpeakerEmbedding(MODELS / "campplus-zh-en-int8.onnx"),
        }
        published = shared / "models" / "segmentation-3.0.onnx"
        make_segmentation(published, Path(folder) / "int8.onnx")
        segmentations = {
            "published": Segmentation(published),
            "int8": Segmentation(Path(folder) / "int8.onnx"),
        }
    clips, speakers = speaker_clips(shared)
    lines = [
        "# Cost of quantisation of the bundled models",
        "",
        f"`python -m benchmarks.cost.quantised ../shared`; {machine()}.",
        "",
        f"CAM++, {len(clips)} clips of {len(set(speakers))} `train` speakers, all emotions, pairs within one corpus:",
        "",
        "| | EER % at 3 s | EER % at 1.5 s | cosine to float32, mean | worst | ms for 3 s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    features = [filter_bank(clip) for clip in clips]
    long = {name: np.stack([e(f) for f in features]) for name, e in embeddings.items()}
    short = {name: np.stack([e(f[:150]) for f in features]) for name, e in embeddings.items()}
    plain = long["no ReLU, masks shared, float32"]
    for name, embed in embeddings.items():
        cosine = (long[name] * plain).sum(1)
        spent = milliseconds(lambda embed=embed: embed(features[0]))  # type: ignore[misc]
        lines.append(
            f"| {name} | {equal_error_rate(long[name], speakers):.1f} |"
            f" {equal_error_rate(short[name], speakers):.1f} | {cosine.mean():.3f} | {cosine.min():.3f} |"
            f" {spent:.0f} |"
        )
    recordings = tuning_set(shared)
    changed = []
    for recording in recordings:
        whole = recording.samples[: len(recording.samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
        best = [s.powerset(whole).argmax(2) for s in segmentations.values()]
        changed.append(best[0] != best[1])
    share = 100 * np.mean(np.concatenate([c.ravel() for c in changed]))
    wave = np.ascontiguousarray(recordings[0].samples[None, :WINDOW])
    spent = [milliseconds(lambda s=s: s.powerset(wave)) for s in segmentations.values()]  # type: ignore[misc]
    lines += [
        "",
        f"segmentation-3.0: the most probable class changes in {share:.2f} % of the frames; a window of 10 s takes"
        f" {spent[1]:.0f} ms against {spent[0]:.0f} ms published.",
        "",
        "DER of the whole diarizer, percent, no collar, on its tuning data:",
        "",
        "| segmentation | CAM++ | " + " | ".join(dict.fromkeys(r.part for r in recordings)) + " |",
        "|---|---|" + "---:|" * len({r.part for r in recordings}),
    ]
    for first, second in (
        ("published", "no ReLU, masks shared, float32"),
        ("published", "bundled"),
        ("int8", "bundled"),
    ):
        diarize = whole_recording(
            SegmentationDiarizer(segmentation=segmentations[first], embedding=embeddings[second])
        )
        rows: dict[str, list[np.ndarray]] = {}
        for r in recordings:
            rows.setdefault(r.part, []).append(errors(r, diarize(r.samples), 0.0))
        rates = [100 * np.sum(part, 0)[:3].sum() / np.sum(part, 0)[3] for part in rows.values()]
        lines.append(f"| {first} | {second} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |")
    arguments.output.write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
