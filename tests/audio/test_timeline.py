"""Times are those of a player: gaps and late starts of containers become silence, and nothing else is moved."""

import re
import subprocess

import numpy as np
import pytest
import soundfile
from audio_reading import read_all
from hypothesis import given
from hypothesis import strategies as st

from sed.audio import open_audio
from sed.audio.blocks import timed_blocks
from sed.audio.timeline import MAX_GAP, MAX_SILENCE, TOLERANCE, Start, Timeline

RATE = 16000
SECONDS = 8  # of the recording, with a click at each second
TOLERATED = 0.02  # seconds by which the time of a click may differ


def clicks(samples):
    """The times of the clicks, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.1) / RATE
    return [
        float(second) for number, second in enumerate(loud) if not number or second - loud[number - 1] > 0.3
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    time = np.arange(SECONDS * RATE) / RATE
    path = tmp_path_factory.mktemp("clicks") / "source.wav"
    soundfile.write(path, 0.5 * np.sin(2000 * np.pi * time) * (time % 1 < 0.1), RATE)
    return path


@pytest.fixture
def ffmpeg(need_program):
    def run(*options):
        subprocess.run([need_program("ffmpeg"), "-v", "error", "-y", *map(str, options)], check=True)

    return run


def drop(start, end):
    """Options that drop the packets between two times, as a lost uplink does."""
    return "-c", "copy", "-bsf:a", f"noise=drop='gt(pts*tb,{start})*lt(pts*tb,{end})'"


def jump(start, seconds):
    """Options that add `seconds` to the timestamps after `start`."""
    return "-c", "copy", "-bsf:a", f"setts=ts='TS+gt(TS*TB,{start})*{seconds}/TB'"


FORMATS = [
    ("webm", "libopus"),
    ("mp4", "aac"),
    ("ts", "aac"),
    ("mkv", "aac"),
    ("mkv", "pcm_s16le"),
    ("flv", "aac"),
]


@pytest.mark.slow
@pytest.mark.parametrize("suffix, codec", [*FORMATS, ("mov", "aac"), ("ogg", "libspeex"), ("wma", "wmav2")])
def test_a_gap_is_filled_with_silence(source, tmp_path, ffmpeg, caplog, suffix, codec):
    plain, path = tmp_path / f"plain.{suffix}", tmp_path / f"call.{suffix}"
    ffmpeg("-i", source, "-c:a", codec, "-ar", 16000 if codec == "libspeex" else 48000, plain)
    expected = [second for second in clicks(read_all(plain)) if not 2.5 < second < 5.5]
    assert len(expected) == 5 and not caplog.text
    ffmpeg("-i", plain, *drop(2.3, 5.3), path)
    assert clicks(read_all(path)) == pytest.approx(expected, abs=TOLERATED)
    assert len(caplog.records) == 1
    message = re.escape(f"{path}: ") + r"1 gap of (2\.9|3\.0|3\.1) s \(at 2\.\d\d s\) is filled with silence"
    assert re.fullmatch(message, caplog.records[0].getMessage())


def test_gaps_of_fragmented_mp4(source, tmp_path, ffmpeg, caplog):
    ffmpeg("-i", source, "-c:a", "aac", tmp_path / "plain.mp4")
    ffmpeg("-i", tmp_path / "plain.mp4", *drop(1.3, 2.3), tmp_path / "one.mp4")
    fragments = "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "500000"
    ffmpeg("-i", tmp_path / "one.mp4", *drop(4.7, 6.7), *fragments, tmp_path / "two.mp4")
    priming = 1024 / RATE
    expected = [priming + second for second in (0, 1, 3, 4, 7)]
    assert clicks(read_all(tmp_path / "two.mp4")) == pytest.approx(expected, abs=TOLERATED)
    message = r"2 gaps of (2\.9|3\.0|3\.1) s in total \(first at 1\.\d\d s\) are filled with silence"
    assert re.search(message, caplog.text)


LATE = [(*form, 3) for form in FORMATS] + [("ts", "ac3", 20), ("mpg", "mp2", 20), ("webm", "libopus", 20)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix, codec, late", LATE)
def test_audio_that_starts_after_the_video_keeps_its_delay(
    source, tmp_path, ffmpeg, caplog, suffix, codec, late
):
    """At 20 s, ffprobe finds no audio in a transport stream until it probes further."""
    path = tmp_path / f"video.{suffix}"
    video_codec = {"webm": "libvpx", "mpg": "mpeg2video", "flv": "flv"}.get(suffix, "mpeg4")
    inputs = "-f", "lavfi", "-i", f"testsrc=d={late + 1}:s=32x32:r=25", "-itsoffset", late, "-i", source
    ffmpeg(*inputs, "-c:v", video_codec, "-c:a", codec, "-ar", 48000, path)
    found = clicks(read_all(path))
    assert found == pytest.approx([late + second for second in range(SECONDS)], abs=TOLERATED + 0.01)
    assert "the audio starts at" in caplog.text and "after silence" in caplog.text


def test_a_gap_of_a_minute_in_a_transport_stream(source, tmp_path, ffmpeg):
    """ffmpeg by default would close it: it corrects timestamp jumps of more than 10 s."""
    ffmpeg("-i", source, "-c:a", "aac", "-ar", 48000, tmp_path / "plain.ts")
    ffmpeg("-i", tmp_path / "plain.ts", *jump(4.5, 60), tmp_path / "far.ts")
    assert clicks(read_all(tmp_path / "far.ts"))[-1] == pytest.approx(67.02, abs=TOLERATED)


def test_reset_timestamps_continue_and_later_gaps_are_filled(source, tmp_path, ffmpeg, caplog):
    ffmpeg("-i", source, "-c:a", "libopus", tmp_path / "plain.webm")
    ffmpeg("-i", tmp_path / "plain.webm", *drop(2.3, 5.3), tmp_path / "a.webm")
    path = tmp_path / "joined.webm"
    path.write_bytes((tmp_path / "a.webm").read_bytes() * 2)
    first = [0, 1, 2, 6, 7]
    assert clicks(read_all(path)) == pytest.approx(
        [*first, *(8.01 + second for second in first)], abs=TOLERATED
    )
    assert "2 gaps of 6.0 s in total (first at 2." in caplog.text


def test_a_damaged_timestamp_causes_no_endless_silence(source, tmp_path, ffmpeg, caplog):
    ffmpeg("-i", source, "-c:a", "libopus", tmp_path / "plain.mkv")
    ffmpeg("-i", tmp_path / "plain.mkv", *jump(4.5, 1_000_000), tmp_path / "years.mkv")
    assert len(read_all(tmp_path / "years.mkv")) / RATE == pytest.approx(SECONDS, abs=0.1)
    assert (
        "1 jump of its timestamps by 1000000.0 s (at 4." in caplog.text
        and "no silence is inserted" in caplog.text
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix, codec",
    [
        ("m4a", "aac"),
        ("webm", "libopus"),
        ("webm", "libvorbis"),
        ("ts", "aac"),
        ("ts", "libmp3lame"),
        ("avi", "mp3"),
    ]
    + [
        ("wma", "wmav2"),
        ("mka", "flac"),
        ("aac", "aac"),
        ("caf", "alac"),
        ("mka", "libmp3lame"),
    ],
)
def test_ordinary_files_are_decoded_as_by_ffmpeg(source, tmp_path, ffmpeg, caplog, suffix, codec):
    """Priming, skipped samples and starts like 1.4 s move nothing."""
    path, raw = tmp_path / f"a.{suffix}", tmp_path / "a.raw"
    ffmpeg("-i", source, "-c:a", codec, "-ar", 16000 if codec != "libopus" else 48000, path)
    rate = 48000 if codec == "libopus" else 16000
    ffmpeg("-i", path, "-ar", rate, "-ac", 1, "-f", "f32le", raw)
    expected = np.fromfile(raw, "<f4")
    with open_audio((expected, rate)) as audio:
        assert np.array_equal(read_all(path), np.concatenate(list(audio)))
    assert not caplog.text


def test_amr_has_no_gaps(tmp_path, ffmpeg, caplog):
    rng = np.random.default_rng(0)
    frames = b"".join(b"\x3c" + rng.bytes(31) for _ in range(100))
    (tmp_path / "a.amr").write_bytes(b"#!AMR\n" + frames)
    ffmpeg("-i", tmp_path / "a.amr", "-c", "copy", tmp_path / "a.3gp")
    assert len(read_all(tmp_path / "a.amr")) == len(read_all(tmp_path / "a.3gp")) == 2 * RATE
    assert not caplog.text


def test_covers_and_other_programmes_do_not_define_the_start():
    def stream(index, kind, start, cover=0):
        return {
            "index": index,
            "codec_type": kind,
            "start_time": start,
            "disposition": {"attached_pic": cover},
        }

    track = stream(1, "audio", "103.0")
    assert Start.from_probe({"streams": [stream(0, "video", "0.0", cover=1), track]}, track) == (103, 103)
    streams = [stream(0, "video", "1.4"), track, stream(2, "video", "100.0"), stream(3, "data", "99.0")]
    assert Start.from_probe({"streams": streams}, track) == (1.4, 103)
    programs = [{"streams": [{"index": 0}]}, {"streams": [{"index": 1}, {"index": 2}, {"index": 3}]}]
    assert Start.from_probe({"streams": streams, "programs": programs}, track) == (100, 103)
    assert Start.from_probe({"streams": [stream(0, "audio", "N/A")]}, stream(0, "audio", None)) == (0, 0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 2000)), min_size=1, max_size=40))
def test_blocks_are_placed_at_their_timestamps(blocks):
    """Each block is within the tolerance of its timestamp whatever is missing before it, and none overlap."""
    timeline, position, clock = Timeline(1000), 0, 0.0
    for number, (gap, samples) in enumerate(blocks):
        clock += gap if number else 0.0
        position += timeline.place(clock, samples)
        assert -0.0006 <= clock - position / 1000 <= TOLERANCE + 0.0006
        position += samples
        clock += samples / 1000
    assert timeline.seconds == position / 1000


def test_silence_is_bounded():
    timeline = Timeline(10, end=100.0)
    assert timeline.place(0.0, 10) == 0
    assert timeline.place(1.0 + 200.0, 10) == 0  # far beyond the stated end
    assert timeline.place(2.0 + 200.0 + 50.0, 10) == 500
    assert "1 jump of its timestamps by 200.0 s (at 1.00 s) is not a plausible gap" in timeline.report()
    assert Timeline(10).place(MAX_GAP + 1, 10) == 0
    endless = Timeline(10)
    silence = sum(endless.place(number * MAX_GAP, 10) for number in range(20)) / 10
    assert MAX_SILENCE - MAX_GAP <= silence <= MAX_SILENCE


def test_timestamps_that_lag_behind_the_audio_cut_nothing_and_are_reported():
    timeline = Timeline(100)
    assert sum(timeline.place(number * 0.7, 100) for number in range(10)) == 0
    assert timeline.report() == "the audio is up to 2.7 s longer than its timestamps state: times may be late"
    stopped = Timeline(100)  # no timestamps at all, as in some RealMedia files
    assert sum(stopped.place(0.0, 100) for _ in range(10)) == 0 and stopped.report() == ""


@pytest.mark.parametrize("size_limit", [1, 7, 1 << 20])
def test_the_pipe_may_return_any_sizes_and_be_truncated(source, tmp_path, ffmpeg, size_limit):
    path = tmp_path / "a.mkv"
    ffmpeg("-i", source, "-t", 2, "-c:a", "pcm_f32le", "-f", "matroska", path)
    data, at = path.read_bytes(), 0

    def read(size):
        nonlocal at
        at += min(size, size_limit)
        return content[at - min(size, size_limit) : at]

    content = data
    found = list(timed_blocks(read))
    samples = np.frombuffer(b"".join(block for _, block in found), "<f4")
    assert np.array_equal(samples, soundfile.read(source, dtype="float32")[0][: 2 * RATE])
    starts = np.cumsum([0, *(len(block) / 4 / RATE for _, block in found[:-1])])
    assert np.abs(starts - [ticks / 1000 for ticks, _ in found]).max() <= 0.001
    content, at = data[: len(data) // 2], 0
    assert 0 < len(list(timed_blocks(read))) < len(found)


def test_the_live_player_fills_gaps(source, tmp_path, ffmpeg):
    from sed.live.blocks import BlockQueue
    from sed.live.playback import FilePlayer

    ffmpeg("-i", source, "-c:a", "libopus", tmp_path / "plain.webm")
    ffmpeg("-i", tmp_path / "plain.webm", *drop(2.3, 5.3), tmp_path / "call.webm")
    queue = BlockQueue(60 * RATE)
    player = FilePlayer(str(tmp_path / "call.webm"), fast=True)
    player.start(queue)
    player._thread.join(10)
    samples = np.concatenate([queue.get(0) for _ in range(queue.waiting // 1600)])
    assert clicks(samples) == pytest.approx([0, 1, 2, 6, 7], abs=TOLERATED)
