"""Errors that change no metric give one warning per file; errors that would change one are refused."""

from __future__ import annotations

import json

import pytest

from sed import formats
from sed.errors import FormatError

RTTM = "SPEAKER call 1 {} {} <NA> <NA> {} {} <NA>\n"


def logged(caplog):
    return [r.getMessage() for r in caplog.records if r.name == "sed"]


def test_an_invalid_confidence_is_unknown(tmp_path, caplog):
    path = tmp_path / "na.rttm"
    path.write_text(
        RTTM.format(0, 5, "A", "None") + RTTM.format(5, 5, "B", "NA") + RTTM.format(6, 1, "B", 0.5)
    )
    found = formats.read(path)
    assert [s.confidence for s in found] == [None, None, 0.5]
    assert logged(caplog) == [
        f"{path}, line 1: found confidence 'None', expected a number: read as unknown (2 of them in na.rttm)"
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "file,start,end,speaker,emotion,confidence\na,0,1,x,sad,None\n"),
        (
            "a.seglst.json",
            json.dumps(
                [
                    {
                        "session_id": "a",
                        "speaker": "x",
                        "start_time": 0,
                        "end_time": 1,
                        "emotion": "sad",
                        "confidence": "high",
                    }
                ]
            ),
        ),
        (
            "a.json",
            '{"format": "sed", "uri": "a", "duration": 1, "segments": [{"start": 0, "end": 1, "speaker": "x", '
            '"emotion": "sad", "confidence": NaN}]}',
        ),
    ],
)
def test_an_invalid_confidence_in_other_formats(tmp_path, caplog, name, content):
    (tmp_path / name).write_text(content)
    (segment,) = formats.read(tmp_path / name)
    assert (segment.end, segment.speaker, segment.emotion, segment.confidence) == (1, "x", "sad", None)
    assert len(logged(caplog)) == 1 and "expected a number: read as unknown" in logged(caplog)[0]


@pytest.mark.parametrize("probabilities", ['{"sad": null}', '"n/a"', "[0.5]", '{"sad": "high"}'])
def test_invalid_probabilities_are_unknown(tmp_path, caplog, probabilities):
    path = tmp_path / "a.seglst.json"
    row = '"session_id": "a", "start_time": 0, "end_time": 1, "probabilities": '
    path.write_text(f"[{{{row}{probabilities}}}]")
    (segment,) = formats.read(path)
    assert not segment.probabilities
    assert (
        len(logged(caplog)) == 1 and "expected a number for each label: read as unknown" in logged(caplog)[0]
    )


def test_a_start_slightly_before_the_recording_is_moved_to_0(tmp_path, caplog):
    path = tmp_path / "neg.rttm"
    path.write_text(RTTM.format(-0.008, 5.008, "A", "<NA>") + RTTM.format(-0.3, 0.2, "B", "<NA>"))
    assert [(s.start, s.end, s.speaker) for s in formats.read(path)] == [(0.0, 5.0, "A")]
    assert logged(caplog) == [
        f"{path}, line 1: found start -0.008: the part before 0 s is ignored (2 of them in neg.rttm)"
    ]
    path.write_text(RTTM.format(-5, 8, "A", "<NA>"))
    with pytest.raises(FormatError, match=r"line 1: segment from -5.0 to 3.0 s: expected"):
        formats.read(path)
    for name, content in {
        "a.csv": "file,start,end\na,-0.008,1\na,-1 days +23:59:59.992000,1\n",
        "a.txt": "-0.008\t1.0\tsad\n",
        "a.seglst.json": '[{"session_id": "a", "start_time": -0.008, "end_time": 1}]',
        "a.speechbrain.json": '{"a.wav": [{"start": -0.008, "end": 1, "emotion": "n"}]}',
    }.items():
        (tmp_path / name).write_text(content)
        assert {(s.start, s.end) for s in formats.read(tmp_path / name)} == {(0.0, 1.0)}


def test_a_no_break_space_is_part_of_a_name(tmp_path, caplog):
    path = tmp_path / "x.rttm"
    path.write_text(RTTM.format(0, 5, "Zoë\u00a0B", "<NA>") * 2)
    assert formats.read(path).speaker_names == ("Zoë\u00a0B",)
    assert logged(caplog) == [
        f"{path}, line 1: found 'Zoë\\xa0B': its non-ASCII blank is read as part of the name (2 of them in x.rttm)"
    ]
    path.write_text(RTTM.format(0, 5, "Ann", "<NA>").replace(" ", "\u00a0"))  # pasted from a page
    assert formats.read(path).speaker_names == ("Ann",)
    path.write_text(RTTM.format(0, 5, "Ann B", "<NA>") + RTTM.format(5, 5, "B C D", "<NA>"))
    with pytest.raises(FormatError, match="line 1: found 11 fields, expected 10"):
        formats.read(path)
