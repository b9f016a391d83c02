"""The ZED experiment on tiny corpora in their published layouts: the whole path, from folders to the table."""

import json
import tempfile
from pathlib import Path

import pytest
import torch
import zed_trees
from published_trees import publish, without
from tiny_encoders import transformers_model

from sed.errors import FormatError, OptionError
from sed.networks.store import load_tagger
from sed.training.recipe.run import run_command
from sed.training.zed_corpora import CorpusOptions, prepare_corpora, split_corpora

CORPORA = ["ravdess", "esd", "iemocap", "jl", "emovdb"]
LABELS = ["neutral", "happy", "angry", "sad"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish(zed_trees.all_corpora(), tmp_path_factory.mktemp("zed") / "corpora")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("zed-encoder")
    transformers_model("wavlm-large").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def manifests(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zed-manifests")
    options = CorpusOptions(
        {"iemocap": {"excited": "happy"}, "jl": {"excited": "happy"}, "emovdb": {"amused": "happy"}},
        {"esd": ["en"]},
    )
    return prepare_corpora(published, [*CORPORA, "zed"], folder, options)


def run(published, encoder, output, *more):
    fast = ("--head_rate", "0.01", "--encoder_rate", "0.002", "--epochs", "2", "--allow_incomplete", "True")
    places = ("--data_folder", str(published), "--encoder", str(encoder), "--output_folder", str(output))
    return run_command(["zed", *places, *fast, *more])


@pytest.fixture(scope="module")
def two_seeds(published, encoder, tmp_path_factory):
    output = tmp_path_factory.mktemp("zed-seeds")
    return output, run(published, encoder, output, "--seeds", "2")


@pytest.mark.slow
def test_the_table_of_two_seeds_stands_beside_the_paper(two_seeds):
    output, table = two_seeds
    assert table == output / "table.md"
    lines = table.read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "78", "79", "mean ± deviation", "paper, WavLM-large, five seeds",
    ]  # fmt: skip
    assert lines[0].split("|")[2].strip() == "zed argmax script %"
    assert lines[-1].split("|")[2].strip() == "30.2 ± 1.6"
    found = [json.loads((output / f"seed-{seed}" / "scores.json").read_text()) for seed in (78, 79)]
    rates = [100 * each["zed"]["argmax"]["script"] for each in found]
    deviation = abs(rates[0] - rates[1]) / 2**0.5
    assert lines[-2].split("|")[2].strip() == f"{sum(rates) / 2:.1f} ± {deviation:.1f}"
    assert rates[0] != rates[1]
    assert found[0]["valid"]["pattern_error"] < 0.6  # it learns: four labels, most frames neutral


@pytest.mark.slow
def test_the_tagger_folder_is_ready_for_a_hub(two_seeds):
    from huggingface_hub import ModelCard

    from sed.emotion import load_tagger as open_tagger

    folder = two_seeds[0] / "seed-79" / "tagger"
    scores = json.loads((folder.parent / "scores.json").read_text())["zed"]
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "other" and card.data.license_name == "that of the corpora"
    assert card.data.pipeline_tag == "audio-classification"
    values = {result.metric_name: result.metric_value for result in card.data.eval_results}
    expected = round(100 * scores["argmax"]["script"], 2)
    assert values["EDER in %, argmax, mean of recordings"] == expected
    assert "neutral, happy, angry, sad" in card.text and "- ZED, viterbi: EDER" in card.text
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "sed-encoder" and config["id2label"]["2"] == "angry"
    assert list(open_tagger(folder).labels) == LABELS


@pytest.mark.slow
def test_predictions_are_scored_alike_by_sed_score(two_seeds):
    from sed.scoring import score
    from sed.scoring.loading import load

    output, _ = two_seeds
    scores = json.loads((output / "seed-78" / "scores.json").read_text())["zed"]
    references = load(output / "manifests" / "zed.json").recordings
    for decoder in ("argmax", "viterbi"):
        hypotheses = load(output / "seed-78" / f"zed_{decoder}.json").recordings
        report = score(references, hypotheses, metrics=("eder",))
        assert report["eder"].pooled.rate == pytest.approx(scores[decoder]["pooled"], abs=1e-6)


@pytest.mark.slow
def test_a_stopped_run_resumes_to_the_same_weights_and_scores(two_seeds, published, encoder, tmp_path):
    output, _ = two_seeds
    for epochs in ("1", "2"):
        folder = run(published, encoder, tmp_path, "--epochs", epochs)
    expected = output / "seed-78"
    resumed, whole = load_tagger(folder)[0].state_dict(), load_tagger(expected / "tagger")[0].state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())
    for name in ("scores.json", "valid.log", "zed_argmax.json"):
        assert (tmp_path / name).read_text() == (expected / name).read_text(), name
    assert "30.2" in (tmp_path / "table.md").read_text()
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~_umask()}


def _umask():
    file = Path(tempfile.mkdtemp()) / "a"
    file.write_text("")
    return 0o666 & ~(file.stat().st_mode & 0o777)


@pytest.mark.slow
def test_a_smoke_test_runs_the_whole_way_and_leaves_nothing(published, encoder, tmp_path, capsys):
    before = set(Path(tempfile.gettempdir()).glob("sed-smoke-*"))
    output = tmp_path / "out"
    assert run(published, encoder, output, "--smoke") is None
    assert "smoke test passed" in "".join(capsys.readouterr())
    assert not output.exists() and set(Path(tempfile.gettempdir()).glob("sed-smoke-*")) == before


def test_missing_corpora_are_named_in_one_message_with_their_sources(tmp_path):
    publish(without(zed_trees.all_corpora(), "RAVDESS/", "JL/", "ZED.json"), tmp_path / "corpora")
    with pytest.raises(FormatError) as caught:
        prepare_corpora(tmp_path / "corpora", [*CORPORA, "zed"], tmp_path / "m", CorpusOptions())
    message = str(caught.value)
    for part in ("zenodo.org/records/1188976", "kaggle.com/datasets/tli725/jl-corpus", "ZED.json"):
        assert part in message
    assert "found esd in" in message and "openslr" not in message
    assert not (tmp_path / "m").exists()


def test_incomplete_corpora_are_named_in_one_message_and_nothing_is_kept(published, tmp_path):
    options = CorpusOptions(
        utterances={"ravdess": 1440, "esd": 12, "iemocap": 25},
        languages={"esd": ["en"]},
        sets={"emovdb": ["bea amused", "josh angry"]},
    )
    with pytest.raises(FormatError) as caught:
        prepare_corpora(published, CORPORA, tmp_path / "m", options)
    message = str(caught.value)
    assert "RAVDESS: found 32 utterances, expected 1440" in message
    assert "found 24 utterances, expected 25" in message
    assert "found no utterance of josh angry:" in message and "bea" not in message and "esd in" not in message
    assert not list((tmp_path / "m").glob("*.json"))
    assert len(prepare_corpora(published, CORPORA, tmp_path / "m", options, allow_incomplete=True)) == 5


def test_labels_are_renamed_and_chinese_is_left_out(manifests):
    rows = {name: json.loads(path.read_text()).values() for name, path in manifests.items()}
    assert {row["emotion"] for name in CORPORA for row in rows[name]} == set(LABELS)
    assert {row["speaker"] for row in rows["esd"]} == {"esd_0011", "esd_0012", "esd_0013"}
    assert sum(row["emotion"] == "happy" for row in rows["jl"]) == 8


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_speaker_is_in_training_and_validation(manifests, seed):
    train, valid = split_corpora([manifests[n] for n in CORPORA], LABELS, "speaker", 0.1, seed)
    assert {u.corpus for u in train} == {u.corpus for u in valid} == set(CORPORA)
    assert not {u.speaker for u in train} & {u.speaker for u in valid}
    sessions = [{u.speaker[:-1] for u in part if u.corpus == "iemocap"} for part in (train, valid)]
    assert not sessions[0] & sessions[1]


def test_the_paper_splits_clips(manifests):
    paths = [manifests[n] for n in CORPORA]
    train, valid = split_corpora(paths, LABELS, "clip", 0.1, 0)
    emotional = [{u.path for u in part if u.emotion != "neutral"} for part in (train, valid)]
    assert not emotional[0] & emotional[1]
    assert len(emotional[1]) == round(0.1 * (len(emotional[0]) + len(emotional[1])))
    assert {u.speaker for u in train} & {u.speaker for u in valid}
    with pytest.raises(OptionError, match="split_by 'file': expected one of speaker, clip"):
        split_corpora(paths, LABELS, "file", 0.1, 0)
