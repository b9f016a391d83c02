"""Writes demo/web.png: the page while it listens to the demo conversation, in a real browser.

    python tests/support/make_screenshot.py

To be run, and its outcome looked at, when the page or a bundled model has changed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile
from chromium import Chromium

DEMO = Path(__file__).resolve().parents[2] / "demo"
LISTEN = 34.0  # seconds


def main() -> None:
    """Serve the page, let it listen, and look."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("the program chromium is not installed: expected it on the PATH")
    samples, rate = soundfile.read(DEMO / "conversation.flac", dtype="int16")
    command = [sys.executable, "-m", "sed.cli.serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with tempfile.TemporaryDirectory() as folder:
            heard = Path(folder) / "conversation.wav"
            soundfile.write(heard, samples, rate)
            with Chromium(program, heard) as browser:
                browser.look(1280, 800)
                browser.open(server.stdout.readline().split()[1])
                browser.click("#listen")
                browser.wait("sed.state() === 'live'")
                time.sleep(LISTEN)
                if behind := browser.evaluate("document.getElementById('behind').textContent"):
                    sys.exit(
                        f"the page is{behind.replace('·', '')}: expected a machine with nothing else to do"
                    )
                browser.screenshot(DEMO / "web.png")
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
