"""ELAN (.eaf, version 3.0): one tier per speaker, whose annotations are emotions; times in milliseconds.

The recording's name and duration are properties in the header. Unknown names are ``<NA>``; a speaker with two
emotions at once gets a second tier with the same participant. In files of other programs every tier is read, including
those whose annotations refer to another tier's and take its times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from sed.errors import FormatError
from sed.formats import xml
from sed.formats.kind import Format, make_segment, name, number, one_line, tiers_by_speaker
from sed.formats.lenience import file_warnings
from sed.formats.spelling import LINE, MARKUP
from sed.result import Diarization, Segment

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

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
    SubElement(header, "PROPERTY", NAME=_URI).text = MARKUP.write(diarization.uri)
    SubElement(header, "PROPERTY", NAME=_DURATION).text = repr(float(diarization.duration))
    times = SubElement(root, "TIME_ORDER")
    instants = sorted({instant for segment in diarization for instant in _span(segment)})
    slots = {instant: f"ts{count}" for count, instant in enumerate(instants, 1)}
    for instant, slot in slots.items():
        SubElement(times, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(instant))
    count = 0
    used: set[str] = set()
    for speaker, segments in tiers_by_speaker(diarization):
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
    """Start and end in milliseconds; ELAN has no annotation shorter than one."""
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
    header = root.find("HEADER")
    if (
        unit := "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    ) != "milliseconds":
        raise FormatError(f"{path}: found times in {unit}, expected milliseconds")
    spans = _aligned(root, path)
    _refer(root, spans, path)
    tiers = {tier.get("TIER_ID", ""): tier for tier in root.iter("TIER")}
    segments: list[Segment] = []
    with file_warnings(path) as warnings:
        for label, tier in tiers.items():
            who = name(_speaker(label, tiers), f"{path}, tier {label}", "PARTICIPANT", LINE)
            for row in _annotations(tier):
                where = _where(row, path)
                value = (row.findtext("ANNOTATION_VALUE") or "").strip()
                what = name(value, where, "ANNOTATION_VALUE", LINE)
                segments += filter(None, [make_segment(*spans[row], who, what, where, warnings)])
    stated = {p.get("NAME"): p.text or "" for p in root.iter("PROPERTY")}
    duration = number(stated[_DURATION], str(path), _DURATION) if _DURATION in stated else 0.0
    end = max((s.end for s in segments), default=0.0)
    return [Diarization(MARKUP.read(stated.get(_URI, "")) or FORMAT.uri(path), max(duration, end), segments)]


def _annotations(tier: Element) -> list[Element]:
    return [row for row in tier.iter() if row.tag in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")]


def _where(row: Element, path: Path) -> str:
    return f"{path}, annotation {row.get('ANNOTATION_ID')}"


def _speaker(label: str, tiers: Mapping[str, Element]) -> str:
    """The speaker of the tier `label`: its participant, or else that of its parent tier, or else the tier's name."""
    seen: set[str] = set()
    while True:
        seen.add(label)
        if participant := tiers[label].get("PARTICIPANT"):
            return participant
        parent = tiers[label].get("PARENT_REF", "")
        if parent not in tiers or parent in seen:
            return label
        label = parent


def _aligned(root: Element, path: Path) -> dict[Element, tuple[float, float]]:
    """Start and end in seconds of every time-aligned annotation.

    Time slots without a value divide the interval between their neighbours evenly.
    """
    slots: dict[str, float] = {}
    for slot in root.iter("TIME_SLOT"):
        if (value := slot.get("TIME_VALUE")) is not None:
            slots[slot.get("TIME_SLOT_ID", "")] = number(value, str(path), "TIME_VALUE") / 1000
    spans = {}
    for tier in root.iter("TIER"):
        rows = list(tier.iter("ALIGNABLE_ANNOTATION"))
        ends = [(row.get("TIME_SLOT_REF1", ""), row.get("TIME_SLOT_REF2", "")) for row in rows]
        instants = list(dict.fromkeys(instant for pair in ends for instant in pair))
        known = [place for place, instant in enumerate(instants) if instant in slots]
        for first, last in pairwise(known):
            start, length = slots[instants[first]], slots[instants[last]] - slots[instants[first]]
            for place in range(first + 1, last):
                slots[instants[place]] = round(start + length * (place - first) / (last - first), 3)
        for row, (start_slot, end_slot) in zip(rows, ends, strict=True):
            if start_slot not in slots or end_slot not in slots:
                raise FormatError(f"{_where(row, path)}: found no start or no end time, expected both")
            spans[row] = slots[start_slot], slots[end_slot]
    return spans


def _refer(root: Element, spans: dict[Element, tuple[float, float]], path: Path) -> None:
    """Add the annotations that refer to another one; those of one tier divide its time evenly, in order."""
    of_id = {row.get("ANNOTATION_ID"): row for row in _annotations(root)}
    waiting: list[tuple[Element | None, list[Element]]] = []
    for tier in root.iter("TIER"):
        shared: dict[Element | None, list[Element]] = {}
        for row in tier.iter("REF_ANNOTATION"):
            shared.setdefault(of_id.get(row.get("ANNOTATION_REF")), []).append(row)
        waiting += shared.items()
    while waiting:
        ready = [(parent, rows) for parent, rows in waiting if parent in spans]
        if not ready:
            row = waiting[0][1][0]
            raise FormatError(
                f"{_where(row, path)}: found a reference to {row.get('ANNOTATION_REF')}, expected one to an "
                "annotation with a time"
            )
        for parent, rows in ready:
            assert parent is not None
            start, end = spans[parent]
            bounds = [start + (end - start) * place / len(rows) for place in range(len(rows))] + [end]
            spans |= zip(rows, pairwise(bounds), strict=True)
        waiting = [(parent, rows) for parent, rows in waiting if rows[0] not in spans]


FORMAT = Format("eaf", (".eaf",), _dump, _parse, sniff=lambda text: xml.has_root(text, "ANNOTATION_DOCUMENT"))
