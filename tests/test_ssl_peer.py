"""The encoder that the peers' benchmark trains by frames: on a tiny random WavLM, with the recipe of our own tagger."""

from argparse import Namespace

import numpy as np
import pytest
import torch
import yaml
from funasr_layout import write_model
from tiny_encoders import transformers_model
from tones import LABELS, make_corpora

from benchmarks.peers import emotion_peers
from benchmarks.peers.emotion_ssl import NAME, frame_recipe, train_ssl
from benchmarks.peers.emotion_systems import FrameTagger
from sed.corpora.audio import load_speech, read_manifest, to_float
from sed.networks.store import load_tagger


def test_the_recipe_is_that_of_the_compact_tagger():
    found = frame_recipe()
    assert found["clips"]["length"] == [1.5, 3.0] and found["clips"]["batch_seconds"] == 36.0
    assert found["augmentation"]["speed_range"] == [0.8, 1.25] and found["label_smoothing"] == 0.2
    assert (found["warmup_steps"], frame_recipe(1000)["decay_steps"]) == (80, 500) and yaml.safe_dump(found)


def test_models_whose_weights_are_there_are_peers_and_others_are_stated(tmp_path):
    write_model(tmp_path)
    arguments = Namespace(shared=tmp_path, cache=None, ssl=None, emotion2vec=tmp_path, wavlm=None)
    systems = emotion_peers.makers(arguments, [], [], LABELS)
    system = systems["emotion2vec"]()
    assert isinstance(system, FrameTagger)
    assert system.clips([np.zeros(16_000, np.float32)])[0].shape == (50, 4)
    for name in (NAME, emotion_peers.WAVLM):
        with pytest.raises(FileNotFoundError, match="no weights here"):
            systems[name]()


@pytest.mark.slow
def test_a_tiny_one_is_trained_and_compared(tmp_path):
    """Only low-rank matrices and the head change; the tones are known afterwards, by utterances and by frames."""
    torch.manual_seed(0)
    encoder = transformers_model("wavlm")
    encoder.save_pretrained(tmp_path / "encoder")
    corpora = make_corpora(tmp_path / "corpora")
    train, valid = (load_speech(read_manifest(corpora, [split], LABELS)) for split in ("train", "valid"))
    changes = {
        "head_rate": 0.02,
        "encoder_rate": 0.005,
        "valid_clips": 8,
        "warmup_steps": 0,
        "decay_steps": 0,
        "clips": {**frame_recipe()["clips"], "length": [1.0, 2.0], "batch_seconds": 9.0},
        "augmentation": {"speed": 0.0, "reverberation": 0.0, "equaliser": 0.0, "telephone": 0.0},
    }
    system = train_ssl(tmp_path / "encoder", LABELS, (train, valid), tmp_path, steps=60, **changes)
    model, _ = load_tagger(tmp_path / "ssl" / "run" / "tagger")
    before, after = encoder.state_dict(), model.backbone.encoder.state_dict()
    changed = {
        name for name, value in before.items() if name in after and not torch.equal(after[name], value)
    }
    assert changed and not {name for name in changed if "q_proj" not in name and "v_proj" not in name}
    waves = [to_float(samples) for _, samples in valid]
    true = np.array([LABELS.index(utterance.emotion) for utterance, _ in valid])
    found = system.utterances(waves)
    assert found.shape == (len(valid), 4) and (found.argmax(1) == true).mean() >= 0.75
    assert [len(frames) for frames in system.clips(waves)] == [-(-len(wave) // 320) for wave in waves]
