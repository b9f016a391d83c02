"""`Converter`: results to other formats in processes of their own (`sed.server.rendering`), which have a time limit.

A file of a stranger is parsed and written here. A thread could not be ended, and would hold a core and the memory for
as long as that takes; a process can be killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import sed
from sed.server.refusal import UploadError

log = logging.getLogger("sed.server")

SECONDS = 20.0  # for one conversion; the largest results that are accepted take 1 to 3 s
AT_ONCE = 2  # further ones wait
COMMAND = (sys.executable, "-m", "sed.server.rendering")
FOLDER = Path(sed.__file__).resolve().parents[1]  # also the first entry of the process's sys.path


class Converter:
    """Converts up to `AT_ONCE` results at once; used on the event loop's thread."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopping = False

    async def __call__(self, data: bytes, name: str, kind: str) -> bytes:
        """`data`, the content of a file called `name`, in the format `kind`. Raises `UploadError`."""
        async with self._places:
            answer = await asyncio.to_thread(self._convert, data, name, kind)
        head, _, content = answer.partition(b"\n")
        if problem := json.loads(head):
            raise UploadError(problem["code"], problem["message"])
        return content

    def stop(self) -> None:
        """Kill what is running; later conversions fail."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                process.kill()

    def _convert(self, data: bytes, name: str, kind: str) -> bytes:
        with self._lock:
            if self._stopping:
                raise UploadError("overload", "the server is stopping")
            process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=FOLDER,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            self._running.add(process)
        head = json.dumps({"name": name, "format": kind}).encode() + b"\n"
        try:
            answer, errors = process.communicate(head + data, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise UploadError(
                "bad_result", f"the conversion takes more than {SECONDS:g} s: expected a smaller result"
            ) from None
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode == 0:
            return answer
        if self._stopping:
            raise UploadError("overload", "the server is stopping")
        lines = errors.decode("utf-8", "replace").strip().splitlines() or [
            f"exit status {process.returncode}"
        ]
        log.error("a result could not be converted: %s", lines[-1][:500])
        raise UploadError("internal", "the server failed on this result; see its log")
