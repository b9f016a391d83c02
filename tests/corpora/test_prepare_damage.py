"""Missing or invalid parts of a corpus are reported in one message each; failures leave no partial output."""

import json
import zipfile

import pytest
from published_trees import MELD_HEAD, TREES, WAV, ZED_ROWS, meld_row, publish, without

from sed.corpora.readers import READERS, Options, find_reader, prepare
from sed.errors import FormatError, OptionError


def prepared(name, files, place, **options):
    """The ids in the manifest of `files`, and the reported problems except the comparison with published numbers."""
    report = prepare(READERS[name], publish(files, place / "p"), place / "m.json", Options(**options))
    ids = {utterance.id for utterance in report.utterances}
    return ids, [text for text in report.problems if "as published" not in text]


LABEL_FILES = {
    "nemo": "data.tsv",
    "esd": ".txt",
    "iemocap": "EmoEvaluation/Ses",
    "meld": "_sent_emo.csv",
    "zed": "ZED.json",
    "csv": "labels.csv",
}


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("name", sorted(LABEL_FILES))
def test_missing_label_file_raises(name, form, tmp_path):
    source = publish(without(TREES[name], LABEL_FILES[name]), tmp_path / "p", form)
    with pytest.raises(FormatError, match=r"found (no|none of the|0) (label file|tables|.*label files)"):
        prepare(READERS[name], source, tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists()


MISSING_AUDIO = {
    "nemo": (
        "samples/WR0",
        "WR0_surprised_64",
        "listed in data.tsv but missing (1): WR0_surprised_64.wav",
    ),
    "iemocap": (
        "Ses03F_impro01_M000.wav",
        "Ses03F_impro01_M000",
        "labels without audio (1): Ses03F_impro01_M000",
    ),
    "meld": (
        "train_splits/dia0_utt1",
        "train_dia0_utt1",
        "labels without audio or video (1): train dia0_utt1",
    ),
    "zed": (
        "spk2_1.wav",
        "spk2_1",
        "listed in ZED.json but missing (1): datafolder/ZED/spk2_1.wav",
    ),
    "csv": ("b/two.wav", "b_two", "listed in the table but missing (1): b/two.wav"),
}


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("name", sorted(MISSING_AUDIO))
def test_missing_audio_is_reported_and_omitted(name, form, tmp_path):
    part, missing, message = MISSING_AUDIO[name]
    source = publish(without(TREES[name], part), tmp_path / "p", form)
    report = prepare(READERS[name], source, tmp_path / "m.json")
    assert missing not in {u.id for u in report.utterances} and message in report.problems
    with pytest.raises(FormatError, match=r"but missing|without audio"):
        prepare(READERS[name], source, tmp_path / "strict" / "m.json", Options(strict=True))
    assert not (tmp_path / "strict").exists()


UNKNOWN = {
    "ravdess": "Actor_01/03-01-09-01-01-01-01.wav",
    "emodb": "wav/03a01Xa.wav",
    "kaist": "emotiontts_open_db-master/Dataset/SpeechCorpus/Emotional/plain-to-emotional/ema/wav/ema00401.wav",
    "esd": "Emotion Speech Dataset/0011/Melancholy/0011_000002.wav",
    "emovdb": "bea_Amused/envy_1-15_0002.wav",
    "jl": "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/male1_envious_3a_1.wav",
    "cremad": "AudioWAV/1001_DFA_ENV_XX.wav",
}


@pytest.mark.parametrize("name", sorted(UNKNOWN))
def test_files_with_an_unknown_code_are_reported_and_omitted(name, tmp_path):
    ids, found = prepared(name, TREES[name] | {UNKNOWN[name]: WAV}, tmp_path)
    assert UNKNOWN[name].rsplit("/", 1)[-1][:-4] not in ids and len(found) == 1
    assert " (1): " in found[0] and UNKNOWN[name] in found[0]


@pytest.mark.parametrize("name", ["ravdess", "emodb", "esd", "emovdb", "jl", "cremad"])
def test_files_with_unexpected_names_are_reported_and_omitted(name, tmp_path):
    folder = next(key for key in TREES[name] if key.endswith(".wav")).rsplit("/", 1)[0]
    _, found = prepared(name, TREES[name] | {f"{folder}/copy of 1.wav": WAV}, tmp_path)
    assert len(found) == 1 and "copy of 1.wav" in found[0] and "unexpected file name" in found[0]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "nemo",
            "\tsadness\t",
            "\tenvy\t",
            "unknown emotion in data.tsv (1): data.tsv, line 4 (envy)",
        ),
        ("iemocap", "\txxx\t", "\tenv\t", "unknown emotion (5): Ses01F_impro01_M000 (env)"),
        ("iemocap", "C-E3:\tHappiness;", "C-E3:\tEnvy;", "vote for an unknown emotion"),
        ("iemocap", "[10.0100 - 11.3925]", "[10.0100 - ]", "unreadable block in EmoEvaluation"),
        (
            "meld",
            ",joy,",
            ",envy,",
            "unknown emotion (1): MELD.Raw/train_sent_emo.csv, line 2 (envy)",
        ),
        ("zed", '"angry"', '"envious"', "invalid events (1): spk1_1 (found emotion 'envious'"),
        ("zed", '"end": 0.3', '"end": 0.9', "found an event from 0.0 to 0.9 s in 0.4 s"),
        ("csv", "dev", "somewhere", "found split 'somewhere', expected train, valid or test"),
        ("csv", "0.75", "75", "found arousal 75.0, expected -1 to 1"),
        ("csv", "0.15,,melancholy", "0.15,0.1,melancholy", "found start 0.15 and end 0.1"),
    ],
)
def test_invalid_labels_are_reported_and_omitted(name, old, new, message, tmp_path):
    files = {
        key: data.replace(old, new) if isinstance(data, str) else data for key, data in TREES[name].items()
    }
    assert files != TREES[name]
    _, found = prepared(name, files, tmp_path)
    assert any(message in text for text in found), found


def test_missing_meld_split_and_missing_iemocap_dialogue_are_reported(tmp_path):
    _, found = prepared("meld", without(TREES["meld"], "dev_sent"), tmp_path / "m")
    assert found == ["the label file dev_sent_emo.csv is missing"]
    ids, found = prepared("iemocap", without(TREES["iemocap"], "EmoEvaluation/Ses02"), tmp_path / "i")
    assert len(ids) == 8 and found == ["dialogue without a label file in EmoEvaluation (1): Ses02F_impro01"]


def test_missing_optional_files_of_crema_d_are_reported(tmp_path):
    ids, found = prepared("cremad", without(TREES["cremad"], ".csv"), tmp_path)
    assert len(ids) == 4
    assert found == [
        "VideoDemographics.csv is missing, so genders are empty",
        "processedResults/tabulatedVotes.csv is missing, so raters are empty",
    ]


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_duplicate_files_are_used_once(form, tmp_path):
    """RAVDESS on Kaggle has every file twice."""
    copies = {f"audio_speech_actors_01-24/{key}": data for key, data in TREES["ravdess"].items()}
    source = publish(TREES["ravdess"] | copies, tmp_path / "p", form)
    report = prepare(READERS["ravdess"], source, tmp_path / "m.json")
    assert len(report.utterances) == 8
    (message,) = [text for text in report.problems if "duplicate id" in text]
    assert message.startswith("duplicate id, omitted (8): audio_speech_actors_01-24/Actor_01/")
    assert message.endswith("and 3 more")


def test_case_is_ignored_in_names_and_labels(tmp_path):
    files = {
        "SAMPLES/wr0_SURPRISED_64.WAV": WAV,
        "Data.TSV": "File_ID\tEMOTION\traw_text\tSpeaker_ID\nWR0_surprised_64.wav\tSurPriseD\tA\tWR0\n",
    }
    ids, found = prepared("nemo", files, tmp_path / "n")
    assert ids == {"WR0_surprised_64"} and not found
    ids, found = prepared("jl", {"FEMALE1_Angry_10A_1.WAV": WAV}, tmp_path / "j")
    assert ids == {"FEMALE1_Angry_10A_1"} and not found
    ids, found = prepared("emodb", {"wav/03A01fa.wav": WAV}, tmp_path / "e")
    assert ids == {"03A01fa"} and not found
    files = {
        "train_sent_emo.csv": f"{MELD_HEAD}\n{meld_row('Joey', 'ANGER', 0, 0)}",
        "Train/DIA0_utt0.wav": WAV,
    }
    ids, _ = prepared("meld", files, tmp_path / "m")
    assert ids == {"train_dia0_utt0"}


def test_unreadable_audio_is_reported_with_the_reason(tmp_path):
    files = dict(TREES["cremad"])
    files["AudioWAV/1001_DFA_ANG_XX.wav"] = (
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
    )
    files["AudioWAV/1001_IEO_HAP_LO.wav"] = b""
    files["AudioWAV/1002_IEO_NEU_XX.wav"] = "hello"
    ids, found = prepared("cremad", files, tmp_path)
    assert ids == {"1003_IEO_SAD_HI"}
    assert found == [
        "unreadable audio: a Git LFS pointer, fetch the audio with git lfs pull (1): AudioWAV/1001_DFA_ANG_XX.wav",
        "unreadable audio: empty (1): AudioWAV/1001_IEO_HAP_LO.wav",
        "unreadable audio: not audio (1): AudioWAV/1002_IEO_NEU_XX.wav",
    ]


def test_events_after_the_end_of_the_audio_are_reported(tmp_path):
    ids, found = prepared("zed", TREES["zed"] | {"ZED/spk1_1.wav": WAV}, tmp_path)
    assert ids == {"spk2_1"} and found == ["times after the end of the audio (1): spk1_1 (0.4 of 0.200 s)"]


def test_counts_are_compared_with_published_counts(tmp_path):
    report = prepare(READERS["emodb"], publish(TREES["emodb"], tmp_path / "p"), tmp_path / "m.json")
    assert report.problems == (
        "found 4 utterances, expected 535 as published",
        "found 4 speakers, expected 10 as published",
    )
    with pytest.raises(FormatError, match="found 4 utterances, expected 535 as published"):
        prepare(READERS["emodb"], tmp_path / "p", tmp_path / "n.json", Options(strict=True))


def test_wrong_source_raises_with_a_hint(tmp_path):
    with pytest.raises(FormatError, match="no such file or folder"):
        prepare(READERS["esd"], tmp_path / "nowhere", tmp_path / "m.json")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FormatError, match="found another kind of file"):
        prepare(READERS["esd"], tmp_path / "notes.txt", tmp_path / "m.json")
    packed = publish({"MELD.Raw/train.tar.gz": b"\x1f\x8b"}, tmp_path / "packed", "zip")
    with pytest.raises(
        FormatError, match=r"found no file of .* extract the nested archive MELD.Raw/train.tar.gz first"
    ):
        prepare(READERS["ravdess"], packed, tmp_path / "m.json")


def test_damaged_and_malicious_archives_raise(tmp_path):
    good = publish(TREES["emodb"], tmp_path / "p", "zip").read_bytes()
    broken = tmp_path / "broken.zip"
    broken.write_bytes(good.replace(b"RIFF", b"RAFF", 1))  # the checksum is wrong now
    with pytest.raises(FormatError, match="the archive cannot be read"):
        prepare(READERS["emodb"], broken, tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists()
    short = publish(TREES["emodb"], tmp_path / "q", "tar.gz")
    short.write_bytes(short.read_bytes()[:-200])
    with pytest.raises(FormatError, match="archive"):
        prepare(READERS["emodb"], short, tmp_path / "out" / "m.json")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../03a01Fa.wav", WAV)
    with pytest.raises(FormatError, match="expected paths inside the archive"):
        prepare(READERS["emodb"], tmp_path / "evil.zip", tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists() and not (tmp_path / "03a01Fa.wav").exists()


def test_failure_removes_extracted_files_and_keeps_the_old_manifest(tmp_path):
    source = publish(TREES["ravdess"], tmp_path / "p", "zip")
    prepare(READERS["emodb"], publish(TREES["emodb"], tmp_path / "q"), tmp_path / "m.json")
    old = (tmp_path / "m.json").read_bytes()
    (tmp_path / "m_audio" / "Actor_01").mkdir(parents=True)
    kept = tmp_path / "m_audio" / "Actor_01" / "03-01-01-01-01-01-01.wav"
    kept.write_bytes(WAV)
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("Actor_02/03-01-02-01-01-01-02.wav", b"no audio")
    report = prepare(READERS["ravdess"], source, tmp_path / "other.json")
    assert "not audio" in report.problems[2]
    # With languages, counts are not compared, so audio is extracted before the failure.
    strict = Options(strict=True, languages=("en",))
    with pytest.raises(FormatError, match="not audio"):
        prepare(READERS["ravdess"], source, tmp_path / "m.json", strict)
    assert (tmp_path / "m.json").read_bytes() == old
    assert [path for path in (tmp_path / "m_audio").rglob("*") if path.is_file()] == [kept]


def test_second_run_keeps_extracted_files(tmp_path):
    source = publish(TREES["emodb"], tmp_path / "p", "zip")
    prepare(READERS["emodb"], source, tmp_path / "m.json")
    first = (tmp_path / "m.json").read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "m_audio").rglob("*.wav")}
    prepare(READERS["emodb"], source, tmp_path / "m.json")
    assert (tmp_path / "m.json").read_bytes() == first and len(stamps) == 4
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "m_audio").rglob("*.wav")} == stamps


def test_incomplete_tables_raise(tmp_path):
    with pytest.raises(
        FormatError, match=r"found no speaker, expected file, emotion \(or text\) and speaker"
    ):
        prepared("csv", {"t.csv": "file,emotion\na.wav,sad\n", "a.wav": WAV}, tmp_path / "1")
    with pytest.raises(FormatError, match="found 2 tables, expected one"):
        prepared("csv", {"t.csv": "file\n", "u.csv": "file\n"}, tmp_path / "2")
    half = "file,emotion,speaker,split\na.wav,sad,ann,train\nb.wav,sad,bob,\n"
    with pytest.raises(FormatError, match="1 of 2 rows have no split"):
        prepared("csv", {"t.csv": half, "a.wav": WAV, "b.wav": WAV}, tmp_path / "3")
    ids, _ = prepared("csv", {"t.csv": half, "a.wav": WAV, "b.wav": WAV}, tmp_path / "4", split="speakers")
    assert ids == {"a", "b"}
    with pytest.raises(FormatError, match=r"data\.tsv: found no column emotion among file_id, speaker_id"):
        prepared("nemo", {"data.tsv": "file_id\tspeaker_id\n"}, tmp_path / "5")


def test_invalid_zed_label_files_raise(tmp_path):
    with pytest.raises(FormatError, match="found a list, expected an object"):
        prepared("zed", {"ZED.json": "[]"}, tmp_path / "1")
    with pytest.raises(FormatError, match="expected an object with wav, duration and emotion"):
        prepared("zed", {"ZED.json": '{"spk1_1": 3}'}, tmp_path / "2")
    renamed = {**TREES["zed"], "ZED.json": json.dumps({"spk9_9": ZED_ROWS["spk1_1"]})}
    _, found = prepared("zed", renamed, tmp_path / "3")
    assert found == ["audio name differs from the id (1): spk9_9 (spk1_1)"]


def test_invalid_options_raise(tmp_path):
    source = publish(TREES["emodb"], tmp_path / "p")
    for options, text in (
        (Options(fold=1), "the corpus has no folds"),
        (Options(split="tomorrow"), "split 'tomorrow': expected one of auto"),
        (Options(split="speakers", test=0.7, valid=0.5), "expected a sum below 1"),
        (
            Options(test=0.3),
            "test cannot be combined with split auto of emodb, which draws no speakers: expected split speakers",
        ),
        (
            Options(split="train", seed=0, valid=0.1),
            "seed and valid cannot be combined with split train of emodb",
        ),
    ):
        with pytest.raises(OptionError, match=text):
            prepare(READERS["emodb"], source, tmp_path / "m.json", options)
    with pytest.raises(OptionError, match=r"expected a manifest with the suffix \.json"):
        prepare(READERS["emodb"], source, tmp_path / "m.csv")
    with pytest.raises(OptionError, match="fold 6 of iemocap: expected 1 to 5"):
        prepare(READERS["iemocap"], source, tmp_path / "m.json", Options(fold=6))
    with pytest.raises(
        OptionError, match="fold 1 cannot be combined with split speakers: expected split auto"
    ):
        prepare(READERS["iemocap"], source, tmp_path / "m.json", Options(fold=1, split="speakers"))
    with pytest.raises(OptionError, match="corpus 'savee': expected one of ravdess"):
        find_reader("savee")


def test_other_files_are_not_overwritten(tmp_path):
    source = publish(TREES["zed"], tmp_path / "p")
    before = (source / "ZED.json").read_bytes()
    message = r"ZED\.json: found a file that is not a prepared manifest, expected a new name"
    with pytest.raises(OptionError, match=message):
        prepare(READERS["zed"], source, source / "ZED.json")
    assert (source / "ZED.json").read_bytes() == before
    prepare(READERS["zed"], source, tmp_path / "m.json")
    prepare(READERS["zed"], source, tmp_path / "m.json")  # a manifest is replaced


def test_languages_ignore_case_and_an_unknown_language_raises(tmp_path):
    source = publish(TREES["ravdess"], tmp_path / "p")
    assert (
        len(prepare(READERS["ravdess"], source, tmp_path / "m.json", Options(languages=("EN",))).utterances)
        == 8
    )
    with pytest.raises(FormatError, match="found 8 utterances in languages en, expected some in de"):
        prepare(READERS["ravdess"], source, tmp_path / "n.json", Options(languages=("de",)))


def test_renaming_an_absent_label_is_reported(tmp_path):
    _, found = prepared("emodb", TREES["emodb"], tmp_path, rename={"hapy": "glad", "happy": "glad"})
    assert found == ["found no label hapy to rename to glad"]


def test_speakers_in_two_splits_of_a_table_are_reported_with_the_remedy(tmp_path):
    table = "file,emotion,speaker,split\na.wav,sad,ann,train\nb.wav,sad,ann,test\n"
    files = {"t.csv": table, "a.wav": WAV, "b.wav": WAV}
    _, found = prepared("csv", files, tmp_path / "1")
    assert found == ["1 speaker is in more than one split, which training rejects: use --split speakers"]
    assert prepared("csv", files, tmp_path / "2", split="speakers")[1] == []


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_unquoted_separator_in_a_text_raises(name, tmp_path):
    separator = "," if name.endswith("csv") else "\t"
    rows = [["file", "text", "emotion", "speaker"], ["a.wav", f"Hello{separator} my friend", "happy", "ann"]]
    table = "".join(separator.join(row) + "\n" for row in rows)
    with pytest.raises(FormatError, match="line 2: found 5 cells, expected 4 as in the header: quote text"):
        prepared("csv", {name: table, "a.wav": WAV}, tmp_path / "1")
    quoted = table.replace(rows[1][1], f'"{rows[1][1]}"')
    assert prepared("csv", {name: quoted, "a.wav": WAV}, tmp_path / "2") == ({"a"}, [])
    blank = quoted.replace("ann\n", f"ann{separator} {separator}\n")  # spreadsheets append empty cells
    assert prepared("csv", {name: blank, "a.wav": WAV}, tmp_path / "3") == ({"a"}, [])


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("-1", "0.1", "found start -1.0, expected 0 or later"),
        ("0.21", "0.24", "times after the end of the audio"),
    ],
)
def test_times_outside_the_audio_are_reported_and_omitted(start, end, text, tmp_path):
    table = f"file,start,end,emotion,speaker\na.wav,{start},{end},sad,ann\na.wav,0.1,0.2,sad,ann\n"
    ids, found = prepared("csv", {"t.csv": table, "a.wav": WAV}, tmp_path)
    assert ids == {"a_00000100"} and len(found) == 1 and text in found[0]


def test_votes_for_synonyms_are_added(tmp_path):
    table = "file,emotion,speaker,votes\na.wav,happy,ann,joy=2 happy=1\nb.wav,Melancholy,ann,Melancholy=3\n"
    prepared("csv", {"t.csv": table, "a.wav": WAV, "b.wav": WAV}, tmp_path)
    rows = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert rows["a"]["raters"] == {"happy": 3.0}
    assert rows["b"]["raters"] == {rows["b"]["emotion"]: 3.0} == {"melancholy": 3.0}
