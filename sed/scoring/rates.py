"""Error rates as values: seconds of each kind of error in, a rate out.

A rate has its components, raises an error if they do not add up, and is combined with others by summing seconds,
so ``sum(rates).rate`` is the pooled rate of a corpus. If the reference has no speech in the scored time, a rate of
speech is 0 without errors and 1 otherwise (the convention of pyannote.metrics); if no time was scored, it is nan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import ClassVar, TypeVar

from sed.errors import OptionError
from sed.scoring.confusion import ConfusionMatrix

TOLERANCE = 1e-6  # relative, for the check that the parts sum to the whole
Rate = TypeVar("Rate", bound="ErrorRate")


@dataclass(frozen=True)
class ErrorRate:
    """Base class of the error rates below.

    `correct` and `total` are seconds of reference labels, as are the parts that subclasses add.
    """

    ERRORS: ClassVar[tuple[str, ...]] = ()
    """Parts whose sum is the numerator."""
    WITHIN: ClassVar[tuple[str, ...]] = ()
    """Parts that, with `correct`, make up `total`."""

    correct: float
    total: float
    scored: float | None = field(default=None, kw_only=True, compare=False, repr=False)
    """Scored time of the recording in seconds; None if unknown."""

    def __post_init__(self) -> None:
        parts = self.parts
        if not all(math.isfinite(value) and value >= 0 for value in parts.values()):
            raise OptionError(f"{type(self).__name__} with parts {parts}: expected finite seconds, 0 or more")
        whole = self.correct + sum(parts[name] for name in self.WITHIN)
        if abs(whole - self.total) > TOLERANCE * max(1.0, self.total):
            names = " + ".join(("correct", *self.WITHIN))
            raise OptionError(
                f"{type(self).__name__}: {names} = {whole} s, expected the total, {self.total} s"
            )

    @property
    def parts(self) -> dict[str, float]:
        """Every component by name, in seconds."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.compare}

    @property
    def errors(self) -> float:
        """Seconds of error: the sum of the parts named in `ERRORS`."""
        return math.fsum(getattr(self, name) for name in self.ERRORS)

    @property
    def rate(self) -> float:
        """Errors over total, 0 if perfect; may exceed 1, and is nan if nothing was scored."""
        if self.total == 0:
            return math.nan if self.scored == 0 else float(self.errors > 0)
        return self.errors / self.total

    def __add__(self: Rate, other: Rate) -> Rate:
        if type(self) is not type(other):
            return NotImplemented
        names = [f.name for f in fields(self) if f.name != "scored"]
        both = {name: getattr(self, name) + getattr(other, name) for name in names}
        known = self.scored is not None and other.scored is not None
        return type(self)(**both, scored=self.scored + other.scored if known else None)  # type: ignore[operator]

    def __radd__(self: Rate, other: object) -> Rate:
        return self if other == 0 else NotImplemented  # the start value of sum()

    def to_dict(self) -> dict[str, float]:
        """The rate and its parts, for JSON."""
        return {"rate": self.rate, "errors": self.errors, **self.parts}


@dataclass(frozen=True)
class EmotionErrorRate(ErrorRate):
    """EDER and its parts, returned by `sed.scoring.eder`.

    `false_alarm` is neutral time with an emotion in the hypothesis, `missed_emotion` emotional time with neutral
    (or without one of several simultaneous emotions), `confusion` emotional time with another emotion, `overlap`
    time of labels beyond those of the reference. `matrix` has the seconds of each pair of labels.

    >>> a = EmotionErrorRate(correct=8.0, total=10.0, false_alarm=0.5, missed_emotion=1.0, confusion=0.5)
    >>> b = EmotionErrorRate(correct=30.0, total=30.0)
    >>> a.rate, (a + b).rate, sum([a, b]).total
    (0.2, 0.05, 40.0)
    """

    ERRORS: ClassVar[tuple[str, ...]] = ("false_alarm", "missed_emotion", "confusion", "overlap")
    WITHIN: ClassVar[tuple[str, ...]] = ("false_alarm", "missed_emotion", "confusion")

    false_alarm: float = 0.0
    missed_emotion: float = 0.0
    confusion: float = 0.0
    overlap: float = 0.0
    matrix: ConfusionMatrix = field(default_factory=ConfusionMatrix, compare=False, repr=False)

    @property
    def rate(self) -> float:
        """Errors over total; nan if nothing was scored (neutral fills all scored time)."""
        return self.errors / self.total if self.total else math.nan


@dataclass(frozen=True)
class SpeakerErrorRate(ErrorRate):
    """DER and its parts, returned by `sed.scoring.der`.

    `missed_detection` is speech without a speaker in the hypothesis, `false_alarm` speech of the hypothesis beyond
    that of the reference, `confusion` speech attributed to another speaker.
    """

    ERRORS: ClassVar[tuple[str, ...]] = ("false_alarm", "missed_detection", "confusion")
    WITHIN: ClassVar[tuple[str, ...]] = ("missed_detection", "confusion")

    false_alarm: float = 0.0
    missed_detection: float = 0.0
    confusion: float = 0.0


@dataclass(frozen=True)
class JointErrorRate(ErrorRate):
    """The joint error of speaker and emotion, returned by `sed.scoring.joint_error`.

    `false_alarm` and `missed_detection` are detection errors, `speaker_confusion` is speech attributed to another
    speaker (with any emotion), `emotion_confusion` speech with the correct speaker and another emotion. Without
    the last, this is DER.
    """

    ERRORS: ClassVar[tuple[str, ...]] = (
        "false_alarm",
        "missed_detection",
        "speaker_confusion",
        "emotion_confusion",
    )
    WITHIN: ClassVar[tuple[str, ...]] = ("missed_detection", "speaker_confusion", "emotion_confusion")

    false_alarm: float = 0.0
    missed_detection: float = 0.0
    speaker_confusion: float = 0.0
    emotion_confusion: float = 0.0

    @property
    def detection_rate(self) -> float:
        """The error due to detection: missed and falsely detected speech over total."""
        return (self.missed_detection + self.false_alarm) / self.total if self.total else self.rate

    @property
    def speaker_rate(self) -> float:
        """The error due to speaker confusion, over total."""
        return self.speaker_confusion / self.total if self.total else 0.0

    @property
    def emotion_rate(self) -> float:
        """The error due to emotion confusion, over total."""
        return self.emotion_confusion / self.total if self.total else 0.0


@dataclass(frozen=True)
class SpeechBrainErrorRate(ErrorRate):
    """What `speechbrain.utils.EDER.EDER` computes: 1 - (seconds of agreement) / duration.

    It has no parts and is, by its definition, negative if segments exceed the duration.
    """

    def __post_init__(self) -> None:
        if not (math.isfinite(self.correct) and self.correct >= 0 and self.total > 0):
            raise OptionError(
                f"{self.correct} s of agreement in {self.total} s: expected 0 or more in more than 0"
            )

    @property
    def errors(self) -> float:
        """Duration minus agreement; negative if the agreement exceeds the duration."""
        return self.total - self.correct

    @property
    def rate(self) -> float:
        """``1 - correct / total``, in this order of operations."""
        return 1 - self.correct / self.total
