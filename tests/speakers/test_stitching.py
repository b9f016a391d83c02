"""Stitching: constructed windows whose truth is known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.speakers.stitching import LONG_SECTION, MAX_SECTION, PAUSE, Section, Stitcher
from sed.speakers.turns import runs

WINDOW, HOP = 500, 250


def stitch(truth: np.ndarray, order=lambda number: (0, 1, 2), change=None, step: int = HOP) -> list[Section]:
    """Sections of windows that see `truth` ``(frames, 3)``, in another order of local speakers each.

    `change` may replace the activity of a window: ``(number, activity) -> activity``.
    """
    stitcher, sections, frames = Stitcher(), [], len(truth)
    for number in range(1 + max(0, -(-(frames - WINDOW) // step))):
        start = number * step
        seen = truth[start : start + WINDOW][:, list(order(number))].astype(np.float32)
        stitcher.push(start, seen if change is None else change(number, seen))
        if start + WINDOW < frames:
            sections += stitcher.final(start + step)
    return sections + stitcher.close(frames)


def tracks_of(sections: list[Section]) -> dict[int, list[tuple[int, int]]]:
    """The spans of every track, joined across sections."""
    found: dict[int, list[tuple[int, int]]] = {}
    for section in sections:
        for column, track in enumerate(section.tracks):
            for start, end in (runs(section.active[:, column]) + section.start).tolist():
                own = found.setdefault(track, [])
                if own and own[-1][1] == start:
                    own[-1] = (own[-1][0], end)
                else:
                    own.append((start, end))
    return found


def alternate(spans, frames: int) -> np.ndarray:
    truth = np.zeros((frames, 3))
    for speaker, start, end in spans:
        truth[start:end, speaker] = 1
    return truth


SPANS = [(0, 40, 260), (1, 260, 480), (0, 480, 700), (1, 690, 940), (2, 960, 1130)]


@settings(max_examples=30, deadline=None)
@given(orders=st.lists(st.sampled_from(list(permutations(range(3)))), min_size=8, max_size=8))
def test_the_order_of_local_speakers_does_not_matter(orders):
    truth = alternate(SPANS, 1180)
    found = tracks_of(stitch(truth, orders.__getitem__))
    assert sorted(spans for own in found.values() for spans in own) == sorted((s, e) for _, s, e in SPANS)


@pytest.mark.parametrize("step", [100, 150, 250, 300])
def test_sections_cover_every_frame_once(step):
    rng = np.random.default_rng(step)
    truth = np.repeat(rng.random((90, 3)) < 0.25, 37, axis=0)
    sections = stitch(truth, step=step)
    assert [s.start for s in sections] == [0, *np.cumsum([len(s.active) for s in sections]).tolist()[:-1]]
    assert sum(len(s.active) for s in sections) == len(truth)
    np.testing.assert_array_equal(np.concatenate([s.active.sum(1) for s in sections]), truth.sum(1))


def test_cuts_are_where_a_window_sees_a_change_and_never_at_its_ends():
    truth = alternate([(0, 0, 2000)], 2000)  # one speaker throughout: every window starts and ends in speech
    sections = stitch(truth)
    assert not any(section.cuts.any() for section in sections)
    assert tracks_of(sections) == {0: [(0, 2000)]}
    seen = np.concatenate([s.cuts for s in stitch(alternate(SPANS, 1180))])
    assert np.flatnonzero(seen).tolist() == sorted({edge for _, *edges in SPANS for edge in edges})


def test_windows_that_disagree_change_the_result_where_one_sees_a_change():
    """The second window takes two speakers for one; the first and the third see the change at frame 430."""
    truth = alternate([(0, 10, 430), (1, 430, 900)], 950)

    def merged(number: int, seen: np.ndarray) -> np.ndarray:
        if number == 1:
            seen = np.stack([seen.max(1), *np.zeros((2, len(seen)))], 1)
        return seen

    sections = stitch(truth, change=merged)
    cuts = np.flatnonzero(np.concatenate([s.cuts for s in sections])).tolist()
    assert cuts == [10, 430, 900]
    edges = {edge for own in tracks_of(sections).values() for span in own for edge in span}
    assert edges <= set(cuts), "an edge where windows meet"


def test_speech_that_only_some_windows_see_is_decided_by_their_weight():
    truth = alternate([(0, 240, 290)], 800)  # at the start of the second window, in the middle of the first

    def deaf(number: int, seen: np.ndarray) -> np.ndarray:
        return seen * (number != 1)

    assert tracks_of(stitch(truth, change=deaf)) == {0: [(240, 290)]}
    assert tracks_of(stitch(truth, change=lambda number, seen: seen * (number != 0))) == {}


def test_sections_are_bounded_in_length():
    rng = np.random.default_rng(0)
    talk = alternate([(n % 2, 180 * n, 180 * n + 180) for n in range(30)], 5400)  # without a pause
    assert max(len(s.active) for s in stitch(talk)) <= MAX_SECTION
    assert all(len(s.active) >= LONG_SECTION for s in stitch(talk)[:-1])
    steady = alternate([(0, 0, 5400)], 5400)
    assert max(len(s.active) for s in stitch(steady)) <= MAX_SECTION
    silence = stitch(np.zeros((5400, 3)))
    assert all(not s.tracks for s in silence) and len(silence) < 5400 / PAUSE
    assert len(stitch((rng.random((3, 3)) < 0.5).astype(float))) == 1
