"""Enrolment: recordings of known speakers in, what the pipeline needs to find them and their emotions out.

In: for each name one or several recordings of that speaker alone, in which the speaker sounds as usual. Out: an
`EnrolledSpeaker` for each name. The recordings go through the same stages as any other one; they are not kept.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from sed.audio import open_audio
from sed.emotion.baseline import centred_log_mean, has_baseline, speaker_offset
from sed.emotion.tagger import Tagger
from sed.emotion.windows import PosteriorStream
from sed.errors import OptionError
from sed.result import SpeakerProfile
from sed.speakers.diarizer import SegmentationDiarizer
from sed.speakers.turns import SpeakerDiarizer, Turns
from sed.speakers.windows import VoiceActivityDiarizer

MIN_SECONDS = 1.5
"""Clean speech that an enrolment needs, in seconds."""
OTHER_SHARE = 0.15
"""Share of the clean speech that may be of other speakers, for which outbursts and noises are mistaken."""
_ANONYMOUS = re.compile(r"spk\d+|channel\d+")


@dataclass(frozen=True, eq=False)
class EnrolledSpeaker:
    """A known speaker: the `profile`, and the `offset` ``(labels,)`` of the speaker's log posteriors
    (`sed.emotion.baseline`), or None if the tagger has no baseline."""

    profile: SpeakerProfile
    offset: np.ndarray | None


def profiles_and_offsets(
    enrolled: Mapping[str, EnrolledSpeaker],
) -> tuple[dict[str, SpeakerProfile], dict[str, np.ndarray]]:
    """The profiles of `enrolled` speakers by name, and the offsets of those that have one."""
    offsets = {name: one.offset for name, one in enrolled.items() if one.offset is not None}
    return {name: one.profile for name, one in enrolled.items()}, offsets


def enrol_speakers(
    speakers: Mapping[str, Any], diarizer: SpeakerDiarizer, tagger: Tagger, threads: int = 1
) -> dict[str, EnrolledSpeaker]:
    """Enrol `speakers`, which maps each name to a recording or a list of recordings (as for `sed.audio.open_audio`).

    A `diarizer` of another class than `SegmentationDiarizer` is replaced by that, with the same embeddings and with
    `threads` threads.

    Raises `OptionError` on a name that is blank or like that of an unknown speaker, on a name without recordings, and
    on recordings without speech, with too little clean speech, or of several speakers; `AudioError` as `open_audio`.
    """
    if not isinstance(diarizer, SegmentationDiarizer):
        own = isinstance(diarizer, VoiceActivityDiarizer) and diarizer.projection is None
        embedding = diarizer.embedding if own else None  # type: ignore[attr-defined]
        diarizer = SegmentationDiarizer(threads=threads, embedding=embedding)
    alone = copy.copy(diarizer)
    alone.bounds = (1, None)  # the bounds are those of the recordings to be processed
    return {name: _enrol(name, given, alone, tagger) for name, given in speakers.items()}


def _enrol(name: str, given: Any, diarizer: SegmentationDiarizer, tagger: Tagger) -> EnrolledSpeaker:
    if not isinstance(name, str) or not name.strip():
        raise OptionError(f"an enrolled speaker named {name!r}: expected a name that is not blank")
    if _ANONYMOUS.fullmatch(name):
        raise OptionError(
            f"an enrolled speaker named {name!r}: expected another name, as unknown speakers are named like this"
        )
    sources = given if isinstance(given, list) else [given]
    if not sources:
        raise OptionError(f"enrolled speaker {name!r}: found no recordings, expected at least one")
    found = [_Recording.of(name, source, diarizer, tagger) for source in sources]
    profile = SpeakerProfile.merged([one.profile for one in found])
    if profile.seconds < MIN_SECONDS:
        where = ", ".join(one.title for one in found)
        raise OptionError(
            f"{where}: found {profile.seconds:.1f} s of clean speech to enrol {name!r}, expected at least"
            f" {MIN_SECONDS:g} s"
        )
    offset = None
    if has_baseline(tagger):
        usual = centred_log_mean(np.concatenate([one.posteriors for one in found]))
        offset = speaker_offset(usual, tagger.labels)
    return EnrolledSpeaker(profile, offset)


@dataclass(frozen=True, eq=False)
class _Recording:
    """One recording of a speaker: its `title` for messages, and the posteriors ``(frames, labels)`` of its speech."""

    title: str
    profile: SpeakerProfile
    posteriors: np.ndarray

    @classmethod
    def of(cls, name: str, source: Any, diarizer: SegmentationDiarizer, tagger: Tagger) -> _Recording:
        session, stream = diarizer.begin(), PosteriorStream(tagger)
        parts: list[np.ndarray] = []
        with open_audio(source) as audio:
            title = str(source) if isinstance(source, str | PathLike) else audio.uri
            for block in audio:
                session.push(block)
                parts.append(stream.push(block))
        parts.append(stream.close())
        turns = session.close()
        speaker = _only_speaker(turns, name, title)
        spans = turns.spans[turns.names.index(speaker)]
        posteriors = np.concatenate(parts)[:, : len(tagger.labels)]
        own = np.concatenate([posteriors[start:end] for start, end in spans])
        return cls(title, (turns.profiles or {})[speaker], own)


def _only_speaker(turns: Turns, name: str, title: str) -> str:
    """The name in `turns` of the speaker of a recording. Raises `OptionError` if there is none, or another one."""
    profiles = turns.profiles or {}
    if not turns.names:
        raise OptionError(f"{title}: found no speech, expected that of {name!r}")
    if not profiles:
        raise OptionError(
            f"{title}: found no clean speech to enrol {name!r}, expected at least {MIN_SECONDS:g} s"
        )
    total = sum(profile.seconds for profile in profiles.values())
    main = max(profiles, key=lambda speaker: profiles[speaker].seconds)
    others = {n: p for n, p in profiles.items() if n != main and p.seconds >= OTHER_SHARE * total}
    if others:
        found = ", ".join(f"{profiles[n].seconds:.1f} s" for n in (main, *others))
        raise OptionError(f"{title}: found {1 + len(others)} speakers ({found}), expected {name!r} alone")
    return main


def parse_enrolments(items: Sequence[str]) -> dict[str, list[str]]:
    """The files of each name in `items`, each of the form ``name=file``. Raises `OptionError` on another form.

    >>> parse_enrolments(["anna=a.wav", "bob=x=1.wav", "anna=b.wav"])
    {'anna': ['a.wav', 'b.wav'], 'bob': ['x=1.wav']}
    """
    found: dict[str, list[str]] = {}
    for item in items:
        name, equals, file = item.partition("=")
        if not (name.strip() and equals and file):
            raise OptionError(f"enrolment {item!r}: expected name=file, such as anna=anna.wav")
        found.setdefault(name.strip(), []).append(file)
    return found
