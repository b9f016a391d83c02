"""Online clustering of voices, on constructed vectors."""

import numpy as np
import pytest

from sed.errors import OptionError
from sed.speakers.gallery import Gallery, GalleryOptions, Voice

OPTIONS = GalleryOptions(alike=0.5, founding=1.0, expected=0.15, same=0.8)


def vector(*parts):
    v = np.zeros(8, np.float32)
    v[: len(parts)] = parts
    return v / np.linalg.norm(v)


ANN, BEN, CAT = vector(1), vector(0, 1), vector(0, 0, 1)


def placed(gallery, direction, seconds=2.0, rivals=(), expected=None):
    voice = Voice(direction, seconds)
    gallery.place(voice, rivals, expected)
    return voice


def test_the_same_voice_comes_back_as_the_same_person():
    gallery = Gallery(OPTIONS)
    first, second = placed(gallery, ANN), placed(gallery, BEN)
    gallery.leave(first)
    gallery.leave(second)
    assert first.person is not second.person
    assert placed(gallery, vector(1, 0.2, 0.3)).person is first.person
    assert placed(gallery, vector(0.2, 1, 0.3)).person is second.person
    assert len(gallery.people) == 2


def test_two_voices_at_once_are_two_people_however_alike():
    gallery = Gallery(OPTIONS)
    first = placed(gallery, ANN)
    second = placed(gallery, ANN, rivals=[first])
    assert first.person is not second.person


def test_a_voice_with_little_speech_goes_to_whom_is_expected_and_founds_nobody():
    gallery = Gallery(OPTIONS)
    ann, ben = placed(gallery, ANN), placed(gallery, BEN)
    ben.person.last = 100
    assert placed(gallery, None, 0.0).person is ben.person  # he spoke last
    assert placed(gallery, None, 0.0, rivals=[ben]).person is ann.person
    assert placed(gallery, CAT, 0.2, expected=ann.person).person is ann.person
    assert placed(gallery, CAT, 0.7).person in (ann.person, ben.person)
    assert placed(gallery, CAT, 1.0).person not in (ann.person, ben.person)


def test_who_is_expected_wins_where_voices_do_not_decide():
    for direction, whom in ((vector(1, 0.9), "ben"), (vector(1, 0.2), "ann")):  # nearer to Ann, both
        gallery = Gallery(OPTIONS)
        people = {"ann": placed(gallery, ANN).person, "ben": placed(gallery, BEN).person}
        voice = placed(gallery, direction)
        assert voice.person is people["ann"]
        gallery.place(voice, [], expected=people["ben"])
        assert voice.person is people[whom]


def test_a_voice_changes_sides_when_more_of_it_is_heard():
    gallery = Gallery(OPTIONS)
    ann, ben = placed(gallery, ANN), placed(gallery, BEN)
    voice = placed(gallery, vector(1, 0.8), 0.5)
    assert voice.person is ann.person
    voice.vector, voice.seconds = vector(0.2, 1), 2.0
    gallery.place(voice, [])
    assert voice.person is ben.person
    assert voice not in ann.person.voices


def test_a_person_of_whom_nothing_remains_is_forgotten():
    gallery = Gallery(OPTIONS)
    first = placed(gallery, None, 0.0)  # somebody must be meant, so somebody is founded
    assert len(gallery.people) == 1
    gallery.leave(first)
    assert gallery.people == []


def test_no_more_people_than_allowed():
    gallery = Gallery(GalleryOptions(people=2))
    voices = [placed(gallery, v) for v in (ANN, BEN, CAT, vector(0, 0.1, 0, 1))]
    assert len(gallery.people) == 2 and all(voice.person for voice in voices)
    assert voices[3].person is voices[1].person  # the more alike of the two
    with pytest.raises(OptionError, match="at most 0 speakers: expected 1 or more"):
        GalleryOptions(people=0)


def test_two_people_who_turn_out_alike_become_the_older_one():
    gallery = Gallery(OPTIONS)
    first = placed(gallery, ANN)
    twin = placed(gallery, ANN, rivals=[first])
    older, younger = first.person, twin.person
    older.number, younger.number = 0, 1
    gallery.merge()
    assert len(gallery.people) == 2  # both are speaking
    gallery.leave(first)
    gallery.leave(twin)
    gallery.merge()
    assert gallery.people == [older] and older.number == 0


def test_what_is_known_of_a_person_fades_and_stays_bounded():
    gallery = Gallery(GalleryOptions(memory=10.0, alike=0.1))
    for angle in np.linspace(0, np.pi / 2, 60):  # a voice that slowly becomes another
        voice = placed(gallery, vector(np.cos(angle), np.sin(angle)))
        gallery.leave(voice)
    [person] = gallery.people
    assert person.seconds == 10.0
    assert person.known() @ BEN > person.known() @ ANN
