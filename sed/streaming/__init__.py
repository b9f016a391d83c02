"""Live processing: audio blocks in, provisional and final segments out, in bounded memory.

`StreamingDiarizer` takes 16 kHz mono float32 blocks of any size and returns `Event`s. Every segment has an `id`; a
later event with the same id replaces the earlier one, an event without a segment removes it, and no event with this
id follows a final one.
"""

from __future__ import annotations

from sed.streaming.diarizer import StreamingDiarizer
from sed.streaming.events import Event, Relabel

__all__ = ["Event", "Relabel", "StreamingDiarizer"]
