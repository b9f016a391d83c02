"""Writes a fixed set of simulated conversations to a folder: one FLAC and one RTTM file per conversation.

    python -m benchmarks.tuning.conversations --shared ../shared --split valid --count 24 -o /tmp/valid

The same arguments give the same bytes. Tune on `train` and `valid` only; `test` is for final figures.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import soundfile

from sed.formats import write
from sed.grid import SAMPLE_RATE
from sed.simulation.conversation import ConversationOptions
from sed.simulation.sets import conversation_set


def main() -> None:
    """Parse the options and write the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--split", choices=("train", "valid", "test"), default="valid")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--duration", type=float, default=60.0, help="minimum duration in seconds")
    parser.add_argument("--clean", action="store_true", help="no room, noise or line")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    options = ConversationOptions(duration=arguments.duration)
    if arguments.clean:
        options = replace(options, room=0, noise=None, lines={"wide": 1})
    arguments.out.mkdir(parents=True, exist_ok=True)
    made = conversation_set(
        arguments.shared / "corpora", arguments.split, arguments.count, seed=arguments.seed, options=options
    )
    for casting, samples, reference in made:
        soundfile.write(arguments.out / f"{casting.uri}.flac", samples, SAMPLE_RATE, subtype="PCM_16")
        write(reference, arguments.out / f"{casting.uri}.rttm")
        print(f"{casting.uri} {reference.duration:6.1f} s  {' '.join(casting.speakers)}", flush=True)


if __name__ == "__main__":
    main()
