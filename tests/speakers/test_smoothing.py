"""Post-processing of speaker activity, against its definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sed.speakers.smoothing import make_turns, merge_spans, smooth, speaker_names
from sed.speakers.turns import Turns, runs

masks = st.lists(st.booleans(), max_size=60).map(lambda values: np.array(values, bool))


@given(masks)
def test_runs_rebuild_the_mask(mask):
    rebuilt = np.zeros(len(mask), bool)
    for start, end in runs(mask):
        assert start < end
        assert not rebuilt[max(0, start - 1) : end].any(), "adjacent runs"
        rebuilt[start:end] = True
    np.testing.assert_array_equal(rebuilt, mask)


@given(masks, st.integers(0, 5), st.integers(0, 5))
def test_no_short_pauses_and_no_short_turns_remain(mask, min_duration_off, min_duration_on):
    smoothed = smooth(mask, min_duration_off, min_duration_on)
    lengths = np.diff(runs(smoothed), axis=1).ravel()
    assert (lengths >= min_duration_on).all()
    bridged = smooth(mask, min_duration_off, 0)
    bridged_runs = runs(bridged)
    assert (bridged_runs[1:, 0] - bridged_runs[:-1, 1] > min_duration_off).all()
    assert (bridged >= mask).all() and (smoothed <= bridged).all()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=8), st.integers(0, 4))
def test_merged_spans_are_the_runs_of_their_mask(drawn, min_duration_off):
    spans = np.array([(start, start + length) for start, length in drawn], int).reshape(-1, 2)
    mask = np.zeros(60, bool)
    for start, end in spans:
        mask[start:end] = True
    np.testing.assert_array_equal(merge_spans(spans), runs(mask))
    expected = runs(smooth(mask, min_duration_off, 3))
    np.testing.assert_array_equal(merge_spans(spans, min_duration_off, 3), expected)


@given(st.lists(masks.map(lambda m: np.resize(m, 20) if len(m) else np.zeros(20, bool)), max_size=4))
def test_turns_rebuild_their_mask(columns):
    active = np.stack(columns, 1) if columns else np.zeros((20, 0), bool)
    turns = Turns.from_active(active, speaker_names(len(columns)))
    np.testing.assert_array_equal(turns.active, active)
    np.testing.assert_array_equal(turns.overlapped, active.sum(1) > 1)


def test_speakers_are_named_in_order_of_appearance_and_silent_ones_are_dropped():
    active = np.zeros((10, 4), bool)
    active[5:, 0] = active[2:4, 1] = active[8:, 3] = True
    turns = make_turns(map(runs, active.T), len(active))
    assert turns.names == speaker_names(3) == ("spk00", "spk01", "spk02")
    np.testing.assert_array_equal(turns.active.argmax(0), [2, 5, 8])


def test_no_speakers():
    turns = make_turns([], 7)
    assert turns.active.shape == (7, 0) and turns.names == ()
