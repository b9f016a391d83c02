"""`PyannoteDiarizer`: the speaker diarization pipeline of pyannote.audio 4, with local or hub models.

In: 16 kHz float32 blocks of any size. Out: `Turns` on the 20 ms grid. pyannote.audio needs the whole recording at
once, so memory grows with its length (64 kB per second), and it is much slower than the default diarizer. It gives
access to pretrained pipelines, and allows a comparison with the same weights.

Nothing is downloaded unless the model is a hub name and ``HF_HUB_OFFLINE`` is not set; pyannote's telemetry is
disabled.
"""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sed.audio.fbank import FEATURE_HOP, filter_bank
from sed.errors import MissingDependencyError, ModelError, install_hint
from sed.grid import SAMPLE_RATE, frame_count, seconds_to_frames
from sed.speakers.bounds import speaker_bounds
from sed.speakers.embedding import SpeakerEmbedding
from sed.speakers.profiling import ProfileCollector
from sed.speakers.smoothing import make_turns
from sed.speakers.turns import Turns
from sed.speech.segmentation import LOCAL_SPEAKERS, WINDOW, Segmentation

logger = logging.getLogger("sed.speakers.pyannote")

# Options of pyannote's agglomerative clustering with CAM++, tuned on AMI clips of part train and on conversations
# simulated from `train` speakers (benchmarks/peers/diarization.py --tune-peer); all others are pyannote's defaults.
THRESHOLD = 0.7
MIN_CLUSTER_SIZE = 12


def import_pyannote() -> None:
    """Import pyannote.audio with its telemetry disabled. Raises `MissingDependencyError` if it is missing."""
    import sed.networks  # noqa: F401  (must precede the import of torchaudio)

    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchcodec is only needed to read files
            import pyannote.audio  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"diarizer 'pyannote' needs pyannote.audio, which cannot be imported ({error}):"
            f" {install_hint('pyannote')}"
        ) from error


class PyannoteDiarizer:
    """A pipeline of pyannote.audio as a `sed` diarizer.

    model: the folder or hub name of a whole pipeline (``pyannote/speaker-diarization-community-1``), or the
        folder of a segmentation model, which is combined with CAM++. None: pyannote's pipeline with the bundled
        segmentation network and CAM++.
    speakers, min_speakers, max_speakers: number of speakers, or bounds on it. threads: CPU threads, also of torch.
    threshold: with CAM++, maximum cosine distance at which clusters are merged.

    Raises `MissingDependencyError` without pyannote.audio, `ModelError` if a model cannot be loaded, and `OptionError`
    on invalid numbers.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        speakers: int | None = None,
        min_speakers: int | None = None,
        max_speakers: int | None = None,
        threads: int = 1,
        threshold: float = THRESHOLD,
    ) -> None:
        low, high = speaker_bounds(speakers, min_speakers, max_speakers)
        self.bounds = {"min_speakers": low, "max_speakers": high}
        import_pyannote()
        import torch

        torch.set_num_threads(threads)
        if model is None:
            self.pipeline = pipeline_with_campplus(bundled_segmentation(threads), threads, threshold)
        elif (local := Path(model)).exists() and not is_pipeline(local):
            self.pipeline = pipeline_with_campplus(str(local), threads, threshold)
        else:
            self.pipeline = load_pipeline(model)

    def begin(self) -> PyannoteSession:
        """Start a new recording."""
        return PyannoteSession(self)


class PyannoteSession:
    """State of one recording for a `PyannoteDiarizer`; holds all of its audio until `close`."""

    def __init__(self, diarizer: PyannoteDiarizer) -> None:
        self._diarizer = diarizer
        self._blocks = [np.zeros(0, np.float32)]

    def push(self, samples: np.ndarray) -> None:
        """Process the next ``(n,)`` float32 samples at 16 kHz."""
        self._blocks.append(np.array(samples, np.float32))

    def close(self) -> Turns:
        """The turns of the whole recording."""
        import torch

        samples = np.concatenate(self._blocks)
        self._blocks = []
        frames = frame_count(len(samples))
        if not len(samples):
            return make_turns([], 0)
        file = {"uri": "recording", "waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # short recordings; the bounds are documented as best effort
            output = self._diarizer.pipeline(file, **self._diarizer.bounds)
        annotation = getattr(output, "speaker_diarization", output)
        names = annotation.labels()
        spans: list[list[tuple[int, int]]] = [[] for _ in names]
        for interval, _, name in annotation.itertracks(yield_label=True):
            start, end = seconds_to_frames(max(0.0, interval.start)), seconds_to_frames(interval.end)
            if start < min(end, frames):
                spans[names.index(name)].append((start, min(end, frames)))
        turns = make_turns((np.array(one).reshape(-1, 2) for one in spans), frames)
        collector = ProfileCollector(len(turns.names))
        collector.push(samples)
        collector.decide(turns.active)
        profiles = dict(zip(turns.names, collector.close(), strict=True))
        return replace(turns, profiles={name: own for name, own in profiles.items() if own is not None})


def is_pipeline(path: Path) -> bool:
    """Whether a folder or YAML file describes a whole pipeline instead of a single model."""
    file = path / "config.yaml" if path.is_dir() else path
    if file.suffix not in (".yaml", ".yml") or not file.is_file():
        return False
    return any(line.startswith("pipeline:") for line in file.read_text("utf-8").splitlines())


def load_pipeline(model: str | Path) -> Any:
    """Load a whole pipeline by folder or hub name. Raises `ModelError` if that fails."""
    from pyannote.audio import Pipeline

    try:
        pipeline = Pipeline.from_pretrained(model)
    except Exception as error:  # of the hub, YAML, torch or the pipeline itself
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f"{model}: pyannote.audio cannot load this pipeline ({first})") from error
    if pipeline is None:
        raise ModelError(
            f"{model}: pyannote.audio found no such pipeline, or access to it on the hub requires an account"
        )
    return pipeline


def pipeline_with_campplus(segmentation: Any, threads: int, threshold: float) -> Any:
    """pyannote's pipeline with one of its segmentation models, CAM++ and agglomerative clustering."""
    from pyannote.audio import Audio
    from pyannote.audio.core.plda import PLDA
    from pyannote.audio.pipelines import SpeakerDiarization
    from pyannote.audio.pipelines.clustering import AgglomerativeClustering

    try:
        # Oracle clustering avoids loading an embedding model from the hub; the PLDA is never used.
        pipeline = SpeakerDiarization(
            segmentation=segmentation,
            clustering="OracleClustering",
            plda=object.__new__(PLDA),
            embedding_exclude_overlap=True,
            segmentation_batch_size=4,
        )
    except Exception as error:  # of torch or YAML, on a damaged model
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelError(f"{segmentation}: pyannote.audio cannot load this model ({first})") from error
    pipeline.klustering = "AgglomerativeClustering"
    pipeline._embedding = CampplusForPyannote(threads)
    pipeline._audio = Audio(sample_rate=SAMPLE_RATE, mono="downmix")
    pipeline.clustering = AgglomerativeClustering(metric="cosine")
    pipeline._expects_num_speakers = False
    pipeline.instantiate(
        {
            "segmentation": {"min_duration_off": 0.0},
            "clustering": {
                "method": "centroid",
                "min_cluster_size": MIN_CLUSTER_SIZE,
                "threshold": threshold,
            },
        }
    )
    return pipeline


class CampplusForPyannote:
    """CAM++ with the interface of pyannote's embedding models: whole windows with masks."""

    sample_rate = SAMPLE_RATE
    metric = "cosine"
    min_num_samples = SAMPLE_RATE // 5

    def __init__(self, threads: int = 1, embedding: SpeakerEmbedding | None = None) -> None:
        self._embedding = embedding or SpeakerEmbedding(threads=threads)
        self.dimension = self._embedding.dimension

    def __call__(self, waveforms: Any, masks: Any) -> np.ndarray:
        """Embeddings ``(batch, dimension)`` of `waveforms` ``(batch, 1, samples)``, of the frames selected by `masks`
        ``(batch, frames)``; NaN if they are too few."""
        embeddings = np.full((len(waveforms), self.dimension), np.nan, np.float32)
        for row, (wave, mask) in enumerate(zip(waveforms.numpy()[:, 0], masks.numpy(), strict=True)):
            if mask.sum() * len(wave) / len(mask) < self.min_num_samples:
                continue
            features = filter_bank(wave)
            centres = (np.arange(len(features)) + 0.5) * FEATURE_HOP
            chosen = mask[(centres * len(mask) / len(wave)).astype(int)] > 0
            embeddings[row] = self._embedding(features[chosen])
        return embeddings


def bundled_segmentation(threads: int) -> Any:
    """The bundled segmentation network as a pyannote model."""
    import torch
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.segmentation import PyanNet

    network = Segmentation(threads=threads)

    class Bundled(PyanNet):
        """Has the geometry of pyannote's network, but runs onnxruntime."""

        def forward(self, waveforms: Any) -> Any:  # type: ignore[override]
            return torch.from_numpy(np.log(network.powerset(waveforms.numpy()[:, 0]) + 1e-12))

    model = Bundled(sincnet={"stride": 10}, lstm={"hidden_size": 128, "num_layers": 4})
    model.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=WINDOW / SAMPLE_RATE,
        classes=[f"speaker#{number + 1}" for number in range(LOCAL_SPEAKERS)],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    return model
