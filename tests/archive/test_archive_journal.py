"""The journal: what counts as done, what a killed run leaves, and that nothing is lost or mixed."""

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
    """A function that opens the journal of a fresh run into ``out``."""

    def opened(kinds=("rttm",), settings=SETTINGS, **options):
        return Journal(Outputs(tuple(kinds), (), str(folder / "out")), settings, **options)

    return opened


def inputs(folder):
    return find_inputs([str(folder / "in")])


def do(journal, folder, *names, kinds=("rttm",), error=None):
    for item in inputs(folder):
        if item.stem in names:
            for kind in kinds if error is None else ():
                (folder / "out" / f"{item.stem}.{kind}").write_text("result")
            journal.add([(item, Report(0, 2.0, 0.1, error))])


def left(journal, folder):
    return "".join(item.stem for item in inputs(folder) if not journal.is_done(item))


def test_what_was_done_is_done_and_what_failed_is_not(folder, journal):
    with journal() as first:
        assert left(first, folder) == "abc"
        do(first, folder, "a")
        do(first, folder, "b", error="b.wav: found text")
    with journal() as second:
        assert left(second, folder) == "bc"
        do(second, folder, "b")
    with journal() as third:
        assert left(third, folder) == "c"
    lines = [json.loads(line) for line in (folder / "out" / JOURNAL).read_text().splitlines()]
    assert [line.get("recording") for line in lines] == [None, "a", "b", None, "b"]


def test_a_changed_source_or_a_lost_result_is_done_again(folder, journal):
    with journal() as first:
        do(first, folder, "a", "b", "c")
    (folder / "in" / "a.wav").write_bytes(b"other")
    (folder / "out" / "c.rttm").unlink()
    with journal() as second:
        assert left(second, folder) == "ac"


def test_the_same_name_from_another_folder_is_another_recording(folder, journal):
    with journal() as first:
        do(first, folder, "a")
    (folder / "in").rename(folder / "new")
    (folder / "new" / "a.wav").touch()
    with journal() as second:
        (item, *_) = find_inputs([str(folder / "new")])
        assert item.stem == "a" and not second.is_done(item)


def test_another_format_is_to_be_made_and_adds_up(folder, journal):
    with journal() as first:
        do(first, folder, "a")
    with journal(["rttm", "json"]) as second:
        assert left(second, folder) == "abc"
    with journal(["json"]) as second:
        do(second, folder, "a", kinds=["json"])
    with journal(["rttm", "json"]) as third:
        assert left(third, folder) == "bc"
    with journal(["json"], posteriors=True) as fourth:  # other content under the same name
        assert left(fourth, folder) == "abc"


def test_other_settings_are_refused_and_said(folder, journal):
    with journal() as first:
        do(first, folder, "a")
    with pytest.raises(OptionError, match=r"other settings \(vad: webrtc, now silero\).*--fresh"):
        journal(settings={**SETTINGS, "vad": "silero"})
    with journal(settings={**SETTINGS, "vad": "silero"}, fresh=True) as second:
        assert left(second, folder) == "abc"
        do(second, folder, "b")
    with journal(settings={**SETTINGS, "vad": "silero"}) as third:
        assert left(third, folder) == "ac"
    with pytest.raises(OptionError, match="vad: silero, now webrtc"):
        journal()


def test_settings_of_which_nothing_was_done_bind_nobody(folder, journal):
    with journal(settings={"vad": "x"}) as first:
        do(first, folder, "a", error="no")
    with journal() as second:
        do(second, folder, "b")
    with journal() as third:
        assert left(third, folder) == "ac"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_cut_off(folder, journal, cut):
    with journal() as first:
        do(first, folder, "a", "b")
    path = folder / "out" / JOURNAL
    path.write_bytes(path.read_bytes()[:-cut])
    with journal() as second:
        assert left(second, folder) == "bc"
        do(second, folder, "b")
    with journal() as third:
        assert left(third, folder) == "c"
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_damage_in_the_middle_costs_that_line_only(folder, journal):
    with journal() as first:
        do(first, folder, "a", "b", "c")
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
            assert left(again, folder) == "b"


def test_a_run_that_did_nothing_leaves_nothing(folder, journal):
    with journal():
        assert (folder / "out" / JOURNAL).exists()
    assert not (folder / "out").exists()
    (folder / "out").mkdir()
    with journal():
        pass
    assert os.listdir(folder / "out") == []


def test_one_run_at_a_time(folder, journal):
    with journal(), pytest.raises(OptionError, match="another sed-run writes into this folder"):
        journal()
    with journal():
        pass


def test_a_lock_ends_with_its_process(folder):
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
        do(first, folder, "a")
    path = folder / "out" / JOURNAL
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(OptionError, match="a newer sed wrote it"):
        journal()


def test_half_written_files_of_a_killed_run_are_swept(folder, journal):
    (folder / "out").mkdir()
    for name in (".a.rttm.123.part", ".x.rttm.123.part", "a.part", ".b.json.7.part"):
        (folder / "out" / name).write_text("half")
    with journal() as first:
        first.sweep(inputs(folder))
        assert sorted(os.listdir(folder / "out")) == sorted(
            [".x.rttm.123.part", "a.part", ".b.json.7.part", JOURNAL]
        )


def test_a_ledger_in_a_store_that_cannot_append():
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


def test_files_count_by_content_and_threads_do_not(tmp_path):
    path = tmp_path / "tagger.onnx"
    path.write_bytes(b"one")
    base = {"tagger": str(path), "threads": 1, "vad": None, "decoder": "viterbi"}
    before = fingerprint(base)
    assert before == fingerprint({**base, "threads": 4}) and "vad" not in before
    path.write_bytes(b"two")
    assert fingerprint(base) != before
    turns = tmp_path / "turns.rttm"
    turns.write_text("a")
    told = fingerprint(base, str(turns))
    turns.write_text("b")
    assert fingerprint(base, str(turns)) != told


TRAINED = {"tagger.json": "{}", "tagger.safetensors": "weights"}
SPEECHBRAIN = {"hyperparams.yaml": "a: 1", "wav2vec2.ckpt": "w", "model.ckpt": "m", "label_encoder.txt": "l"}


def fill(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("files", [TRAINED, SPEECHBRAIN])
def test_a_folder_of_a_tagger_counts_by_what_makes_the_tagger(tmp_path, monkeypatch, files):
    folder = fill(tmp_path / "model", files)
    before = fingerprint({"tagger": str(folder)})
    (folder / "log.txt").write_text("another line")
    monkeypatch.chdir(tmp_path)
    assert fingerprint({"tagger": "./model/"}) == fingerprint({"tagger": "model"}) == before
    assert fingerprint({"tagger": str(fill(tmp_path / "copy", files))}) == before
    told = [before]
    for name, content in files.items():
        (folder / name).write_text(content + " retrained")
        assert fingerprint({"tagger": str(folder)}) not in told
        told.append(fingerprint({"tagger": str(folder)}))


def test_a_run_of_training_counts_as_its_tagger(tmp_path):
    folder = fill(tmp_path / "run" / "tagger", TRAINED)
    before = fingerprint({"tagger": str(folder)})
    assert fingerprint({"tagger": str(tmp_path / "run")}) == before
    (folder / "tagger.safetensors").write_text("retrained")
    assert fingerprint({"tagger": str(tmp_path / "run")}) != before


def test_a_configuration_beside_the_weights_counts(tmp_path):
    folder = fill(tmp_path / "model", SPEECHBRAIN)
    before = fingerprint({"tagger": str(folder)})
    (folder / "config.json").write_text("{}")
    assert fingerprint({"tagger": str(folder)}) != before


def test_models_of_diarizers_count_by_content_and_names_as_they_are(tmp_path):
    folder = fill(tmp_path / "pipeline" / "embedding", {"weights.bin": "w", ".lock": ""}).parent
    file = fill(tmp_path / "other", {"seg.onnx": "w"}) / "seg.onnx"
    wanted = [f"pyannote:{folder}", f"segmentation:{file}"]
    before = [fingerprint({"diarizer": name}) for name in wanted]
    (folder / "embedding" / ".lock").write_text("hidden")
    assert [fingerprint({"diarizer": name}) for name in wanted] == before
    assert all(str(tmp_path) not in told["diarizer"] for told in before)
    (folder / "embedding" / "weights.bin").write_text("other")
    file.write_text("other")
    for name, told in zip(wanted, before, strict=True):
        assert fingerprint({"diarizer": name}) != told
    for name in ("segmentation", "pyannote:owner/model"):
        assert fingerprint({"diarizer": name})["diarizer"] == name
    assert fingerprint({"tagger": "owner/model"})["tagger"] == "owner/model"
