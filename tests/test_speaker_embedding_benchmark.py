"""The equal error rates of `benchmarks/accuracy/speaker_embedding.py`: constructed pairs, and the choice of clips."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.speaker_embedding import CLIPS, chosen, turns
from benchmarks.lib.verification import Pairs, Samples, pairs
from sed.corpora.manifest import Utterance
from sed.result import Segment


def made(targets: list[float], others: list[float]) -> Pairs:
    similarity = np.array(targets + others)
    same = np.arange(len(similarity)) < len(targets)
    first = np.zeros(len(similarity), int)
    return Pairs(similarity, same, first, np.where(same, 0, 1), speakers=2)


def test_the_rate_is_where_both_errors_are_equal() -> None:
    """One of four targets is below and one of four others above every threshold between 0.5 and 0.6."""
    assert made([0.9, 0.8, 0.7, 0.2], [0.6, 0.3, 0.1, 0.0]).equal_error_rate() == 0.25
    assert made([0.9, 0.8], [0.1, 0.0]).equal_error_rate() == 0
    assert np.isnan(made([0.9], []).equal_error_rate())


def test_weights_count_pairs_repeatedly() -> None:
    weighted = made([0.9, 0.1], [0.5, 0.0]).equal_error_rate(np.array([3.0, 1, 1, 3]))
    repeated = made([0.9, 0.9, 0.9, 0.1], [0.5, 0.0, 0.0, 0.0]).equal_error_rate()
    assert weighted == repeated == 0.25


def test_pairs_stay_within_a_group_and_a_kind_of_emotion() -> None:
    vectors = np.eye(4)
    samples = Samples.of(vectors, "aabb", ["x", "x", "x", "y"], ["sad", "sad", "angry", "sad"])
    assert len(pairs(samples).same) == 3
    assert pairs(samples, across=False).same.tolist() == [True]
    assert pairs(samples, across=True).same.tolist() == [False, False]


def test_the_interval_comes_from_speakers() -> None:
    """Many samples of few speakers leave a wide interval, where one of four speakers is confused with another."""
    rng = np.random.default_rng(0)
    centres = np.eye(8)[[0, 1, 2, 2]]
    vectors = np.repeat(centres, 10, 0) + 0.05 * rng.normal(size=(40, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = pairs(Samples.of(vectors, np.repeat(list("abcd"), 10).tolist(), "x" * 40))
    low, high = found.interval()
    assert low == pytest.approx(0, abs=0.01) and low < found.equal_error_rate() < high


def test_clips_are_chosen_evenly_over_emotions() -> None:
    rows = [
        Utterance("corpus", Path(f"{emotion}{n}.wav"), "corpus/a", emotion, "train")
        for emotion, count in (("neutral", 60), ("angry", 60), ("sad", 3))
        for n in range(count)
    ]
    found = [row.emotion for row in chosen(rows, np.random.default_rng(0))]
    assert len(found) == CLIPS
    assert [found.count(emotion) for emotion in ("neutral", "angry", "sad")] in ([10, 11, 3], [11, 10, 3])


def test_pieces_of_turns_leave_overlap_out() -> None:
    samples = np.random.default_rng(0).normal(size=10 * 16_000).astype(np.float32)
    reference = [Segment(0, 4, "a", "neutral"), Segment(3, 6, "b", "neutral")]
    found = list(turns("call", samples, reference, 2.5))
    assert [(p.speaker, len(p.features)) for p in found] == [("call/a", 250), ("call/b", 200)]
