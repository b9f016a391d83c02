"""`FormFile`: the single file of a ``multipart/form-data`` body, written as it arrives, without a second copy."""

from __future__ import annotations

from typing import Any, BinaryIO

from sed.server.refusal import UploadError

FORM = "multipart/form-data"
MAX_PARTS = 9  # a file and a few fields
MAX_HEADER = 4096  # bytes of the headers of a part


def is_form(content_type: str) -> bool:
    """Whether a Content-Type is ``multipart/form-data`` (case-insensitive).

    >>> is_form("Multipart/Form-Data; boundary=x"), is_form("audio/wav")
    (True, False)
    """
    return content_type.partition(";")[0].strip().lower() == FORM


class FormFile:
    """Parses the body of a form in chunks and writes the content of its file to `out`.

    `name` is the file name that the client sent. Raises `UploadError` (``bad_request``) on a form that is
    malformed or truncated, or contains no file or several.

    >>> import io
    >>> form = FormFile("multipart/form-data; boundary=x", out := io.BytesIO())
    >>> form.write(b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="a.wav"\\r\\n\\r\\nRIF')
    >>> form.write(b"F\\r\\n--x--\\r\\n")
    >>> form.finish()
    >>> form.name, out.getvalue()
    ('a.wav', b'RIFF')
    """

    def __init__(self, content_type: str, out: BinaryIO) -> None:
        try:
            from python_multipart import multipart
        except ModuleNotFoundError:  # its name before 0.0.13
            import multipart  # type: ignore[no-redef]

        self.name = ""
        self._options = multipart.parse_options_header
        self._out = out
        self._parts = 0
        self._files = 0
        self._in_file = False
        self._header = b""  # name of the current header
        self._header_bytes = 0
        self._disposition = b""
        self._ended = False
        boundary = self._options(content_type)[1].get(b"boundary")
        if not boundary:
            raise _bad("a Content-Type without a boundary")
        callbacks: Any = {
            "on_part_begin": self._start_part,
            "on_header_begin": self._start_header,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_headers_finished": self._finish_headers,
            "on_part_data": self._add_data,
            "on_end": self._end,
        }
        self._error = multipart.FormParserError
        try:
            self._parser = multipart.MultipartParser(boundary, callbacks)
        except self._error as error:
            raise _bad(str(error)) from None

    def write(self, chunk: bytes) -> None:
        """Parse the next bytes of the body."""
        try:
            self._parser.write(chunk)
        except self._error as error:
            raise _bad(str(error)) from None

    def finish(self) -> None:
        """Check that the form is complete; call at the end of the body."""
        if not self._ended:
            raise _bad("the closing boundary is missing")
        if not self._files:
            raise UploadError("bad_request", "a form without a file: expected one")

    def _start_part(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise _bad(f"more than {MAX_PARTS} parts")
        self._in_file = False
        self._disposition = b""
        self._header_bytes = 0

    def _start_header(self) -> None:
        self._header = b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        if self._header.lower() == b"content-disposition":
            self._disposition += data[start:end]

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER:
            raise _bad(f"headers of more than {MAX_HEADER} bytes")

    def _finish_headers(self) -> None:
        options = self._options(self._disposition)[1]
        if b"filename" not in options:
            return
        self._files += 1
        if self._files > 1:
            raise _bad("more than one file")
        self._in_file = True
        self.name = options[b"filename"].decode("utf-8", "replace")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._out.write(data[start:end])

    def _end(self) -> None:
        self._ended = True


def _bad(problem: str) -> UploadError:
    return UploadError("bad_request", f"malformed form: {problem}")
