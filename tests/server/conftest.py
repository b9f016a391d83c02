"""Fixtures for `live_server.running`."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from live_server import running


@pytest.fixture
def start_server():
    """A function that starts a server with options; the server is stopped after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(running(*args, **options))


@pytest.fixture
def tone():
    """A function that returns `seconds` of a 220 Hz tone at `rate` as s16le samples, peak 0.5."""

    def make(seconds, rate=16000):
        times = np.arange(round(seconds * rate)) / rate
        return np.round(np.sin(2 * np.pi * 220 * times) * 16384).astype("<i2")

    return make
