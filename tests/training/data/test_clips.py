from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sed.corpora.audio import Utterance, load_speech, read_manifest, read_wave, to_float
from sed.errors import AudioError, FormatError, OptionError
from sed.training.data.augment import Augmentation
from sed.training.data.clips import ClipOptions, ClipSampler, pattern_clips

RATE = 16_000
LABELS = ["neutral", "happy", "angry", "fearful"]
MAIN = LABELS[:3]
PLAIN = Augmentation(
    speed=0, reverberation=0, noise=0, equaliser=0, telephone=0, clipping=0, gain_range=(0.0, 0.0)
)


def utterance(corpus, speaker, emotion):
    return Utterance(corpus, Path("x"), f"{corpus}/{speaker}", emotion, "train")


def speech(corpora=("a", "b"), count=3):
    """Each emotion is a distinct constant, so that every sample identifies its emotion."""
    return [
        (utterance(corpus, speaker, emotion), np.full(RATE + 100 * take, 1000 * (n + 1), np.int16))
        for corpus in corpora
        for speaker in ("s1", "s2")
        for n, emotion in enumerate(LABELS)
        for take in range(count)
    ]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_targets_match_the_audio(share):
    options = ClipOptions(pattern_share=share, level_spread=0, length=(2, 4), batch_seconds=30)
    sampler = ClipSampler(speech(), LABELS, MAIN, options, PLAIN)
    seen = Counter()
    for number in range(6):
        batch = sampler.batch(number)
        assert batch.targets.shape[1] * 320 == batch.waves.shape[1]
        centres = batch.waves[:, 160::320]
        expected = np.where(batch.targets >= 0, 1000 * (batch.targets + 1) / 32768, 0)
        near_joint = np.abs(np.diff(centres, axis=1, prepend=centres[:, :1])) > 0
        near_joint[:, :-1] |= near_joint[:, 1:]  # fades of 5 ms may reach a frame's centre
        assert centres[~near_joint] == pytest.approx(expected[~near_joint], abs=1e-6)
        seen.update(batch.targets.ravel().tolist())
    assert set(seen) == {-1, 0, 1, 2, 3}


def test_patterns_only_have_neutral_and_one_emotion():
    sampler = ClipSampler(speech(), LABELS, MAIN, ClipOptions(pattern_share=1.0), PLAIN)
    for number in range(5):
        for row in sampler.batch(number).targets:
            assert len(set(row.tolist()) - {-1, 0}) <= 1


def test_batches_depend_on_seed_and_number_alone():
    one, two = (ClipSampler(speech(), LABELS, MAIN, seed=7) for _ in range(2))
    two.batch(0)
    assert np.array_equal(one.batch(3).waves, two.batch(3).waves)
    assert np.array_equal(one.batch(3).targets, two.batch(3).targets)
    other = ClipSampler(speech(), LABELS, MAIN, seed=8).batch(3).waves
    assert other.shape != one.batch(3).waves.shape or not np.array_equal(one.batch(3).waves, other)
    assert one.batch(4).waves.shape != one.batch(3).waves.shape or not np.array_equal(
        one.batch(4).waves, one.batch(3).waves
    )


def test_balance_of_corpora_and_emotions():
    small, large = speech(["a"], 1), speech(["b"], 9)
    sampler = ClipSampler(small + large, LABELS, MAIN, ClipOptions(auxiliary_weight=0.5, corpus_power=0.5))
    rng = np.random.default_rng(0)
    drawn = [sampler._draw(rng) for _ in range(4000)]
    corpora, emotions = Counter(d[0] for d in drawn), Counter(d[1] for d in drawn)
    assert corpora["b"] / corpora["a"] == pytest.approx(3, rel=0.15), "square root of nine times the speech"
    assert emotions["fearful"] / emotions["happy"] == pytest.approx(0.5, rel=0.15)


def test_speed_moves_the_references_too():
    options = ClipOptions(pattern_share=0, level_spread=0, gap=(0.0, 0.0), length=(6, 6), edge=0)
    fast = Augmentation(**{**PLAIN.__dict__, "speed": 1.0, "speed_range": (2.0, 2.0)})
    runs = []
    for augmentation in (PLAIN, fast):
        targets = ClipSampler(speech(), LABELS, MAIN, options, augmentation).batch(0).targets
        runs.append(np.sum(np.diff(targets, axis=1) != 0) / len(targets))
    assert runs[1] > 1.5 * runs[0]


def test_no_speech_is_an_error():
    with pytest.raises(OptionError, match="no training speech"):
        ClipSampler([], LABELS, MAIN)
    with pytest.raises(
        OptionError, match=r"no speaker of a \(train\) with both neutral and one of sad, expected"
    ):
        pattern_clips([(utterance("a", "s", "sad"), np.ones(9, np.int16))], ["neutral", "sad"], 4, 0)


def test_evaluation_clips_balance_patterns_and_emotions():
    clips = pattern_clips(speech(), MAIN, 80, seed=3)
    names = Counter("-".join(e.label for e in events) for _, events in clips)
    kinds = Counter(len(events) if events[0].label == "neutral" else -len(events) for _, events in clips)
    assert kinds == {2: 20, -2: 20, 3: 20, -1: 20}
    assert "fearful" not in "".join(names) and sum("happy" in name for name in names.elements()) == 40
    again = pattern_clips(speech(), MAIN, 80, seed=3)
    assert all(np.array_equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(clips, again, strict=True))


def write_manifest(folder, rows):
    path = folder / "manifest.csv"
    path.write_text("corpus,path,speaker,emotion,split\n" + "\n".join(rows) + "\n")
    return path


def test_manifest_is_filtered_in_order(tmp_path):
    path = write_manifest(
        tmp_path, ["a,1.flac,s1,happy,train", "a,2.flac,s2,sad,valid", "b,3.flac,s1,happy,train"]
    )
    assert [u.path.name for u in read_manifest(path, ["train"])] == ["1.flac", "3.flac"]
    assert [u.speaker for u in read_manifest(path, leave_out=["b"])] == ["a/s1", "a/s2"]
    assert [u.emotion for u in read_manifest(path, emotions=["sad"])] == ["sad"]
    with pytest.raises(FormatError, match="no utterance of splits"):
        read_manifest(path, ["test"])


def test_manifest_errors_give_the_location(tmp_path):
    with pytest.raises(FormatError, match=r"none\.csv: cannot be read \(No such file"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(FormatError, match="line 2: found no speaker"):
        read_manifest(write_manifest(tmp_path, ["a,1.flac,,happy,train"]))
    with pytest.raises(FormatError, match="speaker a/s1 is in splits train and valid"):
        read_manifest(write_manifest(tmp_path, ["a,1.flac,s1,happy,train", "a,2.flac,s1,sad,valid"]))


def test_load_speech_reads_trims_and_equalises(data, tmp_path):
    import soundfile

    wave = read_wave(data / "emodb_15_angry_1.flac")
    padded = np.concatenate([np.zeros(RATE), wave, np.zeros(RATE)]) * 0.1
    soundfile.write(tmp_path / "x.wav", padded, RATE)
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    rows = [Utterance("a", tmp_path / name, "s", "angry", "train") for name in ("x.wav", "silence.wav")]
    ((_, samples),) = load_speech(rows)
    assert samples.dtype == np.int16 and 0.5 * len(wave) < len(samples) <= len(wave) + 1280
    level = 10 * np.log10(np.mean(to_float(samples).astype(float) ** 2))
    assert -32 < level < -24


def test_read_wave_resamples_mixes_and_refuses(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "x.wav", np.ones((8000, 2)) * [0.2, 0.4], 8000)
    wave = read_wave(tmp_path / "x.wav")
    assert len(wave) == RATE and wave[RATE // 2] == pytest.approx(0.3, abs=0.01)
    (tmp_path / "y.wav").write_text("no audio")
    with pytest.raises(AudioError, match=r"y\.wav"):
        read_wave(tmp_path / "y.wav")
