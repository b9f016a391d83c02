"""Writes demo/web.png: the page with its example, analysed by the bundled models, in a real browser.

    python tests/support/make_screenshot.py

Run it, and check the image, when the page or a bundled model has changed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from chromium import Chromium

DEMO = Path(__file__).resolve().parents[2] / "demo"
SELECTED = 4  # number of the segment that is selected


def main() -> None:
    """Serve the page, analyse the example, select a segment, and save a screenshot."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit("the program chromium is not installed: expected it on the PATH")
    command = [sys.executable, "-m", "sed.cli.serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with Chromium(program) as browser:
            browser.set_viewport(1280, 860)
            browser.open(server.stdout.readline().split()[1])
            browser.click("#example")
            browser.wait("sed.state() === 'idle' && document.querySelectorAll('#rows tr').length > 5", 120)
            browser.evaluate(f"sed.timeline.select(sed.session.segments.all()[{SELECTED}].id)")
            browser.evaluate("sed.playback.seek(sed.timeline.selected.start)")
            browser.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
            browser.evaluate("new Promise((done) => setTimeout(done, 300))")
            browser.screenshot(DEMO / "web.png")
    finally:
        server.terminate()
        server.wait(20)


if __name__ == "__main__":
    main()
