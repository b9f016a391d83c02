"""ELAN (.eaf, version 3.0): a tier a speaker, whose annotations are emotions; times in milliseconds.

The recording's name and duration stand in properties of the header. What is not known is ``<NA>``; a speaker who
shows two emotions at once gets a second tier, with the speaker as its participant.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sed.errors import FormatError
from sed.formats import xml
from sed.formats.kind import Format, lanes, name, number, one_line
from sed.result import Diarization, Segment

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_URI, _DURATION = "sed:uri", "sed:duration"


def _dump(diarization: Diarization) -> str:
    from xml.etree.ElementTree import Element, SubElement

    root = Element(
        "ANNOTATION_DOCUMENT", AUTHOR="sed", DATE="1970-01-01T00:00:00+00:00", FORMAT="3.0", VERSION="3.0"
    )
    root.set("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
    root.set("xsi:noNamespaceSchemaLocation", _SCHEMA)
    header = SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    SubElement(header, "PROPERTY", NAME=_URI).text = diarization.uri
    SubElement(header, "PROPERTY", NAME=_DURATION).text = repr(float(diarization.duration))
    times = SubElement(root, "TIME_ORDER")
    instants = sorted({instant for segment in diarization for instant in _span(segment)})
    slots = {instant: f"ts{count}" for count, instant in enumerate(instants, 1)}
    for instant, slot in slots.items():
        SubElement(times, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(instant))
    count = 0
    used: set[str] = set()
    for speaker, segments in lanes(diarization):
        who = one_line(speaker)
        label = next(n for n in _numbered(who) if n not in used)
        used.add(label)
        tier = SubElement(root, "TIER", LINGUISTIC_TYPE_REF="emotion", PARTICIPANT=who, TIER_ID=label)
        for segment in segments:
            count += 1
            start, end = (slots[instant] for instant in _span(segment))
            holder = SubElement(
                SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{count}"
            )
            holder.attrib |= {"TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}
            SubElement(holder, "ANNOTATION_VALUE").text = one_line(segment.emotion)
    kind = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "emotion", "TIME_ALIGNABLE": "true"}
    SubElement(root, "LINGUISTIC_TYPE", kind)
    return xml.dump(root)


def _span(segment: Segment) -> tuple[int, int]:
    """Milliseconds; ELAN has no annotation shorter than one."""
    start = round(segment.start * 1000)
    return start, max(round(segment.end * 1000), start + 1)


def _numbered(who: str) -> Iterator[str]:
    yield who
    count = 1
    while True:
        count += 1
        yield f"{who} ({count})"


def _parse(text: str, path: Path) -> list[Diarization]:
    root = xml.parse(text, path, "ANNOTATION_DOCUMENT")
    slots: dict[str, float] = {}
    for slot in root.iter("TIME_SLOT"):
        if (value := slot.get("TIME_VALUE")) is not None:  # one without a time lies between its neighbours
            slots[slot.get("TIME_SLOT_ID", "")] = number(value, str(path), "TIME_VALUE") / 1000
    segments = []
    for tier in root.iter("TIER"):
        label = tier.get("TIER_ID", "")
        who = name(tier.get("PARTICIPANT") or label, f"{path}, tier {label}", "PARTICIPANT")
        for row in tier.iter("ALIGNABLE_ANNOTATION"):
            where = f"{path}, annotation {row.get('ANNOTATION_ID')}"
            ends = [slots.get(row.get(key, "")) for key in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")]
            if ends[0] is None or ends[1] is None:
                raise FormatError(f"{where}: found no time at one of its ends, expected one at each")
            what = name((row.findtext("ANNOTATION_VALUE") or "").strip(), where, "ANNOTATION_VALUE")
            try:
                segments.append(Segment(ends[0], ends[1], who, what))
            except FormatError as error:
                raise FormatError(f"{where}: {error}") from None
    stated = {p.get("NAME"): p.text or "" for p in root.iter("PROPERTY")}
    duration = number(stated[_DURATION], str(path), _DURATION) if _DURATION in stated else 0.0
    end = max((s.end for s in segments), default=0.0)
    return [Diarization(stated.get(_URI) or FORMAT.uri(path), max(duration, end), segments)]


FORMAT = Format("eaf", (".eaf",), _dump, _parse)
