"""What frozen Whisper and CAM++ say of the compact recipe's clips, written down once for many heads to learn from.

    python benchmarks/frozen_states.py --speech DIR --weights FILE --out DIR --kind short --first 0 --end 500
    python benchmarks/frozen_states.py --speech DIR --weights FILE --out DIR --held

In: speech and weights as `gpu_pack.py` writes them. Out: a file a batch of clips by all speakers of `train` and
`valid`, and with `--held` ``held.npz``, clean utterances and pattern clips of each fold's speakers (`gpu_trials.py`
says which), for `frozen_heads.py`. States are Whisper's layers 3 and 4 and CAM++'s second transition side by side, 25
a second, as the recipe's third head hears them before anything is learnt. 3 MB and 0.7 s a batch on one core.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from gpu_trials import AUGMENTATION, CLIPS, LABELS, MAIN, Numbered, folds, held_waves, load, untrained
from torch import Tensor

from sed.training.clips import ClipSampler
from sed.training.model import CompactTagger

KINDS = {
    "short": replace(CLIPS, auxiliary_weight=0.1),
    "long": replace(CLIPS, auxiliary_weight=0.1, length=(2.0, 5.5), pattern_share=0.2),
}


def states(model: CompactTagger, waves: Tensor) -> np.ndarray:
    """``(B, T)`` to ``(B, ceil(F / 2), 1536)`` in half precision: what goes into the third head."""
    heard: list[Tensor] = []
    assert model.fusion is not None
    hook = model.fusion.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model(waves)
    hook.remove()
    return heard[0].half().numpy()


def main() -> None:
    """Batches, or what is judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", choices=list(KINDS), default="short", help="of clips")
    parser.add_argument("--first", type=int, default=0, help="number of a batch")
    parser.add_argument("--end", type=int, default=500)
    parser.add_argument("--held", action="store_true", help="what is judged, and no batches")
    parser.add_argument("--every", type=int, default=3, help="utterances of nEMO to listen to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    speech = load(options.speech)
    model = untrained(options.weights)
    if options.held:
        found: dict[str, np.ndarray] = {}
        for key, out in folds(speech, 3, []).items():
            kept, waves, truth = held_waves(speech, out, options.every)
            said = [states(model.eval(), torch.from_numpy(wave)[None])[0] for wave in waves]
            found |= {
                f"{key} utterances": np.array(kept),
                f"{key} lengths": np.array([len(piece) for piece in said]),
                f"{key} states": np.concatenate(said),
                f"{key} truth": np.concatenate(truth),
            }
            print(f"{key}: {len(kept)} utterances, {len(truth)} clips", flush=True)
        np.savez(options.out / "held.npz", **found)
        return
    speakers = sorted({utterance.speaker for utterance, _ in speech})
    who = [speakers.index(utterance.speaker) for utterance, _ in speech]
    data = Numbered(
        ClipSampler(speech, LABELS, MAIN, KINDS[options.kind], AUGMENTATION, 3), who, len(speakers)
    )
    for number in range(options.first, options.end):
        torch.manual_seed(number)
        waves, targets, spoken = data[number]
        path = options.out / f"{options.kind}-{number:04d}.npz"
        heard = states(model.train(), waves)
        np.savez(path, states=heard, targets=targets.numpy()[:, ::2], spoken=spoken.numpy()[:, ::2])
        if (number + 1) % 100 == 0:
            print(options.kind, number + 1, flush=True)


if __name__ == "__main__":
    main()
