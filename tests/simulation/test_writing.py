"""Simulated recordings as files: exact references, reproducible bytes, no files after a failure."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sed import read
from sed.corpora.manifest import read_manifest
from sed.errors import FormatError, OptionError
from sed.simulation.conversation import ConversationOptions
from sed.simulation.writing import pattern_set, write_conversations, write_patterns

SHORT = ConversationOptions(duration=6)
DRY = ConversationOptions(duration=6, room=0.0, noise=None, lines={"wide": 1.0}, loudness_kept=0.0)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory, data):
    """A JSON manifest of two speakers of EMO-DB, written by `prepare`."""
    from sed.corpora.readers import READERS, Options, prepare

    folder = tmp_path_factory.mktemp("corpus")
    rows = ["file,emotion,speaker"]
    for speaker in ("15", "16"):
        for emotion in ("neutral", "happy", "angry", "sad"):
            shutil.copy(data / f"emodb_{speaker}_{emotion}_1.flac", folder)
            rows.append(f"emodb_{speaker}_{emotion}_1.flac,{emotion},{speaker}")
    (folder / "table.csv").write_text("\n".join(rows))
    options = Options(split="valid", corpus="emodb")
    prepare(READERS["csv"], folder / "table.csv", folder / "m.json", options)
    return folder / "m.json"


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_simulation_does_not_import_torch():
    code = "import sys, sed.simulation.writing, sed.cli.simulate; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_files_depend_on_the_seed_only(manifest, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_conversations(manifest, tmp_path / name, "valid", 2, seed=seed, options=SHORT, sizes=(2,))
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b and len(a) == 6
    assert all(a[name] != c[name] for name in a)


def test_manifest_rttm_and_audio_agree(manifest, tmp_path):
    rows = write_conversations(
        manifest, tmp_path / "d", "valid", 2, seed=3, options=DRY, sizes=(2,), kind="wav"
    )
    assert rows == read_manifest(tmp_path / "d" / "manifest.json")
    for row in rows:
        samples, rate = soundfile.read(row.path)
        assert rate == 16_000 and len(samples) == round(row.duration * rate)
        reference = read(tmp_path / "d" / "rttm" / f"{row.id}.rttm")
        assert reference.speaker_names == ("emodb/emodb_15", "emodb/emodb_16")
        segments = [(round(s.start, 3), round(s.end, 3), s.emotion) for s in reference]
        assert len(segments) == len(row.events)
        is_speech = np.zeros(len(samples), bool)
        for (start, end, label), (start2, end2, label2) in zip(
            sorted(segments), sorted(row.events), strict=True
        ):
            assert label == label2 and start == pytest.approx(start2, abs=1e-3)
            assert end == pytest.approx(end2, abs=2e-3)  # a start and a duration, each rounded
            is_speech[round(start2 * rate) : round(end2 * rate)] = True
        assert np.abs(samples[~is_speech]).max() < 0.1 * np.abs(samples).max()
        assert (samples[is_speech] ** 2).mean() > 100 * (samples[~is_speech] ** 2).mean()


def test_settings_are_written_to_options_json(manifest, tmp_path):
    options = ConversationOptions(duration=6, room=0.0)
    write_conversations([manifest], tmp_path / "d", "valid", 1, seed=9, options=options, sizes=(2,))
    settings = json.loads((tmp_path / "d" / "options.json").read_text())
    assert settings["seed"] == 9 and settings["split"] == "valid"
    assert settings["manifests"] == [str(manifest)]
    assert settings["duration"] == 6 and settings["lines"] == {"wide": 0.7, "telephone": 0.2, "opus": 0.1}


def test_patterns_alternate_and_have_one_event_as_in_zed(manifest, tmp_path):
    rows = write_patterns(manifest, tmp_path / "p", "valid", 12, seed=1)
    starts_neutral, ends_neutral = [], []
    for row in rows:
        (event,) = row.events
        assert event[2] == row.emotion in ("happy", "angry", "sad")
        starts_neutral.append(event[0] > 0)
        ends_neutral.append(event[1] < row.duration - 1e-6)
        assert row.speaker in ("simulated/emodb/emodb_15", "simulated/emodb/emodb_16")
        reference = read(tmp_path / "p" / "rttm" / f"{row.id}.rttm")
        assert sum(s.end - s.start for s in reference) == pytest.approx(row.duration, abs=5e-3)
    assert starts_neutral == [True, False, True, False] * 3
    assert ends_neutral == [False, True, True, False] * 3
    pairs = [(row.speaker, row.emotion) for row in rows]
    assert len(set(pairs[:6])) == 6 == len(set(pairs[6:]))


def test_clips_do_not_depend_on_the_count(manifest):
    few = list(pattern_set(manifest, "valid", 3, seed=4, gap=(0.0, 0.5)))
    many = list(pattern_set(manifest, "valid", 7, seed=4, gap=(0.0, 0.5)))
    for (samples, reference, speaker), (samples2, reference2, speaker2) in zip(few, many[:3], strict=True):
        assert np.array_equal(samples, samples2) and reference == reference2 and speaker == speaker2


def test_sed_score_reads_pattern_manifests(manifest, tmp_path):
    from sed.scoring.corpus import score
    from sed.scoring.loading import load

    write_patterns(manifest, tmp_path / "p", "valid", 4)
    reference, hypothesis = load(tmp_path / "p" / "manifest.json"), load(tmp_path / "p" / "rttm")
    report = score(reference.recordings, hypothesis.recordings, metrics=["eder"])
    assert report.metrics["eder"].value == pytest.approx(0, abs=2e-3)


def test_failures_leave_no_files(manifest, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(OptionError, match="is not empty, expected a new or empty folder"):
        write_patterns(manifest, tmp_path / "full", "valid", 1)
    with pytest.raises(OptionError, match="found audio format 'mp3', expected one of flac, wav"):
        write_patterns(manifest, tmp_path / "new", "valid", 1, kind="mp3")
    with pytest.raises(FormatError, match="no utterance of splits"):
        write_patterns(manifest, tmp_path / "new", "test", 1)
    with pytest.raises(OptionError, match="no speaker with both neutral and any of bored"):
        write_patterns(manifest, tmp_path / "new", "valid", 1, emotions=["bored"])
    with pytest.raises(OptionError, match="has 2 speakers, expected at least 4"):
        write_conversations(manifest, tmp_path / "new", "valid", 1)
    assert not (tmp_path / "new").exists()
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_late_failure_removes_the_files_written_before(manifest, tmp_path, monkeypatch):
    import sed.simulation.writing as writing

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(writing, "write_manifest", fail)
    with pytest.raises(OSError, match="the disk is full"):
        write_patterns(manifest, tmp_path / "new", "valid", 2)
    assert not (tmp_path / "new").exists()


def test_speakers_without_neutral_speech_are_not_used(manifest, tmp_path):
    rows = json.loads(manifest.read_text())
    for row in rows.values():
        row["wav"] = row["wav"].replace("{data_root}", str(manifest.parent))
    third = {
        f"x_{key}": {**row, "speaker": "emodb_99"} for key, row in rows.items() if row["emotion"] == "sad"
    }
    (tmp_path / "m.json").write_text(json.dumps(rows | third))
    rows = write_conversations(tmp_path / "m.json", tmp_path / "d", "valid", 3, options=DRY, sizes=(2,))
    assert len(rows) == 3
    assert not any("emodb_99" in path.read_text() for path in (tmp_path / "d" / "rttm").iterdir())
