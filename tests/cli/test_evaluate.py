"""`sed-evaluate`: manifests and taggers in, measures by group and fold out."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from loud_tagger import LABELS, write_tagger

from sed.cli.evaluate import main
from sed.cli.score import main as score
from sed.corpora.manifest import Utterance, write_manifest
from sed.corpora.ratings import Ratings
from sed.emotion.onnx import OnnxTagger
from sed.emotion.windows import rows_of
from sed.grid import SAMPLE_RATE


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def figures(*arguments):
    result = call(*arguments, "-o", "json", "--samples", 50)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def emodb(tmp_path_factory):
    """A manifest of the eight clips of EMO-DB in the repository."""
    folder = tmp_path_factory.mktemp("emodb")
    from pathlib import Path

    clips = sorted((Path(__file__).parents[1] / "data").glob("emodb_*.flac"))
    rows = []
    for path in clips:
        _, speaker, emotion, _ = path.stem.split("_")
        duration = soundfile.info(path).duration
        rows.append(
            Utterance(
                "emodb", path, f"emodb/{speaker}", emotion, "valid", id=path.stem, duration=duration,
                gender={"15": "M", "16": "F"}[speaker], language="de",
            )
        )  # fmt: skip
    write_manifest(rows, folder / "emodb.json")
    return folder / "emodb.json"


def test_the_bundled_model_on_real_speech(emodb, tmp_path):
    predictions = tmp_path / "p.csv"
    found = figures(emodb, "--predictions", predictions)
    rows = list(csv.DictReader(predictions.open()))
    assert len(rows) == 8
    right = [row["emotion"] == row["recognised"] for row in rows]
    assert found["overall"]["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert found["overall"]["uar"]["value"] >= 0.75, "EMO-DB is what the bundled model knows best"
    assert {name: one["utterances"] for name, one in found["by"]["gender"].items()} == {"F": 4, "M": 4}
    assert np.sum(found["overall"]["confusion"]) == 8


def tones(folder, amounts, **fields):
    """A manifest with one file for each of `amounts`: a click train whose loudness for the tagger is its peak."""
    rows = []
    for number, (speaker, emotion, duty, ratings) in enumerate(amounts):
        wave = np.zeros(SAMPLE_RATE, np.float32)
        wave[:: round(1 / duty)] = 0.5  # at equal power, a smaller duty is a higher peak
        path = folder / f"{number}.wav"
        soundfile.write(path, wave, SAMPLE_RATE)
        rows.append(
            Utterance(
                "x", path, f"x/{speaker}", emotion, "test", id=f"u{number}", duration=1.0, ratings=ratings, **fields
            )
        )  # fmt: skip
    write_manifest(rows, folder / "manifest.json")
    return folder / "manifest.json"


DUTIES = (1 / 2, 1 / 8, 1 / 40, 1 / 160)


@pytest.fixture
def sessions(tmp_path):
    """Utterances of three sessions in IEMOCAP's names, with ratings that grow with the peak."""
    return tones(
        tmp_path,
        [
            (f"Ses0{session}{gender}", label, duty, Ratings({}, (2 * n / 3 - 1, 0.0, 0.0)))
            for session in (1, 2, 3)
            for gender in "FM"
            for n, (label, duty) in enumerate(zip(LABELS, DUTIES, strict=True))
        ],
    )


def test_dimensions_are_compared_on_one_scale(sessions, tmp_path):
    tagger = write_tagger(tmp_path / "t.onnx")
    found = figures(sessions, "--tagger", tagger, "--split", "test")["overall"]
    # By hand: the tagger's arousal of each file, against ratings of -1 to 1 mapped to 0 to 1.
    from sed.corpora.levels import equalise_loudness

    truth, guess = [], []
    for number in range(24):
        wave = soundfile.read(tmp_path / f"{number}.wav", dtype="float32")[0]
        guess.append(rows_of(OnnxTagger(tagger), equalise_loudness(wave))[:, 4].mean())
        truth.append(number % 4 / 3)
    a, b = np.array(truth), np.array(guess)
    expected = 2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert found["ccc_arousal"]["value"] == pytest.approx(expected, abs=1e-5)
    assert expected > 0.3
    assert "ccc_dominance" not in found, "this tagger has none"
    assert "ccc_arousal" not in figures(sessions, "--split", "test")["overall"], "nor has the bundled one"


def test_folds_have_their_own_taggers(sessions, tmp_path):
    for fold in "123":
        write_tagger(tmp_path / f"fold{fold}.onnx", dimensions=())
    write_tagger(tmp_path / "fold2.onnx", dimensions=(), temperature=1.0)
    found = figures(sessions, "--tagger", tmp_path / "fold{fold}.onnx", "--folds", "session")
    assert {name: one["utterances"] for name, one in found["by"]["fold"].items()} == {"1": 8, "2": 8, "3": 8}
    values = [one["uar"]["value"] for one in found["by"]["fold"].values()]
    assert found["over_folds"]["uar"] == pytest.approx(
        {"mean": np.mean(values), "sd": np.std(values, ddof=1)}
    )
    (tmp_path / "fold3.onnx").unlink()
    missing = call(sessions, "--tagger", tmp_path / "fold{fold}.onnx", "--folds", "session")
    assert missing.exit_code == 1 and "fold3.onnx" in missing.stderr
    one = figures(sessions, "--tagger", tmp_path / "fold{fold}.onnx", "--folds", "session", "--fold", "2")
    assert one["overall"]["utterances"] == 8


@pytest.mark.slow
def test_other_labels_are_reported_renamed_or_errors(tmp_path):
    manifest = tones(
        tmp_path, [("a", "happy", 0.1, None), ("a", "sad", 0.1, None), ("b", "excited", 0.1, None)]
    )
    left_out = call(manifest, "--split", "test", "-o", "json")
    assert "left out 1 excited" in left_out.stderr and json.loads(left_out.stdout)["left_out"] == {
        "excited": 1
    }
    errors = figures(manifest, "--split", "test", "--every-label")
    assert errors["labels"][-1] == "excited" and errors["overall"]["utterances"] == 3
    assert errors["overall"]["recall"]["excited"] == 0
    renamed = figures(manifest, "--split", "test", "--labels", "excited=happy")
    assert np.sum(renamed["overall"]["confusion"], axis=1).tolist() == [0, 2, 0, 1]
    merged = figures(manifest, "--split", "test", "--labels", "excited=happy,sad=happy,angry=happy")
    assert merged["labels"] == ["neutral", "happy"]


def test_confusion_plot(sessions, tmp_path):
    pytest.importorskip("matplotlib")
    image = tmp_path / "confusion.png"
    assert call(sessions, "--split", "test", "--plot", image).exit_code == 0
    assert image.read_bytes().startswith(b"\x89PNG")
    wrong = call(sessions, "--split", "test", "--plot", tmp_path / "confusion.txt")
    assert wrong.exit_code == 2 and ".png" in wrong.stderr


@pytest.mark.slow
def test_wrong_usage(sessions, tmp_path):
    for arguments, expected in (
        (["--fold", "1"], "--folds"),
        (["--tagger", "x{fold}.onnx"], "--folds"),
        (["--folds", "("], "pattern"),
        (["--folds", "nothing"], "group"),
        (["--folds", "(zzz)"], "does not match"),
        (["--folds", "session", "--fold", "9"], "1, 2, 3"),
        (["--split", "test", "--corpus", "meld"], "expected one of x"),
        (["--split", "test", "--level", "2"], "between 0 and 1"),
    ):
        result = call(sessions, *arguments)
        assert result.exit_code == 2 and expected in result.stderr, (arguments, result.stderr)
        assert len(result.stderr.splitlines()) == 1


def test_score_takes_what_prepare_writes(emodb, tmp_path):
    """One label for all of a recording, or for its part from start to stop."""
    rows = json.loads(emodb.read_text())
    lines = []
    for row in rows.values():
        name = row["wav"].rpartition("/")[2].removesuffix(".flac")
        label = "sad" if row["emotion"] == "happy" else row["emotion"]
        lines.append(f"SPEAKER {name} 1 0.0 {row['duration']:.3f} {label} <NA> spk00 <NA> <NA>\n")
    (tmp_path / "out.rttm").write_text("".join(lines))
    result = CliRunner().invoke(score, [str(emodb), str(tmp_path / "out.rttm"), "-m", "eder", "-o", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["metrics"]["eder"]
    wrong = sum(row["duration"] for row in rows.values() if row["emotion"] == "happy")
    assert found["pooled"]["rate"] == pytest.approx(
        wrong / sum(row["duration"] for row in rows.values()), abs=1e-3
    )


def test_score_takes_manifests_with_parts_and_folders(tmp_path):
    call = tmp_path / "a" / "call.wav"
    rows = [
        Utterance("x", call, "x/ann", "sad", "test", id="u1", duration=2.0, start=1.0, stop=3.0),
        Utterance("x", call, "x/bob", "happy", "test", id="u2", duration=1.0, start=3.0, stop=4.0),
    ]
    write_manifest(rows, tmp_path / "m.json")
    (tmp_path / "out.rttm").write_text(
        "SPEAKER call 1 1.0 2.0 sad <NA> s1 <NA> <NA>\nSPEAKER call 1 3.0 1.0 sad <NA> s2 <NA> <NA>\n"
        "SPEAKER other 1 3.0 1.0 sad <NA> s2 <NA> <NA>\n"
    )
    result = CliRunner().invoke(
        score, [str(tmp_path / "m.json"), str(tmp_path / "out.rttm"), "-m", "eder", "-m", "der", "-o", "json"]
    )
    assert "call against a/call" in result.stderr, result.output
    found = json.loads(result.stdout)["metrics"]
    assert found["eder"]["pooled"]["rate"] == pytest.approx(1 / 4) and found["der"]["pooled"]["rate"] == 0
