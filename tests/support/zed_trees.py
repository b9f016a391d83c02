"""Tiny trees of the six corpora of the ZED experiment, with the published folders and file names.

The audio is buzzing voice-like sound that WebRTC's detector takes for speech; its pitch tells the emotion.
"""

import io
import json

import numpy as np
import soundfile

PITCH = {"neutral": 110, "happy": 330, "angry": 220, "sad": 70}


def voice(emotion, seconds=0.9, rate=16_000, seed=0):
    """A buzz with three formants between two short silences, float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = PITCH[emotion] * (1 + 0.02 * np.sin(2 * np.pi * 5 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    wave = np.zeros(len(time))
    for harmonic in range(1, int(3500 / PITCH[emotion])):
        frequency = harmonic * PITCH[emotion]
        gain = sum(np.exp(-(((frequency - formant) / 250) ** 2)) for formant in (500, 1500, 2500)) + 0.02
        wave += gain * np.sin(harmonic * phase)
    wave *= (0.7 + 0.3 * np.sin(2 * np.pi * 4 * time)) * 0.2 / np.abs(wave).max()
    wave += 0.001 * rng.standard_normal(len(time))
    return np.pad(wave, round(0.15 * rate)).astype(np.float32)


def wav(wave, rate=16_000, subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def ravdess(actors=4):
    codes = {"01": "neutral", "03": "happy", "04": "sad", "05": "angry"}
    return {
        f"RAVDESS/Actor_{actor:02}/03-01-{code}-01-01-0{take}-{actor:02}.wav": wav(voice(label, seed=actor))
        for actor in range(1, actors + 1)
        for code, label in codes.items()
        for take in (1, 2)
    }


def esd(speakers=("0001", "0011", "0012", "0013")):
    files = {}
    for speaker in speakers:
        lines = []
        for block, label in enumerate(("Neutral", "Angry", "Happy", "Sad")):
            name = f"{speaker}_{350 * block + 1:06}"
            files[f"ESD/Emotion Speech Dataset/{speaker}/{label}/{name}.wav"] = wav(
                voice(label.lower(), seed=block)
            )
            lines.append(f"{name}\tThe nine the eggs I keep.\t{label}\n")
        files[f"ESD/Emotion Speech Dataset/{speaker}/{speaker}.txt"] = "".join(lines)
    return files


def iemocap(sessions=3):
    codes = {"neu": "neutral", "exc": "happy", "ang": "angry", "sad": "sad"}
    files = {}
    for session in range(1, sessions + 1):
        place, dialog = f"IEMOCAP_full_release/Session{session}", f"Ses0{session}F_impro01"
        blocks = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
        for number, (code, label) in enumerate(codes.items()):
            for gender in "FM":
                name = f"{dialog}_{gender}{number:03}"
                blocks.append(
                    f"[{number}.0 - {number}.9]\t{name}\t{code}\t[2.5, 2.5, 2.5]\nC-E2:\tNeutral;\t()\n"
                )
                files[f"{place}/sentences/wav/{dialog}/{name}.wav"] = wav(voice(label, seed=number))
        files[f"{place}/dialog/EmoEvaluation/{dialog}.txt"] = "\n".join(blocks)
    return files


def jl():
    place = "JL/Raw JL corpus (unchecked and unannotated)/JL(wav+txt)"
    return {
        f"{place}/{speaker}_{label}_{number}a_1.wav": wav(
            voice("happy" if label == "excited" else label, rate=44_100), 44_100
        )
        for speaker in ("female1", "female2", "male1", "male2")
        for number, label in enumerate(("neutral", "happy", "excited", "angry", "sad"), 1)
    }


def emovdb():
    labels = {"Neutral": "neutral", "Amused": "happy", "Angry": "angry"}
    words = {"Neutral": "neutral", "Amused": "amused", "Angry": "anger"}
    return {
        f"EmoV-DB/{speaker}_{name}/{words[name]}_1-28_000{number}.wav": wav(
            voice(label, seed=number), subtype="DOUBLE"
        )
        for speaker in ("bea", "jenie", "josh", "sam")
        for name, label in labels.items()
        for number in (1, 2)
        if (speaker, name) != ("josh", "Angry")
    }


def zed(speakers=3):
    rows, files = {}, {}
    for number, label in zip(range(1, speakers + 1), ("happy", "angry", "sad"), strict=False):
        name = f"spk{number}_1"
        wave = np.concatenate([voice("neutral"), voice(label)])
        duration = len(wave) / 16_000
        rows[name] = {
            "wav": f"datafolder/ZED/{name}.wav",
            "duration": duration,
            "emotion": [{"emo": label, "start": duration / 2, "end": duration}],
            "transcription": "So.",
        }
        files[f"ZED_release/ZED/{name}.wav"] = wav(wave)
    files["ZED_release/ZED.json"] = json.dumps(rows)
    return files


def all_corpora():
    return {**ravdess(), **esd(), **iemocap(), **jl(), **emovdb(), **zed()}
