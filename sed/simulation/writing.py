"""Simulated recordings as files in a new folder: audio, references and a manifest. The same seed gives the same bytes.

In: manifests of utterances, a split, a count, a seed. Out: ``audio/NAME.flac`` (16 bit, 16 kHz, mono),
``rttm/NAME.rttm`` (the reference, rounded to milliseconds), ``manifest.json`` (the reference as events in seconds,
exact to the sample) and ``options.json`` (all settings). Events of conversations are all segments, including neutral
ones. Events of pattern clips are only emotional, as in ZED, and their rows name the speaker.
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
SimulatedRecording = tuple[np.ndarray, Diarization, str]
"""Samples, reference, and the speaker in the manifest."""


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
    """Write `count` conversations of speakers of `split` to `folder`; returns the rows of their manifest.

    `kind` is the audio format, one of `KINDS`. Raises `OptionError` for a folder that is not empty or an unknown
    `kind`, and as `sed.simulation.sets.conversation_set` does. A failure leaves no files.
    """
    options = options or ConversationOptions()
    recordings = (
        (samples, reference, reference.uri)
        for _, samples, reference in conversation_set(
            manifests, split, count, seed=seed, options=options, sizes=sizes
        )
    )
    settings = {"conversations": count, "sizes": list(sizes), **asdict(options)}
    settings |= _origin(manifests, split, seed)
    return _write(recordings, folder, split, kind, settings, with_neutral=True)


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
    """Write `count` clips of speakers of `split` in the four transition patterns to `folder`.

    The patterns, and the pairs of a speaker and one of `emotions`, alternate, so that all are equally frequent. `gap`
    is the range of the silence at a joint in seconds. Raises as `write_conversations` does, and `OptionError` if no
    speaker has both neutral and emotional utterances.
    """
    settings = {"patterns": count, "emotions": list(emotions), "gap": list(gap)}
    settings |= _origin(manifests, split, seed)
    recordings = pattern_set(manifests, split, count, seed=seed, emotions=emotions, gap=gap)
    return _write(recordings, folder, split, kind, settings, with_neutral=False)


def pattern_set(
    manifests: Manifests,
    split: str,
    count: int,
    *,
    seed: int = 0,
    emotions: Sequence[str] = ("happy", "angry", "sad"),
    gap: Sequence[float] = (0.0, 0.0),
) -> Iterator[SimulatedRecording]:
    """Yield the clips of `write_patterns` without writing files."""
    speech: dict[str, dict[str, list[np.ndarray]]] = {}
    for row, samples in load_speech(read_manifest(manifests, [split], [NEUTRAL, *emotions])):
        speech.setdefault(row.speaker, {}).setdefault(row.emotion, []).append(to_float(samples))
    pairs = [(s, e) for s in sorted(speech) for e in emotions if {NEUTRAL, e} <= speech[s].keys()]
    if not pairs:
        raise OptionError(
            f"split {split!r} has no speaker with both {NEUTRAL} and any of {', '.join(emotions)}"
        )
    order_rng = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < count:
        order += order_rng.permutation(len(pairs)).tolist()
    patterns = list(PATTERNS)
    for number, index in enumerate(order[:count]):
        name, emotion = pairs[index]
        speaker = without_blanks(name)
        waves, rng = speech[name], np.random.default_rng([seed, number])
        samples, events = transition_pattern(
            rng, waves[NEUTRAL], waves[emotion], emotion, patterns[number % len(patterns)], (gap[0], gap[1])
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
    recordings: Iterator[SimulatedRecording],
    folder: str | Path,
    split: str,
    kind: str,
    settings: Mapping[str, Any],
    *,
    with_neutral: bool,
) -> list[Utterance]:
    folder = Path(folder)
    if kind not in KINDS:
        raise OptionError(f"found audio format {kind!r}, expected one of {', '.join(KINDS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder} is not empty, expected a new or empty folder")
    rows = []
    with NewFiles() as new_files:
        for samples, reference, speaker in recordings:
            path = folder / "audio" / f"{reference.uri}.{kind}"
            with new_files.open(path) as file:
                file.write(_encode(samples, kind))
            rttm = io.StringIO()
            formats.write(reference, rttm, "rttm")
            with new_files.open(folder / "rttm" / f"{reference.uri}.rttm") as file:
                file.write(rttm.getvalue().encode())
            rows.append(_row(reference, path, speaker, split, with_neutral))
        with new_files.open(folder / "options.json") as file:
            file.write(json.dumps(settings, indent=1, ensure_ascii=False).encode() + b"\n")
        write_manifest(rows, folder / "manifest.json")
    return rows


def _row(reference: Diarization, path: Path, speaker: str, split: str, with_neutral: bool) -> Utterance:
    events = tuple(
        (round(s.start, 7), round(s.end, 7), str(s.emotion))
        for s in reference
        if with_neutral or s.emotion != NEUTRAL
    )
    emotions = sorted({label for _, _, label in events})
    return Utterance(
        CORPUS,
        path,
        f"{CORPUS}/{speaker}",
        emotions[0] if len(emotions) == 1 else "mixed",
        split,
        id=reference.uri,
        duration=reference.duration,
        split_rule="all",
        events=events,
    )


def _encode(samples: np.ndarray, kind: str) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format=kind.upper(), subtype="PCM_16")
    return file.getvalue()
