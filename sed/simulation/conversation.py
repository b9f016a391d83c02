"""Simulated conversations with exact references.

In: utterances of several speakers, each with one emotion (16 kHz mono float32), a seed, options. Out: the samples
``(n,)`` float32 and a `Diarization` whose times are exact to the sample. The same seed gives the same bytes. All
statistics are fields of `ConversationOptions`, which documents their sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sed.errors import OptionError
from sed.grid import SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from sed.result import Diarization
from sed.simulation.acoustics import apply_line, noise, reverberate, room_responses
from sed.simulation.options import ConversationOptions
from sed.simulation.simulated_speaker import SimulatedSpeaker, Utterance, log_normal

__all__ = ["ConversationOptions", "Utterance", "simulate_conversation"]


def simulate_conversation(
    utterances: Mapping[str, Sequence[Utterance]],
    seed: int | np.random.Generator,
    options: ConversationOptions | None = None,
    *,
    uri: str = "conversation",
) -> tuple[np.ndarray, Diarization]:
    """Simulate a conversation of all speakers in `utterances` (speaker name -> utterances).

    Returns ``(n,)`` float32 samples at 16 kHz within full scale, and the exact reference `uri`, whose labels are the
    neutral one followed by `options.emotions` in order. Raises `OptionError` if there is no speaker or one without
    audible neutral utterances, and `MissingDependencyError` if a room is drawn but pyroomacoustics is not installed.

    >>> t = np.arange(32000) / 16000
    >>> utterances = {name: [Utterance(emotion, 0.1 * np.sin(2 * np.pi * f * k * t).astype(np.float32))
    ...                      for k, emotion in enumerate(("neutral", "happy", "sad"), 1)]
    ...               for name, f in (("ann", 220), ("bob", 110))}
    >>> samples, reference = simulate_conversation(utterances, 1, ConversationOptions(duration=20))
    >>> reference.speaker_names, len(samples) == round(reference.duration * 16000)
    (('ann', 'bob'), True)
    """
    options = options or ConversationOptions()
    rng = np.random.default_rng(seed)
    if not utterances:
        raise OptionError("found no speakers, expected at least one with utterances")
    speakers = [SimulatedSpeaker(name, own, options, rng) for name, own in utterances.items()]
    _take_turns(speakers, options, rng)
    length = max(speaker.end for speaker in speakers) + seconds_to_samples(0.5)
    samples = _mix(speakers, length, options, rng)
    labels = (options.neutral, *options.emotions)
    segments = [segment for speaker in speakers for segment in speaker.segments()]
    return samples, Diarization(uri, samples_to_seconds(length), segments, labels)


def _take_turns(
    speakers: list[SimulatedSpeaker], options: ConversationOptions, rng: np.random.Generator
) -> None:
    """Add turns and backchannels to `speakers` until `options.duration` is reached and all have spoken."""
    first_turns = [speakers[i] for i in rng.permutation(len(speakers))]
    current: SimulatedSpeaker | None = None
    previous: SimulatedSpeaker | None = None
    start, end = 0, seconds_to_samples(rng.uniform(0.3, 1.0))
    while first_turns or samples_to_seconds(end) < options.duration:
        speaker = (
            first_turns.pop() if first_turns else _next_speaker(speakers, current, previous, options, rng)
        )
        samples, pieces = speaker.next_turn()
        if current is None:
            turn_start = end
        elif speaker is current:
            turn_start = end + log_normal(rng, *options.hold_pause)
        else:
            limit = min(seconds_to_samples(options.longest_overlap), len(samples) // 2, (end - start) // 2)
            turn_start = end + max(_draw_offset(rng, options), -limit)
            previous = current
        turn_start = max(turn_start, speaker.end + seconds_to_samples(0.1) if speaker.end else 0)
        speaker.add_speech(turn_start, samples, pieces)
        start, end, current = turn_start, max(end, turn_start + len(samples)), speaker
        if len(samples) > 3 * SAMPLE_RATE and rng.random() < options.backchannels:
            listeners = [other for other in speakers if other is not speaker and other.end < start]
            if listeners:
                position = start + int(rng.uniform(0.3, 0.7) * len(samples))
                listeners[rng.integers(len(listeners))].add_backchannel(position)


def _next_speaker(
    speakers: list[SimulatedSpeaker],
    current: SimulatedSpeaker | None,
    previous: SimulatedSpeaker | None,
    options: ConversationOptions,
    rng: np.random.Generator,
) -> SimulatedSpeaker:
    """Draw the next speaker; the one before the current one is twice as likely as the others."""
    others = [speaker for speaker in speakers if speaker is not current]
    if not others or (current is not None and rng.random() < options.hold):
        return current or speakers[0]
    weights = np.array([2.0 if speaker is previous else 1.0 for speaker in others])
    return others[rng.choice(len(others), p=weights / weights.sum())]


def _draw_offset(rng: np.random.Generator, options: ConversationOptions) -> int:
    if rng.random() < options.lapse:
        return seconds_to_samples(0.5 + rng.exponential(options.lapse_pause))
    return seconds_to_samples(rng.normal(*options.offset))


def _draw_room_size(rng: np.random.Generator, options: ConversationOptions) -> tuple[float, float, float]:
    length, width, height = (float(rng.uniform(*extent)) for extent in options.room_size)
    return length, width, height


def _mix(
    speakers: list[SimulatedSpeaker], length: int, options: ConversationOptions, rng: np.random.Generator
) -> np.ndarray:
    """Mix all speakers at one microphone, with the room, noise and line drawn from `options`."""
    responses: list[np.ndarray] = []
    if rng.random() < options.room:
        size = _draw_room_size(rng, options)
        distances = [float(rng.uniform(*options.distance)) for _ in speakers]
        responses = room_responses(rng, float(rng.uniform(*options.reverberation)), distances, size)
    mix = np.zeros(length, np.float32)
    for index, speaker in enumerate(speakers):
        track = np.zeros(length, np.float32)
        for start, clip in speaker.clips:
            track[start : start + len(clip)] += clip
        mix += reverberate(track, responses[index]) if responses else track
    if options.noise is not None:
        noise_level = options.level - float(rng.uniform(*options.noise))
        mix += np.float32(10 ** (noise_level / 20)) * noise(rng, length, float(rng.uniform(-6, 0)))
    if (peak := float(np.abs(mix).max())) > 0.97:
        mix *= np.float32(0.97 / peak)
    weights = np.array(list(options.lines.values()), float)
    line = list(options.lines)[rng.choice(len(weights), p=weights / weights.sum())]
    return np.clip(apply_line(mix, line), -1, 1).astype(np.float32)
