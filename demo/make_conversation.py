"""Make the example conversation: EMO-DB actors (CC0) taking turns, with an exact reference.

In: the shared corpora. Out: `conversation.flac` (16 kHz mono) and `conversation.rttm` in the folder of this script.
The actors are two `test` speakers and one `valid` speaker: no bundled model was trained on them. The seed is the first
one, starting at 0, with which every speaker speaks for at least 6 s and every emotion lasts at least 4 s; no model
influences the choice.

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


def is_suitable(reference: Diarization) -> bool:
    """Whether every speaker has at least 6 s, every emotion at least 4 s, and the whole at most 60 s."""
    speakers: Counter[str | None] = Counter()
    emotions: Counter[str | None] = Counter()
    for segment in reference:
        speakers[segment.speaker] += segment.duration  # type: ignore[assignment]
        emotions[segment.emotion] += segment.duration  # type: ignore[assignment]
    enough = min(speakers.values()) >= 6 and all(emotions[label] >= 4 for label in reference.labels)
    return enough and reference.duration <= 60


def main(shared: Path, out: Path) -> int:
    """Write the conversation and its reference into `out`; returns the seed."""
    import soundfile

    speakers = load_speakers(shared / "corpora", SPEAKERS, OPTIONS)
    speakers = {SPEAKERS[speaker]: utterances for speaker, utterances in speakers.items()}
    for seed in range(1000):
        samples, reference = simulate_conversation(speakers, seed, OPTIONS, uri="conversation")
        if is_suitable(reference):
            soundfile.write(out / "conversation.flac", samples, 16_000, subtype="PCM_16")
            write(reference, out / "conversation.rttm")
            return seed
    raise SystemExit("no seed below 1000 gives a suitable conversation")


if __name__ == "__main__":
    sys.stdout.write(f"seed {main(Path(sys.argv[1]), Path(__file__).resolve().parent)}\n")
