"""Make the example conversation: EMO-DB actors (CC0) take turns, with an exact reference.

In: the shared corpora. Out: `conversation.flac` (16 kHz mono) and `conversation.rttm` beside this script. The
actors are two `test` speakers and one `valid` speaker: no shipped model was trained on their voices. The seed
is the first one from 0 on with which everybody speaks at least 6 s and every emotion lasts at least 4 s;
no model has a say in it.

    python demo/make_conversation.py ../shared
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from sed.formats import write
from sed.result import Diarization
from sed.simulation.conversation import ConversationOptions, simulate_conversation
from sed.simulation.sets import load_speakers

SPEAKERS = {"emodb/emodb_14": "clara", "emodb/emodb_15": "anton", "emodb/emodb_16": "greta"}  # invented names
OPTIONS = ConversationOptions(duration=45, room=0, noise=(32.0, 32.0), lines={"wide": 1})


def worth_showing(reference: Diarization) -> bool:
    """Everybody speaks at least 6 s, every emotion lasts at least 4 s in all, and a minute is not passed."""
    heard: Counter[str | None] = Counter()
    felt: Counter[str | None] = Counter()
    for segment in reference:
        heard[segment.speaker] += segment.duration  # type: ignore[assignment]
        felt[segment.emotion] += segment.duration  # type: ignore[assignment]
    enough = min(heard.values()) >= 6 and all(felt[label] >= 4 for label in reference.labels)
    return enough and reference.duration <= 60


def main(shared: Path, out: Path) -> int:
    """Write the conversation and its reference into `out`; returns the seed."""
    import soundfile

    people = load_speakers(shared / "corpora", SPEAKERS, OPTIONS)
    people = {SPEAKERS[speaker]: utterances for speaker, utterances in people.items()}
    for seed in range(1000):
        samples, reference = simulate_conversation(people, seed, OPTIONS, uri="conversation")
        if worth_showing(reference):
            soundfile.write(out / "conversation.flac", samples, 16_000, subtype="PCM_16")
            write(reference, out / "conversation.rttm")
            return seed
    raise SystemExit("no seed below 1000 makes a conversation worth showing")


if __name__ == "__main__":
    sys.stdout.write(f"seed {main(Path(sys.argv[1]), Path(__file__).resolve().parent)}\n")
