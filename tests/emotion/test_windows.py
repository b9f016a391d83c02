"""Posteriors of a recording do not depend on the block sizes, and a window across a joint decides between its sides."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.emotion.windows import PosteriorStream, posteriors_of, rows_of
from sed.grid import HOP, frame_count


class Loudness:
    """A tagger whose posteriors only depend on the frame itself, so that the expected result is known."""

    labels, frame_rate, window = ("quiet", "loud"), 50, 16_000

    def posteriors(self, waves):
        frames = frame_count(waves.shape[1])
        padded = np.pad(waves, ((0, 0), (0, frames * HOP - waves.shape[1])))
        loud = np.abs(padded).reshape(len(waves), frames, HOP).max(2)
        return np.stack([1 - loud, loud], 2).astype(np.float32)


class Position(Loudness):
    """A tagger that returns the position of a frame in its window, which shows how windows are mixed."""

    def posteriors(self, waves):
        frames = frame_count(waves.shape[1])
        p = np.broadcast_to(np.arange(frames) / 100, (len(waves), frames))
        return np.stack([1 - p, p], 2).astype(np.float32)


def stream_posteriors(tagger, samples, cuts):
    stream = PosteriorStream(tagger)
    parts = [stream.push(block) for block in np.split(samples, sorted(cuts))]
    return np.concatenate([*parts, stream.close()])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 120_000), st.lists(st.integers(0, 120_000), max_size=8), st.integers(0, 99))
def test_posteriors_do_not_depend_on_the_block_sizes(length, cuts, seed):
    samples = np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32)
    cuts = [min(c, length) for c in cuts]
    for tagger in (Loudness(), Position()):
        whole = posteriors_of(tagger, samples)
        assert np.array_equal(stream_posteriors(tagger, samples, cuts), whole)
        assert whole.shape == (frame_count(length), 2)


def test_a_framewise_tagger_is_reproduced_exactly():
    samples = np.random.default_rng(1).uniform(-1, 1, 100_123).astype(np.float32)
    expected = Loudness().posteriors(samples[None])[0]
    assert np.allclose(posteriors_of(Loudness(), samples), expected, atol=1e-6)


def test_windows_that_agree_are_joined_as_they_are():
    """Two windows of 50 frames: position is below 0.5 everywhere, so both are quiet."""
    position = posteriors_of(Position(), np.zeros(100 * HOP, np.float32))[:, 1]
    assert np.allclose(position, np.tile(np.arange(50) / 100, 2))


class Changing(Position):
    """As `Position`, but the second half of every window is loud."""

    def posteriors(self, waves):
        p = super().posteriors(waves)
        p[:, 25:] = p[:, 25:, ::-1]
        return p


def test_a_window_across_a_joint_is_faded_in_where_its_sides_disagree():
    found = posteriors_of(Changing(), np.zeros(150 * HOP, np.float32))[:, 1]
    window = Changing().posteriors(np.zeros((1, 50 * HOP), np.float32))[0, :, 1]
    rise = (np.arange(25) + 0.5) / 25
    assert np.allclose(found[:25], window[:25])
    assert np.allclose(found[25:50], window[25:] + rise * (window[:25] - window[25:]))
    assert np.allclose(found[50:75], window[:25] + rise[::-1] * (window[25:] - window[:25]))


def test_the_last_window_is_a_whole_one_that_ends_with_the_recording():
    """It starts at frame 10, and is faded in from the middle of the one before to its end."""
    position = posteriors_of(Position(), np.zeros(60 * HOP, np.float32))[:, 1]
    rise = (np.arange(25) + 0.5) / 25
    assert np.allclose(position[:25], np.arange(25) / 100)
    assert np.allclose(position[25:50], (np.arange(25, 50) - 10 * rise) / 100)
    assert np.allclose(position[50:], np.arange(40, 50) / 100)


def test_dimensions_without_labels_are_faded_at_every_joint():
    class Arousal:
        labels, dimensions, frame_rate, window = (), ("arousal",), 50, 16_000

        def outputs(self, waves):
            calls.append(len(waves))
            frames = frame_count(waves.shape[1])
            return np.zeros((len(waves), frames, 0), np.float32), np.full(
                (len(waves), frames, 1), 0.5, np.float32
            )

    calls: list[int] = []
    assert np.all(rows_of(Arousal(), np.zeros(150 * HOP, np.float32)) == 0.5)
    assert calls == [2, 1, 1]  # two windows, the one across their joint, and the last one


def test_memory_is_one_batch_of_windows():
    stream = PosteriorStream(Loudness(), batch=4)
    for _ in range(60):
        stream.push(np.zeros(16_000, np.float32))
        assert len(stream._audio) <= 16_000 * 5


def test_the_batch_size_of_a_tagger_is_used():
    class Counting(Loudness):
        def posteriors(self, waves):
            sizes.append(len(waves))
            return super().posteriors(waves)

    samples = np.random.default_rng(1).uniform(0.6, 1, 10 * 16_000 + 5).astype(np.float32)
    for batch, expected in ((None, [4, 4, 2, 1]), (1, [1] * 11), (16, [10, 1])):
        tagger, sizes = Counting(), []
        if batch:
            tagger.batch = batch
        assert np.allclose(posteriors_of(tagger, samples), Loudness().posteriors(samples[None])[0], atol=1e-6)
        assert sizes == expected
