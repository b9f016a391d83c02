"""Worker processes of a Ray node: which are processing a job, and how to stop them while they are."""

import os
import signal
import time
from pathlib import Path


def busy_workers(node):
    """The processes of a node's actors that process a job, by the title that Ray sets."""
    raylet = node.all_processes["raylet"][0].process.pid
    for child in Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split():
        if is_busy(int(child)):
            yield int(child)


def is_busy(pid):
    """Whether an actor processes a job now; Ray resets the title before it sends the report."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::Actor.do")
    except OSError:
        return False


def wait_until(condition, run, seconds=300):
    """Wait until `condition()` is true, which must happen before the process `run` ends."""
    end = time.monotonic() + seconds
    while not condition():
        assert run.poll() is None, run.communicate()[1]
        assert time.monotonic() < end, f"waited {seconds} s"
        time.sleep(0.01)


class StoppedWorkers:
    """Stops the worker of a node (one for each node) at a moment when it certainly has an unfinished job.

    A context: workers that are still stopped at its end are killed.
    """

    def __init__(self):
        self._stopped = {}  # process by node

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self._stopped.values():
            os.kill(pid, signal.SIGKILL)

    def stop(self, *nodes, run):
        """Stop the workers of all `nodes`, each as soon as it has a job of the process `run`."""
        wait_until(lambda: all([node in self._stopped or self._stop(node) for node in nodes]), run)

    def _stop(self, node):
        for pid in busy_workers(node):
            os.kill(pid, signal.SIGSTOP)
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                time.sleep(0.001)
            if is_busy(pid):
                self._stopped[node] = pid
                return True
            os.kill(pid, signal.SIGCONT)  # it has finished its job meanwhile
        return False

    def resume(self, node):
        """Let the worker of `node` go on."""
        os.kill(self._stopped.pop(node), signal.SIGCONT)
