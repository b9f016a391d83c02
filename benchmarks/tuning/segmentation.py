"""Trains segmentation-3.0 further, on simulated conversations; makes `sed/models/segmentation.onnx`.

    python -m benchmarks.tuning.segmentation --shared ../shared --cache windows -o sed/models/segmentation.onnx

The published network was trained on meetings, interviews and broadcasts, whose references mark whole phrases. In
emotional conversations with exact references its turns start and end late, and a change of emotion looks like a change
of speaker. Here all layers after the first (SincNet) learn from conversations simulated from `train` speakers of the
corpora whose licence allows every use (CREMA-D, EMO-DB, Common Voice, LibriSpeech), then also from conversations with
speakers far from the microphone and from the recordings for tuning (AMI part train, three calls). RAVDESS, nEMO, KAIST
and all other recordings are never seen. The last step goes only three quarters of the way from the published weights to
the trained ones: as much is gained in conversations, and less soft speech is missed in ordinary recordings.

``--cache`` keeps the windows (0.6 GB). Needs torch and pyannote.audio; 45 minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.accuracy.live_speakers import calls
from benchmarks.accuracy.live_speakers import meetings as ami
from benchmarks.cost.quantise_models import export_segmentation
from sed.corpora.manifest import read_manifest, write_manifest
from sed.grid import SAMPLE_RATE
from sed.result import Diarization
from sed.simulation.options import ConversationOptions
from sed.simulation.sets import conversation_set
from sed.speakers.pyannote import import_pyannote
from sed.speech.segmentation import LOCAL_SPEAKERS, MODEL_FIELD, MODEL_STEP, WINDOW, model_frames

FREE = ("cremad", "emodb")  # of the acted corpora, those whose licence allows every use
HARDER: dict[str, Any] = {
    "offset": (0.0, 0.7),
    "backchannels": 0.5,
    "longest_overlap": 2.5,
    "room": 0.8,
    "reverberation": (0.2, 0.8),
    "distance": (0.5, 1.9),
    "noise": (5.0, 25.0),
    "lines": {"wide": 0.5, "telephone": 0.4, "opus": 0.1},
}
# Speakers far from the microphone, in a quiet room: in meetings some are 30 dB softer than others.
UNEVEN: dict[str, Any] = {"level_spread": 9.0, "noise": (30.0, 50.0), "room": 0.7, "backchannels": 0.5}
WINDOWS = 10  # of each conversation
REAL_WINDOWS = 30  # of each half minute of a meeting or call
SHARE = 0.75  # of the way from the published weights to the trained ones
DROPOUT = 0.25  # between the layers of the LSTM
WARM_UP = 30  # steps
IGNORED = -100  # class of a frame with three speakers at once, which no class stands for
# The class of each set of active speakers, as a number of three bits, the first speaker the lowest.
CLASSES = np.array([0, 1, 2, 4, 3, 5, 6, IGNORED])


class ConversationSet(NamedTuple):
    """`conversations` of `train` speakers, acted (of `FREE`), read (of the ordinary speech) or both."""

    name: str
    folders: tuple[str, ...]
    conversations: int
    seed: int
    options: ConversationOptions = ConversationOptions()


SETS = (
    ConversationSet("acted", ("corpora",), 220, 101),
    ConversationSet("both", ("corpora", "natural"), 160, 105),
    ConversationSet("read", ("natural",), 150, 102, ConversationOptions(emotions={})),
    ConversationSet("acted, harder", ("corpora",), 100, 103, ConversationOptions(**HARDER)),
    ConversationSet("read, harder", ("natural",), 120, 104, ConversationOptions(emotions={}, **HARDER)),
    ConversationSet("acted, uneven", ("corpora",), 110, 106, ConversationOptions(**UNEVEN)),
    ConversationSet("read, uneven", ("natural",), 110, 107, ConversationOptions(emotions={}, **UNEVEN)),
)


class Stage(NamedTuple):
    """Steps of training; `batch` is the number of windows of even sets, uneven sets and real recordings."""

    steps: int
    rate: float
    batch: tuple[int, int, int]
    real: slice = slice(None)  # which of the real recordings


STAGES = (
    Stage(700, 7e-4, (32, 0, 0)),
    Stage(240, 3e-4, (18, 11, 3), slice(1, None, 2)),  # half, so that the other half could judge
    Stage(240, 4e-4, (17, 11, 4)),
)


def manifest(shared: Path, folder: str, target: Path) -> Path:
    """The manifest of a shared folder; of the acted corpora only the rows of `FREE`, written to `target`."""
    source = shared / folder / "manifest.csv"
    if folder != "corpora":
        return source
    write_manifest((row for row in read_manifest(source) if row.corpus in FREE), target)
    return target


def labels(reference: Diarization, start: int, most: bool = False) -> np.ndarray | None:
    """Who is active in the frames of the window at sample `start`: ``(589, 3)`` uint8.

    With more speakers: None, or those who speak `most`.
    """
    centres = (start + np.arange(model_frames(WINDOW)) * MODEL_STEP + MODEL_FIELD / 2) / SAMPLE_RATE
    names = list(reference.speaker_names)
    active = np.zeros((len(centres), len(names)), bool)
    for segment in reference:
        within = (centres >= segment.start) & (centres < segment.end)
        active[within, names.index(str(segment.speaker))] = True
    active = active[:, np.argsort(-active.sum(0), kind="stable")]
    if active[:, LOCAL_SPEAKERS:].any() and not most:
        return None
    active = active[:, :LOCAL_SPEAKERS]
    return np.pad(active, ((0, 0), (0, LOCAL_SPEAKERS - active.shape[1]))).astype(np.uint8)


def draw_window(samples: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A window of `samples` and its start; one in ten is the end of a recording, padded as the diarizer pads it."""
    start = int(rng.integers(0, len(samples) - WINDOW))
    if rng.random() < 0.1:
        start = len(samples) - int(rng.integers(WINDOW // 5, WINDOW))
    part = samples[start : start + WINDOW]
    window = np.full(WINDOW, part.mean(), np.float32)
    window[: len(part)] = part
    return window * np.float32(10 ** (rng.uniform(-6, 6) / 20)), start


def windows(shared: Path, one: ConversationSet) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Windows ``(n, 160000)`` of each conversation and their labels ``(n, 589, 3)``."""
    rng = np.random.default_rng(one.seed + 99)
    with tempfile.TemporaryDirectory() as folder:
        corpora = [manifest(shared, name, Path(folder) / f"{name}.json") for name in one.folders]
        for _, samples, reference in conversation_set(
            [str(path) for path in corpora], "train", one.conversations, seed=one.seed, options=one.options
        ):
            drawn = [draw_window(samples, rng) for _ in range(WINDOWS)]
            pairs = [(window, found) for window, at in drawn if (found := labels(reference, at)) is not None]
            if pairs:
                waves, active = zip(*pairs, strict=True)
                yield np.stack(waves), np.stack(active)


def prepare(
    shared: Path, cache: Path, network: Any, sets: Sequence[ConversationSet]
) -> tuple[np.ndarray, np.ndarray]:
    """SincNet's output ``(windows, 589, 60)`` float16 and the labels ``(windows, 589, 3)`` of `sets`."""
    cache.mkdir(parents=True, exist_ok=True)
    features, active = [], []
    for one in sets:
        path = cache / f"{one.name}.npz"
        if not path.exists():
            found = [(first_layer(network, waves), reference) for waves, reference in windows(shared, one)]
            x, y = (np.concatenate(part) for part in zip(*found, strict=True))
            np.savez(path, features=x, labels=y)
            print(f"{one.name}: {len(x)} windows", flush=True)
        with np.load(path) as arrays:
            features.append(arrays["features"])
            active.append(arrays["labels"])
    return np.concatenate(features), np.concatenate(active)


def first_layer(network: Any, waves: np.ndarray) -> np.ndarray:
    """SincNet's output ``(n, 589, 60)`` float16 for the windows ``(n, 160000)``; it is not trained."""
    import torch

    with torch.no_grad():
        return np.float16(network.sincnet(torch.from_numpy(waves)[:, None]).transpose(1, 2).numpy())


def log_posteriors(network: Any, features: Any) -> Any:
    """Log-probabilities of the classes ``(windows, 589, 7)`` from SincNet's output."""
    import torch

    hidden, _ = network.lstm(features)
    for layer in network.linear:
        hidden = torch.nn.functional.leaky_relu(layer(hidden))
    return network.activation(network.classifier(hidden))


def permutation_loss(log_posteriors: Any, active: Any) -> Any:
    """Cross entropy of each window ``(n,)`` under the order of local speakers that fits it best.

    >>> import torch
    >>> active = torch.zeros(1, 2, 3, dtype=torch.uint8)
    >>> active[0, :, 1] = 1  # the second speaker
    >>> posteriors = torch.full((1, 2, 7), 0.01)
    >>> posteriors[..., 3] = 0.94  # the third one, for sure: the order of speakers is arbitrary
    >>> round(float(permutation_loss(posteriors.log(), active)[0]), 3)
    0.062
    """
    import torch

    classes, found = torch.from_numpy(CLASSES), []
    for order in permutations(range(LOCAL_SPEAKERS)):
        ordered = active[:, :, list(order)].long()
        target = classes[ordered @ torch.tensor([1, 2, 4])]
        scores = log_posteriors.transpose(1, 2)
        found.append(
            torch.nn.functional.nll_loss(scores, target, ignore_index=IGNORED, reduction="none").mean(1)
        )
    return torch.stack(found).min(0).values


def real_windows(shared: Path, network: Any, which: slice) -> tuple[np.ndarray, np.ndarray]:
    """As `prepare`, of the AMI clips of part train and of the calls that are tuned on."""
    rng = np.random.default_rng(5)
    items = [*list(ami(shared, ("train",)))[which], *list(calls(shared, tuned=True))[which]]
    features, active = [], []
    for item in items:
        count = REAL_WINDOWS * max(1, round(len(item.samples) / (30 * SAMPLE_RATE)))
        drawn = [draw_window(item.samples, rng) for _ in range(count)]
        features.append(first_layer(network, np.stack([window for window, _ in drawn])))
        active += [found for _, at in drawn if (found := labels(item.reference, at, most=True)) is not None]
    return np.concatenate(features), np.stack(active)


def train(network: Any, stage: Stage, data: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> None:
    """Train all layers but SincNet by Adam, the rate falling as a cosine; `data` as the shares of `stage`."""
    import torch

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network.train()
    network.lstm.dropout = DROPOUT
    learnt = [value for name, value in network.named_parameters() if not name.startswith("sincnet")]
    optimiser = torch.optim.Adam(learnt, lr=stage.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / WARM_UP, 1) * 0.5 * (1 + np.cos(np.pi * step / stage.steps))
    )
    for step in range(1, stage.steps + 1):
        chosen = [rng.integers(0, len(x), count) for (x, _), count in zip(data, stage.batch, strict=True)]
        x = np.concatenate([np.float32(x[rows]) for (x, _), rows in zip(data, chosen, strict=True)])
        y = np.concatenate([y[rows] for (_, y), rows in zip(data, chosen, strict=True)])
        loss = permutation_loss(log_posteriors(network, torch.from_numpy(x)), torch.from_numpy(y)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: cross entropy {loss.item():.3f}", flush=True)
    network.eval()


def mix(network: Any, published: dict[str, Any], share: float) -> None:
    """Make every weight of `network` `share` of itself and the rest of the `published` one."""
    mixed = {}
    for name, value in network.state_dict().items():
        mixed[name] = (
            published[name] + share * (value - published[name]) if value.is_floating_point() else value
        )
    network.load_state_dict(mixed)


def main() -> None:
    """Train and write the model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, required=True, help="folder of the simulated windows")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    import_pyannote()
    from pyannote.audio import Model

    shared: Path = arguments.shared
    network: Any = Model.from_pretrained(str(shared / "models" / "pyannote-segmentation-3.0"))
    network.eval()
    published = {name: value.clone() for name, value in network.state_dict().items()}
    even = prepare(shared, arguments.cache, network, [one for one in SETS if "uneven" not in one.name])
    uneven = prepare(shared, arguments.cache, network, [one for one in SETS if "uneven" in one.name])
    for seed, stage in enumerate(STAGES):
        train(network, stage, [even, uneven, real_windows(shared, network, stage.real)], seed)
    mix(network, published, SHARE)
    export_segmentation(network, arguments.output)


if __name__ == "__main__":
    main()
