"""`sed-run --words` and `--asr`: transcripts joined with speakers and emotions, one file or a folder of them."""

import json
import sys

import pytest

from sed.transcripts import read_transcript

WORDS = [("So", 0.3, 0.62), (" war", 0.62, 1.1), (" es.", 1.1, 1.9)]


def transcript(words=WORDS):
    rows = [{"word": word, "start": start, "end": end, "probability": 0.5} for word, start, end in words]
    text = "".join(word for word, *_ in words)
    return {"segments": [{"start": 0.3, "end": 1.9, "text": text, "words": rows}], "language": "de"}


@pytest.fixture
def calls(tmp_path, angry, data):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.flac").write_bytes(angry.read_bytes())
    (tmp_path / "in" / "b.flac").write_bytes((data / "emodb_15_sad_1.flac").read_bytes())
    (tmp_path / "words" / "deep").mkdir(parents=True)
    (tmp_path / "words" / "deep" / "a.json").write_text(json.dumps(transcript()))
    (tmp_path / "words" / "b.ctm").write_text("b 1 0.30 0.32 So\nb 1 0.62 1.28 wars\n")
    (tmp_path / "words" / "b.srt").write_text("1\n00:00:00,300 --> 00:00:01,900\nSo wars\n")
    return tmp_path


@pytest.mark.slow
def test_json_on_standard_output_has_exact_words(run, calls):
    done = run(calls / "in" / "deep" / "a.flac", "--words", calls / "words" / "deep" / "a.json")
    assert done.exit_code == 0, done.stderr
    data = json.loads(done.stdout)
    assert [(w["word"], w["start"], w["end"]) for w in data["word_segments"]] == WORDS
    assert data["language"] == "de"
    for row in (*data["segments"], *data["word_segments"]):
        assert row["speaker"] == "spk00" and row["emotion"] in row["probabilities"]
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=0.001)
    assert (
        len({tuple(w["probabilities"].values()) for w in data["word_segments"]}) == 3
    )  # of their own frames


@pytest.mark.slow
def test_a_folder_of_transcripts_and_the_journal(run, calls):
    arguments = (calls / "in", "--words", calls / "words", "-o", "webvtt,json,rttm", "-d", calls / "out")
    done = run(*arguments)
    assert done.exit_code == 0, done.stderr
    assert [s.text for s in read_transcript(calls / "out" / "deep" / "a.vtt").sentences] == ["So war es."]
    words = [w.text for w in read_transcript(calls / "out" / "b.json").words]
    assert words == ["So", "wars"]  # CTM times words, SRT does not
    assert (calls / "out" / "b.rttm").read_text().startswith("SPEAKER b 1")
    assert "2 done before" in run(*arguments).stderr
    (calls / "words" / "deep" / "a.json").write_text(json.dumps(transcript([("Nein", 0.3, 1.9)])))
    assert "1 done before" in run(*arguments).stderr
    assert [w.text for w in read_transcript(calls / "out" / "deep" / "a.json").words] == ["Nein"]
    assert (
        "holds results of other settings (words: given, now none)"
        in run(calls / "in", "-d", calls / "out").stderr
    )


@pytest.mark.slow
def test_a_bad_transcript_fails_its_recording_only(run, calls):
    (calls / "words" / "b.ctm").write_text("b 1 0.30 0.32 So\nb 1 x 1.28 wars\n")
    done = run(calls / "in", "--words", calls / "words", "-d", calls / "out")
    assert done.exit_code == 1
    assert f"{calls}/words/b.ctm, line 2: found start 'x', expected a number" in done.stderr
    assert sorted(p.name for p in (calls / "out").rglob("*.json")) == ["a.json"]


def test_wrong_usage(run, calls):
    def refused(*arguments):
        done = run(*arguments)
        assert done.exit_code == 2 and done.stdout == "", done.stderr
        return done.stderr

    one, words = calls / "in" / "b.flac", calls / "words"
    assert "found outputs without words (rttm), expected one of json, webvtt" in refused(
        one, "--words", words, "-o", "rttm"
    )
    assert "no such file or folder, expected a transcript" in refused(one, "--words", calls / "none.json")
    assert "--words cannot be combined with --asr" in refused(
        one, "--words", words, "--asr", "faster-whisper"
    )
    message = refused(calls / "in", "--words", words / "deep" / "a.json", "-d", calls / "out")
    assert "found a transcript of one recording for 2 recordings, expected a folder or a CTM" in message
    (words / "deep" / "a.json").unlink()
    message = refused(calls / "in", "--words", words, "-d", calls / "out")
    assert "words: found no transcript for deep/a, expected NAME.json, .ctm, .vtt or .srt" in message
    assert not (calls / "out").exists()


def test_a_recogniser_that_is_not_there(run, calls, monkeypatch):
    one = calls / "in" / "b.flac"
    assert "recogniser 'kaldi': expected faster-whisper" in run(one, "--asr", "kaldi").stderr
    assert "recogniser 'faster-whisper:': expected" in run(one, "--asr", "faster-whisper:").stderr
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    done = run(one, "--asr", "faster-whisper")
    assert done.exit_code == 2
    expected = "--asr faster-whisper needs faster-whisper: pip install 'speech-emotion-diarization[asr]'"
    assert expected in done.stderr


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded(run, calls):
    pytest.importorskip("faster_whisper")
    done = run(calls / "in" / "b.flac", "--asr", f"faster-whisper:{calls}/words", "-o", calls / "b.vtt")
    assert done.exit_code != 0 and not (calls / "b.vtt").exists()
    assert f"{calls}/words: faster-whisper cannot load this model" in done.stderr
