"""`UploadError`: why an upload is rejected, and the corresponding response."""

from __future__ import annotations

from starlette.responses import JSONResponse

from sed.server.protocol import error_message

RETRY_AFTER = 10  # seconds; by then an idle upload has been evicted, and a short file processed
STATUS = {
    "bad_request": 400,
    "too_slow": 408,
    "too_long": 413,
    "bad_audio": 422,
    "bad_result": 422,
    "too_many": 429,
    "internal": 500,
    "overload": 503,
}
RETRYABLE = frozenset({"too_many", "overload"})


class UploadError(Exception):
    """A rejected upload: `code` is a key of `STATUS`, the text one sentence for the user."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def response(self) -> JSONResponse:
        """The error as JSON, with ``Retry-After`` if the same upload may succeed later."""
        headers = {"retry-after": str(RETRY_AFTER)} if self.code in RETRYABLE else None
        return JSONResponse(error_message(self.code, str(self)), STATUS[self.code], headers)
