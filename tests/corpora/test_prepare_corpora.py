"""Manifests of all corpora in their published layout, as folders and as archives."""

import json

import pytest
from published_trees import EXPECTED, TREES, WAV, publish, sound

from sed.corpora.audio import read_manifest, read_utterance
from sed.corpora.readers import READERS, Options, find_reader, prepare

KEYS = (
    "wav duration corpus speaker gender language emotion intensity split split_rule start stop raters arousal"
    " valence dominance text label_source"
).split()


def prepared(name, source, target, **options):
    report = prepare(READERS[name], source, target, Options(**options))
    return json.loads(target.read_text(encoding="utf-8")), report


def test_every_corpus_has_test_data():
    assert set(TREES) == set(EXPECTED) == set(READERS)


@pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])
@pytest.mark.parametrize("name", sorted(TREES))
def test_manifest_has_the_labels_of_the_corpus(name, form, tmp_path):
    source = publish(TREES[name], tmp_path / "published", form)
    rows, _ = prepared(name, source, tmp_path / "out" / "m.json")
    found = {key: (row["speaker"], row["emotion"], row["split"]) for key, row in rows.items()}
    expected = {
        key: (speaker, emotion, split or found[key][2])
        for key, (speaker, emotion, split) in EXPECTED[name].items()
    }
    assert found == expected
    assert all(list(row) == KEYS for row in rows.values())
    assert all(row["corpus"] == name and row["duration"] > 0.04 for row in rows.values())
    extracted = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "m.json"]
    assert len(extracted) == (0 if form == "folder" else len({row["wav"] for row in rows.values()}))


@pytest.mark.parametrize("name", sorted(TREES))
def test_manifest_and_audio_can_be_read(name, tmp_path):
    source = publish(TREES[name], tmp_path / "published", "zip")
    prepared(name, source, tmp_path / "m.json")
    utterances = read_manifest(tmp_path / "m.json")
    assert {u.id for u in utterances} == set(EXPECTED[name])
    for utterance in utterances:
        assert len(read_utterance(utterance)) == pytest.approx(utterance.duration * 16_000, abs=2)
        assert utterance.speaker == f"{name}/{EXPECTED[name][utterance.id][0]}"


@pytest.mark.parametrize("name", sorted(TREES))
def test_manifest_does_not_depend_on_the_file_order(name, tmp_path):
    for folder, files in (("one", TREES[name]), ("two", dict(reversed(TREES[name].items())))):
        prepared(name, publish(files, tmp_path / folder / "published", "zip"), tmp_path / folder / "m.json")
    assert (tmp_path / "one" / "m.json").read_bytes() == (tmp_path / "two" / "m.json").read_bytes()


def test_speechbrain_reads_the_manifest(tmp_path):
    import sed.networks  # noqa: F401, I001  (must be imported before torchaudio)

    from speechbrain.dataio.dataset import DynamicItemDataset

    source = publish(TREES["zed"], tmp_path / "published", "zip")
    prepared("zed", source, tmp_path / "m.json")
    data = DynamicItemDataset.from_json(
        str(tmp_path / "m.json"), {"data_root": str(tmp_path)}, output_keys=["id", "wav", "text", "emotion"]
    )
    assert [item["id"] for item in data] == ["spk1_1", "spk2_1"]
    assert data[0]["text"] == "Why {not}?"
    assert data[0]["wav"] == str(tmp_path / "m_audio" / "ZED" / "spk1_1.wav")
    assert data[0]["emotion"] == [{"emo": "angry", "start": 0.1, "end": 0.4}]


def test_folder_with_audio_and_manifest_can_be_moved(tmp_path):
    publish(TREES["emodb"], tmp_path / "first")
    prepared("emodb", tmp_path / "first", tmp_path / "first" / "m.json")
    (tmp_path / "first").rename(tmp_path / "second")
    assert all(u.path.is_file() for u in read_manifest(tmp_path / "second" / "m.json"))


def test_details_of_ravdess(tmp_path):
    rows, _ = prepared("ravdess", publish(TREES["ravdess"], tmp_path / "p"), tmp_path / "m.json")
    row = rows["03-01-05-02-01-01-02"]
    assert (row["gender"], row["intensity"], row["language"]) == ("F", "strong", "en")
    assert row["text"] == "Kids are talking by the door" and row["split_rule"] == "fixed"


def test_details_of_nemo_kaist_and_esd(tmp_path):
    rows, _ = prepared("nemo", publish(TREES["nemo"], tmp_path / "n"), tmp_path / "n.json")
    assert rows["WR0_surprised_64"]["text"] == "„Ród smoka” to serial."
    assert (rows["EB0_neutral_13"]["gender"], rows["WR0_surprised_64"]["gender"]) == ("F", "M")
    rows, _ = prepared("kaist", publish(TREES["kaist"], tmp_path / "k"), tmp_path / "k.json")
    assert rows["ema00001"]["text"] == "말한 것" and rows["nea00101"]["text"] is None
    rows, _ = prepared("esd", publish(TREES["esd"], tmp_path / "e"), tmp_path / "e.json")
    assert rows["0001_000351"]["language"] == "zh" and rows["0001_000351"]["text"] == "打远一看"
    assert rows["0011_001401"]["text"] == "I did it." and rows["0011_001401"]["gender"] == "M"
    rows, _ = prepared("esd", tmp_path / "e", tmp_path / "e.json", languages=("en",))
    assert sorted(rows) == ["0011_000001", "0011_001401"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_chinese_texts_of_esd_in_any_encoding(encoding, tmp_path):
    name = "Emotion Speech Dataset/0001/0001.txt"
    files = TREES["esd"] | {name: TREES["esd"][name].replace("\n", "\r\n").encode(encoding)}
    rows, report = prepared("esd", publish(files, tmp_path / "p"), tmp_path / "m.json")
    assert rows["0001_000001"]["text"] == "打远一看"
    assert not any("text left empty" in problem for problem in report.problems)


def test_iemocap_raters_and_dimensions(tmp_path):
    rows, report = prepared("iemocap", publish(TREES["iemocap"], tmp_path / "p"), tmp_path / "m.json")
    neutral, undecided = rows["Ses01F_impro01_F000"], rows["Ses01F_impro01_M000"]
    assert neutral["raters"] == {"frustrated": 0.5, "neutral": 2.5}  # without the self-report, anger
    assert undecided["raters"] == {"excited": 1, "happy": 1}
    assert (neutral["valence"], neutral["arousal"], neutral["dominance"]) == (-0.25, -0.25, -0.25)
    assert (undecided["valence"], undecided["arousal"], undecided["dominance"]) == (-1, 1, 0)
    ratings = next(u.ratings for u in read_manifest(tmp_path / "m.json") if u.id == "Ses01F_impro01_M000")
    assert ratings.votes == {"excited": 1, "happy": 1} and ratings.dimensions == (1, -1, 0)
    assert neutral["text"] == "Excuse me." and undecided["text"] is None
    assert report.problems == ("found 10 utterances, expected 10039 as published",)


def test_iemocap_folds_and_renaming(tmp_path):
    source = publish(TREES["iemocap"], tmp_path / "p")
    rows, _ = prepared("iemocap", source, tmp_path / "m.json", fold=1, rename={"excited": "happy"})
    assert {key[:5]: row["split"] for key, row in rows.items()} == {
        "Ses01": "test",
        "Ses02": "train",
        "Ses03": "train",
        "Ses04": "train",
        "Ses05": "valid",
    }
    assert rows["Ses02F_impro01_M000"]["raters"] == {"happy": 2}


def test_crema_d_counts_votes_on_audio_only(tmp_path):
    rows, _ = prepared("cremad", publish(TREES["cremad"], tmp_path / "p"), tmp_path / "m.json")
    row = rows["1001_DFA_ANG_XX"]
    assert row["raters"] == {"angry": 6, "disgust": 2, "neutral": 1}
    assert row["gender"] == "M" and row["intensity"] is None and row["text"] == "Don't forget a jacket."
    assert rows["1003_IEO_SAD_HI"]["wav"].endswith(".wav") and rows["1003_IEO_SAD_HI"]["intensity"] == "high"


def test_meld_keeps_its_splits_and_reports_shared_speakers(tmp_path, caplog):
    rows, report = prepared("meld", publish(TREES["meld"], tmp_path / "p"), tmp_path / "m.json")
    assert rows["train_dia0_utt0"]["split_rule"] == "official"
    assert rows["train_dia0_utt0"]["text"] == "Or! Or, we could go to the bank."
    assert "1 speaker is in more than one split" in report.problems
    assert len(read_manifest(tmp_path / "m.json", splits=["train"])) == 2
    assert "share 1 speakers" in caplog.text
    rows, report = prepared("meld", tmp_path / "p", tmp_path / "m.json", split="speakers")
    assert rows["train_dia0_utt0"]["split"] == rows["dev_dia0_utt0"]["split"]
    assert not any("more than one split" in problem for problem in report.problems)


def test_meld_videos_are_read_with_ffmpeg(tmp_path, need_program):
    import subprocess

    need_program("ffmpeg")
    publish({k: v for k, v in TREES["meld"].items() if "train_splits" not in k}, tmp_path / "p")
    for number, seconds in ((0, 0.5), (1, 0.8)):
        video = tmp_path / "p" / "MELD.Raw" / "train_splits" / f"dia0_utt{number}.mp4"
        video.parent.mkdir(exist_ok=True)
        pictures = ["-f", "lavfi", "-i", f"color=s=16x16:d={seconds}"]
        tone = ["-f", "lavfi", "-i", f"sine=frequency=300:sample_rate=44100:duration={seconds}"]
        command = ["ffmpeg", "-v", "error", *pictures, *tone, "-c:v", "mpeg4", "-c:a", "aac", str(video)]
        subprocess.run(command, check=True)
    rows, _ = prepared("meld", tmp_path / "p", tmp_path / "m.json")
    assert rows["train_dia0_utt1"]["duration"] == pytest.approx(0.8, abs=0.05)
    utterance = next(u for u in read_manifest(tmp_path / "m.json") if u.id == "train_dia0_utt1")
    wave = read_utterance(utterance)
    assert len(wave) / 16_000 == pytest.approx(0.8, abs=0.06) and wave.std() > 0.01


def test_zed_manifest_is_a_reference_for_sed_score(tmp_path):
    from sed.scoring.loading import load

    prepared("zed", publish(TREES["zed"], tmp_path / "p"), tmp_path / "reference.json")
    found = load(tmp_path / "reference.json")
    assert found.durations_stated and set(found.recordings) == {"spk1_1", "spk2_1"}
    (event,) = found.recordings["spk1_1"]
    assert (event.start, event.end, event.emotion) == (0.1, 0.4, "angry")
    utterance = read_manifest(tmp_path / "reference.json", emotions=["sad"])[0]
    assert utterance.events == ((0.0, 0.3, "sad"),)


def test_table_with_times_votes_and_dimensions(tmp_path):
    rows, _ = prepared("csv", publish(TREES["csv"], tmp_path / "p"), tmp_path / "m.json", corpus="calls")
    part = rows["a_one_00000050"]
    assert (part["start"], part["stop"], part["duration"]) == (0.05, 0.15, 0.1)
    assert part["raters"] == {"happy": 3, "sad": 1} and part["arousal"] == 0.75
    assert part["corpus"] == "calls" and part["speaker"] == "calls_ann"
    rest = rows["a_one_00000150"]
    assert (rest["start"], rest["stop"], rest["duration"]) == (0.15, None, 0.05)


def test_table_file_names_are_relative_to_the_table(tmp_path):
    files = {"deep/down/t.csv": "File,Label,Speaker_ID\na\\x.wav,Joy,ann\n", "deep/down/a/x.wav": WAV}
    for form in ("folder", "zip"):
        source = publish(files, tmp_path / "p", form)
        rows, _ = prepared("csv", source, tmp_path / form / "m.json")
        assert rows["deep_down_a_x"]["emotion"] == "happy"


def test_table_as_source_finds_its_audio(tmp_path):
    publish(TREES["csv"], tmp_path / "p")
    rows, _ = prepared("csv", tmp_path / "p" / "labels.csv", tmp_path / "m.json")
    assert set(rows) == set(EXPECTED["csv"])


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_audformat_database(tmp_path, storage):
    import audformat
    import pandas

    publish({"audio/a.wav": WAV, "audio/b.wav": sound(0.3)}, tmp_path / "p")
    db = audformat.Database("tiny")
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "neutral"])
    speakers = {"ann": {"gender": "female", "language": "deu"}, "bob": {"gender": "male", "language": "deu"}}
    db.schemes["speaker"] = audformat.Scheme(labels=speakers)
    db["files"] = audformat.Table(audformat.filewise_index(["audio/a.wav", "audio/b.wav"]))
    db["files"]["speaker"] = audformat.Column(scheme_id="speaker")
    db["files"]["speaker"].set(["ann", "bob"])
    index = audformat.segmented_index(
        ["audio/a.wav", "audio/b.wav"], ["0s", "0.1s"], [pandas.NaT, pandas.Timedelta("0.25s")]
    )
    db["gold"] = audformat.Table(index)
    db["gold"]["emotion"] = audformat.Column(scheme_id="emotion")
    db["gold"]["emotion"].set(["anger", "neutral"])
    db.save(str(tmp_path / "p"), storage_format=storage)
    rows, _ = prepared("csv", tmp_path / "p", tmp_path / "m.json", split="test")
    first, second = rows["audio_a_00000000"], rows["audio_b_00000100"]
    assert (first["emotion"], first["speaker"], first["gender"]) == ("angry", "csv_ann", "F")
    assert (second["emotion"], second["start"], second["stop"]) == ("neutral", 0.1, 0.25)
    assert second["language"] == "deu" and second["split"] == "test"


def test_audformat_split_tables_assign_the_splits(tmp_path):
    """The layout of emodb 1.4.1: one table of all utterances, one per split; speakers and texts in schemes."""
    import audformat

    files = ["wav/a.wav", "wav/b.wav", "wav/c.wav"]
    publish({file: WAV for file in files}, tmp_path / "p")
    db = audformat.Database("berlin")
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "neutral"])
    speakers = {3: {"gender": "male", "language": "deu"}, 8: {"gender": "female", "language": "deu"}}
    db.schemes["speaker"] = audformat.Scheme(labels=speakers)
    db.schemes["transcription"] = audformat.Scheme(labels={"a01": "Der Lappen liegt auf dem Eisschrank."})
    columns = {"speaker": [3, 3, 8], "transcription": ["a01", "a01", None]}
    db["files"] = audformat.Table(audformat.filewise_index(files))
    for name, values in columns.items():
        db["files"][name] = audformat.Column(scheme_id=name)
        db["files"][name].set(values)
    labels = ["anger", "neutral", "anger"]
    for table, indices in (
        ("emotion", [0, 1, 2]),
        ("emotion.train.gold", [0, 1]),
        ("emotion.test.gold", [2]),
    ):
        db[table] = audformat.Table(audformat.filewise_index([files[n] for n in indices]))
        db[table]["emotion"] = audformat.Column(scheme_id="emotion")
        db[table]["emotion"].set([labels[n] for n in indices])
    db.save(str(tmp_path / "p"), storage_format="csv")
    rows, report = prepared("csv", tmp_path / "p", tmp_path / "m.json", strict=True)
    found = {
        (row["speaker"], row["emotion"], row["split"], row["gender"], row["text"]) for row in rows.values()
    }
    text = "Der Lappen liegt auf dem Eisschrank."
    assert found == {
        ("csv_3", "angry", "train", "M", text),
        ("csv_3", "neutral", "train", "M", text),
        ("csv_8", "angry", "test", "F", None),
    }
    assert {row.split_rule for row in report.utterances} == {"table"} and len(rows) == 3


def test_shared_manifest_is_reproduced(shared, tmp_path):
    """Every 25th row of the shared manifest, with its Opus files."""
    head, *lines = (shared / "corpora" / "manifest.csv").read_text(encoding="utf-8").splitlines()
    corpus, rest = zip(*(line.split(",", 1) for line in lines[::25]), strict=True)
    table = [f"{name},{shared / 'corpora'}/{more}" for name, more in zip(corpus, rest, strict=True)]
    (tmp_path / "manifest.csv").write_text("\n".join([head, *table]), encoding="utf-8")
    rows, report = prepared("csv", tmp_path / "manifest.csv", tmp_path / "m.json")
    assert len(rows) == len(table) > 270 and not report.problems
    old, new = read_manifest(tmp_path / "manifest.csv"), read_manifest(tmp_path / "m.json")
    facts, durations = (
        [{u.path.name: (u.speaker, u.emotion, u.split) for u in rows} for rows in (old, new)],
        [{u.path.name: u.duration for u in rows} for rows in (old, new)],
    )
    assert facts[0] == facts[1]
    assert durations[0] == pytest.approx(durations[1], abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ravdess", "emodb", "kaist"])
def test_labels_of_real_files_equal_the_shared_manifest(name, shared, tmp_path):
    """The shared corpora have the published file names, so the readers must give the same labels and splits."""
    known = {u.id: u for u in read_manifest(shared / "corpora", leave_out=set(READERS) - {name})}
    _, report = prepared(name, shared / "corpora" / name, tmp_path / "m.json", strict=True)
    assert len(report.utterances) == len(known)
    for row in report.utterances:
        expected = known[row.id]
        assert (row.speaker, row.emotion, row.split, row.language, row.intensity) == (
            expected.speaker,
            expected.emotion,
            expected.split,
            expected.language,
            expected.intensity,
        )
        assert row.gender == expected.gender or expected.gender is None
        assert row.duration == pytest.approx(expected.duration, abs=1e-3)


def test_find_reader_ignores_case_and_punctuation():
    assert [find_reader(name).name for name in ("CREMA-D", "JL-Corpus", "EMO-DB", "audformat")] == [
        "cremad",
        "jl",
        "emodb",
        "csv",
    ]
