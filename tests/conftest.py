"""Fixtures for all tests: paths of the data, and conditions for skipping.

`tests/data` is part of the repository, so the suite runs anywhere. Larger tests need the shared data (`SED_SHARED`,
default ``../shared``) or programs (ffmpeg, Chromium, PortAudio); without them they are skipped with the reason. Under
CI (environment variable ``CI``) they fail instead, so that no test is skipped unnoticed.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from alone import Turns, first, is_alone
from hypothesis.internal.conjecture import providers

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "0")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each process has a core. If each used all cores, the threads of OpenMP would spin while they wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# If pytest was started in the background, SIGINT is ignored, and programs under test would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _tolerant_getattr(owner: object, name: str, default: object = None) -> object:
    """getattr for Hypothesis, which reads attributes of every loaded module: SpeechBrain's lazy modules then import
    packages that are not installed (k2, flair, ...) and raise an ImportError, which getattr does not catch."""
    try:
        return getattr(owner, name, default)
    except ImportError:
        return default


providers.getattr = _tolerant_getattr  # type: ignore[attr-defined]

ROOT = Path(__file__).resolve().parent.parent


RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")
TURNS = Turns(RUN) if RUN else None  # only one process, or one of several of pytest-xdist


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the shared data, so that `pytest -m shared` selects them; sort those that measure times
    to the start."""
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)
    if TURNS is not None:
        first(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let no test of another process of `pytest -n` disturb tests marked `alone`."""
    if TURNS is None:
        return (yield)
    with TURNS.turn(is_alone(item)):
        return (yield)


def missing(reason: str) -> None:
    """Skip the test for `reason`; under CI fail instead."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must run this test: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data() -> Path:
    """The small recordings and references in the repository."""
    return ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared corpora, conversations and models."""
    folder = Path(os.environ.get("SED_SHARED", ROOT.parent / "shared"))
    if not (folder / "conversations").is_dir():
        missing(f"no shared data at {folder} (set SED_SHARED)")
    return folder


@pytest.fixture
def need_program():
    """A function that returns the path of a program, or skips the test if it is not on the PATH."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing(f"the program {name} is not installed")
        return path or ""

    return find


@pytest.fixture
def not_here():
    """`missing`, for tests that check the requirements themselves."""
    return missing
