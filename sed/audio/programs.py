"""The programs ffmpeg and ffprobe: started, read from and ended so that no file can hold up the caller.

A program's output is read in a thread, so that whoever waits for it is asked a few times a second whether to go on,
and is not held up for longer than `STALLED` seconds without output. Programs end with `Program.close`, when their
object is dropped, and with this process, however it ends. Memory is bounded by `AHEAD` bytes of output and `ERRORS`
bytes of messages, whatever the program writes.
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

Waiting = Callable[[], None]
"""Called about every `TICK` seconds while a program is waited for; what it raises ends the program."""

TICK = 0.25  # seconds between two calls of a `Waiting`
STALLED = 30.0  # seconds without output after which a program is taken to hang
CHUNK = 1 << 16  # bytes read at once: what a pipe holds
AHEAD = 1 << 20  # bytes of output that may wait here; the program waits then
ERRORS = 1 << 16  # bytes of messages that are kept: a damaged file has any number of them
LONGEST = 1 << 20  # bytes of a whole output, see `output_of`


class Program:
    """A running program whose output is read.

    `command` is its name or path with its arguments, `name` that of the recording, for messages. `waiting` is called
    while the program is waited for. Raises `AudioError` where it cannot be started.
    """

    def __init__(self, command: Sequence[str], name: str, waiting: Waiting | None = None) -> None:
        self._name = name
        self._program = Path(command[0]).stem
        self._waiting = waiting
        self._asked = time.monotonic()
        try:
            process = start(command)
        except (OSError, RuntimeError) as error:  # no memory, no process left; Python is shutting down
            why = getattr(error, "strerror", None) or error
            raise AudioError(f"{name}: the program {self._program} cannot be started ({why})") from None
        self._process = process
        self._output, self._messages = _Output(), _Messages()
        self.close = weakref.finalize(self, _end, process, self._output)
        """Ends the program; may be called again."""
        for taker, pipe in ((self._output, process.stdout), (self._messages, process.stderr)):
            assert pipe is not None
            threading.Thread(target=taker.take_all, args=(pipe,), name="sed-program", daemon=True).start()

    def read(self, size: int) -> bytes:
        """The next `size` bytes of output, fewer only at its end.

        Raises `AudioError` where nothing comes for `STALLED` seconds, and what `waiting` raises.
        """
        parts: list[bytes] = []
        stalled = 0.0
        try:
            while size > 0:
                since = time.monotonic()
                part, ended = self._output.get(size, TICK)
                self._ask()
                if part:
                    parts.append(part)
                    size -= len(part)
                    stalled = 0.0
                elif ended:
                    break
                else:  # a longer wait means that this process was suspended, and the program perhaps as well
                    stalled += min(time.monotonic() - since, 2 * TICK)
                if stalled >= STALLED:
                    raise AudioError(
                        f"{self._name}: {self._program} made no progress for {STALLED:g} s, "
                        "expected audio that it can decode"
                    )
        except BaseException:
            self.close()
            raise
        return b"".join(parts)

    def finish(self) -> tuple[int, list[str]]:
        """After the end of the output: the exit status and the messages, a line each."""
        end = time.monotonic() + 5.0
        while self._process.poll() is None and time.monotonic() < end:  # without output: no more to wait for
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TICK)
            self._ask()
        self.close()
        return self._process.poll() or 0, self._messages.lines()

    def _ask(self) -> None:
        if self._waiting is not None and time.monotonic() - self._asked >= TICK:
            self._asked = time.monotonic()
            self._waiting()


def output_of(command: Sequence[str], name: str, waiting: Waiting | None = None) -> tuple[bytes, int]:
    """The whole output of a program and its exit status; arguments and errors as of `Program`.

    Raises `AudioError` on more than `LONGEST` bytes, too.
    """
    program = Program(command, name, waiting)
    try:
        found = program.read(LONGEST + 1)
        if len(found) > LONGEST:
            raise AudioError(f"{name}: found a description of more than {LONGEST} bytes, expected audio")
        return found, program.finish()[0]
    finally:
        program.close()


class _Output:
    """Bytes on their way from a thread that reads a pipe to whoever wants them, at most `AHEAD` of them."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self.closed = False

    def take_all(self, pipe: IO[bytes]) -> None:
        """Take everything from `pipe`, as fast as it is wanted."""
        with pipe:
            while data := _read(pipe):
                with self._change:
                    self._change.wait_for(lambda: self._held < AHEAD or self.closed)
                    if self.closed:
                        break
                    self._parts.append(data)
                    self._held += len(data)
                    self._change.notify_all()
        with self._change:
            self._ended = True
            self._change.notify_all()

    def get(self, size: int, timeout: float) -> tuple[bytes, bool]:
        """Up to `size` bytes as soon as there are some, none after `timeout` seconds; and whether it has ended."""
        with self._change:
            self._change.wait_for(lambda: self._parts or self._ended or self.closed, timeout)
            if not self._parts:
                return b"", self._ended or self.closed
            part = self._parts.popleft()
            if len(part) > size:
                self._parts.appendleft(part[size:])
                part = part[:size]
            self._held -= len(part)
            self._change.notify_all()
            return part, False

    def close(self) -> None:
        """Nothing is wanted any more."""
        with self._change:
            self.closed = True
            self._parts.clear()
            self._change.notify_all()


class _Messages:
    """The first bytes of what a program says; the rest is read, so that it can go on, and dropped."""

    def __init__(self) -> None:
        self._text = b""
        self._ended = threading.Event()

    def take_all(self, pipe: IO[bytes]) -> None:
        """Take everything from `pipe`."""
        with pipe:
            while data := _read(pipe):
                self._text = (self._text + data)[:ERRORS]
        self._ended.set()

    def lines(self) -> list[str]:
        """The messages of a program that has ended, a line each."""
        self._ended.wait(5.0)
        return self._text.decode(errors="replace").strip().splitlines()


def _read(pipe: IO[bytes]) -> bytes:
    try:
        return os.read(pipe.fileno(), CHUNK)
    except OSError:
        return b""


def _end(process: subprocess.Popen[bytes], output: _Output) -> None:
    """End `process` and what it started, and let go of its output."""
    kill(process)
    output.close()
    with contextlib.suppress(subprocess.TimeoutExpired):  # one that waits for a broken disk
        process.wait(5.0)
