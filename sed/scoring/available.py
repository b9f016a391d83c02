"""Which metrics annotations allow: recordings of both sides in, a reason for each that cannot be computed out."""

from __future__ import annotations

from collections.abc import Iterable

from sed.result import Diarization

NEEDS = {
    "eder": ("emotion",),
    "der": ("speaker",),
    "joint": ("speaker", "emotion"),
    "events": ("emotion",),
    "boundaries": ("emotion",),
}


def available(references: Iterable[Diarization], hypotheses: Iterable[Diarization]) -> dict[str, str]:
    """For each metric that cannot be computed on these, the reason.

    >>> from sed.result import Segment
    >>> zed = [Diarization("u", 2.0, [Segment(0, 1, None, "sad")])]
    >>> available(zed, zed)["der"]
    'the references name no speakers'
    """
    reasons: dict[str, str] = {}
    for side, corpus in (("references", list(references)), ("hypotheses", list(hypotheses))):
        for what in ("emotion", "speaker"):
            some = every = None
            for item in corpus:
                for segment in item.segments:
                    named = getattr(segment, what) is not None
                    some, every = bool(some) or named, (every is None or every) and named
            for metric, needs in NEEDS.items():
                if what in needs and metric not in reasons:
                    if some is False:
                        reasons[metric] = f"the {side} name no {what}s"
                    elif every is False and metric in ("der", "joint"):
                        reasons[metric] = f"the {side} have segments without {what}"
    return reasons
