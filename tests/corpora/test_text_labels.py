"""Weak labels from transcripts: a lexicon and a text classifier, from a table to the targets of training."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from published_trees import WAV

from sed.cli.prepare import main
from sed.corpora.audio import read_manifest
from sed.corpora.text_labels import open_text_labeller
from sed.errors import FormatError, ModelError, OptionError
from sed.training.objectives.base import SoftLabels

LEXICON = "word,emotion,weight\nlovely,joy,2\nhate,anger,\nhate,sadness,1\ndon't,anger,1\n*,neutral,0.5\n"
TEXTS = {"a": "What a lovely, lovely day", "b": "I HATE it", "c": "The train leaves at nine", "d": ""}


@pytest.fixture
def lexicon(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text(LEXICON)
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A tiny text classifier with random weights, in the layout of transformers."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("classifiers") / "tiny-bert"
    folder.mkdir()
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"what a lovely day i hate it the train leaves".split(),
    ]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), model_max_length=32).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        initializer_range=0.2,
        id2label={0: "joy", 1: "anger", 2: "Love"},
        label2id={"joy": 0, "anger": 1, "Love": 2},
    )
    model = BertForSequenceClassification(config)
    torch.nn.init.normal_(model.bert.embeddings.word_embeddings.weight, std=3.0)
    model.save_pretrained(folder)
    return folder


def table(folder, rows):
    for name in rows:
        (folder / f"{name}.wav").write_bytes(WAV)
    lines = [f'{name}.wav,s{name},{emotion},"{text}"' for name, (emotion, text) in rows.items()]
    (folder / "t.csv").write_text("\n".join(["path,speaker,emotion,text", *lines]) + "\n")
    return folder / "t.csv"


def prepare(source, target, *options):
    arguments = ["csv", str(source), "-o", str(target), "--split", "train", *map(str, options)]
    return CliRunner().invoke(main, arguments)


def test_a_lexicon_adds_the_weights_of_words(lexicon):
    labeller = open_text_labeller(lexicon)
    assert labeller.name == "words.csv"
    assert labeller.shares([TEXTS["a"], TEXTS["b"], "Don\N{RIGHT SINGLE QUOTATION MARK}t", "don't", ""]) == [
        {"neutral": 0.1111, "happy": 0.8889},
        {"neutral": 0.2, "angry": 0.4, "sad": 0.4},
        {"neutral": 1.0},
        {"neutral": 0.3333, "angry": 0.6667},
        {"neutral": 1.0},
    ]


def test_texts_become_soft_labels_of_a_manifest_and_targets_of_training(lexicon, tmp_path):
    rows = {"a": ("", TEXTS["a"]), "b": ("", TEXTS["b"]), "c": ("sad", TEXTS["c"])}
    result = prepare(table(tmp_path, rows), tmp_path / "m.json", "--text-labels", lexicon)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "m.json").read_text())
    assert found["a"]["emotion"] == "happy" and found["a"]["raters"] == {"neutral": 0.1111, "happy": 0.8889}
    assert [found[name]["label_source"] for name in "abc"] == ["text: words.csv", "text: words.csv", None]
    assert found["c"]["emotion"] == "sad" and found["c"]["raters"] is None
    utterances = read_manifest(tmp_path / "m.json")
    assert [u.label_source for u in utterances] == ["text: words.csv", "text: words.csv", None]

    class Tagger:
        labels = ("neutral", "happy", "angry", "sad")

    objective = SoftLabels(1.0)
    objective.build(Tagger(), [(utterance, np.zeros(1, np.int16)) for utterance in utterances])
    assert np.allclose(objective.shares[:2], [[0.1111, 0.8889, 0, 0], [0.2, 0, 0.4, 0.4]])
    assert np.isnan(objective.shares[2]).all()


def test_renamed_labels_count_together(lexicon, tmp_path):
    source = table(tmp_path, {"b": ("", "hate")})
    options = ("--text-labels", lexicon, "--rename", "angry=upset,sad=upset")
    assert prepare(source, tmp_path / "m.json", *options).exit_code == 0
    (row,) = json.loads((tmp_path / "m.json").read_text()).values()
    assert row["emotion"] == "upset" and row["raters"] == {"neutral": 0.2, "upset": 0.8}


@pytest.mark.slow
def test_a_classifier_gives_the_posteriors_of_transformers(classifier, tmp_path):
    from transformers import pipeline

    long = " ".join(["hate lovely"] * 40)  # longer than its 16 positions
    texts = [TEXTS["a"], TEXTS["b"], long]
    reference = pipeline("text-classification", model=str(classifier), top_k=None)
    labeller = open_text_labeller(classifier)
    found = labeller.shares(texts)
    assert len({tuple(shares.values()) for shares in found}) == 3
    for text, shares in zip(texts, found, strict=True):
        names = {"joy": "happy", "anger": "angry", "Love": "love"}
        expected = {
            names[p["label"]]: p["score"] for p in reference([text], truncation=True, max_length=16)[0]
        }
        assert {name: shares.get(name, 0.0) for name in expected} == pytest.approx(expected, abs=1e-4)
    source = table(tmp_path, {"a": ("", texts[0])})
    assert prepare(source, tmp_path / "m.json", "--text-labels", classifier).exit_code == 0
    (row,) = json.loads((tmp_path / "m.json").read_text()).values()
    assert row["label_source"] == "text: tiny-bert" and row["emotion"] == max(
        row["raters"], key=row["raters"].get
    )


def test_texts_without_emotion_are_reported_and_labels_are_needed(lexicon, tmp_path):
    lexicon.write_text("word,emotion\nlovely,joy\n")
    source = table(tmp_path, {name: ("", text) for name, text in TEXTS.items() if text})
    result = prepare(source, tmp_path / "m.json", "--text-labels", lexicon)
    assert result.exit_code == 0 and "no emotion in the text, omitted (2): b, c" in result.stderr
    assert list(json.loads((tmp_path / "m.json").read_text())) == ["a"]
    result = prepare(source, tmp_path / "n.json")
    assert result.exit_code == 1 and "found 3 utterances without emotion, such as a" in result.stderr
    assert not (tmp_path / "n.json").exists()
    source = table(tmp_path, {"d": ("", "")})
    result = prepare(source, tmp_path / "n.json", "--text-labels", lexicon)
    assert result.exit_code == 1 and "found no emotion, expected file, emotion (or text)" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word,emotion\n", "found no words"),
        ("word,feeling\nx,y\n", "found no emotion"),
        ("word,emotion,weight\nx,sad,-1\n", "found weight -1.0, expected 0 or more"),
        ("word,emotion,weight\nx,sad,much\n", "weight"),
        ("word,emotion\ntwo words,sad\n", "found 'two words', expected one word"),
    ],
)
def test_invalid_lexicons_are_refused(text, message, lexicon):
    lexicon.write_text(text)
    with pytest.raises(FormatError, match=message):
        open_text_labeller(lexicon)


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(
        OptionError, match="found nothing, expected a CSV with words and emotions, or the folder"
    ):
        open_text_labeller(tmp_path / "model")
    with pytest.raises(ModelError, match="expected a text classifier of transformers with its tokenizer"):
        open_text_labeller(tmp_path)
