"""Starts programs that end with this process, run at the caller's priority and have bounded memory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

MEMORY_LIMIT = 2 << 30  # bytes per program: a cover image in a file of a few kilobytes can claim any size

# Runs in a separate process that becomes the program: asks Linux to kill it when its parent ends, limits its memory,
# then replaces itself. This process runs no code between fork and exec, when its other threads may hold locks.
_LAUNCHER = f"""
import ctypes, os, resource, sys
_, limit = resource.getrlimit(resource.RLIMIT_DATA)
if limit == resource.RLIM_INFINITY or limit > {MEMORY_LIMIT}:
    resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY_LIMIT}, {MEMORY_LIMIT}))
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() != int(sys.argv[1]):  # the parent ended before prctl
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start `command`, a program's name or path and its arguments, with pipes for its stdout and stderr.

    Its stdin is empty, and signals of the terminal do not reach it. Raises `OSError`, and `RuntimeError` while Python
    shuts down.
    """
    future = _starter.submit(command)
    try:
        return future.result()
    except BaseException:  # a signal: the program may still start
        future.add_done_callback(_discard)
        raise


def _discard(future: Future[subprocess.Popen[bytes]]) -> None:
    if not future.cancelled() and future.exception() is None:
        kill(future.result())
        future.result().wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill `process` and its child processes."""
    with contextlib.suppress(OSError):
        if process.returncode is None:  # else it was waited for, and its PID may have been reused
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()


class _Starter:
    """Starts programs from a thread that lives as long as this process.

    PR_SET_PDEATHSIG refers to the thread that started a program, not to its process, and a caller's thread may end
    before its recording has been read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, command: Sequence[str]) -> Future[subprocess.Popen[bytes]]:
        """A future of the running program."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "sed-starter")
            return self._pool.submit(self._start, command, _priority())

    @staticmethod
    def _start(command: Sequence[str], priority: int | None) -> subprocess.Popen[bytes]:
        path = shutil.which(command[0])
        if path is None:
            raise FileNotFoundError(None, "it is not installed")
        command = [path, *command[1:]]
        if sys.platform == "linux" and _is_python(sys.executable):
            command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *command]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # only this process gets signals of the terminal, and then ends the program
        )
        if priority is not None:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, priority)
        return process


def _is_python(program: str | None) -> bool:
    """Whether `program` is an interpreter, not a frozen application, which would start itself again."""
    return Path(program or "").name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def _priority() -> int | None:
    """The priority of the calling thread on systems where threads have one."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if sys.platform == "linux" else None


_starter = _Starter()


def _reset_after_fork() -> None:
    """Threads do not survive a fork: create a new starter."""
    global _starter
    _starter = _Starter()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
