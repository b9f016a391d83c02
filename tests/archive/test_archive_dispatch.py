"""Dispatching jobs: each once, results in order, with a bounded number in progress in any order of completion."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed.archive.dispatch import AHEAD, Dispatch
from sed.archive.inputs import Input
from sed.archive.run import _in_order
from sed.archive.summary import KINDS, SHOWN, Summary
from sed.archive.work import Job, Report
from sed.errors import FormatError


def jobs(count):
    return (Job(n, Input(f"{n}.wav", f"{n}.wav")) for n in range(count))


class Engine:
    """Simulates workers that finish jobs in random order and lose some of them."""

    def __init__(self, queue, workers, chance, lossy):
        self.queue, self.workers, self.chance, self.lossy = queue, workers, chance, lossy
        self.given = []

    def reports(self):
        self.queue.expect(self.workers)
        in_progress = []
        while not self.queue.is_over:
            while len(in_progress) < self.workers and (job := self.queue.take()) is not None:
                in_progress.append(job)
                self.given.append(job.number)
            job = in_progress.pop(self.chance.randrange(len(in_progress)))
            if self.lossy and self.chance.random() < 0.3:
                self.queue.lose(job.number)
            else:
                self.queue.finish(job.number)
                yield Report(job.number)


@pytest.mark.slow
@given(st.integers(0, 60), st.integers(1, 7), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60, deadline=None)
def test_each_job_once_in_order_with_few_results_waiting(count, workers, chance, lossy):
    queue = Dispatch(jobs(count), ordered=True)
    engine = Engine(queue, workers, chance, lossy)
    made = done = most = 0

    def counted():
        nonlocal made, most
        for report in engine.reports():
            made += 1
            most = max(most, made - done)
            yield report

    seen = []
    for report in _in_order(counted()):
        seen.append(report.number)
        done += 1
    assert seen == list(range(count))
    assert most <= AHEAD * workers
    assert lossy or engine.given == sorted(engine.given)


def test_unordered_jobs_do_not_wait():
    queue = Dispatch(jobs(100))
    queue.expect(2)
    assert [queue.take().number for _ in range(100)] == list(range(100))
    assert queue.take() is None and not queue.is_over and not queue.has_more
    for number in range(100):
        queue.finish(number)
    assert queue.is_over


def test_lost_jobs_come_first_and_stop_drops_them():
    queue = Dispatch(jobs(10))
    for _ in range(3):
        queue.take()
    queue.lose(1)
    assert queue.take().number == 1 and queue.take().number == 3
    queue.lose(2)
    queue.stop()
    assert queue.take() is None and not queue.has_more
    for number in (0, 1, 3):
        assert not queue.is_over
        queue.finish(number)
    assert queue.is_over


def test_jobs_are_created_lazily():
    made = 0

    def endless():
        nonlocal made
        while True:
            yield Job(made, Input("a", "a"))
            made += 1

    queue = Dispatch(endless(), ordered=True)
    queue.expect(2)
    while queue.take():
        pass
    assert made <= 2 * AHEAD + 1


def test_remaining_reports_follow_in_order_after_a_stop():
    def ends_early():
        for number in (2, 0, 5, 4):
            yield Report(number)

    assert [r.number for r in _in_order(ends_early())] == [0, 2, 4, 5]


def test_a_summary_is_bounded_and_counts_everything():
    summary = Summary(5000)
    chance = random.Random(1)
    for number in range(5000):
        item = Input(f"{number}.wav", f"{number}.wav")
        reason = "found text" if chance.random() < 0.5 else f"odd {number}"
        summary.add(item, Report(number, error=f"{number}.wav: {reason}"))
    assert summary.failed == sum(f.count for f in summary.reasons.values()) == 5000
    assert len(summary.reasons) <= KINDS + 1
    lines = summary.text(1.0).splitlines()
    assert lines[0] == "5000 recordings: 0 done, 5000 failed" and len(lines) == SHOWN + 2
    assert " x found text: " in lines[1]


def test_write_errors_are_counted_as_one_reason():
    summary = Summary(2)
    for name in ("a", "b"):
        item = Input(f"{name}.wav", f"{name}.wav")
        path = f"out: x/{name}.rttm"
        error = FormatError(f"{path}: cannot be written (No space left on device)", path=path)
        summary.add(item, Report(0).failing(item, [error]))
    assert summary.text(1.0).splitlines()[1:] == [
        "  2 x cannot be written (No space left on device): a.wav and 1 more"
    ]
