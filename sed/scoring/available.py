"""Annotations of both sides in; for each metric that they do not allow, the reason out."""

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
    """The reason for each metric that cannot be computed on these annotations.

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
                    unnamed = names.count(None)
                    some, every = bool(some) or unnamed < len(names), every is not False and not unnamed
            for metric, needs in NEEDS.items():
                if what in needs and metric not in reasons:
                    if some is False:
                        reasons[metric] = f"the {side} name no {what}s"
                    elif every is False and metric in ("der", "joint"):
                        reasons[metric] = f"the {side} have segments without {what}"
    return reasons
