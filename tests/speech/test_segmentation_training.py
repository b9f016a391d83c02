"""The recipe of the bundled segmentation network: labels of windows, and a loss that ignores the order of speakers."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from benchmarks.tuning.segmentation import draw_window, labels, mix, permutation_loss
from sed.result import Diarization, Segment
from sed.speech.segmentation import MODEL_STEP, POWERSET, WINDOW

FOUR = [Segment(1, 4, "a"), Segment(3, 6, "b"), Segment(7, 8, "c"), Segment(9, 9.5, "d")]


def test_labels_are_the_reference_in_the_frames_of_the_network():
    active = labels(Diarization("x", 40, FOUR[:3]), start=2 * 16_000)
    assert active is not None and active.shape == (589, 3)
    seconds = active.sum(0) * MODEL_STEP / 16_000
    np.testing.assert_allclose(sorted(seconds), [1, 2, 3], atol=0.04)
    assert active[60].sum() == 2, "3 s: a and b"


def test_four_speakers_in_a_window_are_refused_or_the_one_who_speaks_least_is_left_out():
    reference = Diarization("x", 40, FOUR)
    assert labels(reference, 0) is None
    np.testing.assert_array_equal(labels(reference, 0, most=True), labels(Diarization("x", 40, FOUR[:3]), 0))


def test_the_end_of_a_recording_is_padded_with_its_mean():
    samples = np.full(3 * WINDOW, 0.25, np.float32)
    drawn = [draw_window(samples, np.random.default_rng(seed)) for seed in range(40)]
    assert all(len(window) == WINDOW and np.ptp(window) < 1e-6 for window, _ in drawn)
    assert 1 <= sum(start > 2 * WINDOW for _, start in drawn) <= 12


def test_the_loss_does_not_depend_on_the_order_of_speakers():
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(4, 50, len(POWERSET), generator=generator).log_softmax(-1)
    rows = torch.randint(0, len(POWERSET), (4, 50), generator=generator)
    active = torch.from_numpy(POWERSET)[rows].to(torch.uint8)
    losses = [permutation_loss(scores, active[:, :, list(order)]) for order in permutations(range(3))]
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0])
    certain = torch.full((4, 50, len(POWERSET)), -20.0).scatter(2, rows[..., None], 0.0)
    assert permutation_loss(certain, active).max() < 1e-6
    assert permutation_loss(certain, 1 - active).min() > 1


def test_mixed_weights_lie_on_the_way():
    torch = pytest.importorskip("torch")
    network = torch.nn.Linear(2, 2)
    published = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    weight = network.weight.detach().clone()
    mix(network, published, 0.75)
    torch.testing.assert_close(network.weight.detach(), 0.75 * weight)
