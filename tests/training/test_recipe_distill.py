"""Distillation: the student matches its teachers, also on audio without labels."""

import numpy as np
import pytest
import soundfile
import torch
from tones import LABELS, PITCH, RATE, SHORT, TINY_COMPACT, losses, make_corpora, run, tone

from sed.corpora.audio import read_wave
from sed.emotion.onnx import OnnxTagger
from sed.errors import AudioError, OptionError
from sed.networks.compact import CompactTagger
from sed.networks.store import load_tagger, save_tagger
from sed.training.data.augment import Augmentation
from sed.training.data.clips import Batch
from sed.training.data.unlabelled import WithUnlabelled, audio_files, random_excerpt
from sed.training.export.onnx import export_onnx
from sed.training.objectives.distillation import Distillation, Ensemble, open_teacher

OPTIONS = {
    **SHORT,
    "encoder_weights": "",
    "trained_labels": "[neutral, happy, angry, sad]",
    "tagger": TINY_COMPACT,
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return make_corpora(tmp_path_factory.mktemp("distill-corpora"))


@pytest.fixture(scope="module")
def teacher(corpora, tmp_path_factory):
    """A trained tagger's folder."""
    longer = {"steps": 60, "epochs": 2, "epoch_steps": 30}
    return run("compact", tmp_path_factory.mktemp("teacher"), corpora=corpora, **{**OPTIONS, **longer})


class Fixed:
    """A teacher with constant posteriors."""

    frame_rate, window = 50, 80_000

    def __init__(self, labels, shares):
        self.labels, self.shares = tuple(labels), np.array(shares, np.float32)

    def posteriors(self, waves):
        return np.broadcast_to(self.shares, (len(waves), -(-waves.shape[1] // 320), len(self.shares)))


class Student:
    labels = ("neutral", "happy", "angry", "sad", "bored")


def test_an_ensemble_is_the_mean_over_common_labels():
    one, two = Fixed(["happy", "sad", "calm"], [0.3, 0.3, 0.4]), Fixed(["sad", "happy"], [0.9, 0.1])
    both = Ensemble([one, two])
    assert both.labels == ("happy", "sad")
    assert both.posteriors(np.zeros((2, 700)))[1, 2].tolist() == pytest.approx([0.3, 0.7])
    assert Ensemble([one, two], [3, 1]).posteriors(np.zeros((1, 1)))[0, 0].tolist() == pytest.approx(
        [0.4, 0.6]
    )
    for taggers, weights, message in (
        ([], [], "no teachers"),
        ([one, two], [1], "expected 2 numbers"),
        ([one, two], [1, float("nan")], "expected 2 numbers"),
        ([one, two], ["a", 1], "expected 2 numbers"),
        ([one, Fixed(["bored", "calm"], [0.5, 0.5])], [], "at least two in common"),
    ):
        with pytest.raises(OptionError, match=message):
            Ensemble(taggers, weights)


def test_only_common_labels_are_compared_and_padding_is_not():
    objective = Distillation(1.0, [Fixed(["sad", "calm", "neutral"], [0.2, 0.5, 0.3])], temperature=1.0)
    objective.build(Student(), [])
    waves = np.zeros((2, 3200), np.float32)
    batch = Batch(waves, np.full((2, 10), -1), waves, [[], []], np.array([3200, 1600]))
    logits = torch.zeros(2, 10, 5, requires_grad=True)
    objective(torch.zeros(2, 10, 3), logits, batch, 0.0).backward()
    assert not logits.grad[:, :, [1, 2, 4]].any() and not logits.grad[1, 5:].any()
    assert logits.grad[0, 0, [0, 3]].tolist() == pytest.approx([-0.1 / 15, 0.1 / 15]), "0.6 against 0.4"


def test_hears_selects_the_input_of_the_teachers():
    class Recording(Fixed):
        def posteriors(self, waves):
            self.received = waves
            return super().posteriors(waves)

    for hears, expected in (("clean", 0.0), ("same", 1.0)):
        teacher = Recording(["sad", "happy"], [0.5, 0.5])
        objective = Distillation(1.0, [teacher], hears=hears)
        objective.build(Student(), [])
        noisy, clean = np.ones((1, 640), np.float32), np.zeros((1, 640), np.float32)
        objective.teacher_posteriors(Batch(noisy, np.zeros((1, 2), int), clean, [[]]))
        assert teacher.received.mean() == expected
    with pytest.raises(OptionError, match="hears 'all'"):
        Distillation(1.0, hears="all")
    with pytest.raises(OptionError, match="temperature nan"):
        Distillation(1.0, temperature=float("nan"))


@pytest.mark.slow
def test_clips_too_long_for_a_teacher_are_refused_before_the_first_step(corpora, tmp_path):
    short = CompactTagger(LABELS, layers=1, width=16, heads=2, feedforward=32, head_width=8, positions=90)
    save_tagger(short, tmp_path / "short", LABELS, {"window": 16_000})
    with pytest.raises(OptionError, match=r"length: found 2\.0 s, .* 1\.8 s that the teachers accept"):
        run("distill", tmp_path / "run", corpora=corpora, teachers=tmp_path / "short", **OPTIONS)
    assert not (tmp_path / "run" / "tagger").exists()


@pytest.mark.slow
def test_folder_file_and_run_are_the_same_teacher(teacher, tmp_path):
    model, description = load_tagger(teacher)
    export_onnx(model, tmp_path / "t.onnx", description["labels"])
    wave = tone(900, 12_345)[None]
    found = [open_teacher(p).posteriors(wave) for p in (teacher, teacher.parent, str(tmp_path / "t.onnx"))]
    assert np.array_equal(found[0], found[1]) and found[2] == pytest.approx(found[0], abs=1e-4)
    assert isinstance(open_teacher("bundled"), OnnxTagger)


def agreement(folder, teacher, files):
    """Share of frames in which student and teacher predict the same label, and their mean absolute difference."""
    student, reference = open_teacher(folder), open_teacher(teacher)
    pairs = [(student.posteriors(w[None])[0], reference.posteriors(w[None])[0]) for w in files]
    equal = np.mean([np.mean(a.argmax(1) == b.argmax(1)) for a, b in pairs])
    return equal, float(np.mean([np.abs(a - b).mean() for a, b in pairs]))


@pytest.mark.slow
def test_the_student_learns_from_teachers_alone_and_from_audio_without_labels(corpora, teacher, tmp_path):
    """The labels have weight 0 and are swapped, so correct predictions can only come from the teacher."""
    swapped_corpora = make_corpora(tmp_path / "swapped", corpora=("one",))
    text = (swapped_corpora / "manifest.csv").read_text()
    swapped = text.replace(",happy,", ",x,").replace(",sad,", ",happy,").replace(",x,", ",sad,")
    (swapped_corpora / "manifest.csv").write_text(swapped)
    audio = tmp_path / "audio" / "deep"
    audio.mkdir(parents=True)
    for number, pitch in enumerate(PITCH.values()):
        soundfile.write(audio / f"{number}.wav", tone(pitch, 3 * RATE, seed=number), RATE)
    longer = {**OPTIONS, "steps": 60, "epochs": 1, "epoch_steps": 60}
    distillation = {"teachers": f"[{teacher}]", "unlabelled": f"[{tmp_path / 'audio'}]", "hard_weight": 0.0}
    folder = run("distill", tmp_path / "run", corpora=swapped_corpora, **longer, **distillation)
    waves = [tone(pitch, seed=99) for pitch in PITCH.values()]
    equal, difference = agreement(folder, teacher, waves)
    model, _ = load_tagger(folder)
    predicted = [int(model(torch.from_numpy(w)[None])[0].mean(0).argmax()) for w in waves]
    assert predicted == [0, 1, 2, 3], "correct despite the swapped labels"
    assert equal > 0.9 and difference < 0.15
    assert "teachers" in (tmp_path / "run" / "hyperparams.yaml").read_text()


@pytest.mark.slow
def test_a_run_with_an_ensemble_of_several_kinds_resumes_bit_identically(corpora, teacher, tmp_path):
    model, description = load_tagger(teacher)
    export_onnx(model, tmp_path / "t.onnx", description["labels"])
    distillation = {"teachers": f"[{teacher}, {tmp_path / 't.onnx'}]", "teacher_weights": "[2, 1]"}
    short = {**OPTIONS, "steps": 6, "epoch_steps": 3}
    whole = run("distill", tmp_path / "whole", corpora=corpora, **short, **distillation)
    for epochs in (1, 2):
        parts = run(
            "distill", tmp_path / "parts", corpora=corpora, **{**short, "epochs": epochs}, **distillation
        )
    assert (whole / "tagger.safetensors").read_bytes() == (parts / "tagger.safetensors").read_bytes()
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def test_unlabelled_clips_follow_the_labelled_ones(tmp_path):
    for name, rate in (("a.flac", 16_000), ("b.wav", 44_100)):
        soundfile.write(tmp_path / name, 0.2 * np.sin(np.arange(2 * rate) * 2 * np.pi * 500 / rate), rate)
    (tmp_path / "notes.txt").write_text("no audio")
    soundfile.write(tmp_path / "short.wav", np.full(100, 0.5), 16_000)
    assert [p.name for p in audio_files([tmp_path])] == ["a.flac", "b.wav", "short.wav"]

    class Labelled:
        def batch(self, number):
            waves = np.full((3, 6400), number, np.float32)
            return Batch(waves, np.zeros((3, 20), np.int64), waves, [[], [], []])

    none = Augmentation(
        speed=0, reverberation=0, noise=0, equaliser=0, telephone=0, clipping=0, gain_range=(0, 0)
    )
    mixed = WithUnlabelled(Labelled(), [tmp_path / "a.flac", tmp_path / "b.wav"], 0.5, none, 0)
    one, again, other = mixed.batch(4), mixed.batch(4), mixed.batch(5)
    assert one.waves.shape == (6, 6400) and one.targets.shape == (6, 20) and len(one.events) == 6
    assert (one.waves[:3] == 4).all() and (one.targets[3:] == -1).all()
    assert np.array_equal(one.waves, again.waves) and not np.array_equal(one.waves[3:], other.waves[3:])
    for wave in one.waves[3:]:
        assert np.abs(np.fft.rfft(wave)).argmax() * 16_000 / 6400 == pytest.approx(500, abs=3), "at any rate"
    short = random_excerpt(np.random.default_rng(0), tmp_path / "short.wav", 300)
    assert short[:100] == pytest.approx(0.5, abs=1e-4) and not short[100:].any()


def test_errors_of_unlabelled_audio(tmp_path):
    with pytest.raises(AudioError, match="expected a file or a folder"):
        audio_files([tmp_path / "none"])
    with pytest.raises(AudioError, match="found no audio in"):
        audio_files([tmp_path])
    (tmp_path / "bad.wav").write_text("")
    with pytest.raises(AudioError, match=r"found only empty files in .*: expected audio"):
        WithUnlabelled(None, tmp_path, 0.5, Augmentation(), 0)
    (tmp_path / "bad.wav").write_text("no audio")
    with pytest.raises(AudioError, match=r"cannot read .*bad\.wav"):
        random_excerpt(np.random.default_rng(0), tmp_path / "bad.wav", 10)
    soundfile.write(tmp_path / "nan.wav", np.full(900, np.nan, np.float32), RATE, subtype="FLOAT")
    for read in (read_wave, lambda path: random_excerpt(np.random.default_rng(0), path, 10)):
        with pytest.raises(AudioError, match=r"nan\.wav: found a sample that is not a finite number"):
            read(tmp_path / "nan.wav")
    with pytest.raises(AudioError, match=r"cannot read .*none\.wav: no such file$"):
        read_wave(tmp_path / "none.wav")
    with pytest.raises(OptionError, match=r"unlabelled_share: found 1\.0"):
        WithUnlabelled(None, [tmp_path], 1.0, Augmentation(), 0)
