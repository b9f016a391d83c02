"""Tiny corpora in their published layout: `TREES` maps each corpus to its files, name -> text or audio bytes.

`EXPECTED` maps each corpus to the expected rows of its manifest, id -> (speaker, emotion, split); split None: drawn.
"""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import numpy as np
import soundfile


def sound(seconds=0.2, rate=16_000, subtype="PCM_16", frequency=440):
    """The bytes of a WAV file with a tone."""
    file = io.BytesIO()
    tone = 0.1 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    soundfile.write(file, tone, rate, format="WAV", subtype=subtype)
    return file.getvalue()


WAV = sound()

RAVDESS = {
    f"Actor_{actor}/03-01-{emotion}-{strength}-01-01-{actor}.wav": WAV
    for actor in ("01", "02", "19", "21")
    for emotion, strength in (("01", "01"), ("05", "02"))
}
RAVDESS["Actor_01/03-02-05-01-01-01-01.wav"] = WAV  # a song
RAVDESS["Actor_01/02-01-05-01-01-01-01.mp4"] = b"silent video"

EMODB = {f"wav/{name}.wav": WAV for name in ("03a01Fa", "08b02Nc", "12a05Wb", "15b10Ta")}
EMODB |= {"erkennung.txt": "not needed", "silb/03a01Fa.silb": "0 .", "lablaut/03a01Fa.lablaut": "x"}

NEMO_ROWS = [
    ("WR0_surprised_64.wav", "surprised", "„Ród smoka” to serial.", "ród smoka", "        WR0", "male", "23"),
    (
        "EB0_neutral_13.wav",
        "neutral",
        "Interesuje mnie historia.",
        "interesuje",
        "        EB0",
        "female",
        "27",
    ),
    ("SM0_sadness_1.wav", "sadness", "Lubię czytać.", "lubię czytać", "        SM0", "male", "24"),
]
NEMO_HEAD = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"
NEMO = {"data.tsv": "\n".join([NEMO_HEAD, *map("\t".join, NEMO_ROWS)]) + "\n", "README.md": "# nEMO"}
NEMO |= {f"samples/{row[0]}": sound(rate=24_000) for row in NEMO_ROWS}

_KAIST = "emotiontts_open_db-master/Dataset/SpeechCorpus/Emotional"
KAIST = {
    f"{_KAIST}/plain-to-emotional/ema/wav/ema00001.wav": sound(rate=22_050),
    f"{_KAIST}/plain-to-emotional/ema/script/ema00001.txt": "대본\n",
    f"{_KAIST}/plain-to-emotional/ema/transcript/ema00001.txt": "말한 것\n",
    f"{_KAIST}/plain-to-emotional/emh/wav/emh00100.wav": WAV,
    f"{_KAIST}/emotional-to-emotional/nea/wav/nea00101.wav": WAV,
    f"{_KAIST}/emotional-to-emotional/nem/wav/nem00201.wav": WAV,
    f"{_KAIST}/emotional-to-emotional/neo/wav/neo00400.wav": WAV,
    "emotiontts_open_db-master/Dataset/CSD/English/wav/bingo_en_1u.wav": WAV,
}

_ESD = "Emotion Speech Dataset"
ESD = {
    f"{_ESD}/0001/0001.txt": "0001_000001\t打远一看\t中立\n0001_000351\t打远一看\t生气\n",
    f"{_ESD}/0001/Neutral/0001_000001.wav": WAV,
    f"{_ESD}/0001/Angry/train/0001_000351.wav": WAV,
    f"{_ESD}/0011/0011.txt": "0011_000001\tThe nine the eggs.\tNeutral\n0011_001401 I did it.\tSurprise\n",
    f"{_ESD}/0011/Neutral/0011_000001.wav": WAV,
    f"{_ESD}/0011/Surprise/test/0011_001401.wav": WAV,
    f"{_ESD}/ReadMe.txt": "ESD",
}

EMOVDB = {
    "bea_Amused/amused_1-15_0001.wav": sound(rate=44_100, subtype="DOUBLE"),
    "bea_Neutral/neutral_1-28_0001.wav": WAV,
    "jenie_Angry/anger_1-28_0011.wav": WAV,
    "josh_Sleepy/sleepiness_1-28_0003.wav": WAV,
    "sam/Disgusted/disgust_57-84_0057.wav": WAV,
    "cmuarctic.data": '( arctic_a0001 "Author of the danger trail, Philip Steels, etc." )\n',
}

_JL = "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)"
JL = {
    f"{_JL}/{name}": data
    for name, data in (
        ("female1_angry_10a_1.wav", sound(rate=44_100)),
        ("female1_angry_10a_1.txt", "Carl leaps into a jeep."),
        ("female1_neutral_1b_2.wav", WAV),
        ("female2_excited_1a_1.wav", WAV),
        ("male1_concerned_3a_1.wav", WAV),
        ("male2_sad_3a_2.wav", WAV),
    )
}

_EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\tSes0{n}F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral;\t()
C-E4:\tNeutral; Frustration;\t()
C-F1:\tAnger;\t()
A-E3:\tval 3; act 2; dom  2;\t()
A-F1:\tval 3; act 2; dom  1;\t()

[10.0100 - 11.3925]\tSes0{n}F_impro01_M000\txxx\t[1.0000, 5.0000, 3.0000]
C-E2:\tExcited;\t()
C-E3:\tHappiness;\t(well)
A-E3:\tval 1; act 5; dom  3;\t()

"""
IEMOCAP = {}
for _n in range(1, 6):
    _session = f"IEMOCAP_full_release/Session{_n}"
    _dialog = f"Ses0{_n}F_impro01"
    IEMOCAP |= {
        f"{_session}/dialog/EmoEvaluation/{_dialog}.txt": _EVALUATION.format(n=_n),
        f"{_session}/dialog/EmoEvaluation/._{_dialog}.txt": "macOS metadata",
        f"{_session}/dialog/EmoEvaluation/Categorical/{_dialog}_e2_cat.txt": f"{_dialog}_F000 :Neutral state; ()\n",
        f"{_session}/dialog/transcriptions/{_dialog}.txt": f"{_dialog}_F000 [006.2901-008.2357]: Excuse me.\n",
        f"{_session}/dialog/wav/{_dialog}.wav": WAV,
        f"{_session}/sentences/wav/{_dialog}/{_dialog}_F000.wav": WAV,
        f"{_session}/sentences/wav/{_dialog}/{_dialog}_M000.wav": WAV,
    }

MELD_HEAD = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
)


def meld_row(speaker, emotion, dialogue, utterance, text='"Or! Or, we could go to the bank."'):
    return f'1,{text},{speaker},{emotion},neutral,{dialogue},{utterance},4,7,"00:20:57,256","00:21:00,049"'


MELD = {
    "MELD.Raw/train_sent_emo.csv": "\n".join(
        [MELD_HEAD, meld_row("Joey", "joy", 0, 0), meld_row("Monica", "anger", 0, 1)]
    ),
    "MELD.Raw/dev_sent_emo.csv": "\n".join([MELD_HEAD, meld_row("Joey", "neutral", 0, 0)]),
    "MELD.Raw/test_sent_emo.csv": "\n".join([MELD_HEAD, meld_row("The Waiter", "sadness", 0, 0)]),
    "MELD.Raw/train_splits/dia0_utt0.wav": WAV,
    "MELD.Raw/train_splits/dia0_utt1.wav": WAV,
    "MELD.Raw/dev_splits_complete/dia0_utt0.wav": WAV,
    "MELD.Raw/output_repeated_splits_test/dia0_utt0.wav": WAV,
    "MELD.Raw/output_repeated_splits_test/final_videos_testdia0_utt0.wav": WAV,
}

CREMAD = {
    "AudioWAV/1001_DFA_ANG_XX.wav": WAV,
    "AudioWAV/1001_IEO_HAP_LO.wav": WAV,
    "AudioWAV/1002_IEO_NEU_XX.wav": WAV,
    "AudioWAV/1003_IEO_SAD_HI.wav": WAV,
    "AudioMP3/1003_IEO_SAD_HI.mp3": b"the same",
    "VideoDemographics.csv": '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
    '1002,21,"Female","Caucasian","Not Hispanic"\n1003,21,"Female","Caucasian","Not Hispanic"\n',
    "processedResults/tabulatedVotes.csv": '"","A","D","F","H","N","S","fileName","numResponses"\n'
    '"100062",6,2,0,0,1,0,"1001_DFA_ANG_XX",9\n"200062",9,0,0,0,0,0,"1001_DFA_ANG_XX",9\n',
}

ZED_ROWS = {
    "spk1_1": {
        "wav": "datafolder/ZED/spk1_1.wav",
        "duration": 0.4,
        "emotion": [{"emo": "angry", "start": 0.1, "end": 0.4}],
        "transcription": "Why {not}?",
    },
    "spk2_1": {
        "wav": "datafolder/ZED/spk2_1.wav",
        "duration": 0.4,
        "emotion": [{"emo": "sad", "start": 0.0, "end": 0.3}],
        "transcription": "",
    },
}
ZED = {"ZED.json": json.dumps(ZED_ROWS), "ZED/spk1_1.wav": sound(0.4), "ZED/spk2_1.wav": sound(0.4)}

CSV = {
    "labels.csv": "file,start,end,emotion,speaker,split,votes.happy,votes.sad,arousal\n"
    "a/one.wav,0 days 00:00:00.050000,0 days 00:00:00.150000,Joy,ann,train,3,1,0.75\n"
    "a/one.wav,0.15,,melancholy,ann,train,,,\n"
    "b/two.wav,,,anger,bob,dev,,,\n"
    "b/three.wav,,,neutral,cat,test,,,\n",
    "a/one.wav": WAV,
    "b/two.wav": WAV,
    "b/three.wav": WAV,
}

TREES = {
    "ravdess": RAVDESS,
    "emodb": EMODB,
    "nemo": NEMO,
    "kaist": KAIST,
    "esd": ESD,
    "emovdb": EMOVDB,
    "jl": JL,
    "iemocap": IEMOCAP,
    "meld": MELD,
    "cremad": CREMAD,
    "zed": ZED,
    "csv": CSV,
}

EXPECTED = {
    "ravdess": {
        f"03-01-{code}-{strength}-01-01-{actor}": (f"ravdess_{actor}", emotion, split)
        for actor, split in (("01", "train"), ("02", "train"), ("19", "valid"), ("21", "test"))
        for code, strength, emotion in (("01", "01", "neutral"), ("05", "02", "angry"))
    },
    "emodb": {
        "03a01Fa": ("emodb_03", "happy", "train"),
        "08b02Nc": ("emodb_08", "neutral", "train"),
        "12a05Wb": ("emodb_12", "angry", "valid"),
        "15b10Ta": ("emodb_15", "sad", "test"),
    },
    "nemo": {
        "EB0_neutral_13": ("nemo_EB0", "neutral", "train"),
        "SM0_sadness_1": ("nemo_SM0", "sad", "valid"),
        "WR0_surprised_64": ("nemo_WR0", "surprised", "test"),
    },
    "kaist": {
        "ema00001": ("kaist_ema", "neutral", "train"),
        "emh00100": ("kaist_emh", "neutral", "test"),
        "nea00101": ("kaist_nea", "happy", "train"),
        "nem00201": ("kaist_nem", "sad", "valid"),
        "neo00400": ("kaist_neo", "angry", "test"),
    },
    "esd": {
        "0001_000001": ("esd_0001", "neutral", None),
        "0001_000351": ("esd_0001", "angry", None),
        "0011_000001": ("esd_0011", "neutral", None),
        "0011_001401": ("esd_0011", "surprised", None),
    },
    "emovdb": {
        "bea_amused_1-15_0001": ("emovdb_bea", "amused", None),
        "bea_neutral_1-28_0001": ("emovdb_bea", "neutral", None),
        "jenie_anger_1-28_0011": ("emovdb_jenie", "angry", None),
        "josh_sleepiness_1-28_0003": ("emovdb_josh", "sleepy", None),
        "sam_disgust_57-84_0057": ("emovdb_sam", "disgust", None),
    },
    "jl": {
        "female1_angry_10a_1": ("jl_female1", "angry", None),
        "female1_neutral_1b_2": ("jl_female1", "neutral", None),
        "female2_excited_1a_1": ("jl_female2", "excited", None),
        "male1_concerned_3a_1": ("jl_male1", "concerned", None),
        "male2_sad_3a_2": ("jl_male2", "sad", None),
    },
    "iemocap": {
        f"Ses0{n}F_impro01_{gender}000": (f"iemocap_Ses0{n}{gender}", emotion, split)
        for n, split in ((1, "train"), (2, "train"), (3, "train"), (4, "valid"), (5, "test"))
        for gender, emotion in (("F", "neutral"), ("M", "undecided"))
    },
    "meld": {
        "train_dia0_utt0": ("meld_Joey", "happy", "train"),
        "train_dia0_utt1": ("meld_Monica", "angry", "train"),
        "dev_dia0_utt0": ("meld_Joey", "neutral", "valid"),
        "test_dia0_utt0": ("meld_The_Waiter", "sad", "test"),
    },
    "cremad": {
        "1001_DFA_ANG_XX": ("cremad_1001", "angry", None),
        "1001_IEO_HAP_LO": ("cremad_1001", "happy", None),
        "1002_IEO_NEU_XX": ("cremad_1002", "neutral", None),
        "1003_IEO_SAD_HI": ("cremad_1003", "sad", None),
    },
    "zed": {
        "spk1_1": ("zed_spk1", [{"emo": "angry", "start": 0.1, "end": 0.4}], "test"),
        "spk2_1": ("zed_spk2", [{"emo": "sad", "start": 0.0, "end": 0.3}], "test"),
    },
    "csv": {
        "a_one_00000050": ("csv_ann", "happy", "train"),
        "a_one_00000150": ("csv_ann", "melancholy", "train"),
        "b_two": ("csv_bob", "angry", "valid"),
        "b_three": ("csv_cat", "neutral", "test"),
    },
}


def _bytes(data):
    return data.encode() if isinstance(data, str) else data


def publish(files, place, form="folder"):
    """Write the files as a folder, ``zip``, ``tar``, ``tar.gz`` or ``tar.bz2`` at `place` and return its path."""
    if form == "folder":
        for name, data in files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_bytes(data))
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    archive = place.with_name(f"{place.name}.{form}")
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as target:
            for name, data in files.items():
                target.writestr(name, _bytes(data))
        return archive
    with tarfile.open(archive, "w:" + form.removeprefix("tar").removeprefix(".")) as target:
        for name, data in files.items():
            item = tarfile.TarInfo(f"./{name}")
            item.size = len(_bytes(data))
            target.addfile(item, io.BytesIO(_bytes(data)))
    return archive


def without(files, *parts):
    """`files` without those whose name contains any of `parts`."""
    return {name: data for name, data in files.items() if not any(part in name for part in parts)}
