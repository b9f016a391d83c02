"""Starting programs so that they end with this process, at the caller's priority and with bounded memory."""

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

MEMORY = 2 << 30  # bytes that a program may take: a picture in a film of some kilobytes may claim any size

# Runs in a process of its own that becomes the program: asks Linux to end it when its parent ends, limits its memory,
# then replaces itself. Nothing runs between fork and exec in this process, whose other threads may hold locks then.
_LAUNCHER = f"""
import ctypes, os, resource, sys
_, most = resource.getrlimit(resource.RLIMIT_DATA)
if most == resource.RLIM_INFINITY or most > {MEMORY}:
    resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY}, {MEMORY}))
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() != int(sys.argv[1]):  # it ended before that
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start `command`, a program's name or path and its arguments, with pipes for its output and its messages.

    It does not read, and signals of the terminal do not reach it. Raises `OSError`, and `RuntimeError` while Python
    shuts down.
    """
    future = _starter.submit(command)
    try:
        return future.result()
    except BaseException:  # a signal: the program may start all the same
        future.add_done_callback(_discard)
        raise


def _discard(future: Future[subprocess.Popen[bytes]]) -> None:
    if not future.cancelled() and future.exception() is None:
        kill(future.result())
        future.result().wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill `process` and what it started."""
    with contextlib.suppress(OSError):
        if process.returncode is None:  # else its end was noticed, and its number may be another one's
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()


class _Starter:
    """Starts programs from a thread that lives as long as this process.

    Linux ends a program with the thread that started it, not with the process. The thread of a caller may well end
    before its recording is read.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def submit(self, command: Sequence[str]) -> Future[subprocess.Popen[bytes]]:
        """The program, as soon as it runs."""
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
            start_new_session=True,  # signals of the terminal are for this process, which ends the program then
        )
        if priority is not None:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, priority)
        return process


def _is_python(program: str | None) -> bool:
    """Whether `program` is an interpreter, not a program with one inside, which would start itself again."""
    return Path(program or "").name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)


def _priority() -> int | None:
    """The priority of the calling thread, where threads have one."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) if sys.platform == "linux" else None


_starter = _Starter()


def _renew() -> None:
    """A forked process has no thread to start programs from."""
    global _starter
    _starter = _Starter()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
