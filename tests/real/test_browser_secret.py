"""The server's secret in a real browser: removed from the address, stored for the tab, replaced if it is wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from chromium import Chromium

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A second of silence, for the browser's microphone."""
    path = tmp_path_factory.mktemp("quiet") / "quiet.wav"
    soundfile.write(path, np.zeros(16_000, np.int16), 16_000)
    return path


@pytest.fixture
def address():
    """A real sed-serve whose secret is "hush"."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sed.cli.serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SED_TOKEN": "hush"},
    )
    yield process.stdout.readline().split()[1]
    process.terminate()
    process.wait(20)


def go_live(browser):
    """Start and stop recording; no dialog asks for the secret meanwhile."""
    browser.click("#record")
    browser.wait("sed.state() === 'live' || document.getElementById('secret').open", 30)
    assert not browser.evaluate("document.getElementById('secret').open")
    browser.click("#record")
    browser.wait("sed.state() === 'idle'", 30)


@pytest.mark.slow
def test_the_secret_is_removed_from_the_address_bar(need_program, quiet, address):
    with Chromium(need_program("chromium"), quiet) as browser:
        browser.call("Page.navigate", url=f"{address}?a=1#token=hush&b=2")
        browser.wait("globalThis.sed")
        assert browser.evaluate("location.href") == f"{address}?a=1#b=2"
        assert browser.evaluate("sessionStorage.getItem('sed-token')") == "hush"
        assert browser.evaluate("localStorage.length") == 0
        entries = browser.call("Page.getNavigationHistory")["entries"]
        assert "hush" not in "".join(entry["url"] for entry in entries)
        go_live(browser)

        browser.evaluate("globalThis.before = true")
        browser.call("Page.reload")  # the tab still has it
        browser.wait("globalThis.sed && !globalThis.before")
        go_live(browser)

        browser.evaluate("location.hash = 'token=loud'")  # another link, in the open page
        browser.wait("location.hash === ''")
        browser.click("#record")
        browser.wait("document.getElementById('secret').open")
        browser.evaluate("document.getElementById('token').value = 'hush'")
        browser.evaluate("document.querySelector('#secret .primary').click()")
        browser.wait("sed.state() === 'live'", 30)
        assert browser.evaluate("sessionStorage.getItem('sed-token')") == "hush"
        assert browser.errors == []
