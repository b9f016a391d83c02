"""Adaptation to a new speaker: better on it, not much worse on the old ones, and never worse than the start."""

import json

import numpy as np
import pytest
import soundfile
import torch
from tiny_encoders import CONFIGS
from tones import LABELS, PITCH, RATE, SHORT, TINY_COMPACT, log, make_corpora, run, tone

from sed.errors import FormatError, OptionError
from sed.networks.compact import CompactTagger
from sed.networks.logmel import LogMelTagger
from sed.networks.lora import LowRankLinear
from sed.networks.pretrained import EncoderTagger
from sed.networks.store import load_tagger
from sed.training.adapt import KeepClose, hold_out, trainable_parts, without_test
from sed.training.data.clip_table import read_clips

SHIFT = 1.6  # pitch factor of the new speaker
TINY = {"layers": 2, "width": 16, "heads": 2, "feedforward": 32, "head_width": 8, "positions": 200}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tagger trained on the old speakers, with options independent of the shipped recipe's defaults."""
    corpora = make_corpora(tmp_path_factory.mktemp("adapt-corpora"))
    options = {**SHORT, "steps": 60, "epochs": 2, "epoch_steps": 30, "label_smoothing": 0.1}
    options["clips"] = "{length: [1.0, 2.0], batch_seconds: 9.0, pattern_share: 0.35}"
    options |= {
        "encoder_weights": "",
        "trained_labels": "[neutral, happy, angry, sad]",
        "tagger": TINY_COMPACT,
    }
    return run("compact", tmp_path_factory.mktemp("adapt-start"), corpora=corpora, **options)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Four clips of each emotion by a new speaker, with shifted pitches."""
    folder = tmp_path_factory.mktemp("adapt-clips")
    rows = ["path,emotion"]
    for take in range(4):
        for emotion, pitch in PITCH.items():
            soundfile.write(folder / f"{emotion}{take}.wav", tone(SHIFT * pitch, seed=take), RATE)
            rows.append(f"{emotion}{take}.wav,{emotion}")
    (folder / "mine.csv").write_text("\n".join(rows) + "\n")
    return folder / "mine.csv"


def posteriors(folder, shift):
    """The posterior of the true emotion on new clips with `shift`, one per emotion."""
    model, _ = load_tagger(folder)
    waves = [tone(shift * pitch, seed=77 + n) for n, pitch in enumerate(PITCH.values())]
    with torch.no_grad():
        found = [torch.softmax(model(torch.from_numpy(w)[None])[0], 1).mean(0) for w in waves]
    return np.array([float(p[n]) for n, p in enumerate(found)])


def adapted(start, table, output, **options):
    defaults = {"epochs": 4, "epoch_steps": 8, "head_rate": 0.01, "encoder_rate": 0.002}
    return run("adapt", output, start=start, clips_table=table, **{**defaults, **options})


@pytest.fixture(scope="module")
def adaptation(start, table, tmp_path_factory):
    output = tmp_path_factory.mktemp("adaptation")
    return output, adapted(start, table, output)


@pytest.mark.slow
def test_a_new_speaker_is_recognised_better(start, adaptation):
    output, folder = adaptation
    before, after = (-np.log(posteriors(f, SHIFT)).mean() for f in (start, folder))
    assert after < before - 0.3
    description = json.loads((folder / "tagger.json").read_text())
    assert description["card"]["adapted_from"] == "emotion-compact" and description["labels"] == LABELS
    lines = log(output)
    assert len(lines) == 5 and "step     0" in lines[0], "the unmodified start is scored too"


@pytest.mark.slow
def test_only_the_chosen_parts_change(start, adaptation):
    old, new = (load_tagger(f)[0].state_dict() for f in (start, adaptation[1]))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed and all(name.startswith(("head", "classifier", "layer_weights")) for name in changed)


@pytest.mark.slow
def test_a_resumed_adaptation_equals_an_uninterrupted_one(start, table, adaptation, tmp_path):
    for epochs in (1, 4):
        folder = adapted(start, table, tmp_path, epochs=epochs, steps=32)
    expected = load_tagger(adaptation[1])[0].state_dict()
    for name, value in load_tagger(folder)[0].state_dict().items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.slow
def test_a_changed_table_is_refused_on_resume(start, table, tmp_path):
    """Clips added to the table would be ignored, since all epochs of the run are complete."""
    mine = table.with_name("grows.csv")
    mine.write_text("\n".join(table.read_text().splitlines()[:9]) + "\n")
    folder = adapted(start, mine, tmp_path, epochs=1, steps=8)
    before = (folder / "tagger.safetensors").read_bytes()
    assert adapted(start, mine, tmp_path, epochs=1, steps=8) == folder
    mine.write_text(table.read_text())
    with pytest.raises(
        OptionError, match=r"holds a run on other clips, .*clips\.csv, than .*grows\.csv: expected"
    ):
        adapted(start, mine, tmp_path, epochs=1, steps=8)
    assert (folder / "tagger.safetensors").read_bytes() == before


@pytest.mark.slow
def test_pattern_error_cannot_select_the_epoch(start, table, tmp_path):
    with pytest.raises(OptionError, match="keep: found pattern_error, expected last, nll or uar"):
        adapted(start, table, tmp_path, keep="pattern_error")


@pytest.mark.slow
def test_regularisation_reduces_forgetting(start, table, tmp_path):
    """Clips of one emotion only, the least recognised: without regularisation the tagger would predict only that."""
    old, new = posteriors(start, 1.0), posteriors(start, SHIFT)
    least = int(new.argmin())
    lines = table.read_text().splitlines()
    only = table.with_name("only.csv")
    chosen = [line for line in lines if line.endswith(f",{LABELS[least]}")]
    only.write_text("\n".join([lines[0], *chosen]) + "\n")
    hard = {"keep": "last", "held_out": 0, "label_smoothing": 0.0, "epochs": 4, "head_rate": 0.02}
    free = adapted(start, only, tmp_path / "free", keep_close=0, remember=0, **hard)
    close = adapted(start, only, tmp_path / "close", keep_close=30.0, remember=0, **hard)
    distilled = adapted(start, only, tmp_path / "distilled", keep_close=0, remember=100.0, **hard)
    loss = [float((old - posteriors(folder, 1.0)).clip(min=0).mean()) for folder in (free, close)]
    assert loss[0] > 0.05 and loss[1] < 0.6 * loss[0], (
        "close to the old weights, old speakers are still recognised"
    )
    gain = [float(posteriors(folder, SHIFT)[least] - new[least]) for folder in (free, distilled)]
    assert gain[0] > 0.1 and gain[1] < 0.6 * gain[0], "the old tagger's posteriors outweigh the label"


@pytest.mark.slow
def test_the_start_is_kept_if_no_epoch_improves_on_it(start, table, tmp_path):
    """Training labels that contradict the held-out ones: every epoch is worse than the start."""
    rows = ["path,emotion,split"]
    wrong = dict(zip(LABELS, LABELS[1:] + LABELS[:1], strict=True))
    for take in range(2):
        rows += [f"{emotion}{take}.wav,{wrong[emotion]},train" for emotion in LABELS]
    for emotion, pitch in PITCH.items():
        soundfile.write(table.parent / f"old-{emotion}.wav", tone(pitch, seed=50), RATE)
        rows.append(f"old-{emotion}.wav,{emotion},valid")
    contradictory = table.with_name("contradictory.csv")
    contradictory.write_text("\n".join(rows) + "\n")
    folder = adapted(start, contradictory, tmp_path, head_rate=0.03, keep_close=0, remember=0, epochs=2)
    old, new = (load_tagger(f)[0].state_dict() for f in (start, folder))
    assert all(torch.equal(old[name], new[name]) for name in old)


@pytest.mark.slow
def test_low_rank_updates_are_merged_into_a_plain_tagger(start, table, tmp_path):
    folder = adapted(start, table, tmp_path, parts="[lora, bias]", epochs=1, keep="last")
    old, new = (load_tagger(f)[0].state_dict() for f in (start, folder))
    assert old.keys() == new.keys()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert "layers.0.self_attn.q_proj.weight" in changed and "layers.0.fc1.bias" in changed
    assert all(name.endswith(("q_proj.weight", "v_proj.weight", "bias")) for name in changed)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["classifier"], {"classifier.weight", "classifier.bias"}),
        (["bias"], None),
        (["head"], None),
        (["lora"], None),
        (["all"], None),
    ],
)
def test_parts_by_name(parts, expected):
    for model in (
        CompactTagger(LABELS, **TINY, train_stem=True),
        EncoderTagger(LABELS, CONFIGS["wavlm"], head="context", head_width=8, freeze_features=False),
    ):
        before = {name for name, _ in model.named_parameters()}
        count = trainable_parts(model, parts)
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert count == sum(p.numel() for p in trained.values()) > 0
        encoder = [n for n in trained if n.startswith(("layers.", "backbone.", "conv", "embed"))]
        if expected is not None:
            assert set(trained) == expected
        elif parts == ["bias"]:
            assert all(name.endswith("bias") for name in trained) and encoder
        elif parts == ["head"]:
            last = {name.rpartition("head.")[2] for name in trained}
            assert not encoder and {"classifier.weight", "reduce.weight"} <= last
        elif parts == ["lora"]:
            assert all(".lora_" in name for name in trained)
            assert any(isinstance(module, LowRankLinear) for module in model.modules())
        else:
            assert set(trained) == before


def test_parts_errors():
    with pytest.raises(OptionError, match=r"parts to adapt \['nose'\]: expected some of classifier"):
        trainable_parts(CompactTagger(LABELS, **TINY), ["nose"])
    with pytest.raises(OptionError, match="found no attention"):
        trainable_parts(LogMelTagger(LABELS), ["lora"])


def test_keep_close_is_the_squared_distance():
    model = CompactTagger(LABELS, **TINY)
    trainable_parts(model, ["classifier"])
    objective = KeepClose(1.0)
    objective.build(model, [])
    assert not list(objective.parameters()) and objective(None, None, None, 0.0) == 0
    with torch.no_grad():
        model.classifier.weight[0, 0] += 3.0
        model.classifier.bias[1] -= 2.0
    assert objective(None, None, None, 0.0).item() == pytest.approx(13.0, rel=1e-5)


def test_hold_out(table):
    speech = read_clips(table)
    train, held_out = hold_out(speech, 0.25)
    assert len(train) == 12 and sorted(u.emotion for u, _ in held_out) == sorted(LABELS)
    assert hold_out(speech[:8], 0.25)[1] == [], "two of an emotion are too few to hold one out"
    assert hold_out(speech, 0.0)[1] == []


def test_clips_of_split_test_are_ignored(table, caplog):
    rows = [
        line + "," + split
        for line, split in zip(table.read_text().splitlines()[1:], ["test", ""] * 8, strict=True)
    ]
    split = table.with_name("split.csv")
    split.write_text("\n".join(["path,emotion,split", *rows]) + "\n")
    kept = without_test(read_clips(split), split)
    assert len(kept) == 8 and {u.split for u, _ in kept} == {""}
    assert "split.csv: ignored 8 clips of split test" in caplog.text


@pytest.mark.slow
def test_invalid_splits_are_refused(start, table, tmp_path):
    for name, message in (
        ("dev", "found splits dev, expected train, valid"),
        ("test", "found only clips of"),
        ("valid", "odd-split.csv: found only held-out clips, expected clips to train on"),
    ):
        odd = table.with_name("odd-split.csv")
        odd.write_text(f"path,emotion,split\nangry0.wav,angry,{name}\n")
        with pytest.raises(OptionError, match=message):
            adapted(start, odd, tmp_path)


def test_tables_with_times_in_several_formats(tmp_path):
    wave = np.concatenate([tone(300), np.zeros(RATE, np.float32), tone(900)])
    soundfile.write(tmp_path / "talk.wav", wave, RATE)
    head = "file,start,end,emotion,speaker\n"
    (tmp_path / "a.csv").write_text(
        head
        + "talk.wav,0,1,neutral,anna\ntalk.wav,0 days 00:00:02,0 days 00:00:03,happy,\ntalk.wav,2.0,NaT,sad,\n"
    )
    clips = read_clips(tmp_path / "a.csv")
    assert [(u.emotion, u.speaker) for u, _ in clips] == [
        ("neutral", "anna"),
        ("happy", "new"),
        ("sad", "new"),
    ]
    for (_, samples), pitch in zip(clips, (300, 900, 900), strict=True):
        assert 0.9 * RATE < len(samples) <= RATE
        assert np.abs(np.fft.rfft(samples / 32768)).argmax() * RATE / len(samples) == pytest.approx(
            pitch, abs=2
        )
    for row, message in (
        ("talk.wav,0,1,,anna", "line 2: found no emotion"),
        ("talk.wav,4,5,sad,anna", r"found a clip from 4\.0 to 5\.0 s, expected a part of 3\.00 s"),
        ("talk.wav,2,5,sad,anna", r"found a clip from 2\.0 to 5\.0 s, expected a part of 3\.00 s"),
        ("talk.wav,one,5,sad,anna", "found time 'one', expected .* or seconds"),
        ("talk.wav,0,nan,sad,anna", "found time 'nan', expected"),
        ("talk.wav,0,1,very, very sad,anna", "line 2: found 6 cells, expected 5 as in the header"),
        ("talk.wav,1.1,1.9,sad,anna", "found only silence"),
    ):
        (tmp_path / "b.csv").write_text(head + row + "\n")
        with pytest.raises(FormatError, match=message):
            read_clips(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_text(head)
    with pytest.raises(FormatError, match="found no rows"):
        read_clips(tmp_path / "c.csv")
    with pytest.raises(FormatError, match="cannot be read"):
        read_clips(tmp_path / "none.csv")


@pytest.mark.slow
def test_an_unknown_emotion_is_refused(start, table, tmp_path):
    (table.parent / "odd.csv").write_text("path,emotion\nangry0.wav,jealous\n")
    with pytest.raises(
        OptionError, match="found emotions jealous, expected those that the tagger was trained on"
    ):
        adapted(start, table.parent / "odd.csv", tmp_path)
