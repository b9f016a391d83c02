"""Writes demo/web.png: the page during the demo conversation, in a real browser.

    python tests/support/make_screenshot.py

Run it, and check the image, when the page or a bundled model has changed.
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
RECORD_SECONDS = 34.0


def main() -> None:
    """Serve the page, record for `RECORD_SECONDS`, and save a screenshot."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("the program chromium is not installed: expected it on the PATH")
    samples, rate = soundfile.read(DEMO / "conversation.flac", dtype="int16")
    command = [sys.executable, "-m", "sed.cli.serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with tempfile.TemporaryDirectory() as folder:
            microphone = Path(folder) / "conversation.wav"
            soundfile.write(microphone, samples, rate)
            with Chromium(program, microphone) as browser:
                browser.set_viewport(1280, 800)
                browser.open(server.stdout.readline().split()[1])
                browser.click("#record")
                browser.wait("sed.state() === 'live'")
                time.sleep(RECORD_SECONDS)
                if delay := browser.evaluate("document.getElementById('delay').textContent"):
                    sys.exit(f"the page is{delay.replace('·', '')}: expected an otherwise idle machine")
                browser.screenshot(DEMO / "web.png")
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
