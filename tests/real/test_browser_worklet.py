"""static/worklet.js in a real browser: every sample that the browser's audio graph delivers arrives, once, in order.

The graph is rendered offline, so that nothing depends on the speed of the machine.
"""

from __future__ import annotations

import numpy as np
import pytest
from chromium import Chromium
from live_server import SecondsStream, running

pytestmark = [pytest.mark.real, pytest.mark.alone]
RENDER = """(async (rate, length, channels, busy) => {
  const { Resampler, toInt16 } = await import("/resampler.js");
  const context = new OfflineAudioContext(channels, length, rate);
  await context.audioWorklet.addModule("/worklet.js");
  const buffer = context.createBuffer(channels, length, rate);
  const mono = new Float32Array(length);
  for (let channel = 0; channel < channels; channel++) {
    const samples = Float32Array.from(mono, (_, n) => (((n * (channel + 1) * 7919) % 65521) - 32760) / 32768);
    samples.forEach((x, n) => (mono[n] += x / channels));
    buffer.copyToChannel(samples, channel);
  }
  const source = context.createBufferSource();
  source.buffer = buffer;
  const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
  source.connect(node);
  source.start();
  const frames = [];
  const done = new Promise((resolve) => {
    node.port.onmessage = ({ data }) => {
      if (!data) return resolve();
      frames.push(data);
      const end = performance.now() + busy; // a page that is too slow for its messages
      while (performance.now() < end);
    };
  });
  await context.startRendering();
  node.port.postMessage("stop");
  await done;
  const resampler = rate === 16000 ? null : new Resampler(rate, 16000);
  const expected = resampler ? [...resampler.process(mono), ...resampler.flush()] : mono;
  return { sizes: frames.map((f) => f.length), found: frames.flatMap((f) => [...f]), expected: [...toInt16(expected)] };
})"""


@pytest.fixture
def page(need_program):
    with Chromium(need_program("chromium")) as browser, running(SecondsStream) as server:
        browser.open(f"{server.http}/palette.json", ready="document.readyState === 'complete'")
        yield browser


@pytest.mark.slow
@pytest.mark.parametrize("busy", [0, 30])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (16000, 2), (44100, 1), (48000, 2)])
def test_every_sample_arrives_once(page, rate, channels, busy):
    quanta = -(-rate * 2 // 128) + 3  # a little over two seconds: the last frame is not full
    length = 128 * quanta
    result = page.evaluate(f"{RENDER}({rate}, {length}, {channels}, {busy})")
    assert len(result["found"]) == round(length * 16000 / rate)
    assert set(result["sizes"][:-1]) == {1600} and 0 < result["sizes"][-1] < 1600
    assert np.array_equal(result["found"], result["expected"])
