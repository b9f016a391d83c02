"""Annotations that are odd, damaged or none at all, and what `sed-score` has to make of each.

`annotations(folder)` writes them and yields a `Case` each, of the same kind as those of recordings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from broken_recordings import Case

LINE = "SPEAKER call 1 {} {} {} <NA> {} <NA> <NA>\n"


def annotations(folder: Path) -> Iterator[Case]:
    """Every case, its files written to `folder` just before."""
    good = _put(folder, "good.rttm", LINE.format("1.0", "4.0", "happy", "ann"))
    yield Case("two good files", (good, good))
    yield from _rttm(folder, good)
    yield from _json(folder, good)
    yield from _other_forms(folder, good)
    yield from _corpora(folder, good)
    yield from _options(folder, good)


def _put(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def _rttm(folder: Path, good: str) -> Iterator[Case]:
    def line(what: str, text: str, says: str, status: int = 1) -> Case:
        return Case(
            f"RTTM: {what}", (good, _put(folder, f"{what.replace('/', '-')}.rttm", text)), status, says
        )

    yield line(
        "a start of NaN", LINE.format("nan", "1", "sad", "x"), "line 1: found start 'nan', expected a number"
    )
    yield line(
        "an infinite duration", LINE.format("1", "inf", "sad", "x"), "found duration 'inf', expected a number"
    )
    yield line(
        "a negative duration",
        LINE.format("2", "-1", "sad", "x"),
        "line 1: found duration -1.0, expected 0 or more",
    )
    yield line("a negative start", LINE.format("-2", "1", "sad", "x"), "line 1: segment from -2.0 to -1.0 s")
    yield line(
        "words for numbers", LINE.format("soon", "1", "sad", "x"), "found start 'soon', expected a number"
    )
    yield line("half a line", "SPEAKER call 1 0.5\n", "line 1: found 4 fields, expected 10")
    yield line("prose", "Dear all,\nhere are the labels\n", "line 1: found type 'Dear', expected SPEAKER")
    yield line("bytes", b"\x89PNG\r\n\x1a\n\xff\xfe" * 9, "cannot be read (it is not UTF-8 text)")  # type: ignore[arg-type]
    yield line("zero bytes", b"SPEAKER call 1 \0\0\0\n", "it contains zero bytes")  # type: ignore[arg-type]
    yield line("an empty file", "", "no hypothesis, scored as empty: call")
    yield line("a duration of 0", LINE.format("2", "0", "sad", "x"), "", 0)
    yield line(
        "windows lines and a mark", b"\xef\xbb\xbf" + LINE.format("1", "4", "happy", "x").encode(), "", 0
    )  # type: ignore[arg-type]
    yield line(
        "a confidence of x",
        LINE.format("1", "1", "sad", "x").replace("<NA> <NA>\n", "x <NA>\n"),
        "line 1: found confidence 'x', expected a number: read as unknown",
        0,
    )
    yield Case(
        "a missing file",
        (good, str(folder / "missing.rttm")),
        1,
        "missing.rttm: cannot be read (No such file",
    )
    secret = _put(folder, "secret.rttm", LINE.format("1", "4", "happy", "x"))
    Path(secret).chmod(0)
    yield Case(
        "no permission",
        (good, secret),
        1,
        "secret.rttm: cannot be read (Permission denied)",
        unprivileged=True,
    )


def _json(folder: Path, good: str) -> Iterator[Case]:
    def text(what: str, name: str, content: str, says: str, status: int = 1) -> Case:
        return Case(f"JSON: {what}", (good, _put(folder, f"{what}/{name}", content)), status, says)

    def zed(**changes: object) -> str:
        row = {"wav": "call.wav", "duration": 6.0, "emotion": [{"emo": "sad", "start": 1, "end": 2}]}
        return json.dumps({"call": {**row, **changes}})

    segment = {"start": 1, "end": 2, "speaker": "x", "emotion": "sad"}
    ours = {"format": "sed", "version": 1, "uri": "call", "duration": 5.0, "segments": [segment]}
    yield text("broken off", "a.json", json.dumps(ours)[:40], "not JSON")
    yield text("empty", "a.json", "", "not JSON")
    yield text("a number", "a.json", "7", 'expected an object with "format": "sed"')
    yield text("an empty list", "a.json", "[]", "no hypothesis, scored as empty: call")
    yield text("100,000 brackets", "a.json", "[" * 100_000, "not JSON")
    yield text("a newer version", "a.json", json.dumps({**ours, "version": 9}), "found version 9, expected 1")
    yield text(
        "a NaN", "a.json", json.dumps({**ours, "duration": float("nan")}), "duration nan, expected a number"
    )
    late = {**ours, "segments": [{**segment, "start": 3}]}
    yield text("times in the wrong order", "a.json", json.dumps(late), "segment 1: segment from 3.0 to 2.0 s")
    yield text(
        "a speaker of 3", "a.json", json.dumps({**ours, "segments": [{**segment, "speaker": 3}]}), "speaker 3"
    )
    yield text("a negative length", "a.json", json.dumps({**ours, "duration": -1}), "duration")
    yield text(
        "SegLST without times",
        "a.seglst.json",
        '[{"session_id": "call"}]',
        "found start None, expected a num",
    )
    yield text(
        "ZED without duration", "ZED.json", '{"call": {"emotion": []}}', "an object with duration and emotion"
    )
    yield text(
        "ZED with a NaN", "ZED.json", zed(duration=float("nan")), "found duration nan, expected a number"
    )
    yield text("ZED, no list", "ZED.json", zed(emotion=7), "found int, expected a list of emotional events")
    yield text(
        "ZED, no emo", "ZED.json", zed(emotion=[{"start": 1, "end": 2}]), "events with start, end and emo"
    )
    twice = '{"a/call.wav": [], "b/call.wav": []}'
    yield text("SpeechBrain, one file twice", "a.json", twice, "a second recording named call")


def _other_forms(folder: Path, good: str) -> Iterator[Case]:
    def text(what: str, name: str, content: str, says: str) -> Case:
        return Case(what, (good, _put(folder, f"{what}/{name}", content)), 1, says)

    head = "file,start,end,speaker,emotion\n"
    yield text("CSV without a head", "a.csv", "call.wav,0,1\n", "found no column file, start, end")
    yield text(
        "CSV with a short row",
        "a.csv",
        head + "call.wav,0\n",
        "line 2: found more or fewer values than the 5",
    )
    yield text("CSV with a bad time", "a.csv", head + "call.wav,soon,2,x,sad\n", "line 2: found time 'soon'")
    yield text(
        "CSV, end before start", "a.csv", head + "call.wav,3,2,x,sad\n", "line 2: segment from 3.0 to 2.0 s"
    )
    yield text("CSV with an open quote", "a.csv", head + '"call.wav,0,1,x,sad\n', "not CSV")
    yield text("an empty CSV", "a.csv", "", "found no column file, start, end")
    grid = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0 9 <exists> 1 "IntervalTier"'
    yield text("a TextGrid that breaks off", "a.TextGrid", grid, "the TextGrid is truncated")
    yield text(
        "WebVTT, end before start", "a.vtt", "WEBVTT\n\n00:03.000 --> 00:02.000\nsad\n", "from 3.0 to 2.0 s"
    )
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "&b;&b;">]><ANNOTATION_DOCUMENT>&b;</ANNOTATION_DOCUMENT>'
    yield text("XML with entities", "a.eaf", bomb, "found a document type, expected plain XML")
    yield text("an unknown suffix", "a.doc", "x", "its suffix is unknown, expected .audacity")


def _corpora(folder: Path, good: str) -> Iterator[Case]:
    own = LINE.format("1.0", "4.0", "happy", "ann")
    _put(folder, "two/call.rttm", own)
    _put(folder, "two/again/call.rttm", own)
    yield Case("one recording in two files", (good, str(folder / "two")), 1, "call is in ")
    _put(folder, "some/call.rttm", own)
    _put(folder, "some/bad.rttm", "nonsense\n")
    yield Case(
        "a bad file among good ones",
        (good, str(folder / "some")),
        1,
        "bad.rttm, line 1: found type 'nonsense'",
    )
    (folder / "nothing").mkdir()
    yield Case(
        "an empty folder",
        (good, str(folder / "nothing")),
        1,
        "expected annotations in this folder, found none",
    )
    yield Case("a pattern of nothing", (good, str(folder / "*.none")), 1, "no file matches this pattern")
    more = _put(folder, "more.rttm", own + own.replace("call", "other"))
    yield Case("an extra recording", (good, more), 1, "no reference, not scored: other")
    yield Case("a missing recording", (more, good), 1, "no hypothesis, scored as empty: other")
    listed = _put(folder, "files.lst", "good.rttm\nmissing.rttm\n")
    yield Case(
        "a list with a file that is missing", (good, listed), 1, "files.lst, line 2: no file missing.rttm"
    )
    words = _put(folder, "words.rttm", own.replace("happy", "<NA>"))
    yield Case(
        "no emotions, EDER asked for", (good, words, "-m", "eder"), 2, "the hypotheses name no emotions"
    )
    yield Case("no reference", (_put(folder, "none.rttm", ""), good), 2, "no reference to score against")
    yield Case("other labels", (good, _put(folder, "labels.rttm", own.replace("happy", "JOY"))))
    huge = _put(
        folder, "huge.rttm", "".join(LINE.format(3 * n, 2.5, "sad", f"s{n % 5}") for n in range(200_000))
    )
    yield Case("200,000 segments of one recording", (huge, huge))


def _options(folder: Path, good: str) -> Iterator[Case]:
    uem = _put(folder, "bad.uem", "call 1 5 4\n")
    yield Case(
        "a UEM that ends before it starts",
        (good, good, "--uem", uem),
        1,
        "found 5.0 to 4.0 s, expected 0 <= st",
    )
    region = ("--uem", _put(folder, "other.uem", "other 1 0 4\n"))
    yield Case(
        "a UEM of another recording",
        (good, good, *region),
        1,
        "not in the UEM, not scored: call",
        lines=3,
    )
    yield Case(
        "a collar of NaN", (good, good, "--collar", "nan"), 2, "a collar of nan s: expected 0 or more seconds"
    )
    yield Case(
        "a negative collar", (good, good, "--collar", "-1"), 2, "a collar of -1.0 s: expected 0 or more"
    )
    yield Case("--labels happy", (good, good, "--labels", "happy"), 2, "expected old=new, each old name once")
    yield Case("--labels of an unknown name", (good, good, "--labels", "hap=happy"))
    yield Case("--level 2", (good, good, "--level", "2"), 2, "level 2")
    yield Case("--plot x.gif", (good, good, "--plot", "x.gif"), 2, "expected a name that ends in .png")
    yield Case("--plot where nobody may write", (good, good, "--plot", "/proc/x.png"), 2, "cannot be written")
