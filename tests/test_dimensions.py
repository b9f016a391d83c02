"""Arousal and other dimensions on the whole way: from a real ONNX model with two outputs to results and events."""

import json
import subprocess
import sys
import tracemalloc
from functools import partial

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from loud_tagger import DIMENSIONS, LABELS, expected_dimensions, loudness, write_tagger

from sed import EmotionDiarizer, formats, read
from sed.cli.live import main as live
from sed.cli.run import main as run
from sed.emotion.onnx import OnnxTagger
from sed.emotion.tagger import Tagger
from sed.emotion.windows import posteriors_of
from sed.errors import FormatError, ModelError
from sed.plot import plot
from sed.result import Diarization, Segment
from sed.speakers import ReferenceTurns
from sed.spooling import SpooledArray
from sed.streaming.messages import event_message


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same model with and without dimensions."""
    folder = tmp_path_factory.mktemp("models")
    return write_tagger(folder / "with.onnx"), write_tagger(folder / "without.onnx", dimensions=())


@pytest.fixture(scope="module")
def meeting(data):
    """20 s of a meeting, and its turns, some of which overlap."""
    samples, _ = soundfile.read(data / "ami_trn00.flac", dtype="float32", frames=320_000)
    return samples, ReferenceTurns(read(data / "ami_trn00.rttm"))


@pytest.fixture(scope="module", name="data")
def _data(request):
    return request.config.rootpath / "tests" / "data"


def bare(segments):
    """Everything of the segments but the dimensions."""
    return [{k: v for k, v in s.to_dict().items() if k != "dimensions"} for s in segments]


def dimensions(segments):
    return [dict(s.dimensions) for s in segments]


# The model


def test_a_model_with_two_outputs(models):
    tagger, plain = map(OnnxTagger, models)
    assert isinstance(tagger, Tagger) and tagger.dimensions == DIMENSIONS and plain.dimensions == ()
    waves = np.random.default_rng(0).normal(0, 0.1, (2, 4321)).astype(np.float32)
    posteriors, values = tagger.outputs(waves)
    assert values.shape == (2, 14, 2) and values.dtype == np.float32
    assert values == pytest.approx(expected_dimensions(waves), abs=1e-6)
    assert values.max() == 1 and (values < 1).any(), "the model's own values exceed 1"
    assert np.array_equal(posteriors, tagger.posteriors(waves))
    assert np.array_equal(posteriors, plain.posteriors(waves))
    assert np.array_equal(posteriors_of(tagger, waves[0]), posteriors_of(plain, waves[0]))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"dimensions": (), "names": ("arousal",)},
            r"found the names \['arousal'\] but no output of dimensions",
        ),
        ({"names": ()}, "found an output 'dimensions' but no names of dimensions, expected both or neither"),
        ({"names": ("arousal",)}, r"found dimensions \['arousal'\], expected 2 distinct names"),
        ({"names": ("a", "a")}, r"found dimensions \['a', 'a'\], expected 2 distinct names"),
        ({"names": ("a", "")}, "in its card, expected a list of names"),
        ({"names": "arousal"}, "found dimensions 'arousal' in its card, expected a list of names"),
        ({"output": "others"}, r"outputs \['posteriors', 'others'\], expected 'waves' and 'posteriors'"),
    ],
)
def test_names_and_output_must_match(tmp_path, options, text):
    with pytest.raises(ModelError, match=text):
        OnnxTagger(write_tagger(tmp_path / "m.onnx", **options))


# Results


def test_offline_the_track_and_the_means_of_segments(models, meeting):
    samples, turns = meeting
    with_dimensions, without = (EmotionDiarizer(tagger=str(m), diarizer=turns) for m in models)
    result, plain = with_dimensions((samples, 16_000)), without((samples, 16_000))
    assert result.dimensions == with_dimensions.dimensions == DIMENSIONS
    assert result.dimension_track.shape == (1000, 2) and result.posteriors.shape == (1000, 4)
    assert result.dimension_track == pytest.approx(expected_dimensions(samples[None])[0], abs=1e-5)
    assert bare(result) == bare(plain) and np.array_equal(result.posteriors, plain.posteriors)
    assert plain.dimensions == () and plain.dimension_track is None and dimensions(plain) == [{}] * len(plain)
    assert result != plain

    active = np.zeros(1000, int)
    for s in result:
        active[round(s.start * 50) : round(s.end * 50)] += 1
    alone = [s for s in result if (active[round(s.start * 50) : round(s.end * 50)] == 1).all()]
    assert len(alone) > 2 and (active > 1).any()
    for s in alone:
        mean = result.dimension_track[round(s.start * 50) : round(s.end * 50)].mean(0)
        assert list(s.dimensions) == list(DIMENSIONS)
        assert list(s.dimensions.values()) == pytest.approx(mean, abs=2e-4)
    # Where others speak too, only the frames without them count, as for the probabilities.
    for s in set(result) - set(alone):
        frames = np.arange(round(s.start * 50), round(s.end * 50))
        if (own := frames[active[frames] == 1]).size:
            mean = result.dimension_track[own].mean(0)
            assert list(s.dimensions.values()) == pytest.approx(mean, abs=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"latency": 1.0}, {"channels": "split"}, {"decoder": "argmax"}], ids=str)
def test_dimensions_change_nothing_else(models, meeting, options):
    samples, turns = meeting
    if options.get("channels"):
        source, diarizer = (np.stack([samples, samples[::-1]], 1), 16_000), "none"
    else:
        source, diarizer = (samples, 16_000), turns
    result, plain = (EmotionDiarizer(tagger=str(m), diarizer=diarizer, **options)(source) for m in models)
    assert len(result) > 2 and bare(result) == bare(plain)
    assert np.array_equal(result.posteriors, plain.posteriors)
    assert result.dimension_track.shape == (1000, 2) and all(
        set(s.dimensions) == set(DIMENSIONS) for s in result
    )


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 320_000), max_size=6), st.sampled_from([0.5, 1.0, 2.0]))
def test_live_equals_offline_however_the_audio_is_cut(models, meeting, cuts, latency):
    samples, turns = meeting
    diarizer = EmotionDiarizer(tagger=str(models[0]), diarizer=turns)
    stream, events = diarizer.stream(latency), []
    assert stream.dimensions == DIMENSIONS and set(stream.current) <= set(LABELS)
    for block in np.split(samples, sorted(cuts)):
        events += stream.push(block)
    events += stream.close()
    found = sorted(e.segment for e in events if e.final)
    offline = EmotionDiarizer(tagger=str(models[0]), diarizer=turns, latency=latency)((samples, 16_000))
    assert found == list(offline) and dimensions(found) == dimensions(offline)
    assert set(stream.current) == set(LABELS)


def test_another_prior_leaves_the_dimensions(models, meeting):
    samples, turns = meeting
    for latency in (None, 1.0):
        options = {"tagger": str(models[0]), "diarizer": turns, "latency": latency}
        before = EmotionDiarizer(**options)((samples, 16_000))
        after = EmotionDiarizer(**options, prior="neutral=0.9")((samples, 16_000))
        assert not np.array_equal(after.posteriors, before.posteriors)
        assert np.array_equal(after.dimension_track, before.dimension_track)


@pytest.mark.slow
def test_memory_stays_bounded(tmp_path, models, monkeypatch):
    """Without posteriors the rows are on disk, but for a block; a twentieth of the audio needs as much memory."""
    block = 1 << 18  # bytes, instead of what takes more than an hour to fill
    monkeypatch.setattr("sed.streaming.stages.SpooledArray", partial(SpooledArray, block=block))
    peaks = []
    for minutes in (3, 60):
        path = tmp_path / "long.wav"
        with soundfile.SoundFile(path, "w", 16_000, 1, subtype="PCM_U8") as file:
            for _ in range(minutes):
                file.write(np.zeros(960_000, np.int16))
        diarizer = EmotionDiarizer(tagger=str(models[0]), diarizer="none", vad="webrtc")
        tracemalloc.start()
        result = diarizer(path, posteriors=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert result.dimensions == DIMENSIONS and result.dimension_track is None
    # Blocks of audio in flight differ by up to 2 MB; the rows have 24 bytes per frame.
    assert peaks[1] < peaks[0] + 3 * 57 * 60 * 50 + 2.5e6


# Files and messages

RESULT = Diarization(
    "call",
    4.0,
    [
        Segment(0, 2, "ann", "sad", 0.5, {"neutral": 0.5, "sad": 0.5}, {"arousal": 0.25, "the mood": 1.0}),
        Segment(2, 3.5, "bob", "neutral", 1.0, {"neutral": 1.0, "sad": 0.0}, {}),
    ],
    ("neutral", "sad"),
    np.full((200, 2), 0.5, np.float32),
    dimensions=("arousal", "the mood"),
    dimension_track=np.tile(np.array([0.25, 1.0], np.float32), (200, 1)),
)
PLAIN = Diarization(RESULT.uri, RESULT.duration, [Segment(0, 2, "ann", "sad", 0.5, {"sad": 0.5})], ("sad",))


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet"])
def test_files_are_read_back(tmp_path, kind):
    path = tmp_path / f"call.{kind}"
    formats.write(RESULT, path)
    found = formats.read(path)
    assert found.dimensions == RESULT.dimensions and dimensions(found) == dimensions(RESULT)
    assert [s.probabilities for s in found] == [s.probabilities for s in RESULT]
    assert found.labels == RESULT.labels and found.segments == RESULT.segments
    if kind.startswith("json"):
        assert found == RESULT


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet"])
def test_files_without_dimensions_do_not_mention_them(tmp_path, kind):
    content = formats.dumps(PLAIN, kind)
    assert b"dimension" not in content and b"d_" not in content.replace(b"recorded_duration", b"")
    path = tmp_path / f"call.{kind}"
    path.write_bytes(content)
    assert formats.read(path).dimensions == () and dimensions(formats.read(path)) == [{}]


def test_columns(tmp_path):
    formats.write(RESULT, tmp_path / "a.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names[-4:] == ["p_neutral", "p_sad", "d_arousal", "d_the mood"]
    assert table.column("d_arousal").to_pylist() == [0.25, None]
    head, first, second = formats.dumps(RESULT, "csv").decode().splitlines()
    assert head.endswith("confidence,neutral,sad,d_arousal,d_the mood")
    assert first.endswith(",0.5,0.5,0.5,0.25,1.0") and second.endswith(",1.0,1.0,0.0,,")
    with pytest.raises(FormatError, match="a label is named 'd_x', which is the name of a column"):
        formats.dumps(Diarization("a", 1.0, [], ("d_x",)), "csv")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dimensions": "arousal"}, "found dimensions 'arousal', expected a list of names"),
        (
            {"dimensions": ["a"]},
            "expected rows of 1 finite numbers in dimension_track, one for each dimension",
        ),
        ({"settings": []}, r"found settings \[\], expected an object"),
    ],
)
def test_damaged_json_is_an_error(tmp_path, change, text):
    row = json.loads(formats.dumps(RESULT, "json"))
    (tmp_path / "a.json").write_text(json.dumps({**row, **change}))
    with pytest.raises(FormatError, match=text):
        read(tmp_path / "a.json")


def test_a_damaged_value_is_a_warning(tmp_path, caplog):
    row = json.loads(formats.dumps(RESULT, "json"))
    row["segments"][0]["dimensions"]["arousal"] = "high"
    (tmp_path / "a.json").write_text(json.dumps(row))
    assert dimensions(read(tmp_path / "a.json")) == [{}, {}]
    assert "expected a number for each one" in caplog.text


def test_events_carry_dimensions_only_if_there_are_any(models, meeting):
    samples, turns = meeting
    for model, expected in zip(models, (set(DIMENSIONS), set()), strict=True):
        stream = EmotionDiarizer(tagger=str(model), diarizer=turns).stream()
        rows = [event_message(e)["segment"] for e in stream.push(samples) + stream.close()]
        assert any(rows)
        for row in filter(None, rows):
            assert ("dimensions" in row) == bool(expected) and set(row.get("dimensions", ())) == expected


@pytest.mark.slow
def test_the_commands_write_dimensions(models, data, tmp_path):
    speech = str(data / "emodb_15_angry_1.flac")
    options = ["--tagger", str(models[0])]
    done = CliRunner().invoke(
        run, [speech, *options, "-o", "json,csv,parquet", "--posteriors", "-d", str(tmp_path)]
    )
    assert done.exit_code == 0, done.stderr
    result = read(tmp_path / "emodb_15_angry_1.json")
    samples, _ = soundfile.read(speech, dtype="float32")
    assert result.dimension_track == pytest.approx(expected_dimensions(samples[None])[0], abs=1e-4)
    for kind in ("csv", "parquet"):
        assert dimensions(read(tmp_path / f"emodb_15_angry_1.{kind}")) == dimensions(result) != [{}]

    call = ["--input", speech, "--fast", "-q", *options, "-o", f"{tmp_path}/live.json", "--json-lines"]
    done = CliRunner().invoke(live, call)
    assert done.exit_code == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    finals = [e["segment"]["dimensions"] for e in events if e["final"]]
    assert finals == dimensions(read(tmp_path / "live.json")) and finals
    assert read(tmp_path / "live.json").dimensions == DIMENSIONS


@pytest.mark.slow
def test_the_server_sends_dimensions(models, data):
    import asyncio

    from sed.server.client import stream

    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sed.cli.serve",
            "--port",
            "0",
            "--tagger",
            str(models[0]),
            "--sensitivity",
            "2",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = server.stdout.readline().split()[1].replace("http", "ws") + "stream"
        samples, _ = soundfile.read(data / "emodb_15_angry_1.flac", dtype="float32")
        ready = []

        async def collect():
            return [event async for event in stream(url, [samples], on_ready=ready.append)]

        found = [e.segment for e in asyncio.run(collect()) if e.final]
    finally:
        server.terminate()
        server.wait(20)
    assert ready[0]["dimensions"] == list(DIMENSIONS) and ready[0]["settings"] == {"sensitivity": 2.0}
    assert found and all(set(s.dimensions) == set(DIMENSIONS) for s in found)


# Plot and page


def test_the_plot_has_a_curve_for_each_dimension():
    figure = plot(PLAIN, RESULT)
    axes = figure.axes[0]
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert labels == ["ann", "ann", "bob", "arousal", "the mood", "differ"]
    ticks = dict(zip(labels, axes.get_yticks(), strict=True))
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) == 200]
    assert len(curves) == 2
    assert curves[1].get_ydata() == pytest.approx(ticks["the mood"] - 0.38)  # 1 is at the top of its row
    assert curves[0].get_xdata()[[0, -1]] == pytest.approx([0.01, 3.99])


def test_the_plot_of_a_file_without_a_track_shows_the_means():
    side = Diarization("call", 4.0, RESULT.segments, RESULT.labels, dimensions=("arousal",))
    axes = plot(side, PLAIN).axes[0]
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) == 6]
    assert len(curves) == 1 and curves[0].get_xdata().tolist() == [0, 2, 2, 2, 3.5, 3.5]
    assert np.isnan(curves[0].get_ydata()).tolist() == [False, False, True, True, True, True]


def test_the_loudness_of_the_test_model():
    assert loudness(np.array([[0.0] * 320 + [-0.5]])).tolist() == [[[0.0], [0.5]]]


PAGE = """
import { Segments, describe } from "%s";
const segments = new Segments();
const segment = { start: 0, end: 1.5, speaker: "ann", emotion: "sad", confidence: 0.5 };
segments.apply({ id: 0, final: true, segment: { ...segment, dimensions: { arousal: 0.254 } } });
segments.labels = ["sad"];
console.log(segments.toJson("a", 2).trim().replace(/\\n */g, " "));
segments.describeBy({ dimensions: ["arousal"], settings: { sensitivity: 2 } });
console.log(segments.toJson("a", 2).trim().replace(/\\n */g, " "));
console.log(describe(segments.all()[0]));
console.log(describe({ ...segment, final: true }));
"""


def test_the_page_describes_and_exports_dimensions(need_program, request, tmp_path):
    module = request.config.rootpath / "sed" / "server" / "static" / "segments.js"
    script = tmp_path / "page.mjs"
    script.write_text(PAGE % module)
    done = subprocess.run([need_program("node"), script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after, described, plain = done.stdout.splitlines()
    assert set(json.loads(before)) == {
        "format",
        "version",
        "uri",
        "duration",
        "labels",
        "frame_rate",
        "segments",
    }
    exported = tmp_path / "a.json"
    exported.write_text(after)
    found = read(exported)
    assert found.dimensions == ("arousal",) and found.settings == {"sensitivity": 2}
    assert dimensions(found) == [{"arousal": 0.254}]
    assert described == "ann, sad, 50 %, arousal 25 %, 0:00.0 to 0:01.5"
    assert plain == "ann, sad, 50 %, 0:00.0 to 0:01.5"
