"""`render`: a result in one format to another, and the process that does it for the server (`sed.server.converter`).

In, on standard input: a line of JSON with the file name and the format, then the file. Out: a line of JSON, empty or
with the code and the message of an error, then the file. Nothing of the server is imported here, so it starts fast.

Parquet is refused, as it is compressed: half a megabyte of it can take all memory. `MAX_SEGMENTS` and `MAX_NAMES` bound
the time and memory that any format takes to write.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path, PurePosixPath

from sed import formats
from sed.errors import MissingDependencyError, OptionError, SedError
from sed.formats.parquet import MAGIC
from sed.result import Diarization

MAX_SEGMENTS = 50_000
MAX_NAMES = 1000  # of speakers, emotions, labels and dimensions


class RenderError(Exception):
    """A result that cannot be converted; `code` is one of `sed.server.refusal.STATUS`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def render(data: bytes, name: str, kind: str) -> bytes:
    """`data`, the content of a file called `name`, in the format `kind`. Raises `RenderError`.

    >>> render(b"SPEAKER call 1 5 3 angry <NA> anna <NA> <NA>", "call.rttm", "audacity")
    b'5.000000\\t8.000000\\tanna: angry\\n'
    """
    place = PurePosixPath(name.replace("\\", "/")).name or "result"
    if data.startswith(MAGIC):
        raise RenderError("bad_result", f"{place}: found Parquet, expected a text format such as JSON")
    try:
        _, found = formats.parse(data, Path(place))
        if len(found) != 1:
            raise RenderError("bad_result", f"{place}: found {len(found)} recordings, expected one")
        _check_size(found[0], place)
        return formats.dumps(found[0], kind)
    except (OptionError, MissingDependencyError) as error:
        raise RenderError("bad_request", str(error)) from None
    except SedError as error:
        raise RenderError("bad_result", str(error)) from None


def _check_size(result: Diarization, place: str) -> None:
    if len(result) > MAX_SEGMENTS:
        raise RenderError(
            "bad_result", f"{place}: found {len(result)} segments, expected at most {MAX_SEGMENTS}"
        )
    names = {*result.labels, *result.dimensions}.union(*((s.speaker, s.emotion) for s in result))
    if len(names) > MAX_NAMES:
        raise RenderError(
            "bad_result", f"{place}: found {len(names)} speakers and emotions, expected at most {MAX_NAMES}"
        )


def main() -> None:
    """Convert what is on standard input."""
    head = json.loads(sys.stdin.buffer.readline())
    try:
        answer, content = {}, render(sys.stdin.buffer.read(), head["name"], head["format"])
    except RenderError as error:
        answer, content = {"code": error.code, "message": str(error)}, b""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + content)


if __name__ == "__main__":
    main()
