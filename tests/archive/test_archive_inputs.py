"""Finding the recordings of lists, patterns and file URLs, and refusing conflicting output names."""

import io
import os
import sys

import pytest

from sed.archive import remote
from sed.archive.inputs import Input, find_inputs
from sed.archive.outputs import Outputs
from sed.audio import open_audio
from sed.errors import AudioError, MissingDependencyError, OptionError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("calls/anna/1.wav", "calls/anna/2.flac", "calls/bob/1.wav", "calls/notes.txt", "other.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def relatives(*names, **options):
    return [item.relative for item in find_inputs(names, **options)]


def test_folders_and_patterns_keep_structure_below_their_fixed_part(tree):
    assert relatives("calls") == ["anna/1.wav", "anna/2.flac", "bob/1.wav"]
    assert relatives("calls/*/*.wav") == ["anna/1.wav", "bob/1.wav"]
    assert relatives("calls/**/1.wav") == ["anna/1.wav", "bob/1.wav"]
    assert relatives("calls/anna/*.wav") == ["1.wav"]
    assert relatives(str(tree / "calls" / "*" / "1.wav")) == ["anna/1.wav", "bob/1.wav"]
    assert relatives("calls/anna/1.wav", "calls/anna", "calls/anna/1.wav") == ["1.wav", "2.flac"]


def test_linked_folders_are_followed_except_cycles(tree):
    (tree / "elsewhere").mkdir()
    (tree / "elsewhere" / "3.wav").write_bytes(b"3")
    (tree / "calls" / "carl").symlink_to(tree / "elsewhere")
    (tree / "elsewhere" / "up").symlink_to(tree / "calls")  # an indirect cycle
    (tree / "calls" / "bob" / "all").symlink_to("..")
    assert relatives("calls") == ["anna/1.wav", "anna/2.flac", "bob/1.wav", "carl/3.wav"]
    assert relatives("calls/**/*.wav") == ["anna/1.wav", "bob/1.wav", "carl/3.wav"]
    assert relatives("calls/**") == ["anna/1.wav", "anna/2.flac", "bob/1.wav", "carl/3.wav", "notes.txt"]
    assert relatives("calls/bob/all/anna/*.wav") == ["1.wav"]  # named explicitly
    assert relatives("calls/bob/all/anna") == ["1.wav", "2.flac"]


def test_urls_in_a_list_are_not_requested_in_advance(tree, monkeypatch):
    monkeypatch.setattr(remote, "find", lambda *_: pytest.fail("a request for each of a long list"))
    (tree / "list").write_text("https://example.org/x/a.wav?expires=9&key=k\n")
    assert relatives(list_file="list") == ["example.org/x/a.wav"]


def test_a_name_that_is_not_utf_8_can_be_written():
    odd = Input("calls/a\udcff.wav", "a\udcff.wav")
    assert Outputs.parse(["rttm"], "out", 1).names(odd) == ["a\udcff.rttm"]
    assert Outputs.parse(["rttm"], "memory://out", 1).names(odd) == ["a%FF.rttm"]


def test_two_spellings_of_a_file_are_one_recording(tree):
    (tree / "list").write_text(f"{tree}/other.wav\n")
    assert relatives("other.wav", "./other.wav", f"../{tree.name}/other.wav", list_file="list") == [
        "other.wav"
    ]
    with pytest.raises(OptionError, match="have the same name"):
        find_inputs(["calls/anna/1.wav", "calls/bob/1.wav"])


def test_hidden_files_are_ignored_unless_named(tree):
    for name in (
        "._1.wav",
        ".trash/2.wav",
        "anna/._1.wav",
    ):  # written by macOS beside each file on foreign disks
        (tree / "calls" / name).parent.mkdir(exist_ok=True)
        (tree / "calls" / name).write_bytes(b"")
    assert relatives("calls") == ["anna/1.wav", "anna/2.flac", "bob/1.wav"]
    assert relatives("calls/anna/._1.wav") == ["._1.wav"]


def test_a_folder_that_cannot_be_listed_is_not_skipped(tree, monkeypatch):
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("anna"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    fine, closed = find_inputs(["calls"])
    assert (fine.relative, closed.path) == ("bob/1.wav", "calls/anna")
    with pytest.raises(AudioError, match=r"^calls/anna: no permission to read it$"):
        open_audio(closed.path)
    assert [i.path for i in find_inputs(["calls/anna"])] == ["calls/anna"]


def test_a_dangling_link_is_a_missing_recording(tree):
    (tree / "calls" / "0.wav").symlink_to(tree / "not-mounted" / "0.wav")
    os.mkfifo(tree / "calls" / "pipe.wav")
    assert relatives("calls") == ["0.wav", "anna/1.wav", "anna/2.flac", "bob/1.wav"]


def test_a_list_keeps_folders_as_written(tree):
    (tree / "list.txt").write_text(
        "\ufeff# last week\ncalls/anna/1.wav\n\ncalls/bob/1.wav\r\n../" + tree.name + "/other.wav\n"
    )
    assert relatives(list_file="list.txt") == [
        "calls/anna/1.wav",
        "calls/bob/1.wav",
        f"{tree.name}/other.wav",
    ]
    (tree / "list.txt").write_text(f"calls\n{tree}/other.wav\ns3://bucket/x/y.wav\nfile://{tree}/none.wav\n")
    below = str(tree).lstrip("/")
    assert relatives(list_file="list.txt") == [
        "calls/anna/1.wav",
        "calls/anna/2.flac",
        "calls/bob/1.wav",
        f"{below}/other.wav",
        "bucket/x/y.wav",
        f"{below}/none.wav",
    ]


def test_a_list_of_names_that_are_not_utf_8(tree, monkeypatch):
    (tree / "caf\udce9.wav").write_bytes(b"x")
    (tree / "list").write_bytes(b"other.wav\ncaf\xe9.wav\n")
    assert relatives(list_file="list") == ["other.wav", "caf\udce9.wav"]
    with open("list", "rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        assert relatives(list_file="-") == ["other.wav", "caf\udce9.wav"]
    (tree / "list").write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(OptionError, match="list: expected a list of paths as UTF-8 text"):
        find_inputs((), "list")


def test_a_list_on_standard_input(tree, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("calls/anna/2.flac\n"))
    assert relatives("other.wav", list_file="-") == ["other.wav", "calls/anna/2.flac"]


@pytest.mark.parametrize(
    "content, text",
    [
        (b"\n# nothing\n", "expected one path or URL per line, found none"),
        (b"\xff\xfe", "expected a list of paths as UTF-8 text"),
        (b"-\n", "found - in a list"),
        (None, "list.txt: cannot be read \\(No such file"),
    ],
)
def test_invalid_lists_are_refused(tree, content, text):
    if content is not None:
        (tree / "list.txt").write_bytes(content)
    with pytest.raises(OptionError, match=text):
        find_inputs((), "list.txt")


def test_a_file_url_is_a_path(tree):
    (tree / "a b.wav").write_bytes(b"x")
    assert find_inputs([f"file://{tree}/a%20b.wav"]) == find_inputs([str(tree / "a b.wav")])
    assert Outputs.parse(["rttm"], f"file://{tree}/out", 2).directory == str(tree / "out")


def test_a_version_changes_with_the_file(tree):
    (before,) = find_inputs(["other.wav"])
    (tree / "other.wav").write_bytes(b"longer than before")
    (after,) = find_inputs(["other.wav"])
    assert before.version != after.version and before.stem == after.stem
    assert find_inputs(["none.wav"]) == [Input("none.wav", "none.wav", None)]


def test_only_urls_need_fsspec(tree, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert len(find_inputs(["calls", f"file://{tree}/other.wav"])) == 4
    for make in (lambda: find_inputs(["s3://calls/"]), lambda: Outputs.parse([], "s3://out/", 1)):
        with pytest.raises(
            MissingDependencyError, match=r"needs fsspec: pip install 'speech-emotion-diarization\[cloud\]'"
        ):
            make()


def test_parquet_without_pyarrow_is_refused_early(tree, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'speech-emotion-diarization\[table\]'"):
        Outputs.parse(["parquet"], "out", 1)
    Outputs.parse(["rttm"], "out", 1)


@pytest.mark.parametrize("name", ["call.lab", "call.zed.json"])
def test_a_read_only_format_is_refused_early(name):
    with pytest.raises(
        OptionError, match=rf"output {name}: (lab|zed) can only be read, expected one of rttm, json"
    ):
        Outputs.parse([name], None, 1)
