"""Trials in lockstep, in small: each tagger learns what it would learn alone, and nothing of whom it may not hear."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from tiny_taggers import TWO_BRANCHES as TINY

from sed._torchaudio import allow_missing_extension
from sed.training.corpora import Utterance
from sed.training.losses import tagger_loss
from sed.training.model import CompactTagger

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
TARGETS = np.repeat([[0, 1, 2, -1, 3]], 20, 1)
SPEAKERS = np.repeat([[0, 1, 0, 2, 1]], 20, 1)  # 2 is nobody


@pytest.fixture
def trials(monkeypatch):
    """The module benchmarks/gpu_trials.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("gpu_trials", "gpu_taggers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import gpu_taggers
    import gpu_trials

    monkeypatch.setattr(gpu_taggers, "DEVICE", "cpu")
    return gpu_trials


@pytest.fixture
def base(trials):
    torch.manual_seed(0)
    return CompactTagger(
        trials.LABELS, **TINY, fusion=1, dropout=0.0, head_dropout=0.0, spec_augment=0
    ).train()


@pytest.fixture
def waves():
    return torch.randn(1, 32000, generator=torch.Generator().manual_seed(0)) * 0.1


def test_the_loss_is_that_of_training(trials, base, waves):
    member = trials.Member(base, trials.Trial(), set(), 2)
    loss = member.loss(waves, TARGETS, SPEAKERS)
    said = member.said(waves)
    expected = sum(tagger_loss(logits, torch.from_numpy(TARGETS), 0.2, 0.5) for logits in said)
    assert len(said) == 3
    torch.testing.assert_close(loss, expected)


def test_labels_of_a_speaker_who_is_left_out_teach_nothing(trials, base, waves):
    losses = []
    for changed in (0, 2):
        targets = np.where((SPEAKERS == 1) & (TARGETS >= 0), changed, TARGETS)
        losses.append(trials.Member(base, trials.Trial(), {1}, 2).loss(waves, targets, SPEAKERS).item())
    assert losses[0] == losses[1]
    all_heard = trials.Member(base, trials.Trial(), set(), 2)
    assert all_heard.loss(waves, TARGETS, SPEAKERS).item() != losses[0]


def test_what_does_not_learn_is_asked_once_for_all(trials, base, waves):
    expected = base.eval()(waves)
    asked = []
    base.voice.encoder.register_forward_hook(lambda *_: asked.append(1))
    parts = [trials.Once(base.log_mel), trials.Once(base.voice)]
    base.log_mel, base.voice = parts
    members = [trials.Member(base, trials.Trial(), set(), 2) for _ in range(2)]
    for member in members:
        torch.testing.assert_close(member.model.eval()(waves), expected)
    assert len(asked) == 1
    for part in parts:
        part.forget()
    assert not torch.allclose(members[0].model(waves * 0.5 + waves.roll(50)), expected)
    assert len(asked) == 2


def test_members_learn_apart_and_average(trials, base, waves):
    one, other = (trials.Member(base, trials.Trial(), set(), 2) for _ in range(2))
    before = one.weights[-1].detach().clone()
    one.step(one.loss(waves, TARGETS, SPEAKERS), 0, 1.0)
    assert not torch.equal(one.weights[-1], before)
    assert torch.equal(other.weights[-1], before)
    stepped = one.weights[-1].detach().clone()
    one.average()
    torch.testing.assert_close(one.weights[-1].detach(), before.lerp(stepped, 10 / 11))


def test_folds_hold_every_speaker_once(trials):
    speech = [
        (
            Utterance(
                corpus, Path("x"), f"{corpus}{n}", "sad", "valid" if n == 0 else "train", gender="FM"[n % 2]
            ),
            None,
        )
        for corpus in "ab"
        for n in range(7)
    ]
    found = trials.folds(speech, 3, ["b"])
    speakers = [f"{corpus}{n}" for corpus in "ab" for n in range(7)]
    assert found["fold0"] == {"a0", "b0"}
    assert sorted(s for n in range(4) for s in found[f"fold{n}"]) == sorted(speakers)
    assert all(sum(s[0] == "a" for s in found[f"fold{n}"]) == 2 for n in (1, 2, 3))
    assert found["no_b"] == {f"b{n}" for n in range(7)}
    assert list(trials.folds(speech, 0, [])) == []


def test_the_trials_start_from_the_recipe(trials, tmp_path):
    allow_missing_extension()
    with open(BENCHMARKS.parent / "hparams" / "compact.yaml", encoding="utf-8") as file:
        recipe = load_hyperpyyaml(file, {"output_folder": str(tmp_path)})
    tagger = CompactTagger(trials.LABELS, **trials.SETTINGS)
    assert tagger.settings == recipe["tagger"].settings and list(tagger.labels) == recipe["trained_labels"]
    assert repr(tagger) == repr(recipe["tagger"]), "dropout, too"
    learning = [[p.requires_grad for p in model.parameters()] for model in (tagger, recipe["tagger"])]
    assert learning[0] == learning[1] and tagger.spec_augment == recipe["tagger"].spec_augment
    for own, theirs in ((trials.CLIPS, recipe["clips"]), (trials.AUGMENTATION, recipe["augmentation"])):
        assert {k: _plain(v) for k, v in vars(own).items()} == {k: _plain(v) for k, v in vars(theirs).items()}
    taggers = sys.modules["gpu_taggers"]
    names = ("SMOOTHING", "RUN_WEIGHT", "HEAD_RATE", "LAYER_DECAY", "AVERAGE")
    keys = ("label_smoothing", "run_weight", "head_rate", "layer_decay", "ema_decay")
    assert [getattr(taggers, name) for name in names] == [recipe[key] for key in keys]
    plain = trials.Trial()
    own = [plain.encoder_rate, plain.weight_decay, plain.seed, trials.MAIN]
    assert own == [recipe[key] for key in ("encoder_rate", "weight_decay", "seed", "labels")]


def _plain(value):
    return list(value) if isinstance(value, list | tuple) else value
