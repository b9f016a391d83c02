"""The objectives, on constructed features and in training on tones."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tones import LABELS, QUIET, SHORT, TINY_COMPACT, losses, make_corpora, run, tone
from torch import nn
from toy_batches import WIDTH, Tagger, batch, speech

from sed.corpora.audio import Utterance, read_manifest, read_wave
from sed.corpora.ratings import Ratings
from sed.errors import FormatError, OptionError
from sed.networks.store import load_tagger
from sed.simulation.patterns import Event
from sed.training.objectives.adversary import SourceAdversary, SpeakerAdversary
from sed.training.objectives.base import FeatureTap, Objectives, SoftLabels, event_frames, frame_values
from sed.training.objectives.dimensions import Dimensions, load_dimensions
from sed.training.objectives.weak_labels import WeakLabels


def test_events_cover_frames_by_their_centres():
    found = list(event_frames(batch([[Event(-9000, 480, "x", 3), Event(480, 999_999, "x", 4)]], 5)))
    assert found == [(0, 0, 1, 3), (0, 1, 5, 4)]
    assert list(event_frames(batch([[Event(100, 150, "x", 0)]]))) == [], "covers no frame centre"
    values = frame_values(batch([[Event(0, 640, "x", 1)]], 4), np.array([[7.0], [8.0]]))
    assert values[0, :2, 0].tolist() == [8, 8] and np.isnan(values[0, 2:]).all()


def test_events_match_the_targets_of_a_sampler():
    from sed.training.data.clips import ClipSampler

    rows = [(Utterance("c", Path(), "s", e, "train"), np.full(9000, 99, np.int16)) for e in LABELS]
    sampled = ClipSampler(rows, LABELS, LABELS).batch(3)
    again = np.full(sampled.targets.shape, -1)
    for row, first, end, source in event_frames(sampled):
        again[row, first:end] = LABELS.index(rows[source][0].emotion)
    assert np.array_equal(again, sampled.targets)


def test_weight_0_disables_an_objective_and_negative_weights_are_refused():
    assert len(Objectives({"soft": SoftLabels(0.0)})) == 0 and len(Objectives(None)) == 0
    with pytest.raises(OptionError, match="SoftLabels with weight -1"):
        SoftLabels(-1)


def test_votes_replace_the_hard_labels():
    rows = speech(["happy", "sad"], ratings=[Ratings({"happy": 3, "neutral": 1, "bored": 9}), None])
    objectives = Objectives({"soft": SoftLabels(1.0)})
    objectives.build(Tagger(), rows)
    given = batch([[Event(0, 6400, "happy", 0), Event(6400, 12_800, "sad", 1)]])
    assert objectives.hard_targets(given)[0].tolist() == [-1] * 20 + [0] * 20
    logits = torch.zeros(1, 40, 4, requires_grad=True)
    objectives(torch.zeros(1, 40, WIDTH), logits, given, 0.0).backward()
    assert torch.equal(logits.grad[0, 20:], torch.zeros(20, 4))
    assert logits.grad[0, 0].tolist() == pytest.approx([0, -0.5 / 20, 0.25 / 20, 0.25 / 20])
    with pytest.raises(OptionError, match="found no votes"):
        Objectives({"soft": SoftLabels(1.0)}).build(Tagger(), speech(["sad"]))


def test_reversal_grows_during_the_run():
    strengths = [SpeakerAdversary(1.0, most=0.5).strength(p) for p in np.linspace(0, 1, 11)]
    assert strengths[0] == 0 and np.all(np.diff(strengths) > 0)
    assert strengths[-1] == pytest.approx(0.5 * (2 / (1 + math.exp(-10)) - 1))


def test_the_adversary_learns_speakers_and_the_features_lose_them():
    torch.manual_seed(0)
    rows = speech(["sad", "sad"], speakers=["a", "b"])
    adversary = SpeakerAdversary(1.0, width=8)
    adversary.build(Tagger(), rows)
    given = batch([[Event(0, 12_800, "sad", 0)], [Event(0, 12_800, "sad", 1)]])
    grads = []
    for progress in (0.0, 0.5):
        features = torch.randn(2, 40, WIDTH, generator=torch.Generator().manual_seed(1), requires_grad=True)
        adversary.zero_grad()
        adversary(features, torch.zeros(2, 40, 4), given, progress).backward()
        grads.append((features.grad.clone(), [p.grad.clone() for p in adversary.parameters()]))
    assert not grads[0][0].any(), "nothing is reversed at first"
    for early, late in zip(grads[0][1], grads[1][1], strict=True):
        assert torch.equal(early, late), "the head learns regardless"
    features = torch.randn(2, 40, WIDTH, generator=torch.Generator().manual_seed(1))
    loss = adversary(features, torch.zeros(2, 40, 4), given, 0.5)
    worse = adversary(features - 10 * grads[1][0], torch.zeros(2, 40, 4), given, 0.5)
    assert worse > loss, "a step along the reversed gradient removes speaker information"


def speaker_gap(adversary_weight):
    """Norms of a linear encoder's weights for emotion and speaker, after training on two emotions of two speakers."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(2)
    tagger, encoder = Tagger(), nn.Linear(8, WIDTH)
    rows = speech(["neutral", "happy"] * 2, speakers=["a", "a", "b", "b"])
    objectives = Objectives({"adversary": SpeakerAdversary(adversary_weight, width=16)})
    objectives.build(tagger, rows)
    given = batch([[Event(0, 12_800, rows[n][0].emotion, n)] for n in range(4)])
    emotion, speaker = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    optimiser = torch.optim.Adam(
        [
            {"params": [*tagger.parameters(), *objectives.parameters()], "lr": 0.03},
            {"params": encoder.parameters(), "lr": 0.002},  # as in the recipes, heads learn faster
        ]
    )
    gaps = []
    for step in range(300):
        x = torch.randn(4, 40, 8, generator=generator)
        x[:, :, 0] += 2.0 * emotion[:, None] - 1
        x[:, :, 1] += 2.0 * speaker[:, None] - 1
        features = encoder(x)
        logits = tagger(features)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), emotion.repeat_interleave(40))
        if len(objectives):
            loss = loss + objectives(features, logits, given, step / 300)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        gaps.append(encoder.weight.detach()[:, :2].norm(dim=0))
    return torch.stack(gaps[-100:]).mean(0).tolist()  # adversarial training oscillates around its equilibrium


def test_adversarial_training_removes_the_speaker_and_keeps_the_emotion():
    (emotion_without, speaker_without), (emotion_with, speaker_with) = speaker_gap(0.0), speaker_gap(1.0)
    assert speaker_with < 0.6 * speaker_without
    assert emotion_with > 0.7 * emotion_without


def weak_setup(kind, emotions, **options):
    objectives = Objectives({"weak": WeakLabels(1.0, kind, **options)})
    tagger = Tagger()
    objectives.build(tagger, speech(emotions))
    return tagger, objectives


@pytest.mark.parametrize("kind", ["mean", "attention", "instances", "ctc"])
def test_weak_labels_locate_the_emotion(kind):
    """Every clip is half neutral noise and half a tone of its emotion, and only the clip's label is given. The two can
    be distinguished because noise is in all clips, and neutral clips contain nothing else."""
    torch.manual_seed(0)
    emotions = ["neutral", "happy", "angry", "sad"]
    tagger, objectives = weak_setup(kind, emotions)
    optimiser = torch.optim.Adam([*tagger.parameters(), *objectives.parameters()], lr=0.05)
    given = batch([[Event(0, 12_800, e, n)] for n, e in enumerate(emotions)])
    assert (objectives.hard_targets(given) == -1).all()
    features = torch.zeros(4, 40, WIDTH)
    features[:, :, 0] = 1.0
    for row in (1, 2, 3):
        features[row, 20:, 0], features[row, 20:, row] = 0.0, 1.0
    for step in range(300):
        loss = objectives(features, tagger(features), given, step / 300)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    predicted = tagger(features).argmax(-1)
    assert loss < (1.0 if kind == "mean" else 0.3)
    assert predicted[0].eq(0).all()
    for row in (1, 2, 3):
        assert predicted[row, 20:].eq(row).all(), "the tone is found"
        if kind == "instances":
            assert predicted[row, :20].eq(0).all(), "and the noise before it stays neutral"


def test_ctc_depends_only_on_the_order():
    _, objectives = weak_setup("ctc", ["happy", "sad"])
    with torch.no_grad():
        for parameter in objectives.parameters():
            parameter.zero_()
    right = batch([[Event(0, 6400, "happy", 0), Event(6400, 12_800, "sad", 1)]])
    wrong = batch([[Event(0, 6400, "sad", 1), Event(6400, 12_800, "happy", 0)]])
    shifted = batch([[Event(0, 3200, "happy", 0), Event(3200, 12_800, "sad", 1)]])
    logits = torch.full((1, 40, 4), -9.0)
    logits[0, :20, 1] = logits[0, 20:, 3] = 9.0
    features = torch.zeros(1, 40, WIDTH)
    loss = {
        name: float(objectives(features, logits, b, 0))
        for name, b in (("r", right), ("w", wrong), ("s", shifted))
    }
    assert loss["r"] == pytest.approx(loss["s"]), "the position of the boundary does not matter"
    assert loss["r"] < 0.05 and loss["w"] > 0.5


def test_only_the_weak_corpora_are_weak():
    rows = speech(["happy", "happy"], corpora=["sharp", "blurred"])
    objectives = Objectives({"weak": WeakLabels(1.0, "mean", corpora=["blurred"])})
    objectives.build(Tagger(), rows)
    given = batch([[Event(0, 6400, "happy", 0), Event(6400, 12_800, "happy", 1)]])
    assert objectives.hard_targets(given)[0].tolist() == [0] * 20 + [-1] * 20
    with pytest.raises(OptionError, match="found the corpora"):
        WeakLabels(1.0, corpora=["none"]).build(Tagger(), rows)
    with pytest.raises(OptionError, match="of kind 'sum': expected one of mean"):
        WeakLabels(1.0, "sum")


def test_every_parameter_gets_a_gradient_from_a_batch_without_labels():
    """Distributed training requires a gradient for every parameter in every process."""
    rows = speech(["happy", "sad"], ratings=[Ratings(dimensions=(0.1, 0.2, 0.3)), None])
    objectives = Objectives(
        {
            "d": Dimensions(1.0),
            "a": SpeakerAdversary(1.0),
            "s": SourceAdversary(1.0),
            "w": WeakLabels(1.0, "attention"),
        }
    )
    objectives.build(Tagger(), rows)
    objectives(torch.randn(1, 40, WIDTH), torch.randn(1, 40, 4), batch([[]]), 0.5).backward()
    assert all(p.grad is not None and not p.grad.any() for p in objectives.parameters())


def test_the_tap_returns_the_input_of_the_last_layer_once():
    tagger = Tagger()
    tap = FeatureTap(tagger)
    x = torch.randn(2, 3, WIDTH)
    tagger(x)
    assert tap.take() is x and tap.features is None


AROUSAL = {"neutral": -0.5, "happy": 0.3, "angry": 0.9, "sad": -0.2}
RATED = {
    "votes": lambda e: f"{e}=3 neutral=1" if e != "neutral" else "neutral=4",
    "arousal": lambda e: AROUSAL[e],
    "valence": lambda e: {"happy": 0.8, "sad": -0.7}.get(e, ""),
    "dominance": lambda e: "",
}


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("rated"), columns=RATED)


def tiny(rated, output, **options):
    defaults = {"corpora": rated, "encoder_weights": "", "trained_labels": "[neutral, happy, angry, sad]"}
    return run("compact", output, **defaults, tagger=TINY_COMPACT, **{**SHORT, **options})


def test_manifest_gives_ratings(rated, tmp_path):
    found = {u.emotion: u.ratings for u in read_manifest(rated / "manifest.csv")}
    assert found["sad"].votes == {"sad": 3, "neutral": 1} and found["angry"].dimensions[0] == 0.9
    assert math.isnan(found["angry"].dimensions[1]) and math.isnan(found["sad"].dimensions[2])
    head = "corpus,path,speaker,emotion,split,votes,arousal\n"
    for row, message in (
        ("c,a.wav,s,sad,train,sad=x,", r"line 2: found 'x' in column votes"),
        ("c,a.wav,s,sad,train,sad=0,", r"line 2: found vote 'sad=0'"),
        ("c,a.wav,s,sad,train,,high", r"line 2: found 'high' in column arousal"),
    ):
        (tmp_path / "manifest.csv").write_text(head + row + "\n")
        with pytest.raises(FormatError, match=message):
            read_manifest(tmp_path / "manifest.csv")


@pytest.mark.slow
def test_joint_training_predicts_dimensions_and_soft_labels_soften(rated, tmp_path):
    longer = {"steps": 120, "epochs": 2, "epoch_steps": 60, "augmentation": QUIET, "label_smoothing": 0.0}
    folder = tiny(rated, tmp_path, dimensions=1.0, soft_labels=1.0, **longer)
    dimensions, (model, _) = load_dimensions(folder), load_tagger(folder)
    arousal, neutral = {}, {}
    for emotion in LABELS:
        wave = read_wave(rated / f"one-valid-{emotion}.wav")
        values = dimensions(wave)
        assert values.shape == (50, 3)
        arousal[emotion] = values[:, 0].mean()
        with torch.no_grad():
            posteriors = torch.softmax(model(torch.from_numpy(wave)[None])[0], -1).mean(0)
        neutral[emotion] = float(posteriors[0])
        assert posteriors.argmax() == LABELS.index(emotion)
    assert sorted(LABELS, key=arousal.get) == sorted(LABELS, key=AROUSAL.get)
    assert np.corrcoef([arousal[e] for e in LABELS], [AROUSAL[e] for e in LABELS])[0, 1] > 0.9
    for emotion in LABELS[1:]:
        assert 0.12 < neutral[emotion] < 0.4, "one vote of four is neutral"


@pytest.mark.slow
def test_all_objectives_together_resume_bit_identically(rated, tmp_path):
    options = {
        "dimensions": 0.5,
        "soft_labels": 0.5,
        "speaker_adversary": 0.1,
        "source_adversary": 0.1,
        "contrastive": 0.1,
        "triplet": 0.1,
        "ranking": 0.5,
    }
    options |= {"weak_labels": 0.3, "weak_kind": "attention", "weak_corpora": "[two]"}
    whole = tiny(rated, tmp_path / "whole", **options)
    for epochs in (1, 2):
        parts = tiny(rated, tmp_path / "parts", **{**options, "epochs": epochs})
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    for name in ("tagger.safetensors", "dimensions.safetensors"):
        assert (whole / name).read_bytes() == (parts / name).read_bytes(), name
    plain = tiny(rated, tmp_path / "plain")
    assert losses(tmp_path / "plain") != losses(tmp_path / "whole")
    assert not (plain / "dimensions.safetensors").exists()


def test_the_tone_helper():
    assert abs(np.fft.rfft(tone(900))).argmax() == 900
