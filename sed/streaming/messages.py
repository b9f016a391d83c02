"""What a stream reports, as JSON messages of the protocol (``sed/server/PROTOCOL.md``) and of ``sed-live``."""

from __future__ import annotations

from typing import Any

from sed.result import Diarization
from sed.streaming.events import Event, Relabel


def event_message(event: Event) -> dict[str, Any]:
    """`event` as a message of type ``segment``.

    >>> from sed.result import Segment
    >>> message = event_message(Event(3, Segment(0.5, 1.0, "spk00", "sad"), True, 1.5, 1.0))
    >>> {key: message[key] for key in ("type", "id", "final", "time", "settled")}
    {'type': 'segment', 'id': 3, 'final': True, 'time': 1.5, 'settled': 1.0}
    """
    return {
        "type": "segment",
        "id": event.id,
        "final": event.final,
        "time": event.time,
        "settled": event.settled,
        "segment": None if event.segment is None else event.segment.to_dict(),
    }


def relabel_message(relabel: Relabel) -> dict[str, Any]:
    """`relabel` as a message of type ``relabel``.

    >>> relabel_message(Relabel("spk03", "spk01", 12.5))
    {'type': 'relabel', 'from': 'spk03', 'to': 'spk01', 'time': 12.5}
    """
    return {"type": "relabel", "from": relabel.old, "to": relabel.new, "time": relabel.time}


def refined_message(result: Diarization) -> dict[str, Any]:
    """The refined `result` of a stream as a message of type ``refined``.

    >>> from sed.result import Segment
    >>> refined_message(Diarization("stream", 2.0, [Segment(0.5, 1.0, "spk00", "sad")]))
    {'type': 'refined', 'segments': [{'start': 0.5, 'end': 1.0, 'speaker': 'spk00', 'emotion': 'sad'}]}
    """
    return {"type": "refined", "segments": [segment.to_dict() for segment in result]}
