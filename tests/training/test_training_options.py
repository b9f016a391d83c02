"""Options of training: each does what it states."""

import json

import numpy as np
import pytest
import torch
from tiny_encoders import CONFIGS
from tones import LABELS, SHORT, log, make_corpora, run

from sed.corpora.audio import Utterance
from sed.errors import MissingDependencyError, OptionError
from sed.networks.pretrained import EncoderTagger
from sed.networks.store import load_tagger, save_tagger
from sed.training import brain as brain_module
from sed.training.data.augment import Augmentation
from sed.training.data.clips import Batch, ClipOptions, ClipSampler
from sed.training.objectives.class_weights import class_weights
from sed.training.objectives.losses import tagger_loss

TINY = {**SHORT, "tagger": "{head_width: 16, dilations: [1], spec_augment: 0}"}
NONE = Augmentation(
    speed=0, reverberation=0, noise=0, equaliser=0, telephone=0, clipping=0, gain_range=(0, 0)
)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("options-corpora"))


def weights(folder):
    return load_tagger(folder)[0].state_dict()


@pytest.fixture(scope="module")
def plain(corpora, tmp_path_factory):
    output = tmp_path_factory.mktemp("options-plain")
    return output, weights(run("logmel", output, corpora=corpora, **TINY))


@pytest.mark.slow
def test_audio_on_disk_gives_the_same_run(corpora, plain, tmp_path):
    folder = run("logmel", tmp_path, corpora=corpora, **TINY, audio="disk", audio_memory=0.05)
    assert all(torch.equal(value, plain[1][name]) for name, value in weights(folder).items())
    assert log(tmp_path) == log(plain[0])
    stored = json.loads((tmp_path / "speech_lengths.json").read_text())["samples"]
    assert len(stored) == 16 and all(value > 10_000 for value in stored.values())
    with pytest.raises(OptionError, match="audio: found 'tape', expected memory or disk"):
        run("logmel", tmp_path / "b", corpora=corpora, **TINY, audio="tape")


@pytest.mark.slow
def test_class_weights_and_focus_change_the_loss_of_a_run(corpora, plain, tmp_path):
    for name, options in (
        ("w", {"class_weights": "{neutral: 5}"}),
        ("b", {"balanced": True}),
        ("f", {"focus": 2.0}),
    ):
        run("logmel", tmp_path / name, corpora=corpora, **TINY, **options)
        assert log(tmp_path / name) != log(plain[0])


def test_class_weights_weight_the_frames_and_their_mean():
    logits, targets = torch.randn(2, 30, 3), torch.randint(3, (2, 30))
    targets[0, :9] = -1
    equal = tagger_loss(logits, targets, 0.1, 0.0)
    assert tagger_loss(logits, targets, 0.1, 0.0, torch.ones(3)) == pytest.approx(float(equal))
    only = tagger_loss(logits, targets, 0.0, 0.0, torch.tensor([0.0, 7.0, 0.0]))
    kept = torch.where(targets == 1, 1, -1)
    assert only == pytest.approx(float(tagger_loss(logits, kept, 0.0, 0.0)), rel=1e-5)
    assert tagger_loss(logits, torch.full_like(targets, -1), 0.0, 1.0, torch.ones(3), 2.0) == 0


def test_focal_loss_by_hand_and_its_weight_on_hard_frames():
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]], requires_grad=True)
    posterior = torch.softmax(logits[0], -1)[:, 0].detach()
    expected = (-((1 - posterior) ** 2) * posterior.log()).mean()
    loss = tagger_loss(logits, torch.zeros(1, 2, dtype=torch.long), 0.0, 0.0, None, 2.0)
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)
    shares = []
    for focus in (0.0, 2.0):
        (gradient,) = torch.autograd.grad(
            tagger_loss(logits, torch.zeros(1, 2, dtype=torch.long), 0.0, 0.0, None, focus), logits
        )
        easy, hard = gradient.detach().abs().sum(-1)[0]
        shares.append(float(easy / hard))
    assert shares[1] < shares[0] / 4


def test_balanced_weights_come_from_the_frames_that_training_sees():
    class Counted:
        def batch(self, number):
            targets = np.repeat([-1, 0, 1, 2], [50, 90, 9, 1])[None]
            return Batch(np.zeros((1, 48_000)), targets)

    labels = ["neutral", "happy", "sad"]
    found = class_weights({}, True, labels, Counted())
    assert found[1] / found[0] == pytest.approx(10) and found[2] == found[1]  # ten times at most
    assert (found * [0.9, 0.09, 0.01]).sum() == pytest.approx(1, rel=1e-5)
    assert class_weights({"sad": 2}, False, labels, Counted()).tolist() == [1, 1, 2]
    assert class_weights({}, False, labels, Counted()) is None
    for wrong, message in (
        ({"bored": 1}, "found bored, expected some of neutral, happy, sad"),
        ({"sad": -1}, "found -1, expected numbers of 0 or more"),
    ):
        with pytest.raises(OptionError, match=message):
            class_weights(wrong, False, labels, Counted())
    with pytest.raises(OptionError, match="class_weights cannot be combined with balanced: True"):
        class_weights({"sad": 2}, True, labels, Counted())


@pytest.mark.slow
def test_tensorboard_gets_each_epoch_once_also_after_a_resume(corpora, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epochs in (1, 2):
        run("logmel", tmp_path, corpora=corpora, **{**TINY, "epochs": epochs}, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {name: [event.step for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert found["loss/train"] == found["uar/valid"] == found["rate/0"] == [1, 2]
    losses = [float(line.split("loss")[1].split()[0]) for line in log(tmp_path)]
    assert [event.value for event in events.Scalars("loss/train")] == pytest.approx(losses, abs=1e-3)


def test_a_missing_tensorboard_is_named(tmp_path, monkeypatch):
    import builtins

    original = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError("no tensorboard")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"diarization\[tensorboard\]"):
        brain_module.make_tensorboard(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wavlm-large", "whisper"])
@pytest.mark.parametrize("layers", ["last", "sum"])
def test_recomputed_layers_give_the_same_gradients_and_keep_less(name, layers):
    waves = torch.randn(2, 16_000) * 0.1
    lengths = torch.tensor([16_000, 12_000])
    gradients, kept = [], []
    for recompute in (False, True):
        torch.manual_seed(3)
        model = EncoderTagger(
            LABELS, CONFIGS[name], layers=layers, gradient_checkpointing=recompute, head_dropout=0.0
        ).train()
        torch.manual_seed(4)  # of the dropout
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t
        ):
            loss = model(waves, lengths).square().mean()
        loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
        kept.append(sum(sizes))
        assert torch.isfinite(model.eval()(waves)).all()
    assert gradients[0].keys() == gradients[1].keys()
    for parameter, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][parameter], value)
    assert kept[1] < 0.75 * kept[0]


def test_a_tagger_trained_without_bias_is_stored_with_one_of_0(tmp_path):
    model = EncoderTagger(LABELS, CONFIGS["wavlm"], bias=False).eval()
    waves = torch.randn(1, 8000)
    expected = model(waves)
    assert model.classifier.bias is None
    model.merge_low_rank()
    save_tagger(model, tmp_path, LABELS, {})
    stored, _ = load_tagger(tmp_path)
    assert stored.classifier.bias.tolist() == [0.0] * 4
    torch.testing.assert_close(stored(waves), expected)


def test_whole_clips_fill_batches_by_seconds():
    rows = []
    for number, seconds in enumerate((1.0, 1.5, 2.0, 2.5)):
        for label in ("neutral", "happy"):
            utterance = Utterance("c", None, f"c/{number}", label, "train")
            rows.append((utterance, np.full(int(16_000 * seconds), 1000, np.int16)))
    options = ClipOptions(length=(1.0, 6.0), whole=True, pattern_share=1.0, batch_seconds=20.0, edge=0.0)
    sampler = ClipSampler(rows, LABELS, LABELS, options, NONE)
    shapes = [sampler.batch(number).waves.shape for number in range(30)]
    assert all(count * samples <= 20 * 16_000 for count, samples in shapes)
    assert all((count + 1) * 6 * 16_000 > 20 * 16_000 for count, _ in shapes)
    assert len({count for count, _ in shapes}) > 2
    assert all(np.array_equal(sampler.batch(5).waves, sampler.batch(5).waves) for _ in range(2))


@pytest.mark.slow
def test_the_head_anneals_by_itself(corpora, tmp_path, monkeypatch):
    from sed.training.brain import TaggerBrain

    rates = []
    original = TaggerBrain.on_fit_batch_end

    def watch(self, *args):
        groups = self.optimizer.param_groups
        rates.append((groups[0]["lr"], groups[-1]["lr"], self.optimizer_step))
        return original(self, *args)

    class Constant:
        """An annealing of which every epoch multiplies the rate."""

        def __init__(self, factor):
            self.factor, self.hyperparam_value = factor, 1.0

        def __call__(self, score):
            self.hyperparam_value *= self.factor

    def init(self, *args, **kwargs):
        kwargs["hparams"] |= {
            "annealing": Constant(0.5), "head_annealing": Constant(0.25), "annealing_score": "uar",
        }  # fmt: skip
        construct(self, *args, **kwargs)

    construct = TaggerBrain.__init__
    monkeypatch.setattr(TaggerBrain, "on_fit_batch_end", watch)
    monkeypatch.setattr(TaggerBrain, "__init__", init)
    from tones import TINY_COMPACT

    options = {**SHORT, "tagger": TINY_COMPACT, "standardise": 0, "warmup_steps": 0, "decay_steps": 0}
    run(
        "compact",
        tmp_path,
        corpora=corpora,
        **options,
        encoder_weights="",
        each_branch=False,
        layer_decay=1.0,
    )
    assert rates[0][:2] == pytest.approx((0.01, 0.01))
    assert rates[-1][:2] == pytest.approx((0.005, 0.0025))


@pytest.mark.slow
def test_seeds_and_smoke_work_for_other_recipes(corpora, tmp_path, capsys):
    table = run("logmel", tmp_path / "seeds", corpora=corpora, **TINY, seeds="[3, 7]")
    lines = table.read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["3", "7", "mean ± deviation"]
    assert (tmp_path / "seeds" / "seed-7" / "tagger" / "tagger.json").is_file()
    from tones import ROOT

    from sed.training.recipe.run import run_command

    arguments = [str(ROOT / "hparams" / "logmel.yaml"), "--corpora", str(corpora), "--smoke"]
    assert run_command([*arguments, "--tagger", TINY["tagger"], "--clips", TINY["clips"]]) is None
    assert "smoke test passed" in "".join(capsys.readouterr())
    with pytest.raises(
        OptionError, match=r"leave_one_out\.yaml: found no support of --smoke, expected --debug"
    ):
        run_command(["leave_one_out", "--smoke"])
    with pytest.raises(OptionError, match="seeds: found 'many', expected a number from 1 to 100"):
        run("logmel", tmp_path / "x", corpora=corpora, **TINY, seeds="many")
