"""Runs ffmpeg and ffprobe such that no file can block the caller.

A thread reads a program's output, so that the caller's callback runs a few times per second while it waits, and
`STALL_TIMEOUT` seconds without output raise an error. A program ends with `Program.close`, when its `Program` is
garbage-collected, and with this process, however that ends. Memory is bounded by `MAX_BUFFERED` bytes of output and
`MAX_MESSAGE_BYTES` of messages, whatever the program writes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from sed.audio.launching import kill, start
from sed.errors import AudioError

WaitCallback = Callable[[], None]
"""Called about every `CALLBACK_INTERVAL` seconds while waiting for a program; an exception in it ends the program."""

CALLBACK_INTERVAL = 0.25  # seconds between two calls of a `WaitCallback`
STALL_TIMEOUT = 30.0  # seconds without output after which a program is considered to hang
CHUNK = 1 << 16  # bytes read at once: the capacity of a pipe
MAX_BUFFERED = 1 << 20  # bytes of unread output; the program is blocked beyond that
MAX_MESSAGE_BYTES = 1 << 16  # kept of the messages: a damaged file can cause any number of them
MAX_OUTPUT = 1 << 20  # bytes, see `output_of`


class Program:
    """A running program whose output is read.

    `command` is its name or path with its arguments, `name` the recording's name for messages. `on_wait` is called
    while waiting for the program. Raises `AudioError` if it cannot be started.
    """

    def __init__(self, command: Sequence[str], name: str, on_wait: WaitCallback | None = None) -> None:
        self._name = name
        self._program = Path(command[0]).stem
        self._on_wait = on_wait
        self._last_call = time.monotonic()
        try:
            process = start(command)
        except (OSError, RuntimeError) as error:  # out of memory or processes; Python is shutting down
            reason = getattr(error, "strerror", None) or error
            raise AudioError(f"{name}: the program {self._program} cannot be started ({reason})") from None
        self._process = process
        self._output, self._messages = _Output(), _Messages()
        self.close = weakref.finalize(self, _end, process, self._output)
        """Ends the program; may be called again."""
        for reader, pipe in ((self._output, process.stdout), (self._messages, process.stderr)):
            assert pipe is not None
            threading.Thread(target=reader.read_all, args=(pipe,), name="sed-program", daemon=True).start()

    def read(self, size: int) -> bytes:
        """The next `size` bytes of output, fewer only at its end.

        Raises `AudioError` after `STALL_TIMEOUT` seconds without output, and whatever `on_wait` raises.
        """
        parts: list[bytes] = []
        stalled = 0.0
        try:
            while size > 0:
                since = time.monotonic()
                part, ended = self._output.get(size, CALLBACK_INTERVAL)
                self._call_back()
                if part:
                    parts.append(part)
                    size -= len(part)
                    stalled = 0.0
                elif ended:
                    break
                else:  # a longer wait means that this process was suspended, and perhaps the program too
                    stalled += min(time.monotonic() - since, 2 * CALLBACK_INTERVAL)
                if stalled >= STALL_TIMEOUT:
                    raise AudioError(
                        f"{self._name}: {self._program} made no progress for {STALL_TIMEOUT:g} s, "
                        "expected audio that it can decode"
                    )
        except BaseException:
            self.close()
            raise
        return b"".join(parts)

    def finish(self) -> tuple[int, list[str]]:
        """The exit status and the lines of messages; call it after the end of the output."""
        end = time.monotonic() + 5.0
        while self._process.poll() is None and time.monotonic() < end:  # its output is closed: it ends soon
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CALLBACK_INTERVAL)
            self._call_back()
        self.close()
        return self._process.poll() or 0, self._messages.lines()

    def _call_back(self) -> None:
        if self._on_wait is not None and time.monotonic() - self._last_call >= CALLBACK_INTERVAL:
            self._last_call = time.monotonic()
            self._on_wait()


def output_of(command: Sequence[str], name: str, on_wait: WaitCallback | None = None) -> tuple[bytes, int]:
    """Run a program; returns its whole output and its exit status. Arguments and errors are those of `Program`.

    Also raises `AudioError` on more than `MAX_OUTPUT` bytes.
    """
    program = Program(command, name, on_wait)
    try:
        found = program.read(MAX_OUTPUT + 1)
        if len(found) > MAX_OUTPUT:
            raise AudioError(f"{name}: found a description of more than {MAX_OUTPUT} bytes, expected audio")
        return found, program.finish()[0]
    finally:
        program.close()


class _Output:
    """A buffer of at most `MAX_BUFFERED` bytes between the thread that reads a pipe and the consumer."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._parts: deque[bytes] = deque()
        self._buffered = 0
        self._ended = False
        self.closed = False

    def read_all(self, pipe: IO[bytes]) -> None:
        """Read all of `pipe`, as fast as it is consumed."""
        with pipe:
            while data := _read(pipe):
                with self._change:
                    self._change.wait_for(lambda: self._buffered < MAX_BUFFERED or self.closed)
                    if self.closed:
                        break
                    self._parts.append(data)
                    self._buffered += len(data)
                    self._change.notify_all()
        with self._change:
            self._ended = True
            self._change.notify_all()

    def get(self, size: int, timeout: float) -> tuple[bytes, bool]:
        """Up to `size` bytes as soon as there are any, none after `timeout` seconds; and whether the output ended."""
        with self._change:
            self._change.wait_for(lambda: self._parts or self._ended or self.closed, timeout)
            if not self._parts:
                return b"", self._ended or self.closed
            part = self._parts.popleft()
            if len(part) > size:
                self._parts.appendleft(part[size:])
                part = part[:size]
            self._buffered -= len(part)
            self._change.notify_all()
            return part, False

    def close(self) -> None:
        """Discard the buffer and stop reading."""
        with self._change:
            self.closed = True
            self._parts.clear()
            self._change.notify_all()


class _Messages:
    """The first bytes of a program's messages; the rest is read, so that the program is not blocked, and dropped."""

    def __init__(self) -> None:
        self._text = b""
        self._ended = threading.Event()

    def read_all(self, pipe: IO[bytes]) -> None:
        """Read all of `pipe`."""
        with pipe:
            while data := _read(pipe):
                self._text = (self._text + data)[:MAX_MESSAGE_BYTES]
        self._ended.set()

    def lines(self) -> list[str]:
        """The lines of messages; call it after the program has ended."""
        self._ended.wait(5.0)
        return self._text.decode(errors="replace").strip().splitlines()


def _read(pipe: IO[bytes]) -> bytes:
    try:
        return os.read(pipe.fileno(), CHUNK)
    except OSError:
        return b""


def _end(process: subprocess.Popen[bytes], output: _Output) -> None:
    """End `process` and its children, and discard its output."""
    kill(process)
    output.close()
    with contextlib.suppress(subprocess.TimeoutExpired):  # it is blocked by a broken disk
        process.wait(5.0)
