"""EmotionML 1.0 (W3C): one ``<emotion>`` per segment, with its time as a media fragment (seconds).

The labels are a vocabulary in the document. Speakers, for whom EmotionML has no element, are in ``<info>``. A segment
without an emotion cannot be written.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, unquote

from sed.errors import FormatError
from sed.formats import xml
from sed.formats.kind import Format, collect, name_of, number, segment_of
from sed.formats.lenience import file_warnings
from sed.formats.spelling import MARKUP
from sed.result import Diarization, Segment

_SPACE = "http://www.w3.org/2009/10/emotionml"
_OWN = "urn:x-sed:annotation"  # x- marks unregistered names
_FRAGMENT = re.compile(r"(.*)#t=(?:npt:)?([\d.]*),([\d.]+)")


def _dump(diarization: Diarization) -> str:
    from xml.etree.ElementTree import Element, SubElement

    shown = [s.emotion for s in diarization if s.emotion is not None]
    if len(shown) < len(diarization):
        first = next(s for s in diarization if s.emotion is None)
        raise FormatError(f"a segment at {first.start} s has no emotion: EmotionML needs one for each")
    root = Element("emotionml", {"version": "1.0", "xmlns": _SPACE, "xmlns:sed": _OWN})
    uri = MARKUP.write(diarization.uri)
    about = {"uri": uri, "duration": repr(float(diarization.duration))}
    SubElement(SubElement(root, "info"), "sed:recording", about)
    if labels := list(dict.fromkeys([*diarization.labels, *shown])):
        root.set("category-set", "#labels")
        vocabulary = SubElement(root, "vocabulary", type="category", id="labels")
        for label in labels:
            SubElement(vocabulary, "item", name=MARKUP.write(label))
    for segment in diarization:
        emotion = SubElement(root, "emotion", {"expressed-through": "voice"})
        if segment.speaker is not None:
            SubElement(SubElement(emotion, "info"), "sed:speaker").text = MARKUP.write(segment.speaker)
        category = SubElement(emotion, "category", name=MARKUP.write(segment.emotion or ""))
        if segment.confidence is not None:
            category.set("confidence", f"{segment.confidence:.4g}")
        place = f"{quote(uri, safe='')}#t={segment.start:.6f},{segment.end:.6f}"
        SubElement(emotion, "reference", uri=place, role="expressedBy")
    return xml.dump(root)


def _parse(text: str, path: Path) -> list[Diarization]:
    root = xml.parse(text, path, "emotionml")
    rows: dict[str, list[Segment]] = {}
    durations: dict[str, float] = {}
    files: dict[str, str] = {}
    for recording in root.iterfind(f"{{*}}info/{{{_OWN}}}recording"):
        uri = MARKUP.read(recording.get("uri", ""))
        rows[uri], durations[uri] = [], number(recording.get("duration"), str(path), "duration")
    labels = [MARKUP.read(item.get("name", "")) for item in root.iterfind("{*}vocabulary/{*}item")]
    with file_warnings(path) as warnings:
        for count, emotion in enumerate(root.iterfind("{*}emotion"), 1):
            where = f"{path}, emotion {count}"
            category, reference = emotion.find("{*}category"), emotion.find("{*}reference")
            place = None if reference is None else _FRAGMENT.fullmatch(reference.get("uri", ""))
            if category is None or place is None:
                raise FormatError(f"{where}: expected a category, and a reference that ends in #t=start,end")
            values = {"start": place[2] or "0", "end": place[3], "emotion": category.get("name")}
            values["confidence"] = category.get("confidence")
            values["speaker"] = emotion.findtext(f"{{*}}info/{{{_OWN}}}speaker")
            file = MARKUP.read(unquote(place[1]))
            uri = file if file in durations else name_of(file, files, where)
            segment = segment_of(values, where, warnings, MARKUP)
            rows.setdefault(uri, []).extend([segment] if segment else [])
    found = collect(rows, labels)
    return [
        Diarization(d.uri, max(d.duration, durations.get(d.uri, 0.0)), d.segments, d.labels) for d in found
    ]


FORMAT = Format(
    "emotionml", (".emotionml",), _dump, _parse, sniff=lambda text: xml.has_root(text, "emotionml")
)
