"""Conversions between samples, frames and seconds."""

from hypothesis import given
from hypothesis import strategies as st

from sed import grid


@given(st.integers(0, 10**9))
def test_frame_count_is_the_smallest_that_covers_all_samples(samples):
    frames = grid.frame_count(samples)
    assert (frames - 1) * grid.HOP < samples <= frames * grid.HOP or (samples == 0 and frames == 0)


@given(st.integers(0, 10**8))
def test_conversion_to_seconds_and_back_is_lossless(frame):
    seconds = grid.frames_to_seconds(frame)
    assert grid.seconds_to_frames(seconds) == frame == grid.frame_at(seconds)
    assert grid.seconds_to_samples(seconds) == frame * grid.HOP
    assert grid.samples_to_seconds(frame * grid.HOP) == seconds
