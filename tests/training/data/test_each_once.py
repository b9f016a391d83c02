"""Each emotional utterance is in one clip of an epoch, in the paper's patterns, with neutral speech of its speaker."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sed.corpora.audio import Utterance, to_float
from sed.errors import OptionError
from sed.simulation.patterns import PATTERNS
from sed.training.data.each_once import EachOnce, EachOnceClips, EachOnceOptions, level

LABELS = ["neutral", "happy", "angry", "sad"]


def speech(speakers=2, each=20, neutral=3):
    """Utterances of 0.1 to 0.2 s whose samples are their own number, so that a clip shows what it is made of."""
    rows = []
    for speaker in range(speakers):
        for label in LABELS:
            for _ in range(neutral if label == "neutral" else each):
                utterance = Utterance("c", Path(), f"c/s{speaker}", label, "train")
                rows.append((utterance, np.full(1600 + 16 * len(rows), len(rows) + 1, np.int16)))
    return rows


def sources(sampler, number):
    return [event.source for events in sampler.batch(number).events for event in events]


@pytest.mark.parametrize("options", [{}, {"batch_clips": 0, "batch_seconds": 3.0}])
def test_every_emotional_utterance_is_in_one_clip_of_each_epoch(options):
    data = speech()
    sampler = EachOnce(data, LABELS, EachOnceOptions(**options))
    orders = []
    for epoch in range(2):
        numbers = range(epoch * sampler.epoch_batches, (epoch + 1) * sampler.epoch_batches)
        used = [source for number in numbers for source in sources(sampler, number)]
        emotional = [n for n in used if data[n][0].emotion != "neutral"]
        assert Counter(emotional) == Counter(n for n, (u, _) in enumerate(data) if u.emotion != "neutral")
        orders.append(emotional)
    assert orders[0] != orders[1]
    assert len(sampler) == 120


def test_patterns_are_the_papers_in_equal_shares_and_neutral_speech_rotates():
    data = speech(speakers=4, each=100)
    sampler = EachOnce(data, LABELS)
    found = Counter()
    neutral = Counter()
    for index in range(len(sampler)):
        _, _, events = sampler.clip(index)
        found[tuple(event.label != "neutral" for event in events)] += 1
        assert len({data[event.source][0].speaker for event in events}) == 1
        assert all(data[event.source][0].emotion == event.label for event in events)
        neutral.update(event.source for event in events if event.label == "neutral")
    assert set(found) == set(PATTERNS.values())
    assert all(abs(count - 300) < 70 for count in found.values())
    for speaker in range(4):
        counts = [c for n, c in neutral.items() if data[n][0].speaker == f"c/s{speaker}"]
        assert len(counts) == 3 and max(counts) - min(counts) <= 1


def test_clips_are_the_same_in_every_epoch_unless_the_option_says_otherwise():
    fixed, varied = (
        EachOnce(speech(), LABELS, EachOnceOptions(same_every_epoch=same)) for same in (True, False)
    )
    for sampler, expected in ((fixed, True), (varied, False)):
        first, second = ([len(sampler.clip(n, epoch)[0]) for n in range(len(sampler))] for epoch in (0, 1))
        assert (first == second) is expected
        assert sampler.batch(3).waves.tolist() == pickle.loads(pickle.dumps(sampler)).batch(3).waves.tolist()


def test_parts_get_the_level_of_the_first():
    data = speech()
    for match in (True, False):
        sampler = EachOnce(data, LABELS, EachOnceOptions(match_level=match))
        for index in range(len(sampler)):
            wave, _, events = sampler.clip(index)
            levels = [level(wave[event.start : event.end]) for event in events]
            first = level(to_float(data[events[0].source][1]))
            expected = [first if match else level(to_float(data[e.source][1])) for e in events]
            np.testing.assert_allclose(levels, expected, rtol=1e-5)


def test_batches_by_seconds_stay_below_them_with_padding_and_hold_similar_lengths():
    sampler = EachOnce(speech(each=60), LABELS, EachOnceOptions(batch_clips=0, batch_seconds=4.0))
    sizes = []
    for number in range(sampler.epoch_batches):
        batch = sampler.batch(number)
        sizes.append(batch.waves.shape[0])
        assert batch.waves.size <= 4.0 * 16_000
        assert batch.lengths.min() > 0.5 * batch.lengths.max()
        assert (batch.targets[:, -1] >= 0).any()
    assert len(set(sizes)) > 1
    with pytest.raises(OptionError, match=r"batch_seconds: found 0\.1, expected at least the"):
        EachOnce(speech(), LABELS, EachOnceOptions(batch_clips=0, batch_seconds=0.1))
    with pytest.raises(OptionError, match="batch_clips 0 with batch_seconds"):
        EachOnceOptions(batch_clips=0)


def test_long_clips_are_cut_where_the_option_says():
    sampler = EachOnce(speech(), LABELS, EachOnceOptions(longest=0.2))
    for index in range(len(sampler)):
        wave, clean, events = sampler.clip(index)
        assert len(wave) == len(clean) <= 3200
        assert events[-1].end == len(wave) and events[-1].start < len(wave)


def test_evaluation_takes_evenly_spaced_clips():
    sampler = EachOnce(speech(), LABELS)
    clips = EachOnceClips(sampler, 7)
    assert len(clips) == 7 and len(list(clips)) == 7
    assert len(clips[6][0]) == len(sampler.clip(len(sampler) - 1)[0])
    assert len(EachOnceClips(sampler)) == len(sampler)


def test_a_speaker_without_neutral_speech_gives_emotions_only_and_no_emotion_is_refused():
    sampler = EachOnce(speech(neutral=0), LABELS)
    assert {len(sampler.clip(n)[2]) for n in range(len(sampler))} == {1}
    with pytest.raises(OptionError, match="found no speech of happy, angry, sad"):
        EachOnce(speech(each=0), LABELS)
