"""Tiny taggers of every kind, for tests of their export, and the export's command."""

import numpy as np
import torch
from click.testing import CliRunner
from tiny_encoders import CONFIGS
from tones import LABELS

from sed.cli import export
from sed.networks.compact import CompactTagger
from sed.networks.logmel import LogMelTagger
from sed.networks.lora import LowRankLinear
from sed.networks.pretrained import EncoderTagger

ENCODERS = {  # every option of head and input with one of the encoders
    "wavlm": {"layers": "last", "norm": "clip", "tail": "repeat", "inputs": "standardised"},
    "wavlm-large": {"norm": "clip", "lora_rank": 2, "inputs": "normalised"},
    "hubert": {"tail": "repeat", "depth": 1},
    "wav2vec2": {"depth": 1, "head": "context", "inputs": "centred"},
    "data2vec-audio": {"depth": 1, "norm": "none"},
    "whisper": {"depth": 1, "head": "context"},
}


def noise(*shape):
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32) * 0.1


def make(kind):
    torch.manual_seed(0)
    if kind == "logmel":
        return LogMelTagger(LABELS, positions=100, head_width=8, reaches=(5,)).eval()
    if kind in ("compact", "voice"):
        shape = {"layers": 2, "width": 16, "heads": 2, "feedforward": 32, "positions": 100}
        voice = kind == "voice"
        return CompactTagger(LABELS, **shape, halve_after=int(voice), voice=voice, fusion=int(voice)).eval()
    model = EncoderTagger(LABELS, CONFIGS[kind], head_width=8, **ENCODERS[kind]).eval()
    for layer in model.modules():
        if isinstance(layer, LowRankLinear):
            torch.nn.init.normal_(layer.lora_b)
    return model


def command(*arguments):
    """Run ``sed-export``, which must succeed; returns its output."""
    result = CliRunner().invoke(export.main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.output
