"""A live speaker's turns without shards: what is bridged, absorbed, dropped, and kept because it was final."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.speakers.online_smoothing import OnlineSmoother, most_active
from sed.speakers.turns import runs

FILL, MIN_DURATION_ON, AHEAD = 5, 10, 13


def mask(frames, *spans, level=1.0):
    out = np.zeros(frames)
    for start, end in spans:
        out[start:end] = level
    return out


def spans(found, key=0):
    return runs(found[key]).tolist() if key in found else []


def test_speech_that_windows_attribute_differently_has_the_most_active_speaker():
    found = most_active({4: mask(30, (0, 20), level=0.45), 7: mask(30, (10, 30), level=0.3)})
    assert spans({k: one > 0.5 for k, one in found.items()}, 4) == [[10, 20]]  # only there enough in all
    assert spans({k: one > 0.5 for k, one in found.items()}, 7) == []


def test_as_many_speakers_are_active_as_their_activities_add_up_to():
    found = most_active(
        {0: mask(10, (0, 10), level=0.7), 1: mask(10, (0, 10), level=0.6), 2: mask(10, (0, 9))}
    )
    assert [int((one > 0.5).sum()) for one in found.values()] == [10, 0, 9] and most_active({}) == {}


def test_pauses_are_bridged_and_shards_left_out():
    own = mask(200, (10, 30), (35, 50), (56, 80), (100, 109), (120, 130))
    found = OnlineSmoother(FILL, MIN_DURATION_ON).step({0: own}, 200, 200, ends=True)
    assert spans(found) == [[10, 50], [56, 80], [120, 130]]


def test_a_shard_goes_to_the_speaker_whose_turn_it_touches():
    active = {0: mask(100, (0, 40)), 1: mask(100, (40, 46)), 2: mask(100, (49, 70), (80, 85))}
    found = OnlineSmoother(FILL, MIN_DURATION_ON).step(active, 100, 100, ends=True)
    assert spans(found) == [[0, 46]] and spans(found, 2) == [[49, 70]] and 1 not in found


def test_what_may_still_grow_stays_until_its_end_is_known():
    steady = OnlineSmoother(FILL, MIN_DURATION_ON)
    assert spans(steady.step({0: mask(50, (45, 50))}, 50, 37)) == [[45, 50]]
    assert steady.step({0: mask(25, (8, 13))}, 25, 12) == {}


def test_a_turn_that_is_final_in_part_lasts_its_minimum():
    steady = OnlineSmoother(FILL, MIN_DURATION_ON)
    assert spans(steady.step({0: mask(25, (9, 25))}, 25, 12)) == [[9, 25]]
    assert spans(steady.step({}, 25, 12)) == [[0, 7]]  # its first three frames were final
    assert steady.step({}, 25, 12) == {}


def test_a_turn_has_to_be_clear_before_a_shard_of_it_becomes_final():
    for level, expected in ((0.55, [[12, 25]]), (0.9, [[9, 25]])):
        found = OnlineSmoother(FILL, MIN_DURATION_ON).step({0: mask(25, (9, 25), level=level)}, 25, 12)
        assert spans(found) == expected
    doubtful = mask(25, (0, 25), level=0.55)  # enough of it becomes final
    assert spans(OnlineSmoother(FILL, MIN_DURATION_ON).step({0: doubtful}, 25, 12)) == [[0, 25]]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(MIN_DURATION_ON, 30), st.integers(1, 40))
def test_no_final_turn_is_a_shard_however_the_windows_change_their_mind(seed, speakers, ahead, step):
    rng = np.random.default_rng(seed)
    steady, settled, end = OnlineSmoother(FILL, MIN_DURATION_ON), 0, 400
    final = {key: np.zeros(end, bool) for key in range(speakers)}
    for time in [*range(step, end, step), end]:
        until = end if time == end else max(settled, time - ahead)
        activity = {
            key: np.repeat(rng.random(time // 6 + 1) ** 0.7, 6)[: time - settled] for key in range(speakers)
        }
        found = steady.step(activity, time - settled, until - settled, ends=time == end)
        for key, active in found.items():
            final[key][settled:until] = active[: until - settled]
        settled = until
    for active in final.values():
        for start, stop in runs(active).tolist():
            assert stop - start >= MIN_DURATION_ON or stop == end
