"""Many trials of the compact recipe on one lent GPU, each cross-validated by speaker, its taggers in lockstep.

    python benchmarks/gpu_trials.py --speech DIR --weights FILE --out DIR --seconds 300 NAME...

In: speech and weights as `gpu_pack.py` writes them, and names of `TRIALS`. Out: ``NAME.npz``, with the logits of
utterances and pattern clips by a tagger that never heard their speaker (with `--left-out`, their corpus), which
`cross_validated.py` reads, and with `--keep` what a tagger that heard everybody has learnt.

A trial is a process. All its taggers see the same batches, but what a tagger may not hear has no target for it. So
log-mel and CAM++, which do not learn, are computed once for all of them. Steps, losses and rates are those of
`sed.training.loop`; a trial takes as many steps as fit into `--seconds`. An H100 does about 120 steps of a tagger a
second in 10 processes, 20 in one.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_taggers import DEVICE, Member, Once, Trial, put
from safetensors.torch import load_file, save_file
from torch import Tensor

from sed.grid import HOP, frame_count
from sed.training.augment import Augmentation
from sed.training.clips import ClipOptions, ClipSampler, Speech, pattern_clips
from sed.training.corpora import Utterance, to_float
from sed.training.model import CompactTagger
from sed.training.objectives import event_frames
from sed.training.patterns import frame_labels
from sed.training.schedule import learning_rate_factor
from sed.training.standardise import standardise

MAIN = ["neutral", "happy", "angry", "sad"]
LABELS = [*MAIN, "fearful", "disgust", "surprised", "bored", "calm"]
SETTINGS: dict[str, Any] = {
    "layers": 4, "positions": 500, "halve_after": 1, "voice": True, "fusion": 2, "reaches": [25, 75],
    "shares": [0, 1, 1], "head_dropout": 0.1, "spec_augment": 1, "frozen_layers": 1,
}  # fmt: skip
CLIPS = ClipOptions(length=(1.5, 3.0), pattern_share=0.0)
AUGMENTATION = Augmentation(
    speed=0.8, speed_range=(0.8, 1.25), reverberation=0.2, decay_range=(0.15, 0.8), noise=0.4,
    snr_range=(5.0, 35.0), equaliser=0.4, tilt=3.0, spread=3.0, telephone=0.08, clipping=0.05,
    gain_range=(-20.0, 6.0),
)  # fmt: skip


TRIALS = {
    "recipe": Trial(),
    "main": Trial(clips={"auxiliary_weight": 0.05}),
    "dropout": Trial({"dropout": 0.1}),  # what the recipe had until it was found to do harm
    "fusion3": Trial({"fusion": 3}),
    "regular": Trial({"head_dropout": 0.3}, weight_decay=0.1),
    "frozen": Trial({"frozen_layers": 4}),
    "power": Trial(clips={"corpus_power": 0.6}),
    "speed": Trial(augmentation={"speed": 0.5, "speed_range": (0.9, 1.12)}),
}


def load(folder: Path) -> list[tuple[Utterance, np.ndarray]]:
    """The packed speech: utterances, int16 samples."""
    import soundfile

    rows = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    names = sorted({row["file"] for row in rows})
    with ThreadPoolExecutor() as pool:
        read = pool.map(lambda name: soundfile.read(folder / name, dtype="int16")[0], names)
        waves = dict(zip(names, read, strict=True))
    speech = []
    for row in rows:
        about = [row[key] for key in ("corpus", "path", "speaker", "emotion", "split")]
        samples = waves[row["file"]][row["first"] : row["first"] + row["samples"]]
        speech.append((Utterance(about[0], Path(about[1]), *about[2:], gender=row["gender"]), samples))
    return speech


def untrained(weights: Path, **changes: Any) -> CompactTagger:
    """What the recipe starts from, with `changes` of its settings and the packed weights."""
    tagger = CompactTagger(LABELS, **{**SETTINGS, **changes})
    stored = {key: value.float() for key, value in load_file(weights).items()}
    tagger.load_state_dict(stored, strict=False)
    return tagger


def folds(speech: Speech, parts: int, left_out: list[str]) -> dict[str, set[str]]:
    """The speakers that each tagger may not hear: those of `valid`, `parts` parts of the others, whole corpora."""
    about = {utterance.speaker: utterance for utterance, _ in speech}
    train = [speaker for speaker, utterance in about.items() if utterance.split == "train"]
    train.sort(key=lambda speaker: (about[speaker].corpus, about[speaker].gender or "", speaker))
    found = {"fold0": set(about) - set(train)} if parts else {}
    found |= {f"fold{part + 1}": set(train[part::parts]) for part in range(parts)}
    for corpus in left_out:
        found[f"no_{corpus}"] = {speaker for speaker in about if about[speaker].corpus == corpus}
    return found


class Numbered(torch.utils.data.Dataset):
    """The batches of a trial: waves, targets, and the number of who speaks in each frame."""

    def __init__(self, sampler: ClipSampler, who: list[int], nobody: int) -> None:
        self.sampler, self.who, self.nobody = sampler, who, nobody

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        batch = self.sampler.batch(number)
        found = np.full(batch.targets.shape, self.nobody, np.int64)
        for row, first, end, source in event_frames(batch):
            found[row, first:end] = self.who[source]
        return torch.from_numpy(batch.waves), torch.from_numpy(batch.targets), torch.from_numpy(found)


def run(name: str, speech: Speech, options: argparse.Namespace, deadline: float) -> None:
    """Train the taggers of a trial until `deadline`, and write what they say of speech that they never heard."""
    trial = TRIALS[name]
    torch.manual_seed(trial.seed)
    torch.set_num_threads(1)
    base = untrained(options.weights, **trial.tagger)
    clips, augmentation = replace(CLIPS, **trial.clips), replace(AUGMENTATION, **trial.augmentation)
    sampler = ClipSampler(speech, LABELS, MAIN, clips, augmentation, trial.seed)
    speakers = sorted({utterance.speaker for utterance, _ in speech})
    data = Numbered(sampler, [speakers.index(utterance.speaker) for utterance, _ in speech], len(speakers))
    loader = torch.utils.data.DataLoader(
        data, batch_size=None, num_workers=options.producers, prefetch_factor=6
    )
    batches = iter(loader)  # whose processes must be there before CUDA is
    base = base.to(DEVICE)
    standardise(base, map(sampler.batch, range(4)))
    parts = [Once(base.log_mel), Once(base.voice)]
    base.log_mel, base.voice = parts  # type: ignore[assignment]
    base.train()
    held = folds(speech, options.parts, options.left_out) | ({"all": set()} if options.keep else {})
    members = {
        key: Member(base, trial, {speakers.index(speaker) for speaker in out}, len(speakers))
        for key, out in held.items()
    }
    steps, number, began = options.most, 0, time.time()
    while number < steps:
        waves, targets, spoken = next(batches)
        if number in (20, options.probe) and DEVICE == "cuda":
            torch.cuda.synchronize()
        if number == 20:
            began = time.time()
        if number == options.probe:
            pace = (time.time() - began) / (number - 20)
            steps = min(options.most, number + int((deadline - time.time()) / pace))
            print(f"{name}: {len(members) / pace:.1f} steps of a tagger a second, so {steps}", flush=True)
        heard = put(waves.numpy())
        for part in parts:
            part.forget()
        factor = learning_rate_factor(number, steps, min(80, steps // 8), steps // 2)
        losses = []
        for member in members.values():
            with torch.autocast(DEVICE, torch.bfloat16):
                loss = member.loss(heard, targets.numpy(), spoken.numpy())
            member.step(loss, number, factor)
            losses.append(loss.detach())
        number += 1
        if number % 200 == 0:
            print(name, number, " ".join(f"{float(loss):.2f}" for loss in losses), flush=True)
    found: dict[str, Any] = {"steps": number}
    for key, member in members.items():
        member.average()
        if key == "all":
            learnt = {key for key, value in member.model.named_parameters() if value.requires_grad}
            state = {
                key: value.half().cpu() for key, value in member.model.state_dict().items() if key in learnt
            }
            save_file(state, options.keep / f"{name}.safetensors")
        else:
            found |= said(key, member, parts, speech, held[key], options.every)
    np.savez(options.out / f"{name}.npz", **found)
    print(f"{name}: done, {time.time() - deadline:+.0f} s", flush=True)


def held_waves(
    speech: Speech, out: set[str], every: int
) -> tuple[list[int], list[np.ndarray], list[np.ndarray]]:
    """What is judged of the speakers in `out`: numbers of utterances (of nEMO `every` so many), their waves and those
    of 80 pattern clips, all of whole tenths of a second and no longer than a tagger hears at once, and what is right
    in every second frame of the clips."""
    own = [
        n for n, (utterance, _) in enumerate(speech) if utterance.speaker in out and utterance.emotion in MAIN
    ]
    counts: dict[tuple[str, str], int] = defaultdict(int)
    kept = []
    for n in own:
        utterance = speech[n][0]
        counts[utterance.speaker, utterance.emotion] += 1
        if utterance.corpus != "nemo" or counts[utterance.speaker, utterance.emotion] % every == 0:
            kept.append(n)
    clips = pattern_clips([speech[n] for n in own], MAIN, 80, 3)
    waves = [to_float(speech[n][1]) for n in kept] + [wave for wave, _ in clips]
    for number, wave in enumerate(waves):
        frames = max(min(frame_count(len(wave)), SETTINGS["positions"]) // 5 * 5, 5)
        waves[number] = np.pad(wave, (0, max(0, frames * HOP - len(wave))))[: frames * HOP]
    truth = [
        frame_labels(events, len(wave), MAIN)[: frame_count(len(cut))][::2]
        for (wave, events), cut in zip(clips, waves[len(kept) :], strict=True)
    ]
    return kept, waves, truth


@torch.no_grad()
def said(
    key: str, member: Member, parts: list[Once], speech: Speech, out: set[str], every: int
) -> dict[str, np.ndarray]:
    """Logits ``(frames, branches, labels in use)`` of the utterances (of nEMO `every` so many) and pattern clips of the
    speakers in `out`, every second frame; what they are, and the truth of the clips."""
    for part in parts:
        part.__dict__["said"]["part"].eval()
    kept, waves, truth = held_waves(speech, out, every)
    alike: dict[int, list[int]] = defaultdict(list)  # by length: nothing is padded
    for number, wave in enumerate(waves):
        alike[len(wave)].append(number)
    found: dict[int, np.ndarray] = {}
    for numbers in alike.values():
        for first in range(0, len(numbers), 32):
            chosen = numbers[first : first + 32]
            for part in parts:
                part.forget()
            branches = member.said(put(np.stack([waves[number] for number in chosen])))
            logits = torch.stack(branches, 2)[:, ::2, :, : len(MAIN)]
            found |= dict(zip(chosen, logits.half().cpu().numpy(), strict=True))
    rows = [found[number] for number in range(len(waves))]
    return {
        f"{key} utterances": np.array(kept),
        f"{key} lengths": np.array([len(row) for row in rows]),
        f"{key} logits": np.concatenate(rows),
        f"{key} truth": np.concatenate(truth),
    }


def main() -> None:
    """All trials at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("trials", nargs="+", choices=list(TRIALS))
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=300, help="of training")
    parser.add_argument(
        "--most", type=int, default=2000, help="steps at most, and what rates expect until the pace is known"
    )
    parser.add_argument("--probe", type=int, default=150, help="steps after which the pace is known")
    parser.add_argument("--parts", type=int, default=3, help="parts of the speakers of `train`; 0: no folds")
    parser.add_argument("--left-out", nargs="*", default=[], help="corpora to leave out, one after the other")
    parser.add_argument(
        "--keep", type=Path, help="train on everybody, too, and write that tagger's weights here"
    )
    parser.add_argument("--every", type=int, default=3, help="utterances of nEMO to listen to")
    parser.add_argument(
        "--producers", type=int, default=1, help="processes that make batches, for each trial"
    )
    options = parser.parse_args()
    began = time.time()
    speech = load(options.speech)
    print(f"{len(speech)} utterances in {time.time() - began:.0f} s", flush=True)
    fork = multiprocessing.get_context("fork")
    deadline = time.time() + options.seconds
    processes = [fork.Process(target=run, args=(name, speech, options, deadline)) for name in options.trials]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if failed := [n for n, process in zip(options.trials, processes, strict=True) if process.exitcode]:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
