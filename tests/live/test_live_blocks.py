"""The queue between the threads: losses are reported, the order is kept, and waiting does not poll."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sed.live.blocks import BlockQueue, Gap, Pace


def ramp(start: int, size: int) -> np.ndarray:
    return np.arange(start, start + size, dtype=np.float32)


def drain(queue: BlockQueue) -> list:
    out = []
    while (item := queue.get(timeout=1.0)) is not None:
        out.append(item)
    return out


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=60), st.integers(1, 30))
def test_every_block_comes_out_or_becomes_a_gap_of_its_length(steps, capacity):
    queue, position, out = BlockQueue(capacity), 0, []
    for reading, size in steps:
        if reading:
            if queue.waiting:
                out.append(queue.get(timeout=1.0))
        else:
            queue.put(ramp(position, size))
            position += size
        assert queue.waiting <= max(capacity, 9)
    queue.finish()
    out += drain(queue)
    position, lost = 0, 0
    for item in out:
        if isinstance(item, Gap):
            position += item.samples
            lost += item.samples
        else:
            np.testing.assert_array_equal(item, ramp(position, len(item)))
            position += len(item)
    assert position == sum(size for reading, size in steps if not reading)
    assert lost == queue.lost


def test_a_full_queue_drops_one_long_gap_instead_of_many_short_ones():
    queue = BlockQueue(capacity=10)
    for start in range(12):
        queue.put(ramp(start, 1))
    assert queue.lost == 2
    assert [len(queue.get()) for _ in range(4)] == [1] * 4  # 6 are queued: still more than half
    assert not queue.put(ramp(12, 1))
    assert [len(queue.get()) for _ in range(2)] == [1] * 2
    assert queue.put(ramp(13, 1))
    queue.finish()
    rest = drain(queue)
    assert [r.samples for r in rest if isinstance(r, Gap)] == [3]
    assert rest[-1][0] == 13


def test_a_writer_with_a_timeout_waits_for_room():
    queue = BlockQueue(capacity=4)
    queue.put(ramp(0, 4))
    threading.Timer(0.1, queue.get).start()
    assert queue.put(ramp(4, 4), timeout=5.0)
    assert queue.lost == 0


def test_the_timeout_ends():
    queue = BlockQueue(capacity=4)
    queue.put(ramp(0, 4))
    start = time.monotonic()
    assert not queue.put(ramp(4, 1), timeout=0.1)
    assert 0.05 < time.monotonic() - start < 10.0


def test_finish_wakes_a_waiting_writer_and_a_waiting_reader():
    full, empty, results = BlockQueue(capacity=1), BlockQueue(capacity=1), []
    full.put(ramp(0, 1))
    jobs = [
        threading.Thread(target=lambda: results.append(full.put(ramp(1, 1), timeout=float("inf")))),
        threading.Thread(target=lambda: results.append(empty.get())),
    ]
    for job in jobs:
        job.start()
    full.finish()
    empty.finish()
    for job in jobs:
        job.join(2.0)
        assert not job.is_alive()
    assert len(results) == 2
    assert full.lost == 0


def test_discarded_blocks_become_a_gap():
    queue = BlockQueue(capacity=10)
    queue.put(ramp(0, 4))
    queue.put_gap(5)
    queue.finish(discard=True)
    assert queue.get() == Gap(9)
    assert queue.get() is None
    assert queue.lost == 4


def test_no_block_in_time():
    with pytest.raises(TimeoutError):
        BlockQueue(1).get(timeout=0.01)


@pytest.mark.slow
def test_waiting_takes_no_cpu_time():
    queue = BlockQueue(1)
    reader = threading.Thread(target=queue.get)
    before = time.process_time()
    reader.start()
    time.sleep(0.5)
    elapsed = time.process_time() - before
    queue.finish()
    reader.join()
    assert elapsed < 0.1


def test_pace_distinguishes_a_microphone_from_a_file():
    slow, fast = Pace(1000), Pace(1000)
    slow.add(1)
    time.sleep(0.05)
    slow.add(20)
    fast.add(5000)
    fast.add(5000)
    assert slow.ahead == 0.0
    assert 4.5 < fast.ahead <= 10.0
