"""Inputs of utterance-level emotion classifiers: frozen features of spans of audio, cached on disk.

In: ``(n,)`` float32 at 16 kHz and spans of samples. Out: ``(spans, layers, dimensions)`` float32, one vector per span
and layer. There are three kinds: openSMILE's eGeMAPS functionals (F. Eyben et al., *The Geneva Minimalistic Acoustic
Parameter Set*, 2016), and mean and standard deviation over time of the layers of Whisper's base encoder and of CAM++,
both as published. Packages are imported only for the features that need them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from sed.grid import FRAME_RATE, HOP, SAMPLE_RATE

WINDOW = 3 * SAMPLE_RATE // 2  # window of an utterance-level system that labels frames: 1.5 s
CLIP_STEP = SAMPLE_RATE // 2  # from one such window to the next in a clip
CHUNK = 200  # recordings in one file of the cache: an interrupted run loses at most this many

Span = tuple[int, int]


class Features(Protocol):
    """A way to turn spans of one recording into vectors."""

    name: str

    def __call__(self, wave: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
        """``(spans, layers, dimensions)`` float32."""
        ...


def windows(samples: int, step: int) -> list[Span]:
    """Windows of 1.5 s, `step` samples apart, the last one ending with the recording; one window if it is shorter.

    >>> windows(40_000, 8_000)
    [(0, 24000), (8000, 32000), (16000, 40000)]
    """
    if samples <= WINDOW:
        return [(0, samples)]
    starts = [*range(0, samples - WINDOW, step), samples - WINDOW]
    return [(start, start + WINDOW) for start in starts]


def middle(samples: int) -> Span:
    """The window in the middle of a recording, or all of it if it is shorter.

    >>> middle(40_000), middle(100)
    ((8000, 32000), (0, 100))
    """
    start = max(0, samples - WINDOW) // 2
    return start, min(samples, start + WINDOW)


def to_frames(posteriors: np.ndarray, spans: Sequence[Span], frames: int) -> np.ndarray:
    """Posteriors ``(frames, labels)`` from those of windows: linear between the windows' centres."""
    centres = np.array([(start + end) / 2 / HOP for start, end in spans])
    places = np.arange(frames) + 0.5
    return np.stack([np.interp(places, centres, column) for column in posteriors.T], 1)


class EGemaps:
    """The 88 functionals of eGeMAPSv02; one layer. Needs the package opensmile, in `peers` or installed."""

    name = "egemaps"

    def __init__(self, peers: Path | None) -> None:
        if peers is not None and str(peers) not in sys.path:
            sys.path.append(str(peers))
        import opensmile

        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals
        )

    def __call__(self, wave: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
        """``(spans, 1, 88)``."""
        rows = [self._smile.process_signal(wave[a:b], SAMPLE_RATE).to_numpy()[0] for a, b in spans]
        return np.nan_to_num(np.array(rows, np.float32))[:, None]


def _pooled(layers: Sequence[np.ndarray], spans: Sequence[Span]) -> np.ndarray:
    """Mean and deviation over time of each of `layers` ``(frames, width)`` in each span, 50 frames per second."""
    rows = []
    for start, end in spans:
        part = slice(start // HOP, max(start // HOP + 1, -(-end // HOP)))
        rows.append([np.concatenate([layer[part].mean(0), layer[part].std(0)]) for layer in layers])
    return np.array(rows, np.float32)


class Whisper:
    """Whisper base: outputs of its stem and of each of its six layers, 512 wide."""

    name = "whisper-base"

    def __init__(self, shared: Path) -> None:
        import torch

        from sed.networks.compact import CompactTagger

        torch.set_num_threads(1)
        self._model = CompactTagger(("any",), layers=6).eval()
        self._model.load_encoder(shared / "models" / "whisper-base-encoder.safetensors")

    def __call__(self, wave: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
        """``(spans, 7, 1024)``."""
        import torch
        from torch.nn import functional

        model = self._model
        with torch.inference_mode():
            mel = model.log_mel(torch.from_numpy(wave)[None])
            x = functional.gelu(model.conv2(functional.gelu(model.conv1(mel)))).transpose(1, 2)
            x = x + model.embed_positions.weight[: x.shape[1]]
            layers = [x]
            for layer in model.layers:
                layers.append(layer(layers[-1]))
        return _pooled([layer[0].numpy() for layer in layers], spans)


class Campplus:
    """CAM++: outputs of its three transitions, 50 frames per second; 256 or 512 wide, padded to 512."""

    name = "campplus"
    _LAYERS = tuple(f"/xvector/transit{n}/linear/Conv_output_0" for n in (1, 2, 3))

    def __init__(self, shared: Path) -> None:
        import onnx
        import onnxruntime

        graph = onnx.load(shared / "models" / "campplus-zh-en.onnx")
        graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in self._LAYERS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def __call__(self, wave: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
        """``(spans, 3, 1024)``."""
        from sed.audio.fbank import FEATURE_WINDOW, filter_bank

        mel = filter_bank(np.pad(wave, (0, max(0, 2 * FEATURE_WINDOW - len(wave)))))
        found = self._session.run(list(self._LAYERS), {self._input: (mel - mel.mean(0))[None]})
        layers = [np.pad(layer[0].T, ((0, 0), (0, 512 - layer.shape[1]))) for layer in found]
        return _pooled(layers, spans)


class LogMel:
    """Log-mel spectrograms, 40 bands and 100 frames per second, as input of a network instead of one vector per span.

    `spans` must be one span, the whole recording. Shape ``(1, 2 * frames, 40)``.
    """

    name = "log-mel"

    def __init__(self) -> None:
        import torch

        from sed.networks.mel import LogMel as Whispers

        torch.set_num_threads(1)
        self._mel = Whispers(bands=40)

    def __call__(self, wave: np.ndarray, spans: Sequence[Span]) -> np.ndarray:
        """The spectrogram of `wave`."""
        import torch

        return self._mel(torch.from_numpy(wave)[None]).numpy().transpose(0, 2, 1)


def cached(
    features: Features, waves: Sequence[np.ndarray], spans: Sequence[Sequence[Span]], folder: Path | None
) -> list[np.ndarray]:
    """The output of `features` for each of `waves` and its spans; read from `folder` if it was computed before.

    A file holds the features of `CHUNK` recordings as float16 and is named by a hash of their kind and of the samples.
    """
    found: list[np.ndarray] = []
    for start in range(0, len(waves), CHUNK):
        part = range(start, min(start + CHUNK, len(waves)))
        digest = hashlib.sha256(features.name.encode())
        for number in part:
            digest.update(waves[number].tobytes())
            digest.update(repr(spans[number]).encode())
        file = folder / f"{features.name}-{digest.hexdigest()[:24]}.npz" if folder else None
        if file is not None and file.exists():
            with np.load(file) as stored:
                found += [stored[f"r{number}"].astype(np.float32) for number in range(len(part))]
            continue
        rows = [features(waves[number], spans[number]) for number in part]
        rows = [np.clip(row, -6e4, 6e4).astype(np.float16) for row in rows]
        found += [row.astype(np.float32) for row in rows]
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_suffix(".tmp")
            with temporary.open("wb") as stream:
                np.savez(stream, **{f"r{number}": row for number, row in enumerate(rows)})
            temporary.replace(file)
    return found


def frames_of(samples: int) -> int:
    """20 ms frames that cover `samples`."""
    return -(-samples * FRAME_RATE // SAMPLE_RATE)
