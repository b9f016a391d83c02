"""Words get the speaker, emotion and probabilities of the frames they lie in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sed import Diarization, Segment
from sed.errors import OptionError
from sed.transcripts import Sentence, Transcript, Word, add_words

LABELS = ("neutral", "angry")
SEGMENTS = [
    Segment(1.0, 2.0, "ann", "neutral", 0.9, {"neutral": 0.9, "angry": 0.1}),
    Segment(2.0, 3.0, "ann", "angry", 0.8, {"neutral": 0.2, "angry": 0.8}),
    Segment(2.6, 4.0, "bob", "neutral", 0.6, {"neutral": 0.6, "angry": 0.4}),
]


def result(posteriors=None):
    return Diarization("call", 6.0, SEGMENTS, LABELS, posteriors)


def join(words, posteriors=None, text=None, **options):
    words = tuple(Word(*word) for word in words)
    text = text or " ".join(w.text for w in words)
    start, end = min(w.start or 9 for w in words), max(w.end or 0 for w in words)
    return add_words(result(posteriors), Transcript(None, (Sentence(start, end, text, words),)), **options)


def by(words, **options):
    return [(w.by.speaker, w.by.emotion) for w in join(words, **options).words]


def test_speaker_and_emotion_by_overlap():
    words = [("a", 1.1, 1.3), ("b", 1.7, 2.1), ("c", 1.9, 2.5), ("d", 2.9, 3.3)]
    assert by(words) == [("ann", "neutral"), ("ann", "neutral"), ("ann", "angry"), ("bob", "neutral")]


def test_both_speak_the_sentence_decides():
    inside = ("x", 2.7, 2.9)
    assert by([("a", 1.5, 2.2), inside])[1] == ("ann", "angry")
    assert by([inside, ("b", 3.2, 3.9)])[0] == ("bob", "neutral")


def test_outside_speech_the_nearest_segment_up_to_a_distance():
    near, far, after = ("a", 0.2, 0.5), ("b", 0.2, 0.49), ("c", 4.5, 4.9)
    assert by([near]) == [("ann", "neutral")] and by([far]) == [(None, None)]
    assert by([after]) == [("bob", "neutral")] and by([after], max_distance=0.4) == [(None, None)]
    word = next(join([after], np.full((300, 2), 0.5, np.float32)).words)
    assert word.by.probabilities == SEGMENTS[2].probabilities
    with pytest.raises(OptionError, match="expected 0 or more"):
        join([near], max_distance=-1)


def test_words_without_times_or_duration():
    words = [("a", 1.1, 1.2), ("$5", None, None), ("b", 2.5, 2.6)]
    assert by(words)[1] == ("ann", "neutral")  # 1.2 to 2.5: neutral 0.8 s, angry 0.5 s
    assert by([("a", 2.3, 2.3)]) == [("ann", "angry")]


def test_a_change_of_speaker_divides_the_turns_and_keeps_the_text():
    joined = join(
        [("Oh,", 2.1, 2.4), ("no!", 2.4, 2.6), ("Yes", 3.1, 3.3), ("no", 3.4, 3.6)],
        text=" Oh, no! - Yes,  no.",
    )
    assert [(t.text, t.start, t.end, t.by.speaker) for t in joined.turns] == [
        ("Oh, no! -", 2.1, 2.6, "ann"),
        ("Yes,  no.", 3.1, 3.6, "bob"),
    ]
    assert joined.sentences[0].by.speaker == "ann" and joined.sentences[0].text == " Oh, no! - Yes,  no."
    other = join([("oh", 2.1, 2.4), ("yes", 3.1, 3.3)], text="OH YES")
    assert [t.text for t in other.turns] == ["oh", "yes"]


def test_captions_without_words_and_results_without_segments():
    transcript = Transcript(None, (Sentence(2.0, 2.5, "Oh."), Sentence(5.0, 5.5, "Eh.")))
    joined = add_words(result(), transcript)
    assert [(s.by.speaker, s.by.emotion) for s in joined.sentences] == [("ann", "angry"), (None, None)]
    assert joined.turns == joined.sentences and joined.uri == "call"
    assert add_words(Diarization("call", 6.0, []), transcript).sentences == transcript.sentences


def test_a_transcript_beyond_the_recording_is_reported(caplog):
    add_words(result(), Transcript(None, (Sentence(7.0, 7.5, "Oh."),)))
    assert "call: 1 of 1 sentences of the transcript start after its end at 6.00 s" in caplog.text


def test_frames_in_which_others_speak_do_not_count():
    posteriors = np.full((300, 2), [1, 0], np.float32)
    posteriors[120:130] = [0, 1]
    posteriors[130:] = [0.5, 0.5]
    word = next(join([("a", 2.4, 2.8)], posteriors).words)  # ann; from 2.6 s on bob speaks, too
    assert word.by.probabilities == {"neutral": 0.0, "angry": 1.0}
    _, word = join([("a", 1.5, 2.0), ("b", 2.7, 2.8)], posteriors).words
    assert word.by.speaker == "ann" and word.by.probabilities == {"neutral": 0.5, "angry": 0.5}


def test_without_posteriors_the_segments_are_weighted_by_overlap():
    word = next(join([("a", 1.75, 2.25)]).words)
    assert word.by.probabilities == {"neutral": 0.55, "angry": 0.45}


@settings(max_examples=60, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(0, 250), st.integers(1, 40)), min_size=1, max_size=6),
    seed=st.integers(0, 99),
)
def test_means_are_those_of_the_frames(spans, seed):
    """Against a loop over frames, for one speaker on the grid of frames."""
    posteriors = np.random.default_rng(seed).random((300, 2), np.float32)
    segments = [
        Segment(a / 50, b / 50, "ann", e)
        for a, b, e in ((10, 90, "neutral"), (90, 100, "angry"), (160, 220, "angry"))
    ]
    active = np.zeros(300, bool)
    active[10:100] = active[160:220] = True
    words = tuple(Word("w", a / 50, (a + n) / 50) for a, n in sorted(spans))
    transcript = Transcript(None, (Sentence(words[0].start, max(w.end for w in words), "w", words),))
    joined = add_words(Diarization("call", 6.0, segments, LABELS, posteriors), transcript, max_distance=0)
    for word, (first, count) in zip(joined.words, sorted(spans), strict=True):
        frames = [k for k in range(first, first + count) if k < 300 and active[k]]
        touches = any(first + count == s or first == e for s, e in ((10, 90), (90, 100), (160, 220)))
        if frames:
            assert list(word.by.probabilities.values()) == pytest.approx(posteriors[frames].mean(0), abs=1e-4)
        elif not touches:
            assert word.by.speaker is None
