"""The end of each recording, the same for all systems: annotations of all sides in, one duration per recording out.

A recording has the duration that its reference states. If the reference states none (RTTM, CSV), it is the duration of
the audio as stated by a hypothesis, or else the end of the reference's last segment. The segments of a hypothesis are
never used: a system could extend recordings, and lower its error rate, with neutral segments after their end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from sed.result import Diarization
from sed.scoring.intervals import EPSILON

SHOWN = 5  # recordings listed in a message
DIFFERENT = 0.1  # seconds between stated durations of one recording above which a warning is logged


@dataclass(frozen=True)
class Ends:
    """`durations` in seconds of the recordings whose reference states none.

    `from_segments` end with the reference's last segment, since no side states a duration; `from_hypotheses` end
    later, as stated by a hypothesis; `disputed` have different stated durations, of which the shortest is used.
    """

    durations: Mapping[str, float] = field(default_factory=dict)
    from_segments: tuple[str, ...] = ()
    from_hypotheses: tuple[str, ...] = ()
    disputed: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """Warnings on durations that are assumed or disputed, one sentence each."""
        lines = []
        if self.from_segments:
            lines.append(
                "no duration is stated, so scored up to the end of the reference's last segment "
                f"(--uem sets another region): {self._shown(self.from_segments)}"
            )
        if self.from_hypotheses:
            lines.append(
                "the reference states no duration, so scored up to the one that the hypothesis states, after the end "
                f"of the reference's last segment (--uem sets another region): {self._shown(self.from_hypotheses)}"
            )
        if self.disputed:
            lines.append(
                "hypotheses state different durations; the shortest that contains the reference is used: "
                f"{self._shown(self.disputed)}"
            )
        return lines

    def _shown(self, names: Sequence[str]) -> str:
        shown = ", ".join(f"{name} ({self.durations[name]:.2f} s)" for name in names[:SHOWN])
        return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def common_ends(
    references: Mapping[str, Diarization],
    stated: Set[str],
    systems: Iterable[tuple[Mapping[str, Diarization], Set[str]]],
) -> Ends:
    """The ends of the `references` that are not in `stated`, the recordings whose reference states a duration.

    `systems` are the hypotheses of all systems to be compared, each with the recordings whose duration they state.

    >>> from sed.result import Segment
    >>> reference = {"call": Diarization("call", 8.0, [Segment(1.0, 8.0, "ann", "sad")])}
    >>> hypothesis = {"call": Diarization("call", 10.0, [Segment(1, 8, "x", "sad"), Segment(8, 10, "x", "sad")])}
    >>> common_ends(reference, set(), [(hypothesis, set())]).durations
    {'call': 8.0}
    >>> common_ends(reference, set(), [(hypothesis, {"call"})]).durations
    {'call': 10.0}
    """
    systems = list(systems)
    durations: dict[str, float] = {}
    segments, hypotheses, disputed = [], [], []
    for name in sorted(references.keys() - stated):
        last = max((s.end for s in references[name].segments), default=0.0)
        claims = [found[name].duration for found, known in systems if name in known and name in found]
        possible = [duration for duration in claims if duration >= last - EPSILON]
        durations[name] = max(last, min(possible, default=last))
        if not possible:
            segments.append(name)
        elif durations[name] - last > EPSILON:
            hypotheses.append(name)
        if claims and max(claims) - min(claims) > DIFFERENT:
            disputed.append(name)
    return Ends(durations, tuple(segments), tuple(hypotheses), tuple(disputed))
