"""Live speakers with constructed networks (a person's voice is a direction in feature space), then real ones."""

import numpy as np
import pytest

from sed.errors import OptionError
from sed.grid import HOP
from sed.result import Diarization, Segment
from sed.speakers import OneSpeaker, ReferenceTurns, SegmentationDiarizer, VoiceActivityDiarizer
from sed.speakers import following as following_room
from sed.speakers.following import OnlineOptions, OnlineSpeakers
from sed.speakers.given import OneVoice
from sed.speakers.online import LocalSpeech, begin_online
from sed.speech.webrtc import WebRtcDetector

AUDIO = np.zeros(10_000 * HOP, np.float32)


class World:
    """People who speak at known frames; the order of the local speakers changes from window to window."""

    def __init__(self, monkeypatch, talk, shuffle=True, seed=0):
        self.truth = np.zeros((10_000, len(talk)), np.float32)
        for column, spans in enumerate(talk):
            for start, end in spans:
                self.truth[start:end, column] = 1
        self.rng = np.random.default_rng(seed)
        self.voices = np.eye(len(talk) + 1, dtype=np.float32)
        self.shuffle = shuffle
        # The audio carries frame numbers instead of sound, so that the embedding knows whom it hears.
        self.audio = np.repeat(np.arange(10_000, dtype=np.float32), HOP)
        monkeypatch.setattr(following_room, "filter_bank", lambda samples: samples[:: HOP // 2, None])
        self.embedded = 0

    def activities(self, audio, start):
        heard = self.truth[start : start + len(audio) // HOP]
        columns = np.flatnonzero(heard.any(0))
        if self.shuffle:
            columns = self.rng.permutation(columns)
        out = np.zeros((len(heard), max(3, len(columns))), np.float32)
        out[:, : len(columns)] = heard[:, columns]
        return out

    def embedding(self, features):
        self.embedded += len(features) / 100
        frames = features[:, 0].astype(int)
        speaking = self.truth[frames[frames < 10_000]].sum(0)
        return self.voices[int(speaking.argmax())] * 0.95 + self.voices[-1] * 0.3

    def run(self, session, frames, ahead=25, step=25):
        """Final activity by name, ``{name: set of frames}``."""
        settled, out = 0, {}
        for time in range(step, frames + 1, step):
            final = time if time == frames else max(settled, time - ahead)
            start = max(0, time - session.window)
            turns = session.step(self.audio[start * HOP : time * HOP], start, final)
            assert turns.active.shape == (time - settled, len(turns.names))
            for name, column in zip(turns.names, turns.active.T, strict=True):
                active = np.flatnonzero(column[: final - settled]) + settled
                out.setdefault(name, set()).update(active.tolist())
            settled = final
        return {name: frames for name, frames in out.items() if frames}


def session(world, **options):
    return OnlineSpeakers(world.activities, world.embedding, OnlineOptions(**options))


def spans(*pairs):
    return {frame for start, end in pairs for frame in range(start, end)}


def test_two_people_keep_their_names_over_long_silences(monkeypatch):
    talk = [[(10, 300), (1500, 1700)], [(320, 600), (2400, 2700)]]
    world = World(monkeypatch, talk)
    found = world.run(session(world), 3000)
    # Nobody can be known to be new before a second of him was heard, which is more than the look-ahead here.
    wrong = found["spk00"] ^ spans(*talk[0]) | found["spk01"] ^ spans(*talk[1])
    assert sorted(found) == ["spk00", "spk01"] and wrong <= spans((320, 370))
    longer = World(monkeypatch, talk)
    found = longer.run(session(longer), 3000, ahead=100)
    assert found == {"spk00": spans(*talk[0]), "spk01": spans(*talk[1])}


def test_people_who_speak_at_once_are_two_from_the_first_word(monkeypatch):
    talk = [[(0, 500)], [(200, 300)]]
    world = World(monkeypatch, talk)
    found = world.run(session(world), 600)
    assert found["spk00"] == spans((0, 500)) and found["spk01"] == spans((200, 300))


def test_a_fourth_and_fifth_person_appear_in_order(monkeypatch):
    talk = [[(600 * n, 600 * n + 250)] for n in range(5)]
    world = World(monkeypatch, talk)
    found = world.run(session(world), 3200, ahead=100)
    assert sorted(found) == [f"spk{n:02d}" for n in range(5)]
    assert [min(found[name]) for name in sorted(found)] == [0, 600, 1200, 1800, 2400]


def test_a_network_that_takes_two_people_for_one_is_found_out(monkeypatch):
    talk = [[(0, 400)], [(400, 900)]]
    world = World(monkeypatch, talk, shuffle=False)
    whole = world.truth.max(1, keepdims=True)
    world.activities = lambda audio, start: whole[start : start + len(audio) // HOP]
    found = world.run(session(world), 1000)
    assert len(found) == 2
    # The change is noticed when a stretch of the new voice has been heard, and not before.
    right = len(found["spk00"] & spans((0, 400))) + len(found["spk01"] & spans((400, 900)))
    assert right > 900 - 75


def test_no_more_people_than_asked_for(monkeypatch):
    talk = [[(600 * n, 600 * n + 250)] for n in range(4)]
    world = World(monkeypatch, talk)
    found = world.run(
        OnlineSpeakers(world.activities, world.embedding, OnlineOptions().with_at_most(2)), 3000
    )
    assert set(found) == {"spk00", "spk01"}
    assert set().union(*found.values()) == spans(*[span for own in talk for span in own])


def test_speech_is_embedded_a_bounded_number_of_times(monkeypatch):
    talk = [[(0, 2950)], [(500, 800)]]
    world = World(monkeypatch, talk)
    world.run(session(world), 3000)
    assert world.embedded < 2.5 * 59  # at 0.4, 0.8 and 1.5 s of every stretch of 1.5 s


def test_nothing_is_kept_of_the_past_but_people(monkeypatch):
    talk = [[(n, n + 90) for n in range(0, 9000, 100)], [(n + 90, n + 100) for n in range(0, 9000, 100)]]
    world = World(monkeypatch, talk)
    live = session(world)
    world.run(live, 9000)
    tracks = live._tracker.tracks
    assert len(tracks) <= 3 and all(len(track.stretches) <= 3 for track in tracks)
    assert sum(len(person.voices) for person in live._gallery.people) <= 9
    assert all(len(track.scores) <= 50 for track in tracks)


def test_known_turns_keep_their_names():
    given = Diarization("x", 3.0, [Segment(0.5, 1.5, "Zoë"), Segment(1.0, 2.0, "Ann")])
    live = begin_online(ReferenceTurns(given))
    turns = live.step(AUDIO[:0], 100, 50)
    assert turns.names == ("Zoë", "Ann")
    assert [np.flatnonzero(column)[[0, -1]].tolist() for column in turns.active.T] == [[25, 74], [50, 99]]
    turns = live.step(AUDIO[:0], 150, 150)
    assert [np.flatnonzero(column)[[0, -1]].tolist() for column in turns.active.T] == [[0, 24], [0, 49]]


class Loud:
    """A detector that hears speech where samples are not zero, and knows it at once."""

    def begin(self):
        return self

    def push(self, samples):
        frames = -(-len(samples) // HOP)
        return np.pad(samples, (0, frames * HOP - len(samples))).reshape(frames, HOP).any(1)

    def close(self):
        return np.zeros(0, bool)


def test_one_voice_bridges_pauses_that_it_has_seen_the_end_of():
    audio = np.zeros(300 * HOP, np.float32)
    for start, end in ((10, 40), (45, 70), (100, 150), (160, 162)):
        audio[start * HOP : end * HOP] = 0.5
    live, found, settled = OneVoice(LocalSpeech(Loud()), fill=15, shortest=5), [], 0
    for time in range(25, 301, 25):
        start, final = max(0, time - live.window), max(0, time - 25)
        turns = live.step(audio[start * HOP : time * HOP], start, final)
        active = turns.active.any(1) if turns.names else np.zeros(len(turns.active), bool)
        found.append(active[: final - settled])
        settled = final
        assert turns.names in ((), ("spk00",))
    frames = np.flatnonzero(np.concatenate(found))
    assert set(frames) == spans((10, 70), (100, 162))


def test_every_local_way_has_a_live_form_and_others_say_no(data):
    detector = WebRtcDetector()
    assert isinstance(begin_online(OneSpeaker(detector)), OneVoice)
    assert isinstance(begin_online(VoiceActivityDiarizer(detector)), OnlineSpeakers)
    assert isinstance(begin_online(SegmentationDiarizer(max_speakers=3)), OnlineSpeakers)
    with pytest.raises(OptionError, match="World cannot work live: expected"):
        begin_online(World.__new__(World))
