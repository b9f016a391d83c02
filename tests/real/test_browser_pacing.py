"""static/client.js in a real browser: it respects the limits of the server, and reports `retry_after`."""

from __future__ import annotations

import time

import pytest
from chromium import Chromium
from live_server import SecondsStream, running

pytestmark = [pytest.mark.real, pytest.mark.alone]
SEND = """(async (parts, seconds) => {
  const { SedStream } = await import("/client.js");
  const stream = await SedStream.open({ sampleRate: 16000 });
  const found = { waiting: 0, error: null };
  stream.addEventListener("progress", ({ detail }) => (found.waiting = Math.max(found.waiting, detail.waiting)));
  stream.addEventListener("error", ({ detail }) => (found.error = detail));
  for (let part = 0; part < parts; part++) await stream.sendPaced(new Int16Array(16000 * seconds));
  return { ...found, done: await stream.end(), processed: stream.processed };
})"""
OPEN = """(async () => {
  const { SedStream } = await import("/client.js");
  const first = await SedStream.open();
  const rejection = await SedStream.open().catch((error) => error);
  first.close();
  return [rejection.code, rejection.retryAfter];
})()"""


@pytest.fixture
def browser(need_program):
    with Chromium(need_program("chromium")) as browser:
        yield browser


def visit(browser, server):
    browser.open(f"{server.http}/palette.json", ready="document.readyState === 'complete'")


@pytest.mark.slow
def test_at_most_max_waiting_is_queued(browser):
    """10 s to a server that processes 5 times real time and queues 1 s."""
    with running(lambda latency: SecondsStream(latency, delay=0.1), queue=1, max_rate=100) as server:
        visit(browser, server)
        found = browser.evaluate(f"{SEND}(4, 2.5)")
        assert found["waiting"] <= 1 and (found["done"], found["error"], found["processed"]) == (
            True,
            None,
            10,
        )


@pytest.mark.slow
def test_the_rate_limit_holds_over_several_calls(browser):
    """20 s in ten calls, 6 s at once and then 8 times real time: never too fast, and not unnecessarily slow."""
    with running(burst=6) as server:
        visit(browser, server)
        started = time.monotonic()
        found = browser.evaluate(f"{SEND}(10, 2)")
        assert (found["done"], found["error"], found["processed"]) == (True, None, 20)
        assert 1.7 < time.monotonic() - started < 6


@pytest.mark.slow
def test_a_rejection_reports_retry_after(browser):
    with running(max_clients=1) as server:
        visit(browser, server)
        assert browser.evaluate(OPEN) == ["too_many", 10]
