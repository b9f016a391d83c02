"""States of a frozen encoder, computed once: utterances in, a folder of arrays out, from which heads learn in minutes.

Each utterance has several views: the first is the recording, the others are it in other rooms, with other noise,
microphones and lines, one view for each `Augmentation`. One file holds one view of one corpus and split, and is
computed again only if the encoder, the rows or the augmentation changed, so a stopped run resumes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sed.corpora.audio import Utterance, load_speech, to_float
from sed.files import atomic
from sed.training.data.augment import Augmentation, change_speed

_log = logging.getLogger("sed.training")
_TOGETHER = 8  # utterances
_MOST_CUT = 1600  # samples


@dataclass(frozen=True)
class Part:
    """One view of one corpus and split: `states` ``(all frames, width)`` float16, those of ``utterances[n]`` from row
    ``first[n]`` to ``first[n + 1]``."""

    utterances: Sequence[Utterance]
    first: np.ndarray
    states: np.ndarray
    view: int

    def __len__(self) -> int:
        return len(self.utterances)

    def frames(self, number: int) -> np.ndarray:
        """The states ``(F, width)`` of an utterance."""
        return self.states[self.first[number] : self.first[number + 1]]


def compute_states(
    model: Any,
    utterances: Sequence[Utterance],
    folder: str | Path,
    augmentations: Sequence[Augmentation] = (),
    seed: int = 0,
    channels: Sequence[Utterance] = (),
) -> list[Part]:
    """The parts of all views of `utterances`, as recorded and changed by each of `augmentations`; those that are in
    `folder` already are read from there.

    An augmentation with a share of `channel` takes those of `channels` (about 300 of them).

    `model` has ``fused_states(waves)``, ``(B, T)`` to ``(B, F, width)``, for at most ``max_samples`` samples (longer
    utterances are cut there), and ``encoder_parameters()``, the weights that these depend on. Utterances without speech
    are left out.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    encoder = _fingerprint(model)
    parts = []
    rows = sorted(utterances, key=lambda u: (u.corpus, u.split))
    for (corpus, split), group in groupby(rows, key=lambda u: (u.corpus, u.split)):
        members = list(group)
        for view, augmentation in enumerate([None, *augmentations]):
            target = folder / f"{corpus}-{split}-{view}"
            lenders = (
                channels[:: max(1, len(channels) // 300)] if augmentation and augmentation.channel else ()
            )
            changes = [json.dumps(asdict(augmentation)), seed] if augmentation else []
            key = _key([encoder, *changes, *map(_row, [*members, *lenders])])
            if (part := _stored(target, key, members, view)) is None:
                _log.info("states of %s, %s, view %d: %d utterances", corpus, split, view, len(members))
                change = _Change(augmentation, [seed, view], _waves(lenders)) if augmentation else None
                part = _compute(model, members, target, key, view, change)
            parts.append(part)
    return parts


def _row(utterance: Utterance) -> str:
    return f"{utterance.path} {utterance.start} {utterance.stop}"


def _key(values: Sequence[object]) -> str:
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()


def _fingerprint(model: Any) -> str:
    """Of the weights that the states depend on."""
    digest = hashlib.sha256()
    for parameter in model.encoder_parameters():
        digest.update(parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _files(target: Path) -> tuple[Path, Path]:
    return Path(f"{target}.npy"), Path(f"{target}.json")


def _stored(target: Path, key: str, members: Sequence[Utterance], view: int) -> Part | None:
    array, index = _files(target)
    if not (array.is_file() and index.is_file()):
        return None
    stored = json.loads(index.read_text(encoding="utf-8"))
    if stored["key"] != key:
        return None
    first = np.array(stored["first"])
    return Part([members[n] for n in stored["kept"]], first, np.load(array, mmap_mode="r"), view)


@dataclass(frozen=True)
class _Change:
    """How the waves of a view are changed."""

    augmentation: Augmentation
    seed: Sequence[int]
    channels: Sequence[np.ndarray]

    def __call__(self, number: int, wave: np.ndarray, speech: Sequence[np.ndarray]) -> np.ndarray:
        """Utterance `number` at another speed, in another room, through another line; others of its corpus, `speech`,
        are the babble."""
        rng = np.random.default_rng([*self.seed, number])
        wave = change_speed(wave, self.augmentation.draw_speed(rng))
        babble = [speech[int(rng.integers(len(speech)))] for _ in range(3)]
        return self.augmentation(rng, wave, babble, self.channels)


def _waves(utterances: Sequence[Utterance]) -> list[np.ndarray]:
    return [to_float(samples) for _, samples in load_speech(utterances)]


def _compute(
    model: Any, members: Sequence[Utterance], target: Path, key: str, view: int, change: _Change | None
) -> Part:
    numbers = {id(utterance): number for number, utterance in enumerate(members)}
    speech = load_speech(members)
    kept = [numbers[id(utterance)] for utterance, _ in speech]
    waves = [to_float(samples) for _, samples in speech]
    if change:
        waves = [change(number, wave, waves) for number, wave in zip(kept, waves, strict=True)]
    states = _states(model.eval(), [wave[: model.max_samples] for wave in waves])
    first = np.cumsum([0, *map(len, states)])
    array, index = _files(target)
    with atomic(array) as array_part, atomic(index) as index_part:
        with open(array_part, "wb") as file:
            np.save(file, np.concatenate(states))
        index_part.write_text(
            json.dumps({"key": key, "kept": kept, "first": first.tolist()}), encoding="utf-8"
        )
    return Part([u for u, _ in speech], first, np.load(array, mmap_mode="r"), view)


def _states(model: Any, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The states of each wave. Waves of nearly the same length are processed together, cut to the shortest of them."""
    device = next(model.parameters()).device
    order = sorted(range(len(waves)), key=lambda n: len(waves[n]))
    found: dict[int, np.ndarray] = {}
    for start in range(0, len(order), _TOGETHER):
        numbers = order[start : start + _TOGETHER]
        if len(waves[numbers[-1]]) - len(waves[numbers[0]]) > _MOST_CUT:
            groups = [[number] for number in numbers]
        else:
            groups = [numbers]
        for group in groups:
            samples = len(waves[group[0]])
            batch = torch.from_numpy(np.stack([waves[number][:samples] for number in group])).to(device)
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
                states = model.fused_states(batch).to(torch.float16).cpu().numpy()
            found.update(zip(group, states, strict=True))
    return [found[number] for number in range(len(waves))]
