"""Metric learning and ranking, on constructed features."""

import numpy as np
import pytest
import torch
from torch import nn
from toy_batches import WIDTH, Tagger, batch, speech

from sed.corpora.ratings import Ratings
from sed.errors import OptionError
from sed.simulation.patterns import Event
from sed.training.objectives.base import Objectives
from sed.training.objectives.dimensions import Dimensions
from sed.training.objectives.metric import AdaptiveTriplet, SupervisedContrastive

EMOTIONS = ["neutral", "happy", "neutral", "happy"]
SPEAKERS = ["a", "a", "b", "b"]


def one_each(emotions):
    return batch([[Event(0, 12_800, emotion, number)] for number, emotion in enumerate(emotions)])


def distances(objective):
    """Mean distance of an encoder's utterance means within and between emotions, after training with `objective`.

    The input separates speakers ten times as well as emotions."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    encoder = nn.Linear(8, WIDTH)
    rows = speech(EMOTIONS, speakers=SPEAKERS)
    objectives = Objectives({"metric": objective})
    objectives.build(Tagger(), rows)
    optimiser = torch.optim.Adam([*encoder.parameters(), *objectives.parameters()], lr=0.01)
    given = one_each(EMOTIONS)
    emotion, speaker = torch.tensor([0.0, 1, 0, 1]), torch.tensor([0.0, 0, 1, 1])
    for step in range(200):
        x = 0.1 * torch.randn(4, 40, 8, generator=generator)
        x[:, :, 0] += 0.3 * emotion[:, None]
        x[:, :, 1] += 3.0 * speaker[:, None]
        features = encoder(x)
        loss = objectives(features, torch.zeros(4, 40, 4), given, step / 200)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    vectors, _, _ = objective.pairs(features, given)
    gaps = torch.cdist(vectors, vectors).detach()
    return float(gaps[0, 2] + gaps[1, 3]), float(gaps[0, 1] + gaps[2, 3])


@pytest.mark.parametrize("kind", [SupervisedContrastive, AdaptiveTriplet])
def test_emotions_are_drawn_together_across_speakers(kind):
    within, between = distances(kind(1.0, width=4))
    assert within < 0.2 * between


@pytest.mark.parametrize("kind", [SupervisedContrastive, AdaptiveTriplet])
def test_pairs_of_one_speaker_count_only_if_asked_for(kind):
    rows = speech(["sad", "sad", "happy"], speakers=["a", "a", "b"])
    features, given = torch.randn(3, 40, WIDTH), one_each(["sad", "sad", "happy"])
    losses = []
    for across in (True, False):
        torch.manual_seed(0)
        objective = kind(1.0, across_speakers=across)
        objective.build(Tagger(), rows)
        losses.append(objective(features, torch.zeros(3, 40, 4), given, 0.0).item())
    assert losses[0] == 0 and losses[1] > 0


def test_the_contrastive_loss_is_that_of_the_paper():
    torch.manual_seed(0)
    objective = SupervisedContrastive(1.0, temperature=0.5)
    objective.build(Tagger(), speech(["sad", "sad", "happy", "sad"], speakers=list("abcd")))
    features, given = torch.randn(4, 40, WIDTH), one_each(["sad", "sad", "happy", "sad"])
    z, _, _ = objective.pairs(features, given)
    expected = []
    for i, others in ((0, (1, 3)), (1, (0, 3)), (3, (0, 1))):
        total = sum(torch.exp(z[i] @ z[k] / 0.5).item() for k in range(4) if k != i)
        expected.append(-np.mean([np.log(torch.exp(z[i] @ z[p] / 0.5).item() / total) for p in others]))
    assert objective(features, torch.zeros(4, 40, 4), given, 0).item() == pytest.approx(
        np.mean(expected), rel=1e-5
    )


def test_the_margin_grows_with_the_distance_of_emotions():
    triplet = AdaptiveTriplet(1.0, margin=0.3, min_margin=0.1)
    assert triplet.margin_between("happy", "sad") > triplet.margin_between("happy", "surprised") >= 0.1
    assert triplet.margin_between("happy", "wistful") == pytest.approx(0.3)
    triplet.build(Tagger(), speech(["happy", "happy", "sad"], speakers=list("abc")))
    same = torch.ones(3, 40, WIDTH)  # all distances are 0: the loss is the margin
    loss = triplet(same, torch.zeros(3, 40, 4), one_each(["happy", "happy", "sad"]), 0)
    assert loss.item() == pytest.approx(triplet.margin_between("happy", "sad"), abs=1e-3)


def test_every_parameter_gets_a_gradient_without_a_pair():
    objectives = Objectives({"c": SupervisedContrastive(1.0), "t": AdaptiveTriplet(1.0)})
    objectives.build(Tagger(), speech(["sad"]))
    objectives(torch.randn(1, 40, WIDTH), torch.randn(1, 40, 4), one_each(["sad"]), 0.5).backward()
    assert all(p.grad is not None and not p.grad.any() for p in objectives.parameters())


def test_invalid_options_are_refused():
    for make, message in (
        (lambda: SupervisedContrastive(1.0, temperature=0), "temperature 0"),
        (lambda: AdaptiveTriplet(1.0, margin=-1), "margins -1"),
        (lambda: AdaptiveTriplet(1.0, width=1), "width 1"),
        (lambda: Dimensions(1.0, ranking=2), "ranking 2"),
    ):
        with pytest.raises(OptionError, match=message):
            make()


def test_ranking_ignores_that_corpora_have_other_scales():
    """Two corpora rate the same arousal on scales half a unit apart, and the features show which corpus it is."""
    arousal, corpus = np.tile(np.linspace(0.1, 0.4, 4), 2), np.repeat([0, 1], 4)
    ratings = [
        Ratings(dimensions=(a + 0.5 * c, np.nan, np.nan)) for a, c in zip(arousal, corpus, strict=True)
    ]
    rows = speech(["sad"] * 8, ratings=ratings, corpora=[f"c{c}" for c in corpus])
    features = torch.zeros(8, 40, WIDTH)
    features[:, :, 0], features[:, :, 1] = (torch.from_numpy(x).float()[:, None] for x in (arousal, corpus))
    given, offsets = one_each(["sad"] * 8), {}
    for ranking in (0.0, 1.0):
        objective = Dimensions(1.0, ranking=ranking, min_difference=0.05)
        objective.build(Tagger(), rows)
        nn.init.zeros_(objective.head.weight)
        optimiser = torch.optim.SGD(objective.parameters(), lr=0.3)
        for step in range(200):
            loss = objective(features, torch.zeros(8, 40, 4), given, step / 200)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        predicted = objective.head(features[:, 0])[:, 0].detach()
        assert (predicted[:4].diff() > 0).all() and (predicted[4:].diff() > 0).all()
        offsets[ranking] = float((predicted[4:] - predicted[:4]).mean() / (predicted[3] - predicted[0]))
    assert abs(offsets[1.0]) < 0.01 and offsets[0.0] > 1
