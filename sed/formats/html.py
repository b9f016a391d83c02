"""HTML: one self-contained page per recording, which a browser opens from disk.

It shows a timeline by speaker and emotion over the smoothed probabilities, a summary per speaker, and a searchable list
of the segments. The audio is linked (a relative or absolute URL) or embedded as a ``data:`` URL; without either, the
viewer chooses a file. Nothing is fetched from elsewhere, which the page's content security policy enforces: only its
own script runs, whatever the names of files and speakers contain. Written only, not read.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import os
import string
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from sed.errors import FormatError
from sed.files import load_bytes
from sed.formats.kind import Format
from sed.formats.spelling import TEXT
from sed.palette import colour, ink
from sed.result import Diarization

DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
POINTS = 800  # of the smoothed curve, at most
CURVES = 64  # labels with a curve, at most: more cannot be distinguished, and would cost memory without bound
_SMOOTHING = 80  # the curve is smoothed over the 80th part of the recording, 1 s at least
_MIME = {
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mka": "audio/webm",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
}


def _dump(diarization: Diarization) -> str:
    return dump(diarization)


def dump(diarization: Diarization, audio: str | None = None) -> str:
    """The page of a result; `audio` is the URL that it plays (see `audio_link` and `audio_data`).

    >>> page = dump(Diarization("</script><b>", 9.0, []))
    >>> page.startswith("<!doctype html>"), "</script><b>" in page
    (True, False)
    """
    title = f"{TEXT.write(diarization.uri)} - speech emotion diarization"
    return page(
        title,
        ("list.js", "page.js"),
        {**_data(diarization), "audio": None if audio is None else TEXT.write(audio)},
    )


def page(title: str, scripts: Sequence[str], data: Any, body: str = "<main id='page'></main>") -> str:
    """A page of its own with `data` for the `scripts` of this package's ``static`` folder, which run as one.

    They can use the functions of ``shared.js``.
    """
    static = files("sed.formats") / "static"
    style, *parts = ((static / name).read_text("utf-8") for name in ("page.css", "shared.js", *scripts))
    text, code = _json(data), "".join(parts)
    policy = (
        f"default-src 'none'; script-src 'sha256-{_digest(code)}'; style-src 'unsafe-inline'; img-src data:; "
        "media-src 'self' file: http: https: data: blob:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="generator" content="sed">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n"
        "<noscript>This page needs JavaScript.</noscript>\n"
        f'<script type="application/json" id="data">{text}</script>\n<script>{code}</script>\n</body>\n</html>\n'
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Any) -> str:
    """JSON that cannot end the element that it is in."""
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise FormatError(f"this result cannot be written as HTML ({error})") from None
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _data(diarization: Diarization) -> dict[str, Any]:
    used = dict.fromkeys(s.emotion for s in diarization)
    named = [name for name in used if name is not None and name not in diarization.labels]
    labels: list[str | None] = [*diarization.labels, *named, *([None] if None in used else [])]
    unknown = [None] if any(s.speaker is None for s in diarization) else []
    speakers: list[str | None] = [*diarization.speaker_names, *unknown]
    speaker_rows, label_columns = ({name: n for n, name in enumerate(own)} for own in (speakers, labels))
    paints = [colour(label) for label in labels]
    return {
        "uri": TEXT.write(diarization.uri),
        "duration": max([diarization.duration, *(s.end for s in diarization)]),
        "labels": [_text(label) for label in labels],
        "colours": paints,
        "inks": [ink(paint) for paint in paints],
        "speakers": [_text(speaker) for speaker in speakers],
        "segments": _columns(diarization, speaker_rows, label_columns),
        "curve": smoothed(diarization, labels),
        "dimensions": [TEXT.write(name) for name in diarization.dimensions],
        "settings": dict(diarization.settings),
    }


def _columns(
    diarization: Diarization, speakers: dict[str | None, int], labels: dict[str | None, int]
) -> dict[str, Any]:
    """The segments as short columns: 10,000 of them with the probabilities of four labels take about 220 KB.

    start: milliseconds after the start of the segment before; length: milliseconds; speaker, label: numbers;
    confidence: thousandths or None; probabilities: for every segment one digit of `DIGITS` per label, in 63rds, or
    blanks. No probabilities at all are the empty string.
    """
    segments = list(diarization)
    starts = [round(1000 * s.start) for s in segments]
    blank, known = " " * len(diarization.labels), any(s.probabilities for s in segments)
    return {
        "start": [start - before for start, before in zip(starts, [0, *starts], strict=False)],
        "length": [round(1000 * s.end) - start for s, start in zip(segments, starts, strict=True)],
        "speaker": [speakers[s.speaker] for s in segments],
        "label": [labels[s.emotion] for s in segments],
        "confidence": [None if s.confidence is None else round(1000 * s.confidence) for s in segments],
        "probabilities": "".join(
            "".join(DIGITS[round(63 * s.probabilities.get(label, 0.0))] for label in diarization.labels)
            if s.probabilities
            else blank
            for s in segments
        )
        if known
        else "",
    }


def _text(name: str | None) -> str | None:
    return None if name is None else TEXT.write(name)


def smoothed(diarization: Diarization, labels: list[str | None]) -> list[list[int]]:
    """How much of each label is in the speech around each of at most `POINTS` equidistant times, in percent.

    One row per time and one column per label; a row sums to the share of the time around it in which a speaker is
    active. Frames have the posteriors of the recording, or else the mean probabilities of their segment, or else its
    emotion. Frames are averaged over a triangle. Empty with more than `CURVES` labels.
    """
    end = max([diarization.duration, *(s.end for s in diarization)], default=0.0)
    count = int(min(POINTS, max(2.0, end * 4)))
    if end <= 0 or not 0 < len(labels) <= CURVES:
        return []
    width = end / count
    sums, active = np.zeros((count, len(labels))), np.zeros(count)
    for s in diarization:
        first, last = int(s.start / width), min(count - 1, int(s.end / width))
        edges = np.arange(first, last + 2) * width
        shares = np.clip(np.minimum(edges[1:], s.end) - np.maximum(edges[:-1], s.start), 0, None) / width
        shares, place = shares[: count - first], slice(first, last + 1)
        sums[place] += shares[:, None] * _rows(diarization, s, labels, edges)[: len(shares)]
        active[place] += shares
    half = min(max(1, round(max(1.0, end / _SMOOTHING) / width)), (count - 1) // 2)
    kernel = np.bartlett(2 * half + 1)
    weight = np.convolve(np.ones(count), kernel, "same")
    share = np.convolve(np.minimum(active, 1.0), kernel, "same") / weight
    sums = np.stack([np.convolve(column, kernel, "same") for column in sums.T], 1)
    total = np.maximum(sums.sum(1, keepdims=True), 1e-9)
    return np.rint(100 * share[:, None] * sums / total).astype(int).tolist()


def _rows(diarization: Diarization, segment: Any, labels: list[str | None], edges: np.ndarray) -> np.ndarray:
    """The probabilities of `labels` ``(times, labels)`` in a segment, between each two of `edges`."""
    count, rows = len(edges) - 1, np.zeros((len(edges) - 1, len(labels)))
    if (frames := diarization.posteriors) is not None and len(frames):
        middle = (
            np.clip((edges[1:] + edges[:-1]) / 2, segment.start, segment.end) * diarization.frame_rate
        ).astype(int)
        rows[:, : frames.shape[1]] = frames[np.clip(middle, 0, len(frames) - 1)]
    elif segment.probabilities and segment.emotion in diarization.labels:
        rows[:] = [segment.probabilities.get(label or "", 0.0) for label in labels]
    else:
        rows[:, labels.index(segment.emotion)] = 1.0
    return rows if count else rows[:0]


def audio_link(audio: str | os.PathLike[str], page_path: str | os.PathLike[str]) -> str:
    """The URL of an audio file, relative to the page at `page_path` if both are on one drive.

    >>> audio_link("calls/a #1.wav", "out/a.html")
    '../calls/a%20%231.wav'
    """
    try:
        found = os.path.relpath(os.path.abspath(audio), os.path.dirname(os.path.abspath(page_path)))
    except ValueError:  # another drive on Windows
        return Path(os.path.abspath(audio)).as_uri()
    return quote(os.fsencode(Path(found).as_posix()))


def audio_data(audio: str | os.PathLike[str]) -> str:
    """An audio file as a ``data:`` URL. Raises `FormatError` if it cannot be read."""
    suffix = Path(audio).suffix.lower()
    mime = _MIME.get(suffix) or mimetypes.guess_type(f"a{suffix}")[0] or "audio/wav"
    return f"data:{mime};base64,{base64.b64encode(load_bytes(audio)).decode()}"


FORMAT = Format("html", (".html", ".htm"), _dump, dump_with_audio=dump)
