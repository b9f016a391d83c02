"""The wire format of PROTOCOL.md: parses and validates text messages, and formats errors as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sed.grid import SAMPLE_RATE

MAX_TEXT = 4096  # characters of a text message
SAMPLE_RATES = (4_000, 384_000)
_KEYS = ("sample_rate", "latency", "token", "relabel", "refine", "resume")
_RESUME_KEYS = ("stream", "received", "token")

# The WebSocket close code that follows each error.
CLOSE_CODES = {
    "bad_frame": 4400,
    "bad_message": 4400,
    "unauthorized": 4401,
    "idle": 4408,
    "gone": 4410,
    "too_long": 4413,
    "too_fast": 4429,
    "internal": 4500,
    "too_many": 4503,
    "overload": 4503,
}
NORMAL_CLOSE = 1000


class ProtocolError(Exception):
    """A protocol violation, or no capacity: `code` is a key of `CLOSE_CODES`, the text one sentence.

    retry_after: seconds after which a retry may succeed, or None.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


@dataclass(frozen=True)
class Start:
    """The parameters of a stream, sent before its audio: sample rate in Hz, latency in seconds, token; whether to send
    `relabel` messages, and a `refined` result at the end; whether to keep the stream if its connection is lost."""

    sample_rate: int = SAMPLE_RATE
    latency: float = 1.0
    token: str | None = None
    relabel: bool = False
    refine: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Resume:
    """Continues the stream with the resume token `stream`, of which the client has `received` so many messages."""

    stream: str
    received: int
    token: str | None = None


def parse_text(text: str) -> Start | Resume | None:
    """Parse a text message: `Start`, `Resume`, or None for the end of the audio.

    Raises `ProtocolError` (``bad_message``).

    >>> parse_text('{"type": "start", "sample_rate": 48000}')
    Start(sample_rate=48000, latency=1.0, token=None, relabel=False, refine=False, resume=False)
    >>> parse_text('{"type": "resume", "stream": "Zm9v", "received": 7}')
    Resume(stream='Zm9v', received=7, token=None)
    >>> parse_text('{"type": "end"}') is None
    True
    """
    if len(text) > MAX_TEXT:
        raise ProtocolError("bad_message", f"{len(text)} characters of text: expected at most {MAX_TEXT}")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("bad_message", "text that is not JSON: expected a start or end message") from None
    kind = message.get("type") if isinstance(message, dict) else None
    if kind == "end":
        return None
    if kind not in ("start", "resume"):
        found = repr(kind[:40]) if isinstance(kind, str) else type(kind).__name__
        raise ProtocolError("bad_message", f"message of type {found}: expected start, resume or end")
    keys = _KEYS if kind == "start" else _RESUME_KEYS
    if unknown := sorted(set(message) - {"type", *keys}):
        raise ProtocolError(
            "bad_message", f"unknown key {unknown[0][:40]!r} in {kind}: expected {', '.join(keys)}"
        )
    if kind == "resume":
        return Resume(
            _text(message.get("stream"), "stream") or "",
            _number(message, "received", 0, 0, 1 << 40, whole=True),
            _text(message.get("token"), "token"),
        )
    return Start(
        _number(message, "sample_rate", SAMPLE_RATE, *SAMPLE_RATES, whole=True),
        _number(message, "latency", 1.0, 0.0, 3600.0),
        _text(message.get("token"), "token"),
        _flag(message, "relabel"),
        _flag(message, "refine"),
        _flag(message, "resume"),
    )


def _number(
    message: dict[str, Any], key: str, default: Any, low: float, high: float, whole: bool = False
) -> Any:
    value = message.get(key, default)
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        found = str(value)[:40] if isinstance(value, str | int | float) else type(value).__name__
        raise ProtocolError("bad_message", f"{key} {found}: expected {kind} from {low:g} to {high:g}")
    return value


def _flag(message: dict[str, Any], key: str) -> bool:
    value = message.get(key, False)
    if not isinstance(value, bool):
        raise ProtocolError("bad_message", f"{key} of type {type(value).__name__}: expected true or false")
    return value


def _text(value: Any, key: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ProtocolError("bad_message", f"a {key} that is not text: expected a string")
    return value


def dump(message: dict[str, Any]) -> str:
    """Compact JSON without NaN; numbers round-trip exactly."""
    return json.dumps(message, allow_nan=False, separators=(",", ":"))


def error_message(code: str, message: str, retry_after: float | None = None) -> dict[str, Any]:
    """A message of type ``error``."""
    hint = {} if retry_after is None else {"retry_after": retry_after}
    return {"type": "error", "code": code, "message": message, **hint}


def ready_message(
    start: Start, stream: Any, limits: dict[str, Any], resume: dict[str, Any] | None
) -> dict[str, Any]:
    """The answer to `start` and to a resume: what `stream` estimates, its `limits`, and how to `resume` it."""
    optional = {
        "resume": resume,
        "dimensions": list(getattr(stream, "dimensions", ())),
        "settings": dict(getattr(stream, "settings", {})),
    }
    return {
        "type": "ready",
        "sample_rate": start.sample_rate,
        "latency": start.latency,
        "labels": list(stream.labels),
        **{name: value for name, value in optional.items() if value},
        "limits": limits,
    }
