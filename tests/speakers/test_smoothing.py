"""Smoothing of speaker activity, against the definition spelt out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sed.speakers.smoothing import in_order, smooth, speaker_names, united
from sed.speakers.turns import Turns, runs

masks = st.lists(st.booleans(), max_size=60).map(lambda values: np.array(values, bool))


@given(masks)
def test_runs_rebuild_the_mask(mask):
    rebuilt = np.zeros(len(mask), bool)
    for start, end in runs(mask):
        assert start < end
        assert not rebuilt[max(0, start - 1) : end].any(), "stretches touch"
        rebuilt[start:end] = True
    np.testing.assert_array_equal(rebuilt, mask)


@given(masks, st.integers(0, 5), st.integers(0, 5))
def test_no_short_pause_and_no_short_turn_is_left(mask, fill, shortest):
    found = smooth(mask, fill, shortest)
    lengths = np.diff(runs(found), axis=1).ravel()
    assert (lengths >= shortest).all()
    bridged = smooth(mask, fill, 0)
    stretches = runs(bridged)
    assert (stretches[1:, 0] - stretches[:-1, 1] > fill).all()
    assert (bridged >= mask).all() and (found <= bridged).all()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=8), st.integers(0, 4))
def test_united_spans_are_the_runs_of_their_mask(found, fill):
    spans = np.array([(start, start + length) for start, length in found], int).reshape(-1, 2)
    mask = np.zeros(60, bool)
    for start, end in spans:
        mask[start:end] = True
    np.testing.assert_array_equal(united(spans), runs(mask))
    np.testing.assert_array_equal(united(spans, fill, 3), runs(smooth(mask, fill, 3)))


@given(st.lists(masks.map(lambda m: np.resize(m, 20) if len(m) else np.zeros(20, bool)), max_size=4))
def test_turns_are_their_mask(columns):
    active = np.stack(columns, 1) if columns else np.zeros((20, 0), bool)
    turns = Turns.from_active(active, speaker_names(len(columns)))
    np.testing.assert_array_equal(turns.active, active)
    np.testing.assert_array_equal(turns.overlapped, active.sum(1) > 1)


def test_speakers_are_named_by_first_appearance_and_the_silent_left_out():
    active = np.zeros((10, 4), bool)
    active[5:, 0] = active[2:4, 1] = active[8:, 3] = True
    turns = in_order(map(runs, active.T), len(active))
    assert turns.names == speaker_names(3) == ("spk00", "spk01", "spk02")
    np.testing.assert_array_equal(turns.active.argmax(0), [2, 5, 8])


def test_nothing_gives_nothing():
    turns = in_order([], 7)
    assert turns.active.shape == (7, 0) and turns.names == ()
