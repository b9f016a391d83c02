"""Simulated recordings as files: audio, references and a manifest in a new folder, the same bytes for the same seed.

In: manifests of utterances, a split, a number, a seed. Out: ``audio/NAME.flac`` (16 bit, 16 kHz, mono),
``rttm/NAME.rttm`` (who, what and when, to a millisecond), ``manifest.json`` (the same, to the sample, as events in
seconds) and ``options.json`` (everything that decided what was made). Conversations list every segment as an event,
neutral ones too. Pattern clips list the emotional event only, as ZED does, and name their speaker.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sed import formats
from sed.corpora.audio import load_speech, read_manifest, to_float
from sed.corpora.manifest import Utterance, write_manifest
from sed.errors import OptionError
from sed.files import NewFiles
from sed.formats.kind import without_blanks
from sed.grid import SAMPLE_RATE, samples_to_seconds
from sed.result import Diarization, Segment
from sed.simulation.conversation import ConversationOptions
from sed.simulation.patterns import NEUTRAL, PATTERNS, transition_pattern
from sed.simulation.sets import Manifests, conversation_set

CORPUS = "simulated"
KINDS = ("flac", "wav")
Made = tuple[np.ndarray, Diarization, str]
"""Samples, their reference, and who speaks."""


def write_conversations(
    manifests: Manifests,
    folder: str | Path,
    split: str,
    count: int,
    *,
    seed: int = 0,
    options: ConversationOptions | None = None,
    sizes: Sequence[int] = (2, 3, 4),
    kind: str = "flac",
) -> list[Utterance]:
    """`count` conversations of speakers of `split`, as files in `folder`; returns the rows of their manifest.

    Raises `OptionError` for a folder that isn't empty or an unknown `kind` of audio, and what
    `sed.simulation.sets.conversation_set` raises; then nothing is left behind.
    """
    options = options or ConversationOptions()
    made = (
        (samples, reference, reference.uri)
        for _, samples, reference in conversation_set(
            manifests, split, count, seed=seed, options=options, sizes=sizes
        )
    )
    told = {"conversations": count, "sizes": list(sizes), **asdict(options)}
    return _write(made, folder, split, kind, told | _origin(manifests, split, seed), with_neutral=True)


def write_patterns(
    manifests: Manifests,
    folder: str | Path,
    split: str,
    count: int,
    *,
    seed: int = 0,
    emotions: Sequence[str] = ("happy", "angry", "sad"),
    gap: Sequence[float] = (0.0, 0.0),
    kind: str = "flac",
) -> list[Utterance]:
    """`count` clips of speakers of `split` in the paper's four patterns, as files in `folder`.

    Patterns, and pairs of a speaker and one of `emotions`, take turns, so each gets its share. `gap` is the range of
    the silence at a joint in seconds. Raises as `write_conversations` does, and `OptionError` where no speaker has
    both neutral and an emotion.
    """
    told = {"patterns": count, "emotions": list(emotions), "gap": list(gap)}
    made = pattern_set(manifests, split, count, seed=seed, emotions=emotions, gap=gap)
    return _write(made, folder, split, kind, told | _origin(manifests, split, seed), with_neutral=False)


def pattern_set(
    manifests: Manifests,
    split: str,
    count: int,
    *,
    seed: int = 0,
    emotions: Sequence[str] = ("happy", "angry", "sad"),
    gap: Sequence[float] = (0.0, 0.0),
) -> Iterator[Made]:
    """The clips of `write_patterns` without the files."""
    voices: dict[str, dict[str, list[np.ndarray]]] = {}
    for row, samples in load_speech(read_manifest(manifests, [split], [NEUTRAL, *emotions])):
        voices.setdefault(row.speaker, {}).setdefault(row.emotion, []).append(to_float(samples))
    pairs = [(s, e) for s in sorted(voices) for e in emotions if {NEUTRAL, e} <= voices[s].keys()]
    if not pairs:
        raise OptionError(
            f"split {split!r} has no speaker with both {NEUTRAL} and any of {', '.join(emotions)}"
        )
    order = np.random.default_rng(seed)
    turns: list[int] = []
    while len(turns) < count:
        turns += order.permutation(len(pairs)).tolist()
    names = list(PATTERNS)
    for number, turn in enumerate(turns[:count]):
        name, emotion = pairs[turn]
        speaker = without_blanks(name)
        own, rng = voices[name], np.random.default_rng([seed, number])
        samples, events = transition_pattern(
            rng, own[NEUTRAL], own[emotion], emotion, names[number % len(names)], (gap[0], gap[1])
        )
        segments = [
            Segment(samples_to_seconds(e.start), samples_to_seconds(e.end), speaker, e.label) for e in events
        ]
        uri = f"{split}_pattern{number:05d}"
        labels = (NEUTRAL, *emotions)
        yield samples, Diarization(uri, samples_to_seconds(len(samples)), segments, labels), speaker


def _origin(manifests: Manifests, split: str, seed: int) -> dict[str, Any]:
    from sed import __version__

    names = [manifests] if isinstance(manifests, str | Path) else manifests
    return {"manifests": [str(name) for name in names], "split": split, "seed": seed, "sed": __version__}


def _write(
    made: Iterator[Made],
    folder: str | Path,
    split: str,
    kind: str,
    told: Mapping[str, Any],
    *,
    with_neutral: bool,
) -> list[Utterance]:
    folder = Path(folder)
    if kind not in KINDS:
        raise OptionError(f"audio as {kind!r}: expected one of {', '.join(KINDS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder} is not empty: expected a new or an empty folder")
    rows = []
    with NewFiles() as new_files:
        for samples, reference, speaker in made:
            path = folder / "audio" / f"{reference.uri}.{kind}"
            with new_files.open(path) as file:
                file.write(_encoded(samples, kind))
            rttm = io.StringIO()
            formats.write(reference, rttm, "rttm")
            with new_files.open(folder / "rttm" / f"{reference.uri}.rttm") as file:
                file.write(rttm.getvalue().encode())
            rows.append(_row(reference, path, speaker, split, with_neutral))
        with new_files.open(folder / "options.json") as file:
            file.write(json.dumps(told, indent=1, ensure_ascii=False).encode() + b"\n")
        write_manifest(rows, folder / "manifest.json")
    return rows


def _row(reference: Diarization, path: Path, speaker: str, split: str, with_neutral: bool) -> Utterance:
    events = tuple(
        (round(s.start, 7), round(s.end, 7), str(s.emotion))
        for s in reference
        if with_neutral or s.emotion != NEUTRAL
    )
    kinds = sorted({label for _, _, label in events})
    return Utterance(
        CORPUS,
        path,
        f"{CORPUS}/{speaker}",
        kinds[0] if len(kinds) == 1 else "mixed",
        split,
        id=reference.uri,
        duration=reference.duration,
        split_rule="all",
        events=events,
    )


def _encoded(samples: np.ndarray, kind: str) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format=kind.upper(), subtype="PCM_16")
    return file.getvalue()
