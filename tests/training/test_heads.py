"""Heads on constructed states: what a linear probe reads with and without measures against differences of corpora."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sed.corpora.audio import Utterance
from sed.errors import OptionError
from sed.networks.head import Head, SharedClassifier
from sed.training.data.state_windows import WindowOptions, WindowSampler
from sed.training.data.states import Part
from sed.training.heads import fit_heads
from sed.training.objectives.adversary import SourceAdversary

LABELS = ["neutral", "happy", "angry", "sad"]
WIDTH, FRAMES = 8, 20
OFFSETS = {"studio": 4.0, "stage": -4.0, "street": 8.0}
HPARAMS = {
    "labels": LABELS,
    "warmup_steps": 5,
    "decay_steps": 100,
    "head_rate": 0.002,
    "adversary_rate": 0.02,
    "weight_decay": 0.02,
    "clip_norm": 1.0,
    "run_weight": 0.5,
    "consistency": 0.0,
    "ema_decay": 0.98,
    "standardise": 2,
    "seed": 3,
    "windows": WindowOptions(windows=16, length=(0.8, 0.8), ordinary_neutral=0.9, smoothing=0.1),
}


def make_part(corpus, emotions, seed, count=40):
    """States of noise, in which the emotion moves one dimension and the corpus two others."""
    rng = np.random.default_rng(seed)
    rows = [(emotion, number) for emotion in emotions for number in range(count)]
    states = rng.standard_normal((len(rows), FRAMES, WIDTH)) + 0.7 * rng.standard_normal(
        (len(rows), 1, WIDTH)
    )
    for row, (emotion, _) in enumerate(rows):
        states[row, :, LABELS.index(emotion)] += 3
        states[row, :, 5:7] += OFFSETS[corpus] * np.array([1, -1])
    utterances = [
        Utterance(corpus, Path(f"{corpus}{e}{n}"), f"{corpus}/{n % 3}", e, "train") for e, n in rows
    ]
    first = np.arange(len(rows) + 1) * FRAMES
    return Part(utterances, first, states.reshape(-1, WIDTH).astype(np.float32), 0)


def make_parts(seed=0):
    """Two acted corpora and an ordinary one."""
    acted = [make_part("studio", LABELS, seed), make_part("stage", LABELS, seed + 1)]
    return acted, [make_part("street", ["neutral"], seed + 2)]


class Tagger(nn.Module):
    """The parts of a tagger that heads are trained with."""

    labels = tuple(LABELS)

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleList([Head(WIDTH, 16, (), [5], 0.0, scale_only=True)])
        self.classifier = SharedClassifier([16], [1.0], len(LABELS))

    def fused_features(self, states):
        return self.heads[0](states)

    def branch_logits(self, features):
        return self.classifier.branch_logits(features)


def probe_accuracy(train, test):
    """Share of `test` (means ``(N, D)``, classes) that a linear classifier fitted to `train` gets right."""
    mean, deviation = train[0].mean(0), train[0].std(0) + 1e-6
    (x, y), (x_test, y_test) = (((m - mean) / deviation, c) for m, c in (train, test))
    targets = np.eye(int(y.max()) + 1)[y] - 1 / (y.max() + 1)
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ targets)
    return float(((x_test @ weights).argmax(1) == y_test).mean())


def pooled(model, seed, emotions):
    """Mean features, source and emotion of each utterance."""
    acted, ordinary = make_parts(seed)
    found = [
        (model.fused_features(torch.from_numpy(part.frames(n))[None])[0].mean(0), source, u.emotion)
        for source, part in enumerate([*acted, *ordinary])
        for n, u in enumerate(part.utterances)
        if u.emotion in emotions
    ]
    means, sources, labels = zip(*found, strict=True)
    return torch.stack(means).detach().numpy(), np.array(sources), np.array([LABELS.index(e) for e in labels])


def probes(adversary):
    """Accuracy of linear probes of trained features for the source of neutral speech, and for the emotion."""
    torch.manual_seed(0)
    model = Tagger()
    fit_heads({**HPARAMS, "steps": 300, "adversary": adversary}, model, *make_parts())
    (m, s, _), (m_new, s_new, _) = (pooled(model, seed, ["neutral"]) for seed in (50, 60))
    (e, _, y), (e_new, _, y_new) = (pooled(model, seed, LABELS) for seed in (50, 60))
    return probe_accuracy((m, s), (m_new, s_new)), probe_accuracy((e, y), (e_new, y_new))


@pytest.mark.slow
def test_behind_the_adversary_a_linear_probe_cannot_read_the_source():
    source, emotion = probes(SourceAdversary(0.0))
    assert source > 0.62 and emotion > 0.95
    source_left, emotion_left = probes(SourceAdversary(1.0, ["neutral"]))
    assert source_left < 0.45, "one of three is right by chance"
    assert emotion_left > 0.95


def test_the_adversary_sees_the_source_of_its_labels_only():
    sampler = WindowSampler(*make_parts(), LABELS, LABELS, HPARAMS["windows"])
    batch = sampler.batch(0)
    assert sampler.sources == ("stage", "street", "studio")
    is_street = batch.sources == 1
    assert is_street.any() and (batch.emotions[is_street] == 0).all()
    offset = (batch.states[..., 5] - batch.states[..., 6]) / 2
    for source, name in enumerate(sampler.sources):
        assert offset[batch.sources == source].mean() == pytest.approx(OFFSETS[name], abs=1)
    means, classes = torch.randn(3, 16, requires_grad=True), torch.tensor([0, -1, 2])
    adversary = SourceAdversary(1.0, ["neutral"])
    adversary.make_head(16, 3)
    adversary.loss(means, classes, 1.0).backward()
    assert means.grad[0].any() and means.grad[2].any() and not means.grad[1].any()


def styled(parts, labels=LABELS, **options):
    options = {"windows": 60, "length": (0.8, 0.8), "pairs": 0.0, "ordinary": 0.0, "styles": 1.0, **options}
    sampler = WindowSampler(parts, [], labels, labels, WindowOptions(**options))
    batch = sampler.batch(0)
    place = (batch.states[..., 5] - batch.states[..., 6]).mean(1) / 2
    return sampler, batch, place


def test_styles_move_speech_between_the_corpora():
    acted, _ = make_parts()
    _, batch, place = styled(acted, styles=0.0)
    own = np.where(batch.sources[:, 0] == 0, OFFSETS["stage"], OFFSETS["studio"])
    assert np.abs(place - own).max() < 2
    _, batch, place = styled(acted)
    own = np.where(batch.sources[:, 0] == 0, OFFSETS["stage"], OFFSETS["studio"])
    moved = np.abs(place - own) / 8
    assert 0.3 < (moved > 0.5).mean() < 0.7 and moved.max() < 1.3, "evenly between the two"
    assert ((moved > 0.1) & (moved < 0.9)).any(), "with styles between them"
    for label in range(4):
        mean = batch.states[batch.emotions == label].mean(0)
        assert mean[:4].argmax() == label, "speech of one emotion keeps it"


def test_styles_within_an_emotion_need_it_elsewhere():
    acted = [make_part("studio", ["neutral", "sad"], 0), make_part("stage", ["neutral"], 1)]
    labels = ["neutral", "sad"]
    for within in (True, False):
        _, batch, place = styled(acted, labels, styles_within=within)
        sad = place[batch.emotions[:, 0] == 1]
        assert (np.abs(sad - OFFSETS["studio"]).max() < 2) == within
    with pytest.raises(OptionError, match="styles: found 2, expected 0 to 1"):
        WindowOptions(styles=2)
