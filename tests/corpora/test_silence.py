"""Silence is cut as SpeechBrain's recipe for ZED does: its collector, written out, keeps the same samples."""

import collections

import numpy as np
import pytest
import webrtcvad
import zed_trees

from sed.corpora.audio import SpeechOptions, Utterance, load_speech, prepared_samples
from sed.corpora.silence import cut_silence
from sed.errors import OptionError


def collected(wave, mode):
    """A ring of one frame: it opens at a voiced frame, and closes after an unvoiced one, which is kept."""
    vad, pcm = webrtcvad.Vad(mode), np.rint(wave * 32767).astype("<i2")
    ring, is_open, kept = collections.deque(maxlen=1), False, []
    start = 0
    while start + 480 < len(pcm):  # the last frame is never read
        voiced = vad.is_speech(pcm[start : start + 480].tobytes(), 16_000)
        ring.append(voiced)
        if not is_open:
            is_open = sum(ring) > 0.9
            kept += [start] * is_open
        else:
            kept.append(start)
            is_open = not len(ring) - sum(ring) > 0.9
        start += 480
    samples = [wave[first : first + 480] for first in kept]
    found = np.concatenate(samples) if samples else wave[:0]
    return found if 2 * len(found) > 6400 else wave[:0]


@pytest.mark.parametrize("mode", [0, 2, 3])
@pytest.mark.parametrize("samples", [48_000, 47_999, 4800, 4801, 300])
def test_it_keeps_what_the_recipe_keeps(mode, samples):
    parts = [zed_trees.voice(label, 0.4, seed=n) for n, label in enumerate(zed_trees.PITCH)]
    wave = np.concatenate([np.zeros(9000, np.float32), *(np.pad(part, (0, 5000)) for part in parts)])[
        -samples:
    ]
    np.testing.assert_array_equal(cut_silence(wave, mode), collected(wave, mode))


def test_pauses_inside_are_cut_which_trimming_keeps(tmp_path):
    import soundfile

    voice = zed_trees.voice("angry")
    soundfile.write(tmp_path / "a.wav", np.concatenate([voice, np.zeros(16_000), voice]), 16_000)
    utterance = Utterance("iemocap", tmp_path / "a.wav", "c/s", "angry", "train")
    length = {
        kind: len(prepared_samples(utterance, SpeechOptions(silence=kind)))
        for kind in ("cut", "trim", "keep")
    }
    assert (
        length["cut"] < length["trim"] - 16_000 and length["trim"] < length["keep"] == 2 * len(voice) + 16_000
    )


def test_the_detector_may_differ_by_corpus(tmp_path):
    import soundfile

    rng = np.random.default_rng(0)
    faint = 0.02 * rng.standard_normal(32_000) * (np.sin(np.arange(32_000) / 4000) > 0)
    soundfile.write(tmp_path / "a.wav", np.concatenate([zed_trees.voice("happy"), faint]), 16_000)
    options = SpeechOptions("cut", 3, {"loose": 0}, equalise=False)
    lengths = [
        len(prepared_samples(Utterance(name, tmp_path / "a.wav", "c/s", "happy", "train"), options))
        for name in ("loose", "strict")
    ]
    assert lengths[0] > lengths[1]


def test_invalid_options_are_refused_and_silent_utterances_counted(tmp_path, caplog):
    import soundfile

    with pytest.raises(OptionError, match="silence 'none': expected one of trim, cut, keep"):
        SpeechOptions(silence="none")
    with pytest.raises(OptionError, match="aggressiveness 4: expected 0, 1, 2 or 3"):
        SpeechOptions(corpus_aggressiveness={"jl": 4})
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    rows = [Utterance("c", tmp_path / "a.wav", "c/s", "sad", "train")]
    assert load_speech(rows) == []
    assert "omitted 1 utterances without speech" in caplog.text
