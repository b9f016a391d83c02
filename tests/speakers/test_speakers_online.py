"""Online diarization with simulated networks, in which each speaker has a fixed embedding, and online sessions."""

import numpy as np
import pytest
import soundfile

from sed.errors import OptionError, SedError
from sed.grid import HOP
from sed.result import Diarization, Segment
from sed.speakers import (
    OneSpeaker,
    ReferenceTurns,
    SegmentationDiarizer,
    VoiceActivityDiarizer,
    online_clustering,
)
from sed.speakers.given import OneSpeakerOnlineSession
from sed.speakers.online import DetectorActivity, begin_online
from sed.speakers.online_clustering import OnlineClusteringOptions, OnlineClusteringSession
from sed.speech.webrtc import WebRtcDetector

AUDIO = np.zeros(10_000 * HOP, np.float32)


class Simulation:
    """Speakers with known turns; the order of the local speakers changes from window to window."""

    def __init__(self, monkeypatch, turns, shuffle=True, seed=0):
        self.truth = np.zeros((10_000, len(turns)), np.float32)
        for column, spans in enumerate(turns):
            for start, end in spans:
                self.truth[start:end, column] = 1
        self.rng = np.random.default_rng(seed)
        self.directions = np.eye(len(turns) + 1, dtype=np.float32)
        self.shuffle = shuffle
        # The samples are frame numbers, from which the embedding looks up the speaker.
        self.audio = np.repeat(np.arange(10_000, dtype=np.float32), HOP)
        monkeypatch.setattr(online_clustering, "filter_bank", lambda samples: samples[:: HOP // 2, None])
        self.embedded = 0

    def activity(self, audio, start):
        window = self.truth[start : start + len(audio) // HOP]
        columns = np.flatnonzero(window.any(0))
        if self.shuffle:
            columns = self.rng.permutation(columns)
        out = np.zeros((len(window), max(3, len(columns))), np.float32)
        out[:, : len(columns)] = window[:, columns]
        return out

    def embedding(self, features):
        self.embedded += len(features) / 100
        frames = features[:, 0].astype(int)
        speaking = self.truth[frames[frames < 10_000]].sum(0)
        return self.directions[int(speaking.argmax())] * 0.95 + self.directions[-1] * 0.3

    def session(self, options=None):
        return OnlineClusteringSession(self.activity, self.embedding, options)

    def run(self, session, frames, look_ahead=25, step=25):
        """Final activity by name, ``{name: set of frames}``."""
        previous, out = 0, {}
        for time in range(step, frames + 1, step):
            final = time if time == frames else max(previous, time - look_ahead)
            start = max(0, time - session.window)
            turns = session.step(self.audio[start * HOP : time * HOP], start, final)
            assert turns.active.shape == (time - previous, len(turns.names))
            for name, column in zip(turns.names, turns.active.T, strict=True):
                active = np.flatnonzero(column[: final - previous]) + previous
                out.setdefault(name, set()).update(active.tolist())
            previous = final
        return {name: frames for name, frames in out.items() if frames}


def spans(*pairs):
    return {frame for start, end in pairs for frame in range(start, end)}


def test_speakers_keep_their_names_over_long_silences(monkeypatch):
    turns = [[(10, 300), (1500, 1700)], [(320, 600), (2400, 2700)]]
    simulation = Simulation(monkeypatch, turns)
    found = simulation.run(simulation.session(), 3000)
    # A speaker can be recognised as new after a second of speech, which is more than this look-ahead.
    wrong = found["spk00"] ^ spans(*turns[0]) | found["spk01"] ^ spans(*turns[1])
    assert sorted(found) == ["spk00", "spk01"] and wrong <= spans((320, 370))
    longer = Simulation(monkeypatch, turns)
    found = longer.run(longer.session(), 3000, look_ahead=100)
    assert found == {"spk00": spans(*turns[0]), "spk01": spans(*turns[1])}


def test_overlapping_speakers_are_separate_from_the_start(monkeypatch):
    turns = [[(0, 500)], [(200, 300)]]
    simulation = Simulation(monkeypatch, turns)
    found = simulation.run(simulation.session(), 600)
    assert found["spk00"] == spans((0, 500)) and found["spk01"] == spans((200, 300))


def test_five_speakers_are_numbered_in_order(monkeypatch):
    turns = [[(600 * n, 600 * n + 250)] for n in range(5)]
    simulation = Simulation(monkeypatch, turns)
    found = simulation.run(simulation.session(), 3200, look_ahead=100)
    assert sorted(found) == [f"spk{n:02d}" for n in range(5)]
    assert [min(found[name]) for name in sorted(found)] == [0, 600, 1200, 1800, 2400]


def test_speakers_merged_by_the_network_are_separated(monkeypatch):
    turns = [[(0, 400)], [(400, 900)]]
    simulation = Simulation(monkeypatch, turns, shuffle=False)
    merged = simulation.truth.max(1, keepdims=True)
    simulation.activity = lambda audio, start: merged[start : start + len(audio) // HOP]
    found = simulation.run(simulation.session(), 1000)
    assert len(found) == 2
    # The change is detected with the second run of the new speaker: the windows are evidence against it.
    correct = len(found["spk00"] & spans((0, 400))) + len(found["spk01"] & spans((400, 900)))
    assert correct > 900 - 150


def test_speech_is_kept_whose_track_depends_on_the_window(monkeypatch):
    """In two of three windows the network takes the latest 2 s for another speaker, so two tracks share them."""
    simulation = Simulation(monkeypatch, [[(0, 800)]], shuffle=False)
    whole = simulation.activity

    def activity(audio, start):
        found, frames = whole(audio, start), len(audio) // HOP
        if frames == 500 and start // 25 % 3:
            found[-100:, 1], found[-100:, 0] = found[-100:, 0], 0
        return found

    simulation.activity = activity
    found = simulation.run(simulation.session(), 900, look_ahead=50)
    assert found == {"spk00": spans((0, 800))}


def test_a_final_run_still_indicates_the_speaker_of_the_next_one_in_its_track(monkeypatch):
    """The last word of the first speaker is slightly more like the second one; what came before it is final."""
    turns = [[(0, 300), (600, 800), (860, 890)], [(300, 600)]]
    simulation = Simulation(monkeypatch, turns)
    usual = simulation.embedding

    def embedding(features):
        if features[:, 0].min() < 860:
            return usual(features)
        return np.array([0.64, 0.7, 0.3], np.float32) / np.linalg.norm([0.64, 0.7, 0.3])

    simulation.embedding = embedding
    found = simulation.run(simulation.session(), 1000)
    assert spans((860, 890)) <= found["spk00"] and max(found["spk01"]) < 600


def test_a_run_is_embedded_whole_when_it_has_ended(monkeypatch):
    """1.1 s are enough for a new speaker, the 0.8 s that are visible at the step before are not."""
    turns = [[(0, 300)], [(335, 390)]]
    simulation = Simulation(monkeypatch, turns)
    found = simulation.run(simulation.session(), 600, look_ahead=100)
    assert found == {"spk00": spans(*turns[0]), "spk01": spans(*turns[1])}


def test_max_speakers(monkeypatch):
    turns = [[(600 * n, 600 * n + 250)] for n in range(4)]
    simulation = Simulation(monkeypatch, turns)
    session = simulation.session(OnlineClusteringOptions().with_max_speakers(2))
    found = simulation.run(session, 3000)
    assert set(found) == {"spk00", "spk01"}
    assert set().union(*found.values()) == spans(*[span for own in turns for span in own])


def test_speech_is_embedded_a_bounded_number_of_times(monkeypatch):
    turns = [[(0, 2950)], [(500, 800)]]
    simulation = Simulation(monkeypatch, turns)
    simulation.run(simulation.session(), 3000)
    assert simulation.embedded < 2.5 * 59  # at 0.4, 0.8 and 1.5 s of every run of 1.5 s


@pytest.mark.slow
def test_only_the_registry_remembers_the_past(monkeypatch):
    turns = [[(n, n + 90) for n in range(0, 9000, 100)], [(n + 90, n + 100) for n in range(0, 9000, 100)]]
    simulation = Simulation(monkeypatch, turns)
    session = simulation.session()
    simulation.run(session, 9000)
    tracks = session._tracker.tracks
    assert len(tracks) <= 3 and all(len(track.runs) <= 3 for track in tracks)
    assert len(session._registry._pending) <= 9
    assert session._registry.evidence.pieces <= session._registry.options.max_evidence
    assert all(len(track.scores) <= 50 for track in tracks)


def test_reference_turns_online():
    reference = Diarization("x", 3.0, [Segment(0.5, 1.5, "Zoë"), Segment(1.0, 2.0, "Ann")])
    session = begin_online(ReferenceTurns(reference))
    turns = session.step(AUDIO[:0], 100, 50)
    assert turns.names == ("Zoë", "Ann")
    assert [np.flatnonzero(column)[[0, -1]].tolist() for column in turns.active.T] == [[25, 74], [50, 99]]
    turns = session.step(AUDIO[:0], 150, 150)
    assert [np.flatnonzero(column)[[0, -1]].tolist() for column in turns.active.T] == [[0, 24], [0, 49]]


class NonZero:
    """A detector without delay: speech is where samples are not zero."""

    def begin(self):
        return self

    def push(self, samples):
        frames = -(-len(samples) // HOP)
        return np.pad(samples, (0, frames * HOP - len(samples))).reshape(frames, HOP).any(1)

    def close(self):
        return np.zeros(0, bool)


def test_one_speaker_bridges_short_pauses_online():
    audio = np.zeros(300 * HOP, np.float32)
    for start, end in ((10, 40), (45, 70), (100, 150), (160, 162)):
        audio[start * HOP : end * HOP] = 0.5
    session = OneSpeakerOnlineSession(DetectorActivity(NonZero()), min_duration_off=15, min_duration_on=5)
    found, previous = [], 0
    for time in range(25, 301, 25):
        start, final = max(0, time - session.window), max(0, time - 25)
        turns = session.step(audio[start * HOP : time * HOP], start, final)
        active = turns.active.any(1) if turns.names else np.zeros(len(turns.active), bool)
        found.append(active[: final - previous])
        previous = final
        assert turns.names in ((), ("spk00",))
    frames = np.flatnonzero(np.concatenate(found))
    assert set(frames) == spans((10, 70), (100, 162))


def test_diarizers_have_online_sessions_and_other_objects_are_rejected(data):
    detector = WebRtcDetector()
    assert isinstance(begin_online(OneSpeaker(detector)), OneSpeakerOnlineSession)
    assert isinstance(begin_online(VoiceActivityDiarizer(detector)), OnlineClusteringSession)
    assert isinstance(begin_online(SegmentationDiarizer(max_speakers=3)), OnlineClusteringSession)
    with pytest.raises(OptionError, match="object does not support live streams: expected"):
        begin_online(object())


@pytest.mark.slow
@pytest.mark.parametrize("step", [25, 12])
def test_a_refined_stream_is_the_offline_result(data, step):
    samples, _ = soundfile.read(data / "ami_trn00.flac", dtype="float32")
    samples = samples[: 25 * 16_000]
    diarizer = SegmentationDiarizer()
    whole = diarizer.begin()
    whole.push(samples)
    expected = whole.close()
    session, frames = diarizer.begin_online(refine=True), len(samples) // HOP
    for time in [*range(step, frames, step), frames]:
        start = max(0, time - session.window)
        session.step(samples[start * HOP : time * HOP], start, max(0, time - 25))
    found = session.refined()
    assert found.frames == expected.frames and len(found.names) == len(expected.names) > 1
    same = found.active == expected.active
    assert same.mean() > (0.995 if step == 25 else 0.9)  # 25: the same windows


def test_only_a_stream_that_keeps_it_can_be_refined():
    session = SegmentationDiarizer().begin_online()
    with pytest.raises(SedError, match="expected refine=True"):
        session.refined()
    with pytest.raises(OptionError, match="cannot refine"):
        begin_online(OneSpeaker(WebRtcDetector()), refine=True)
