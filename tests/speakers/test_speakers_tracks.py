"""Matching of local speakers from window to window, on synthetic activity."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.speakers.tracks import ACTIVE_THRESHOLD, Tracker


def activity(frames, *spans):
    """One column for each list of (start, end) spans."""
    out = np.zeros((frames, len(spans)), np.float32)
    for column, own in enumerate(spans):
        for start, end in own:
            out[start:end, column] = 1
    return out


@settings(max_examples=50, deadline=None)
@given(st.lists(st.permutations(range(3)), min_size=18, max_size=18))
def test_tracks_do_not_depend_on_the_order_of_local_speakers(orders):
    truth = activity(500, [(0, 140), (300, 420)], [(120, 260), (430, 475)], [(240, 310)])
    tracker, window, previous = Tracker(), 200, 0
    found: dict[int, np.ndarray] = {}
    for number, order in enumerate(orders):
        end = 50 + 25 * number
        start = max(0, end - window)
        tracker.step(truth[start:end, list(order)], start)
        final = max(0, end - 25)
        for track, scores in zip(tracker.tracks, tracker.activity().T, strict=True):
            column = found.setdefault(id(track), np.zeros(500, bool))
            column[previous:end] = scores > ACTIVE_THRESHOLD
        tracker.finalise(final)
        previous = final
    spans = sorted(
        (int(column.argmax()), int(np.flatnonzero(column)[-1]) + 1)
        for column in found.values()
        if column.any()
    )
    assert spans == [(0, 420), (120, 475), (240, 310)]


def test_successive_speakers_are_two_tracks():
    tracker = Tracker()
    tracker.step(activity(100, [(0, 90)], []), 0)
    [first] = tracker.tracks
    tracker.step(activity(125, [(90, 125)], [(0, 90)]), 0)
    assert first.column == 1 and len(tracker.tracks) == 2
    assert (tracker.activity()[95:, 1] > ACTIVE_THRESHOLD).all()


def test_a_track_ends_when_it_has_no_match_and_is_final():
    tracker = Tracker()
    tracker.step(activity(50, [(0, 20)]), 0)
    tracker.step(activity(50, [(0, 0)]), 25)
    [track] = tracker.tracks
    assert track.column is None
    assert tracker.finalise(10) == []  # its frames 10 to 20 are not final yet
    assert tracker.finalise(30) == [track] and tracker.tracks == []


def test_windows_are_averaged_with_a_lower_weight_at_their_end():
    tracker = Tracker()
    tracker.step(activity(50, [(0, 50)]), 0)  # the last frames have little context
    tracker.step(activity(75, [(0, 40)]), 0)
    scores = tracker.activity()[:, 0]
    assert (scores[:40] == 1).all()
    assert (scores[40:50] < ACTIVE_THRESHOLD).all() and scores[49] < scores[40]


def test_silence():
    tracker = Tracker()
    tracker.step(np.zeros((25, 3), np.float32), 0)
    assert tracker.activity().shape == (25, 0) and tracker.finalise(25) == []
