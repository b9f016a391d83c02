"""`UploadError`: why an upload is refused, and the response that says so."""

from __future__ import annotations

from starlette.responses import JSONResponse

from sed.server.protocol import error_message

RETRY_AFTER = 10  # seconds; by then a silent upload has given way, and a short file is done
STATUS = {
    "bad_request": 400,
    "too_slow": 408,
    "too_long": 413,
    "bad_audio": 422,
    "too_many": 429,
    "internal": 500,
    "overload": 503,
}
WORTH_A_RETRY = frozenset({"too_many", "overload"})


class UploadError(Exception):
    """An upload that is refused: `code` is a key of `STATUS`, the text one sentence for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def response(self) -> JSONResponse:
        """A typed error as JSON, with ``Retry-After`` where the same upload may succeed later."""
        headers = {"retry-after": str(RETRY_AFTER)} if self.code in WORTH_A_RETRY else None
        return JSONResponse(error_message(self.code, str(self)), STATUS[self.code], headers)
