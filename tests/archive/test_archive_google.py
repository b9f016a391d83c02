"""Google Cloud Storage: a run gives the same results as with local folders (against a local emulator)."""

import pytest
from archive_files import contents

from sed.archive import remote
from sed.archive.inputs import AUDIO_SUFFIXES
from sed.errors import OptionError


@pytest.mark.slow
def test_buckets_give_the_same_results_as_folders(gs, make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "in" / "anna", 2)
    gs.mkdir("calls")
    for clip in clips.iterdir():
        gs.pipe_file(f"calls/anna/{clip.name}", clip.read_bytes())
    gs.pipe_file("calls/bad.wav", b"no sound")
    gs.invalidate_cache()
    here = sed_run(tmp_path / "in", "-o", "rttm,json", "-d", tmp_path / "out")
    assert here.returncode == 0
    arguments = ("gs://calls/", "-o", "rttm,json", "-d", "gs://calls/out/")
    result = sed_run(*arguments)
    assert result.returncode == 1
    assert "sed-run: gs://calls/bad.wav: found text, expected audio" in result.stderr.splitlines()
    assert "sed-run: 3 recordings: 2 done, 1 failed; " in result.stderr
    gs.invalidate_cache()
    names = remote.names_below("gs://calls/out")
    assert {n: gs.cat_file(f"calls/out/{n}") for n in names if not n.startswith(".sed-journal/")} == {
        n: data for n, data in contents(tmp_path / "out").items() if not n.startswith(".sed-journal/")
    }
    gs.rm("calls/bad.wav")
    gs.rm("calls/out/anna/c001.rttm")
    again = sed_run(*arguments)
    assert again.returncode == 0
    assert "sed-run: 2 recordings: 1 done, 1 done before; " in again.stderr
    gs.invalidate_cache()
    assert gs.exists("calls/out/anna/c001.rttm")


def test_find_expands_urls(gs):
    gs.mkdir("named")
    for name in ("anna/1.wav", "bob/2.flac", "notes.txt"):
        gs.pipe_file(f"named/{name}", name.encode())
    gs.invalidate_cache()

    def found(url):
        return [(path, relative) for path, relative, _ in remote.find(url, AUDIO_SUFFIXES)]

    one, two = ("gs://named/anna/1.wav", "anna/1.wav"), ("gs://named/bob/2.flac", "bob/2.flac")
    assert found("gs://named") == found("gs://named/") == [one, two]
    assert found("gs://named/**/*.flac") == [two]
    assert found("gs://named/anna/1.wav") == [(one[0], "1.wav")]
    before = remote.find("gs://named/anna", AUDIO_SUFFIXES)[0][2]
    remote.save_bytes(b"another", "gs://named/anna/1.wav")
    gs.invalidate_cache()
    assert before is not None and remote.find("gs://named/anna", AUDIO_SUFFIXES)[0][2] != before
    assert remote.read_bytes("gs://named/anna/1.wav") == b"another"
    for url in ("gs://named/none/", "gs://named/*.mp3", "gs://no-such-bucket/"):
        with pytest.raises(OptionError, match=r"found none|no file matches"):
            found(url)
    with pytest.raises(OptionError, match="expected a bucket that exists, found none"):
        remote.names_below("gs://no-such-bucket/out")
