"""`ConversationOptions`: the statistics of simulated conversations, with their sources."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sed.errors import OptionError
from sed.simulation.acoustics import LINES


@dataclass(frozen=True)
class ConversationOptions:
    """Statistics of a conversation. Times are seconds; "median" and "spread" are those of a log-normal distribution.

    duration: the conversation ends with the first turn that passes this, once all speakers have spoken.
    neutral: the neutral label; every speaker needs utterances with it.
    emotions: relative frequencies of the emotions of events. ZED: happy 62, angry 52, sad 66 of 180.
    patterns: relative frequencies of turns in which an emotion starts (ne), ends (en), fills the turn (e), or starts
        and ends (nen), with the median and spread of each part. Maximum likelihood on the 180 annotations of ZED.
    neutral_turns: share of fully neutral turns among those that start neutral. ZED has none, because its utterances
        were selected for their emotion; the value is our choice.
    neutral_turn: median and spread of such a turn. Our choice.
    pause: median and spread of the pauses within a turn. Campione and Veronis (2002): most read and
        spontaneous pauses lie between 0.2 and 1 s.
    offset: mean and standard deviation of the floor-transfer offset, normal; negative is overlap. Stivers et al.
        (2009): mean 0.2 s over ten languages; Heldner and Edlund (2010): a third to 40 % are overlaps.
    lapse, lapse_pause: share of transfers after a longer silence, and the mean of that silence (exponential).
    longest_overlap: limit of the overlap at a transfer; half of the shorter turn is the other limit.
    hold, hold_pause: share of turns after which the same speaker continues, and median and spread of the pause.
    backchannels: share of turns over 3 s that another speaker overlaps with half a second of speech. Our choice.
    level, level_spread: mean speech level in dB relative to full scale, and its standard deviation over speakers.
    loudness_kept: how much of the level of an utterance relative to the mean of the speaker is kept (0 none, 1 all).
        Angry speech is louder, but actors at a fixed microphone exaggerate (27 dB in RAVDESS).
    room, reverberation: share of conversations in a room, and the range of its reverberation time.
    room_size, distance: ranges of length, width and height of the room, and of the distance from speaker to
        microphone, in metres. Living and meeting rooms with the recorder on the table. Our choice.
    noise: range of the signal-to-noise ratio of the speech in dB; None: no noise.
    lines: relative frequencies of wide-band, telephone and Opus recordings.
    """

    duration: float = 60.0
    neutral: str = "neutral"
    emotions: Mapping[str, float] = field(default_factory=lambda: {"happy": 62, "angry": 52, "sad": 66})
    patterns: Mapping[str, tuple[float, tuple[tuple[float, float], ...]]] = field(
        default_factory=lambda: {
            "ne": (94, ((2.26, 0.60), (2.54, 0.58))),
            "en": (35, ((2.25, 0.65), (2.08, 0.54))),
            "e": (30, ((4.34, 0.48),)),
            "nen": (21, ((1.31, 0.58), (1.76, 0.63), (1.29, 0.58))),
        }
    )
    neutral_turns: float = 0.25
    neutral_turn: tuple[float, float] = (3.0, 0.6)
    pause: tuple[float, float] = (0.35, 0.5)
    offset: tuple[float, float] = (0.2, 0.6)
    lapse: float = 0.1
    lapse_pause: float = 1.0
    longest_overlap: float = 1.5
    hold: float = 0.2
    hold_pause: tuple[float, float] = (0.7, 0.4)
    backchannels: float = 0.25
    level: float = -26.0
    level_spread: float = 3.0
    loudness_kept: float = 0.3
    room: float = 0.5
    reverberation: tuple[float, float] = (0.2, 0.5)
    room_size: tuple[tuple[float, float], ...] = ((4.0, 6.5), (3.5, 5.0), (2.5, 3.0))
    distance: tuple[float, float] = (0.5, 1.5)
    noise: tuple[float, float] | None = (12.0, 35.0)
    lines: Mapping[str, float] = field(default_factory=lambda: {"wide": 0.7, "telephone": 0.2, "opus": 0.1})

    def __post_init__(self) -> None:
        if not 0 < self.duration < math.inf:
            raise OptionError(f"conversation duration {self.duration}: expected seconds above 0")
        if set(self.patterns) != {"ne", "en", "e", "nen"}:
            raise OptionError(f"patterns {sorted(self.patterns)}: expected ne, en, e and nen")
        for name in ("neutral_turns", "lapse", "hold", "backchannels", "loudness_kept", "room"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"conversation option {name} is {getattr(self, name)}: expected 0 to 1")
        low, high = (0.0, 0.0) if self.noise is None else self.noise
        if not -100 <= low <= high <= 200:
            raise OptionError(f"noise {self.noise}: expected a range in dB such as 5 30, within -100 and 200")
        if len(self.room_size) != 3:
            raise OptionError(f"room_size {self.room_size}: expected ranges of length, width and height")
        if unknown := set(self.lines) - set(LINES):
            raise OptionError(f"lines {sorted(unknown)}: expected some of {', '.join(LINES)}")

    @property
    def emotion_end_probability(self) -> float:
        """Probability that the emotion at the end of a turn is over in the next turn of the same speaker.

        It follows from `patterns`: the share of turns that start with an emotion must equal that in ZED (en and e),
        although more turns end with one (ne and e).

        >>> round(ConversationOptions().emotion_end_probability, 3)
        0.476
        """
        share = {name: weight for name, (weight, _) in self.patterns.items()}
        return max(0.0, 1 - (share["en"] + share["e"]) / (share["ne"] + share["e"]))
