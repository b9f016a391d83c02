import numpy as np
import pytest

from sed.grid import HOP
from sed.streaming.posteriors import OnlinePosteriors


class CountingTagger:
    """A tagger whose posteriors state how often it was called; it records the length of each window."""

    labels, frame_rate = ("neutral", "sad"), 50

    def __init__(self, window):
        self.window, self.lengths = window, []

    def posteriors(self, waves):
        self.lengths.append(waves.shape[1] // HOP)
        p = 1 / len(self.lengths)
        return np.full((1, self.lengths[-1], 2), [1 - p, p], np.float32)


@pytest.mark.parametrize(
    ("window", "step", "frames"),
    [(80_000, 25, 150), (80_000, 12, 96), (16_000, 12, 50), (80_000, 250, 250)],
    ids=["3 s", "8 steps", "window of the tagger", "a long step"],
)
def test_window_length(window, step, frames):
    assert OnlinePosteriors(CountingTagger(window), step).window == frames


def test_no_sample_is_processed_more_than_eight_times():
    tagger = CountingTagger(80_000)
    online = OnlinePosteriors(tagger, 12)
    audio, times = np.zeros(12 * 30 * HOP, np.float32), np.zeros(12 * 30, int)
    for now in range(12, len(times) + 1, 12):
        first = max(0, now - online.window)
        online.step(audio[first * HOP : now * HOP], first)
        times[first:now] += 1
        online.settle(now - 12)
    assert times.max() == 8 and max(tagger.lengths) == 96


def test_a_frame_covered_by_several_windows_gets_their_mean():
    online = OnlinePosteriors(CountingTagger(80_000), 25)
    audio = np.zeros(50 * HOP, np.float32)
    first = online.step(audio[: 25 * HOP], 0)
    assert first[:, 1] == pytest.approx(1.0)
    both = online.step(audio, 0)
    assert both.shape == (50, 2) and both.sum(1) == pytest.approx(1.0)
    assert np.all((both[:25, 1] > 0.5) & (both[:25, 1] < 1)), "between the two windows"
    assert both[25:, 1] == pytest.approx(0.5), "covered by the second window only"
    online.settle(25)
    assert online.step(audio[25 * HOP :], 25).shape == (25, 2)
