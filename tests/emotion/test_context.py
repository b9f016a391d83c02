"""The context of a conversation: learnt transitions, the best sequence, and what it gains in worlds that have one."""

import itertools

import numpy as np
import pytest
from dialogue_worlds import LABELS, conversation, posteriors, transition
from hypothesis import given, settings
from hypothesis import strategies as st

from sed import EmotionDiarizer
from sed.archive.journal import fingerprint
from sed.emotion import load_tagger
from sed.emotion import turn_decoding as module
from sed.emotion.context import Context, learn_context, log_likelihood, read_context
from sed.emotion.turn_decoding import previous_turns, turn_posteriors
from sed.errors import ModelError, OptionError
from sed.result import Segment


def world(seed, inertia, contagion, conversations=150, turns=30, speakers=2):
    rng, chances = np.random.default_rng(seed), transition(inertia, contagion)
    return [conversation(rng, chances, turns, speakers) for _ in range(conversations)]


def turns_of(conversations):
    return [[(name, LABELS[e]) for name, e in zip(*one, strict=True)] for one in conversations]


@pytest.fixture(scope="module")
def learnt():
    return learn_context(turns_of(world(1, 0.4, 0.35))).for_labels(LABELS)


@pytest.mark.parametrize("speakers", [2, 4])
def test_it_beats_the_plain_decision_on_held_out_conversations(learnt, speakers):
    """Errors fall by a fifth or more where emotions follow each other as in the training."""
    plain = better = total = 0
    rng = np.random.default_rng(3)
    for names, emotions in world(2, 0.4, 0.35, 40, speakers=speakers):
        found = posteriors(rng, emotions, 1.5)
        plain += int((found.argmax(1) != emotions).sum())
        better += int((learnt.decode(names, found) != emotions).sum())
        total += len(emotions)
    assert 0.25 * total < plain and better < (0.7 if speakers == 2 else 0.8) * plain


def test_it_does_no_harm_where_nothing_follows(learnt):
    nothing = learn_context(turns_of(world(4, 0.0, 0.0))).for_labels(LABELS)
    plain = with_context = 0
    rng = np.random.default_rng(5)
    for names, emotions in world(6, 0.0, 0.0, 40):
        found = posteriors(rng, emotions, 1.5)
        plain += int((found.argmax(1) != emotions).sum())
        with_context += int((nothing.decode(names, found) != emotions).sum())
    assert abs(with_context - plain) < 0.03 * plain
    weights = learnt.counts / learnt.turns
    assert (weights * abs(nothing.log_gains())).sum() < 0.1 < (weights * learnt.log_gains()).sum()


def test_contagion_and_inertia_are_told_apart():
    inert = learn_context(turns_of(world(7, 0.6, 0.0))).for_labels(LABELS).log_gains()
    contagious = learn_context(turns_of(world(8, 0.0, 0.6))).for_labels(LABELS).log_gains()
    different = [(own, other) for own in range(4) for other in range(4) if own != other]
    assert all(inert[own, other, own] > 0.5 > 0.1 > inert[own, other, other] for own, other in different)
    assert all(
        contagious[own, other, other] > 0.5 > 0.1 > contagious[own, other, own] for own, other in different
    )


def test_the_likelihood_of_held_out_conversations_shows_whether_a_context_helps(learnt):
    def gain(context, conversations):
        return np.sum([log_likelihood(context, one) for one in turns_of(conversations)], axis=0)

    score, count = gain(learnt, world(9, 0.4, 0.35, 30))
    assert count == 900 and score / count > 0.15
    score, count = gain(learn_context(turns_of(world(10, 0, 0))), world(11, 0, 0, 30))
    assert abs(score / count) < 0.03


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 1.0, 3.0]),
)
def test_it_is_the_sum_over_all_sequences(speakers, seed, strength):
    rng = np.random.default_rng(seed)
    context = Context(("x", "y", "z"), rng.exponential(5, (4, 4, 3)), strength=strength)
    found = rng.dirichlet(np.ones(3), len(speakers))
    own, other = previous_turns(speakers)
    gains = strength * context.log_gains()

    expected = np.zeros((len(speakers), 3))
    turns = np.arange(len(speakers))
    for sequence in itertools.product(range(3), repeat=len(speakers)):
        s = np.array([*sequence, 3])
        score = np.log(np.maximum(found, 1e-5))[turns, s[:-1]].sum() + gains[s[own], s[other], s[:-1]].sum()
        expected[turns, s[:-1]] += np.exp(score)
    expected /= expected.sum(1, keepdims=True)
    assert turn_posteriors(speakers, found, np.exp(gains)) == pytest.approx(expected, abs=1e-5)


def test_many_speakers_take_bounded_memory_and_hardly_any_accuracy(learnt, monkeypatch):
    rng = np.random.default_rng(12)
    names, emotions = conversation(rng, transition(0.4, 0.35), 300, speakers=12)
    found = posteriors(rng, emotions, 1.5)
    monkeypatch.setattr(module, "BEAM", 48)
    rows = []
    monkeypatch.setattr(module, "_merged", lambda *a, own=module._merged: rows.append(own(*a)) or rows[-1])
    wrong = (learnt.decode(names, found) != emotions).sum()
    assert max(len(states) for states, _, _ in rows) == 48
    assert wrong < 0.8 * (found.argmax(1) != emotions).sum()


def segment(start, end, speaker, **probabilities):
    emotion = max(probabilities, key=probabilities.get)
    return Segment(start, end, speaker, emotion, probabilities[emotion], probabilities)


@pytest.fixture(scope="module")
def angry():
    """After an angry turn an angry one follows, after a sad one a sad one."""
    pattern = [("a", "angry"), ("a", "angry"), ("b", "angry"), ("a", "angry")]
    return learn_context([pattern, [(name, "sad") for name, _ in pattern]] * 30)


def test_segments_get_the_emotion_of_the_context_and_keep_their_probabilities(angry):
    first, second = segment(0, 2, "a", angry=0.9, sad=0.1), segment(2, 3, "b", angry=0.4, sad=0.6)
    found = angry.apply([second, first], ("sad", "angry"))
    assert [s.emotion for s in found] == ["angry", "angry"] and found[0] == first
    assert found[1].confidence == 0.4 and found[1].probabilities == second.probabilities
    assert angry.apply([], ("sad", "angry")) == []
    unknown = Segment(3, 4, "b")
    assert angry.apply([first, unknown], ("sad", "angry")) == [first, unknown]


def test_segments_that_touch_and_agree_become_one(angry):
    parts = [segment(0, 3, "a", angry=0.9, sad=0.1), segment(3, 4, "a", angry=0.45, sad=0.55)]
    (whole,) = angry.apply(parts, ("angry", "sad"))
    assert (whole.start, whole.end, whole.emotion) == (0, 4, "angry")
    assert whole.probabilities == {"angry": 0.7875, "sad": 0.2125} and whole.confidence == 0.7875
    apart = [parts[0], segment(3.5, 4, "a", angry=0.45, sad=0.55)]
    assert len(angry.apply(apart, ("angry", "sad"))) == 2


def test_a_strength_of_0_changes_nothing(angry):
    none = Context(angry.labels, angry.counts, strength=0.0)
    parts = [segment(0, 2, "a", angry=0.9, sad=0.1), segment(2, 3, "b", angry=0.49, sad=0.51)]
    assert none.apply(parts, ("angry", "sad")) == parts


def test_a_file_has_the_same_context(angry, tmp_path):
    angry.save(tmp_path / "calls.json")
    found = read_context(tmp_path / "calls.json")
    assert found.labels == angry.labels and np.array_equal(found.counts, angry.counts)
    assert (found.conversations, found.strength, found.name) == (60, 1.0, "calls")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "found no context, expected a file that sed-context wrote"),
        ("[", "the context is damaged"),
        ('{"kind": "sed-context", "labels": ["a"], "counts": [[[1]]]}', "counts of shape"),
        ('{"kind": "sed-context", "labels": ["a"], "counts": [[[1], [-1]], [[0], [0]]]}', "is damaged"),
        ('{"kind": "sed-context", "labels": ["a"]}', "is damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path, text, message):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        read_context(tmp_path / "c.json")


@pytest.fixture(scope="module")
def tagger():
    return load_tagger()


def test_what_does_not_fit_is_refused(angry, tagger, tmp_path):
    with pytest.raises(OptionError, match="expected neutral, happy among them"):
        EmotionDiarizer(tagger=tagger, context=angry)
    with pytest.raises(OptionError, match="no turns with an emotion"):
        learn_context([[]])
    with pytest.raises(ModelError, match="cannot be read"):
        EmotionDiarizer(tagger=tagger, context=tmp_path / "none.json")
    four = learn_context([[("a", label) for label in LABELS]])
    with pytest.raises(OptionError, match="a context cannot be combined with a live stream"):
        EmotionDiarizer(tagger=tagger, context=four, latency=1.0)


@pytest.mark.slow
def test_the_pipeline_decodes_in_the_context_and_states_it(data, tagger, tmp_path):
    path = data / "emodb_16_sad_1.flac"
    plain = EmotionDiarizer(tagger=tagger)(path)
    Context(LABELS, np.ones((5, 5, 4)), strength=0.0).save(tmp_path / "off.json")
    off = EmotionDiarizer(tagger=tagger, context=tmp_path / "off.json")(path)
    assert off.segments == plain.segments and off.settings == {"context": "off"}
    counts = np.ones((5, 5, 4))
    counts[4, 4] = [1, 500, 1, 1]  # the first turn is happy
    counts[:4, :, 0] += 4000
    Context(LABELS, counts, strength=3.0, name="first").save(tmp_path / "first.json")
    found = EmotionDiarizer(tagger=tagger, context=tmp_path / "first.json")(path)
    assert plain.segments[0].emotion == "sad" and found.segments[0].emotion == "happy"
    assert fingerprint({"context": str(tmp_path / "off.json")}) != fingerprint(
        {"context": str(tmp_path / "first.json")}
    )
