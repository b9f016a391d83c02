import numpy as np
import pytest
import torch

from sed.training.objectives.losses import (
    concordance,
    distillation_loss,
    instance_loss,
    pooled_logits,
    reverse_gradient,
    soft_cross_entropy,
    tagger_loss,
)


def test_one_hot_soft_labels_equal_hard_labels():
    logits, targets = torch.randn(2, 30, 4), torch.randint(4, (2, 30))
    shares = torch.nn.functional.one_hot(targets, 4).float()
    assert soft_cross_entropy(logits, shares) == pytest.approx(
        float(tagger_loss(logits, targets, 0, 0)), abs=1e-6
    )
    shares[0, :20] = float("nan")
    rest = torch.where(torch.isnan(shares[..., 0]), -1, targets)
    assert soft_cross_entropy(logits, shares) == pytest.approx(
        float(tagger_loss(logits, rest, 0, 0)), abs=1e-6
    )
    assert soft_cross_entropy(logits, torch.full_like(shares, float("nan"))) == 0


def test_soft_cross_entropy_is_lowest_at_its_targets():
    """The best logits for 3 to 1 votes have posteriors of 3 to 1."""
    shares = torch.tensor([[[0.75, 0.25]]])
    best = torch.log(shares)
    for other in (best + torch.tensor([0.1, 0.0]), best - torch.tensor([0.1, 0.0])):
        assert soft_cross_entropy(best, shares) < soft_cross_entropy(other, shares)


def test_concordance_by_hand_and_against_numpy():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50, 3))
    y = 0.5 * x + 0.3 * y + 0.2
    found = concordance(torch.from_numpy(x), torch.from_numpy(y)).numpy()
    for column in range(3):
        a, b = x[:, column], y[:, column]
        r = np.corrcoef(a, b)[0, 1]
        expected = 2 * r * a.std() * b.std() / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
        assert found[column] == pytest.approx(expected)
    assert concordance(torch.from_numpy(-x), torch.from_numpy(x)).numpy() == pytest.approx(-1, abs=0.2)
    assert concordance(torch.zeros(3, 1), torch.ones(3, 1)).item() == 0


def test_distillation_loss_is_0_if_student_and_teacher_agree():
    teacher = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    for temperature in (1.0, 2.0, 5.0):
        assert distillation_loss(teacher.log() + 3, teacher, temperature) == pytest.approx(0, abs=1e-6)
        logits = torch.randn(2, 3, requires_grad=True)
        softened = teacher ** (1 / temperature)
        softened = softened / softened.sum(1, keepdim=True)
        student = torch.softmax(logits / temperature, 1)
        expected = temperature**2 * (softened * (softened / student).log()).sum(1).mean()
        assert distillation_loss(logits, teacher, temperature).item() == pytest.approx(
            expected.item(), rel=1e-4
        )
    padded = torch.cat([teacher, torch.full((1, 3), float("nan"))])
    logits = torch.randn(3, 3)
    assert distillation_loss(logits, padded, 2.0) == distillation_loss(logits[:2], teacher, 2.0)


def test_gradient_is_reversed_and_scaled():
    x = torch.randn(5, requires_grad=True)
    y = reverse_gradient(x, 0.25)
    assert torch.equal(x, y)
    (y * torch.arange(5.0)).sum().backward()
    assert torch.equal(x.grad, -0.25 * torch.arange(5.0))


def test_pooling_by_hand():
    logits = torch.tensor([[9.0, 0.0]] * 8 + [[0.0, 9.0]] * 2)
    assert pooled_logits(logits).tolist() == pytest.approx([7.2, 1.8])
    attention = torch.tensor([-50.0] * 8 + [0.0] * 2)
    assert pooled_logits(logits, attention).tolist() == pytest.approx([0, 9], abs=1e-4)


def test_instance_loss_requires_the_label_and_no_other():
    frames = torch.tensor([[20.0, 0.0, 0.0]] * 8 + [[0.0, 20.0, 0.0]] * 2)
    assert instance_loss(frames, 1, background=0) < 1e-3, "two of ten frames suffice"
    assert instance_loss(frames, 1, background=None) > 5, "without a background label"
    assert instance_loss(frames, 0, background=0) > 5, "labelled neutral, but another emotion occurs"
    assert instance_loss(frames, 2, background=0) > 10
    even = torch.zeros(7, 4)
    assert instance_loss(even, 1, 0).item() == pytest.approx(-np.log(0.25) - 2 * np.log(0.75))
