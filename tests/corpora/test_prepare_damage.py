"""What is missing or wrong in a corpus is told in one sentence; nothing half-written is left behind."""

import json
import zipfile

import pytest
from published_trees import MELD_HEAD, TREES, WAV, ZED_ROWS, meld_row, publish, without

from sed.corpora.readers import PREPARERS, Options, find_preparer, prepare
from sed.errors import FormatError, OptionError


def problems(name, files, place, **options):
    """The ids in the manifest of `files`, and what the report complains of besides the published numbers."""
    report = prepare(PREPARERS[name], publish(files, place / "p"), place / "m.json", Options(**options))
    ids = {utterance.id for utterance in report.utterances}
    return ids, [text for text in report.problems if "published are" not in text]


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
def test_without_its_label_file_a_corpus_is_refused(name, form, tmp_path):
    source = publish(without(TREES[name], LABEL_FILES[name]), tmp_path / "p", form)
    with pytest.raises(FormatError, match=r"found (no|none of the|0) (label file|tables|.*label files)"):
        prepare(PREPARERS[name], source, tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists()


MISSING_AUDIO = {
    "nemo": (
        "samples/WR0",
        "WR0_surprised_64",
        "1 that data.tsv names, but that are not there: WR0_surprised_64.wav",
    ),
    "iemocap": (
        "Ses03F_impro01_M000.wav",
        "Ses03F_impro01_M000",
        "1 with labels, but without audio: Ses03F_impro01_M000",
    ),
    "meld": (
        "train_splits/dia0_utt1",
        "train_dia0_utt1",
        "1 with labels, but without audio or film: train dia0_utt1",
    ),
    "zed": (
        "spk2_1.wav",
        "spk2_1",
        "1 that ZED.json names, but that are not there: datafolder/ZED/spk2_1.wav",
    ),
    "csv": ("b/two.wav", "b_two", "1 that the table names, but that are not there: b/two.wav"),
}


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize("name", sorted(MISSING_AUDIO))
def test_missing_audio_is_named_and_left_out(name, form, tmp_path):
    part, lost, sentence = MISSING_AUDIO[name]
    source = publish(without(TREES[name], part), tmp_path / "p", form)
    report = prepare(PREPARERS[name], source, tmp_path / "m.json")
    assert lost not in {u.id for u in report.utterances} and sentence in report.problems
    with pytest.raises(FormatError, match=r"not there|without audio"):
        prepare(PREPARERS[name], source, tmp_path / "strict" / "m.json", Options(strict=True))
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
def test_files_with_an_unknown_code_are_named_and_left_out(name, tmp_path):
    ids, found = problems(name, TREES[name] | {UNKNOWN[name]: WAV}, tmp_path)
    assert UNKNOWN[name].rsplit("/", 1)[-1][:-4] not in ids and len(found) == 1
    assert found[0].startswith("1 ") and UNKNOWN[name] in found[0]


@pytest.mark.parametrize("name", ["ravdess", "emodb", "esd", "emovdb", "jl", "cremad"])
def test_files_with_strange_names_are_named_and_left_out(name, tmp_path):
    folder = next(key for key in TREES[name] if key.endswith(".wav")).rsplit("/", 1)[0]
    _, found = problems(name, TREES[name] | {f"{folder}/copy of 1.wav": WAV}, tmp_path)
    assert len(found) == 1 and "copy of 1.wav" in found[0] and "with a name that is not" in found[0]


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        (
            "nemo",
            "\tsadness\t",
            "\tenvy\t",
            "1 with an emotion that is not known in data.tsv: data.tsv, line 4 (envy)",
        ),
        ("iemocap", "\txxx\t", "\tenv\t", "with an emotion that is not known: Ses01F_impro01_M000 (env)"),
        ("iemocap", "C-E3:\tHappiness;", "C-E3:\tEnvy;", "with a vote for an emotion that is not known"),
        ("iemocap", "[10.0100 - 11.3925]", "[10.0100 - ]", "blocks that cannot be read in EmoEvaluation"),
        (
            "meld",
            ",joy,",
            ",envy,",
            "1 with an emotion that is not known: MELD.Raw/train_sent_emo.csv, line 2 (envy)",
        ),
        ("zed", '"angry"', '"envious"', "1 with events that cannot be used: spk1_1 (found emotion 'envious'"),
        ("zed", '"end": 0.3', '"end": 0.9', "found an event from 0.0 to 0.9 s in 0.4 s"),
        ("csv", "dev", "somewhere", "found split 'somewhere', expected train, valid or test"),
        ("csv", "0.75", "75", "found arousal 75.0, expected -1 to 1"),
        ("csv", "0.15,,melancholy", "0.15,0.1,melancholy", "found start 0.15 and end 0.1"),
    ],
)
def test_wrong_labels_are_named_and_left_out(name, old, new, sentence, tmp_path):
    files = {
        key: data.replace(old, new) if isinstance(data, str) else data for key, data in TREES[name].items()
    }
    assert files != TREES[name]
    _, found = problems(name, files, tmp_path)
    assert any(sentence in text for text in found), found


def test_a_missing_split_of_meld_and_a_missing_dialog_of_iemocap_are_told(tmp_path):
    _, found = problems("meld", without(TREES["meld"], "dev_sent"), tmp_path / "m")
    assert found == ["the label file dev_sent_emo.csv is missing"]
    ids, found = problems("iemocap", without(TREES["iemocap"], "EmoEvaluation/Ses02"), tmp_path / "i")
    assert len(ids) == 8 and found == ["1 dialogs without a label file in EmoEvaluation: Ses02F_impro01"]


def test_missing_extras_of_crema_d_are_told(tmp_path):
    ids, found = problems("cremad", without(TREES["cremad"], ".csv"), tmp_path)
    assert len(ids) == 4
    assert found == [
        "VideoDemographics.csv is missing: genders are left empty",
        "processedResults/tabulatedVotes.csv is missing: raters are left empty",
    ]


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_files_that_occur_twice_are_taken_once(form, tmp_path):
    """The RAVDESS that Kaggle hands out has every file a second time."""
    again = {f"audio_speech_actors_01-24/{key}": data for key, data in TREES["ravdess"].items()}
    source = publish(TREES["ravdess"] | again, tmp_path / "p", form)
    report = prepare(PREPARERS["ravdess"], source, tmp_path / "m.json")
    assert len(report.utterances) == 8
    (sentence,) = [text for text in report.problems if "id is there already" in text]
    assert sentence.startswith("8 whose id is there already, left out: audio_speech_actors_01-24/Actor_01/")
    assert sentence.endswith("and 3 more")


def test_strange_case_is_understood(tmp_path):
    files = {
        "SAMPLES/wr0_SURPRISED_64.WAV": WAV,
        "Data.TSV": "File_ID\tEMOTION\traw_text\tSpeaker_ID\nWR0_surprised_64.wav\tSurPriseD\tA\tWR0\n",
    }
    ids, found = problems("nemo", files, tmp_path / "n")
    assert ids == {"WR0_surprised_64"} and not found
    ids, found = problems("jl", {"FEMALE1_Angry_10A_1.WAV": WAV}, tmp_path / "j")
    assert ids == {"FEMALE1_Angry_10A_1"} and not found
    ids, found = problems("emodb", {"wav/03A01fa.wav": WAV}, tmp_path / "e")
    assert ids == {"03A01fa"} and not found
    files = {
        "train_sent_emo.csv": f"{MELD_HEAD}\n{meld_row('Joey', 'ANGER', 0, 0)}",
        "Train/DIA0_utt0.wav": WAV,
    }
    ids, _ = problems("meld", files, tmp_path / "m")
    assert ids == {"train_dia0_utt0"}


def test_audio_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    files = dict(TREES["cremad"])
    files["AudioWAV/1001_DFA_ANG_XX.wav"] = (
        "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
    )
    files["AudioWAV/1001_IEO_HAP_LO.wav"] = b""
    files["AudioWAV/1002_IEO_NEU_XX.wav"] = "hello"
    ids, found = problems("cremad", files, tmp_path)
    assert ids == {"1003_IEO_SAD_HI"}
    assert found == [
        "1 whose audio cannot be read (a pointer of Git LFS; fetch the audio with git lfs pull): "
        "AudioWAV/1001_DFA_ANG_XX.wav",
        "1 whose audio cannot be read (empty): AudioWAV/1001_IEO_HAP_LO.wav",
        "1 whose audio cannot be read (not audio): AudioWAV/1002_IEO_NEU_XX.wav",
    ]


def test_events_past_the_end_of_the_audio_are_told(tmp_path):
    ids, found = problems("zed", TREES["zed"] | {"ZED/spk1_1.wav": WAV}, tmp_path)
    assert ids == {"spk2_1"} and found == [
        "1 that go on past the end of their audio: spk1_1 (0.4 of 0.200 s)"
    ]


def test_published_numbers_are_compared(tmp_path):
    report = prepare(PREPARERS["emodb"], publish(TREES["emodb"], tmp_path / "p"), tmp_path / "m.json")
    assert report.problems == (
        "found 4 utterances, published are 535",
        "found 4 speakers, published are 10",
    )
    with pytest.raises(FormatError, match="found 4 utterances, published are 535"):
        prepare(PREPARERS["emodb"], tmp_path / "p", tmp_path / "n.json", Options(strict=True))


def test_the_wrong_place_is_refused_with_a_hint(tmp_path):
    with pytest.raises(FormatError, match="no such file or folder"):
        prepare(PREPARERS["esd"], tmp_path / "nowhere", tmp_path / "m.json")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FormatError, match="found a file of another kind"):
        prepare(PREPARERS["esd"], tmp_path / "notes.txt", tmp_path / "m.json")
    packed = publish({"MELD.Raw/train.tar.gz": b"\x1f\x8b"}, tmp_path / "packed", "zip")
    with pytest.raises(
        FormatError, match=r"found nothing of .* MELD.Raw/train.tar.gz is packed inside, so unpack"
    ):
        prepare(PREPARERS["ravdess"], packed, tmp_path / "m.json")


def test_damaged_and_hostile_archives_are_refused(tmp_path):
    good = publish(TREES["emodb"], tmp_path / "p", "zip").read_bytes()
    broken = tmp_path / "broken.zip"
    broken.write_bytes(good.replace(b"RIFF", b"RAFF", 1))  # no longer what its checksum says
    with pytest.raises(FormatError, match="the archive cannot be read"):
        prepare(PREPARERS["emodb"], broken, tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists()
    short = publish(TREES["emodb"], tmp_path / "q", "tar.gz")
    short.write_bytes(short.read_bytes()[:-200])
    with pytest.raises(FormatError, match="archive"):
        prepare(PREPARERS["emodb"], short, tmp_path / "out" / "m.json")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../03a01Fa.wav", WAV)
    with pytest.raises(FormatError, match="expected names inside the archive"):
        prepare(PREPARERS["emodb"], tmp_path / "evil.zip", tmp_path / "out" / "m.json")
    assert not (tmp_path / "out").exists() and not (tmp_path / "03a01Fa.wav").exists()


def test_a_failure_takes_back_what_was_unpacked_and_leaves_the_old_manifest(tmp_path):
    source = publish(TREES["ravdess"], tmp_path / "p", "zip")
    prepare(PREPARERS["emodb"], publish(TREES["emodb"], tmp_path / "q"), tmp_path / "m.json")
    old = (tmp_path / "m.json").read_bytes()
    (tmp_path / "m_audio" / "Actor_01").mkdir(parents=True)
    kept = tmp_path / "m_audio" / "Actor_01" / "03-01-01-01-01-01-01.wav"
    kept.write_bytes(WAV)
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("Actor_02/03-01-02-01-01-01-02.wav", b"no audio")
    report = prepare(PREPARERS["ravdess"], source, tmp_path / "other.json")
    assert "not audio" in report.problems[2]
    wrong = Options(
        strict=True, languages=("en",)
    )  # the numbers are not compared, so audio is unpacked first
    with pytest.raises(FormatError, match="not audio"):
        prepare(PREPARERS["ravdess"], source, tmp_path / "m.json", wrong)
    assert (tmp_path / "m.json").read_bytes() == old
    assert [path for path in (tmp_path / "m_audio").rglob("*") if path.is_file()] == [kept]


def test_a_second_run_uses_what_is_unpacked(tmp_path):
    source = publish(TREES["emodb"], tmp_path / "p", "zip")
    prepare(PREPARERS["emodb"], source, tmp_path / "m.json")
    first = (tmp_path / "m.json").read_bytes()
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "m_audio").rglob("*.wav")}
    prepare(PREPARERS["emodb"], source, tmp_path / "m.json")
    assert (tmp_path / "m.json").read_bytes() == first and len(stamps) == 4
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "m_audio").rglob("*.wav")} == stamps


def test_tables_that_lack_something_are_refused(tmp_path):
    with pytest.raises(FormatError, match="no speaker, expected columns file, emotion and speaker"):
        problems("csv", {"t.csv": "file,emotion\na.wav,sad\n", "a.wav": WAV}, tmp_path / "1")
    with pytest.raises(FormatError, match="found 2 tables, expected one"):
        problems("csv", {"t.csv": "file\n", "u.csv": "file\n"}, tmp_path / "2")
    half = "file,emotion,speaker,split\na.wav,sad,ann,train\nb.wav,sad,bob,\n"
    with pytest.raises(FormatError, match="1 of 2 rows have no split"):
        problems("csv", {"t.csv": half, "a.wav": WAV, "b.wav": WAV}, tmp_path / "3")
    ids, _ = problems("csv", {"t.csv": half, "a.wav": WAV, "b.wav": WAV}, tmp_path / "4", split="speakers")
    assert ids == {"a", "b"}
    with pytest.raises(FormatError, match=r"data\.tsv: no column emotion: found file_id, speaker_id"):
        problems("nemo", {"data.tsv": "file_id\tspeaker_id\n"}, tmp_path / "5")


def test_labels_of_zed_that_are_no_object_are_refused(tmp_path):
    with pytest.raises(FormatError, match="found a list, expected an object"):
        problems("zed", {"ZED.json": "[]"}, tmp_path / "1")
    with pytest.raises(FormatError, match="expected an object with wav, duration and emotion"):
        problems("zed", {"ZED.json": '{"spk1_1": 3}'}, tmp_path / "2")
    renamed = {**TREES["zed"], "ZED.json": json.dumps({"spk9_9": ZED_ROWS["spk1_1"]})}
    _, found = problems("zed", renamed, tmp_path / "3")
    assert found == ["1 whose audio has another name than their id: spk9_9 (spk1_1)"]


def test_options_that_make_no_sense_are_refused(tmp_path):
    source = publish(TREES["emodb"], tmp_path / "p")
    for options, text in (
        (Options(fold=1), "the corpus has no folds"),
        (Options(split="tomorrow"), "split 'tomorrow': expected one of auto"),
        (Options(split="speakers", test=0.7, valid=0.5), "expected less than 1 together"),
        (
            Options(test=0.3),
            "test of emodb with split auto, where no speakers are drawn: expected split speakers",
        ),
        (Options(split="train", seed=0, valid=0.1), "seed and valid of emodb with split train"),
    ):
        with pytest.raises(OptionError, match=text):
            prepare(PREPARERS["emodb"], source, tmp_path / "m.json", options)
    with pytest.raises(OptionError, match=r"expected a manifest with the suffix \.json"):
        prepare(PREPARERS["emodb"], source, tmp_path / "m.csv")
    with pytest.raises(OptionError, match="fold 6 of iemocap: expected 1 to 5"):
        prepare(PREPARERS["iemocap"], source, tmp_path / "m.json", Options(fold=6))
    with pytest.raises(OptionError, match="fold 1 with split speakers: expected split auto"):
        prepare(PREPARERS["iemocap"], source, tmp_path / "m.json", Options(fold=1, split="speakers"))
    with pytest.raises(OptionError, match="corpus 'savee': expected one of ravdess"):
        find_preparer("savee")


def test_what_is_no_manifest_is_never_written_over(tmp_path):
    source = publish(TREES["zed"], tmp_path / "p")
    before = (source / "ZED.json").read_bytes()
    with pytest.raises(OptionError, match=r"ZED\.json: there is something else already, expected a new name"):
        prepare(PREPARERS["zed"], source, source / "ZED.json")
    assert (source / "ZED.json").read_bytes() == before
    prepare(PREPARERS["zed"], source, tmp_path / "m.json")
    prepare(PREPARERS["zed"], source, tmp_path / "m.json")  # its own it replaces


def test_languages_are_compared_without_case_and_what_there_is_is_told(tmp_path):
    source = publish(TREES["ravdess"], tmp_path / "p")
    assert (
        len(prepare(PREPARERS["ravdess"], source, tmp_path / "m.json", Options(languages=("EN",))).utterances)
        == 8
    )
    with pytest.raises(FormatError, match="found 8 utterances in languages en, expected some in de"):
        prepare(PREPARERS["ravdess"], source, tmp_path / "n.json", Options(languages=("de",)))


def test_a_name_to_change_that_does_not_occur_is_told(tmp_path):
    _, found = problems("emodb", TREES["emodb"], tmp_path, rename={"hapy": "glad", "happy": "glad"})
    assert found == ["nothing is labelled hapy, which was to be renamed glad"]


def test_speakers_in_two_splits_of_a_table_are_told_with_the_remedy(tmp_path):
    table = "file,emotion,speaker,split\na.wav,sad,ann,train\nb.wav,sad,ann,test\n"
    files = {"t.csv": table, "a.wav": WAV, "b.wav": WAV}
    _, found = problems("csv", files, tmp_path / "1")
    assert found == [
        "1 speaker is in more than one split, which training refuses: --split speakers keeps each in one"
    ]
    assert problems("csv", files, tmp_path / "2", split="speakers")[1] == []


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_a_text_with_the_separator_in_it_is_refused_and_does_not_move_the_columns(name, tmp_path):
    mark = "," if name.endswith("csv") else "\t"
    rows = [["file", "text", "emotion", "speaker"], ["a.wav", f"Hello{mark} my friend", "happy", "ann"]]
    table = "".join(mark.join(row) + "\n" for row in rows)
    with pytest.raises(FormatError, match="line 2: found 5 cells, expected 4 as in the header: quote text"):
        problems("csv", {name: table, "a.wav": WAV}, tmp_path / "1")
    quoted = table.replace(rows[1][1], f'"{rows[1][1]}"')
    assert problems("csv", {name: quoted, "a.wav": WAV}, tmp_path / "2") == ({"a"}, [])
    blank = quoted.replace("ann\n", f"ann{mark} {mark}\n")  # spreadsheets leave empty cells behind
    assert problems("csv", {name: blank, "a.wav": WAV}, tmp_path / "3") == ({"a"}, [])


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("-1", "0.1", "found start -1.0, expected 0 or later"),
        ("0.21", "0.24", "go on past the end of their audio"),
    ],
)
def test_times_outside_the_audio_are_left_out_and_told(start, end, text, tmp_path):
    table = f"file,start,end,emotion,speaker\na.wav,{start},{end},sad,ann\na.wav,0.1,0.2,sad,ann\n"
    ids, found = problems("csv", {"t.csv": table, "a.wav": WAV}, tmp_path)
    assert ids == {"a_00000100"} and len(found) == 1 and text in found[0]


def test_votes_for_words_of_one_meaning_are_added(tmp_path):
    table = "file,emotion,speaker,votes\na.wav,happy,ann,joy=2 happy=1\nb.wav,Melancholy,ann,Melancholy=3\n"
    problems("csv", {"t.csv": table, "a.wav": WAV, "b.wav": WAV}, tmp_path)
    rows = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert rows["a"]["raters"] == {"happy": 3.0}
    assert rows["b"]["raters"] == {rows["b"]["emotion"]: 3.0} == {"melancholy": 3.0}
