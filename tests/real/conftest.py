"""Fixtures of the page with the example; see `workbench`."""

from __future__ import annotations

import shutil

import pytest
from chromium import Chromium
from live_server import running
from workbench import diarize, fresh


@pytest.fixture(scope="module")
def workbench_server():
    with running(diarize=diarize) as server:
        yield server


@pytest.fixture(scope="module")
def shared_browser(tmp_path_factory):
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the program chromium is not installed")
    with Chromium(program) as browser:
        browser.downloads = tmp_path_factory.mktemp("downloads")
        browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(browser.downloads))
        yield browser


@pytest.fixture
def workbench(shared_browser, workbench_server):
    """The page with the example, analysed; without a kept session."""
    shared_browser.set_viewport(1280, 900)
    fresh(shared_browser, workbench_server)
    shared_browser.click("#example")
    shared_browser.wait("sed.state() === 'idle' && sed.session.recording.length > 0", 30)
    shared_browser.wait("document.querySelectorAll('#rows tr').length > 5")
    yield shared_browser
    assert shared_browser.errors == []
