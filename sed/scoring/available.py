"""Which metrics annotations allow: recordings of both sides in, a reason for each that cannot be computed out."""

from __future__ import annotations

from collections.abc import Iterable

from sed.scoring.spans import Annotated, Spans

NEEDS = {
    "eder": ("emotion",),
    "der": ("speaker",),
    "joint": ("speaker", "emotion"),
    "events": ("emotion",),
    "boundaries": ("emotion",),
}


def available(references: Iterable[Annotated], hypotheses: Iterable[Annotated]) -> dict[str, str]:
    """For each metric that cannot be computed on these, the reason.

    >>> from sed.result import Diarization, Segment
    >>> zed = [Diarization("u", 2.0, [Segment(0, 1, None, "sad")])]
    >>> available(zed, zed)["der"]
    'the references name no speakers'
    """
    reasons: dict[str, str] = {}
    for side, annotated in (("references", references), ("hypotheses", hypotheses)):
        corpus = [Spans.of(item) for item in annotated]
        for what in ("emotion", "speaker"):
            some = every = None
            for item in corpus:
                names = item.emotions if what == "emotion" else item.speakers
                if len(names):
                    nameless = names.count(None)
                    some, every = bool(some) or nameless < len(names), every is not False and not nameless
            for metric, needs in NEEDS.items():
                if what in needs and metric not in reasons:
                    if some is False:
                        reasons[metric] = f"the {side} name no {what}s"
                    elif every is False and metric in ("der", "joint"):
                        reasons[metric] = f"the {side} have segments without {what}"
    return reasons
