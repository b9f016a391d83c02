"""Selects the audio track of a file to read, and describes the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ENTRIES = "stream=index:stream_disposition=default:stream_tags=language"
"""The ffprobe entries that `choose_track` needs besides codec, rate and channels."""

_MAX_LISTED = 4  # tracks described in the message; files with hundreds of tracks exist


def choose_track(streams: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """The audio track that a player selects from ffprobe's `streams`: the first flagged as default, else the first.

    A track in an unknown codec, or without a rate or channels, is chosen only if there is no other. Returns the track
    (empty if there is none) and a description of the tracks left out (empty if there are none).

    >>> tracks = [{"index": n, "codec_type": "audio", "codec_name": "aac", "sample_rate": "48000", "channels": n + 1}
    ...           for n in (0, 1)]
    >>> tracks[1]["disposition"] = {"default": 1}
    >>> track, text = choose_track(tracks)
    >>> track["index"], text[:70]
    (1, '2 audio tracks; number 2 (aac, 2 channels, default) is used, 1 other i')
    """
    tracks = [s for s in streams if s.get("codec_type") == "audio"]
    readable = [s for s in tracks if _is_readable(s)] or tracks
    if not readable:
        return {}, ""
    chosen = next((s for s in readable if _is_default(s)), readable[0])
    if len(tracks) == 1:
        return chosen, ""
    numbers = {id(track): number for number, track in enumerate(tracks, 1)}
    others = [track for track in tracks if track is not chosen]
    listed = "; ".join(f"{numbers[id(track)]}: {_describe(track)}" for track in others[:_MAX_LISTED])
    more = "; ..." if len(others) > _MAX_LISTED else ""
    count = f"{len(others)} others are" if len(others) > 1 else "1 other is"
    return chosen, (
        f"{len(tracks)} audio tracks; number {numbers[id(chosen)]} ({_describe(chosen)}) is used, {count} left out "
        f"({listed}{more}); ffmpeg -map 0:a:{numbers[id(others[0])] - 1} extracts number {numbers[id(others[0])]}"
    )


def _is_readable(stream: dict[str, Any]) -> bool:
    known = stream.get("codec_name", "unknown") not in ("unknown", "none")
    return known and int(stream.get("sample_rate", 0)) > 0 and int(stream.get("channels", 0)) > 0


def _is_default(stream: dict[str, Any]) -> bool:
    return bool(stream.get("disposition", {}).get("default"))


def _describe(stream: dict[str, Any]) -> str:
    channels = int(stream.get("channels", 0))
    parts = [
        str(stream.get("codec_name", "unknown codec")),
        f"{channels} channel{'s' if channels != 1 else ''}",
    ]
    language = str(stream.get("tags", {}).get("language", ""))
    if language.isascii() and language.isalnum() and len(language) <= 8 and language != "und":
        parts.append(language)
    if _is_default(stream):
        parts.append("default")
    return ", ".join(parts)
