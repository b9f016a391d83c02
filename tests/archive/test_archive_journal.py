"""The journal: which recordings count as done, damaged and torn lines, different settings, fingerprints."""

import json
import os
import subprocess
import sys

import pytest
from archive_files import JOURNAL

from sed.archive.inputs import find_inputs
from sed.archive.journal import Journal, fingerprint
from sed.archive.ledger import FULL, LocalLedger, open_ledger
from sed.archive.outputs import Outputs
from sed.archive.work import Report
from sed.emotion.bundled import FILE, bundled_path
from sed.errors import OptionError

SETTINGS = {"sed": "1", "vad": "webrtc"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / f"{name}.wav").write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def journal(folder):
    """A function that opens the journal of a run into ``out``."""

    def open_journal(kinds=("rttm",), settings=SETTINGS, **options):
        return Journal(Outputs(tuple(kinds), (), str(folder / "out")), settings, **options)

    return open_journal


def inputs(folder):
    return find_inputs([str(folder / "in")])


def process(journal, folder, *names, kinds=("rttm",), error=None):
    for item in inputs(folder):
        if item.stem in names:
            for kind in kinds if error is None else ():
                (folder / "out" / f"{item.stem}.{kind}").write_text("result")
            journal.add([(item, Report(0, 2.0, 0.1, error))])


def remaining(journal, folder):
    return "".join(item.stem for item in inputs(folder) if not journal.is_done(item))


def test_finished_recordings_are_done_and_failed_ones_are_not(folder, journal):
    with journal() as first:
        assert remaining(first, folder) == "abc"
        process(first, folder, "a")
        process(first, folder, "b", error="b.wav: found text")
    with journal() as second:
        assert remaining(second, folder) == "bc"
        process(second, folder, "b")
    with journal() as third:
        assert remaining(third, folder) == "c"
    lines = [json.loads(line) for line in (folder / "out" / JOURNAL).read_text().splitlines()]
    assert [line.get("recording") for line in lines] == [None, "a", "b", None, "b"]


def test_a_changed_source_or_a_missing_result_is_not_done(folder, journal):
    with journal() as first:
        process(first, folder, "a", "b", "c")
    (folder / "in" / "a.wav").write_bytes(b"other")
    (folder / "out" / "c.rttm").unlink()
    with journal() as second:
        assert remaining(second, folder) == "ac"


def test_the_same_name_from_another_folder_is_another_recording(folder, journal):
    with journal() as first:
        process(first, folder, "a")
    (folder / "in").rename(folder / "new")
    (folder / "new" / "a.wav").touch()
    with journal() as second:
        (item, *_) = find_inputs([str(folder / "new")])
        assert item.stem == "a" and not second.is_done(item)


def test_formats_of_several_runs_accumulate(folder, journal):
    with journal() as first:
        process(first, folder, "a")
    with journal(["rttm", "json"]) as second:
        assert remaining(second, folder) == "abc"
    with journal(["json"]) as second:
        process(second, folder, "a", kinds=["json"])
    with journal(["rttm", "json"]) as third:
        assert remaining(third, folder) == "bc"
    with journal(["json"], posteriors=True) as fourth:  # different content under the same name
        assert remaining(fourth, folder) == "abc"


def test_other_settings_are_refused_and_named(folder, journal):
    with journal() as first:
        process(first, folder, "a")
    with pytest.raises(OptionError, match=r"other settings \(vad: webrtc, now silero\).*--fresh"):
        journal(settings={**SETTINGS, "vad": "silero"})
    with journal(settings={**SETTINGS, "vad": "silero"}, fresh=True) as second:
        assert remaining(second, folder) == "abc"
        process(second, folder, "b")
    with journal(settings={**SETTINGS, "vad": "silero"}) as third:
        assert remaining(third, folder) == "ac"
    with pytest.raises(OptionError, match="vad: silero, now webrtc"):
        journal()


def test_settings_without_results_do_not_conflict(folder, journal):
    with journal(settings={"vad": "x"}) as first:
        process(first, folder, "a", error="no")
    with journal() as second:
        process(second, folder, "b")
    with journal() as third:
        assert remaining(third, folder) == "ac"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_an_incomplete_last_line_is_removed(folder, journal, cut):
    with journal() as first:
        process(first, folder, "a", "b")
    path = folder / "out" / JOURNAL
    path.write_bytes(path.read_bytes()[:-cut])
    with journal() as second:
        assert remaining(second, folder) == "bc"
        process(second, folder, "b")
    with journal() as third:
        assert remaining(third, folder) == "c"
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_damaged_line_is_skipped(folder, journal):
    with journal() as first:
        process(first, folder, "a", "b", "c")
    path = folder / "out" / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (
        b"\0" * 50 + b"\n",
        b'{"recording": "b"\n',
        b'"text"\n',
        b'{"formats": 3}\n',
        b"\xff\xff\n",
    ):
        path.write_bytes(b"".join([lines[0], lines[1], damage, lines[3]]))
        with journal() as again:
            assert remaining(again, folder) == "b"


def test_an_empty_run_leaves_no_files(folder, journal):
    with journal():
        assert (folder / "out" / JOURNAL).exists()
    assert not (folder / "out").exists()
    (folder / "out").mkdir()
    with journal():
        pass
    assert os.listdir(folder / "out") == []


def test_a_second_run_into_the_folder_is_refused(folder, journal):
    with journal(), pytest.raises(OptionError, match="another sed-run writes into this folder"):
        journal()
    with journal():
        pass


def test_the_lock_is_released_with_the_process(folder):
    code = (
        "import os, sys, pathlib\nfrom sed.archive.ledger import LocalLedger\n"
        "LocalLedger(pathlib.Path(sys.argv[1])).append(['{}'])\nos._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(folder / "out")], check=False).returncode == 9
    ledger = LocalLedger(folder / "out")
    assert list(ledger.lines()) == ["{}"]
    ledger.close()


def test_a_newer_journal_is_refused(folder, journal):
    with journal() as first:
        process(first, folder, "a")
    path = folder / "out" / JOURNAL
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(OptionError, match="a newer sed wrote it"):
        journal()


def test_temporary_files_of_a_killed_run_are_removed(folder, journal):
    (folder / "out").mkdir()
    for name in (".a.rttm.123.part", ".x.rttm.123.part", "a.part", ".b.json.7.part"):
        (folder / "out" / name).write_text("half")
    with journal() as first:
        first.sweep(inputs(folder))
        assert sorted(os.listdir(folder / "out")) == sorted(
            [".x.rttm.123.part", "a.part", ".b.json.7.part", JOURNAL]
        )


def test_a_ledger_in_an_object_store():
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    rows = [f'{{"n": {n}}}' for n in range(FULL + 40)]
    first = open_ledger("memory://out")
    for row in rows:
        first.append([row])
    second = open_ledger("memory://out/")
    second.append(["last"])
    assert list(open_ledger("memory://out").lines()) == [*rows, "last"]
    assert len([n for n in MemoryFileSystem.store if "/.sed-journal/" in n]) == 3


def test_the_fingerprint_depends_on_file_content_and_not_on_threads(tmp_path):
    path = tmp_path / "tagger.onnx"
    path.write_bytes(b"one")
    base = {"tagger": str(path), "threads": 1, "vad": None, "decoder": "viterbi"}
    before = fingerprint(base)
    assert before == fingerprint({**base, "threads": 4}) and "vad" not in before
    path.write_bytes(b"two")
    assert fingerprint(base) != before
    turns = tmp_path / "turns.rttm"
    turns.write_text("a")
    first = fingerprint(base, str(turns))
    turns.write_text("b")
    assert fingerprint(base, str(turns)) != first


def test_the_fingerprint_of_a_bundled_model_is_that_of_its_content(tmp_path, monkeypatch):
    unnamed = fingerprint({"tagger": None})
    assert unnamed == fingerprint({}) == fingerprint({"tagger": "bundled"})
    assert unnamed == fingerprint({"tagger": str(bundled_path())})
    (tmp_path / FILE).write_bytes(b"a newer model of the same version")
    monkeypatch.setattr("sed.emotion.bundled.MODELS", tmp_path)
    assert fingerprint({}) != unnamed


TRAINED = {"tagger.json": "{}", "tagger.safetensors": "weights"}
SPEECHBRAIN = {"hyperparams.yaml": "a: 1", "wav2vec2.ckpt": "w", "model.ckpt": "m", "label_encoder.txt": "l"}


def fill(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("files", [TRAINED, SPEECHBRAIN])
def test_the_fingerprint_of_a_tagger_folder_depends_on_its_model_files(tmp_path, monkeypatch, files):
    folder = fill(tmp_path / "model", files)
    before = fingerprint({"tagger": str(folder)})
    (folder / "log.txt").write_text("another line")
    monkeypatch.chdir(tmp_path)
    assert fingerprint({"tagger": "./model/"}) == fingerprint({"tagger": "model"}) == before
    assert fingerprint({"tagger": str(fill(tmp_path / "copy", files))}) == before
    seen = [before]
    for name, content in files.items():
        (folder / name).write_text(content + " retrained")
        assert fingerprint({"tagger": str(folder)}) not in seen
        seen.append(fingerprint({"tagger": str(folder)}))


def test_the_fingerprint_of_a_training_run_is_that_of_its_tagger(tmp_path):
    folder = fill(tmp_path / "run" / "tagger", TRAINED)
    before = fingerprint({"tagger": str(folder)})
    assert fingerprint({"tagger": str(tmp_path / "run")}) == before
    (folder / "tagger.safetensors").write_text("retrained")
    assert fingerprint({"tagger": str(tmp_path / "run")}) != before


def test_the_fingerprint_depends_on_the_configuration_of_the_encoder(tmp_path):
    folder = fill(tmp_path / "model", SPEECHBRAIN)
    before = fingerprint({"tagger": str(folder)})
    (folder / "config.json").write_text("{}")
    assert fingerprint({"tagger": str(folder)}) != before


def test_the_fingerprint_of_diarizers_depends_on_content_or_name(tmp_path):
    folder = fill(tmp_path / "pipeline" / "embedding", {"weights.bin": "w", ".lock": ""}).parent
    file = fill(tmp_path / "other", {"seg.onnx": "w"}) / "seg.onnx"
    names = [f"pyannote:{folder}", f"segmentation:{file}"]
    before = [fingerprint({"diarizer": name}) for name in names]
    (folder / "embedding" / ".lock").write_text("hidden")
    assert [fingerprint({"diarizer": name}) for name in names] == before
    assert all(str(tmp_path) not in found["diarizer"] for found in before)
    (folder / "embedding" / "weights.bin").write_text("other")
    file.write_text("other")
    for name, found in zip(names, before, strict=True):
        assert fingerprint({"diarizer": name}) != found
    for name in ("segmentation", "pyannote:owner/model"):
        assert fingerprint({"diarizer": name})["diarizer"] == name
    assert fingerprint({"tagger": "owner/model"})["tagger"] == "owner/model"
