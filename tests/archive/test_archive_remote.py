"""Object stores (a local S3 server) and other fsspec file systems."""

import io
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import soundfile
from archive_files import contents

from sed.archive import remote
from sed.archive.inputs import AUDIO_SUFFIXES, find_inputs
from sed.archive.outputs import Outputs
from sed.archive.work import Job, Order, Worker
from sed.errors import AudioError, FormatError, MissingDependencyError, OptionError


@pytest.fixture
def bucket(s3, request):
    """The name of a new bucket."""
    name = request.node.name.replace("_", "-")[:50]
    s3.mkdir(name)
    yield name
    s3.rm(name, recursive=True)


@pytest.fixture
def memory():
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    yield MemoryFileSystem()
    MemoryFileSystem.store.clear()


@pytest.mark.slow
def test_find_expands_urls(s3, bucket):
    for name in ("anna/1.wav", "anna/2.flac", "bob/1.wav", "notes.txt"):
        s3.pipe_file(f"{bucket}/{name}", name.encode())
    base = f"s3://{bucket}"

    def found(url):
        return [(path, relative) for path, relative, _ in remote.find(url, AUDIO_SUFFIXES)]

    everything = [(f"{base}/{name}", name) for name in ("anna/1.wav", "anna/2.flac", "bob/1.wav")]
    assert found(base) == found(base + "/") == everything
    assert found(f"{base}/anna") == [(everything[0][0], "1.wav"), (everything[1][0], "2.flac")]
    assert found(f"{base}/*/1.wav") == [everything[0], everything[2]]
    assert found(f"{base}/**/*.flac") == [everything[1]]
    assert found(f"{base}/anna/1.wav") == [(everything[0][0], "1.wav")]
    assert found(f"{base}/notes.txt") == [(f"{base}/notes.txt", "notes.txt")]  # named explicitly
    assert found(f"{base}/none.wav") == [
        (f"{base}/none.wav", "none.wav")
    ]  # the error appears when it is opened
    for url in (f"{base}/none/", f"{base}/*.mp3", "s3://no-such-bucket/"):
        with pytest.raises(OptionError, match=r"found none|no file matches"):
            found(url)
    before = find_inputs([f"{base}/bob"])[0].version
    s3.pipe_file(f"{bucket}/bob/1.wav", b"another")
    s3.invalidate_cache()
    assert before is not None and find_inputs([f"{base}/bob"])[0].version != before


@pytest.mark.slow
def test_buckets_give_the_same_results_as_folders(s3, bucket, make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "in" / "anna", 4)
    s3.put(str(clips), f"{bucket}/calls/anna", recursive=True)
    s3.pipe_file(f"{bucket}/calls/bad.wav", b"no sound")
    here = sed_run(tmp_path / "in", "-o", "rttm,parquet", "-d", tmp_path / "out")
    assert here.returncode == 0
    arguments = (f"s3://{bucket}/calls/", "-o", "rttm,parquet", "-d", f"s3://{bucket}/out/", "--workers", "2")
    result = sed_run(*arguments)
    assert result.returncode == 1
    assert f"sed-run: s3://{bucket}/calls/bad.wav: found text, expected audio" in result.stderr.splitlines()
    assert "sed-run: 5 recordings: 4 done, 1 failed; " in result.stderr
    s3.invalidate_cache()
    s3.get(f"{bucket}/out", str(tmp_path / "fetched"), recursive=True)
    assert contents(tmp_path / "fetched") == {
        **contents(tmp_path / "out"),
        **{n: d for n, d in contents(tmp_path / "fetched").items() if n.startswith(".sed-journal/")},
    }
    s3.rm(f"{bucket}/calls/bad.wav")
    s3.rm(f"{bucket}/out/anna/c001.rttm")
    s3.put(str(clips / "c000.wav"), f"{bucket}/calls/anna/c003.wav")
    again = sed_run(*arguments)
    assert again.returncode == 0
    assert again.stderr.startswith("sed-run: 4 recordings: 2 done, 2 done before; ")
    s3.invalidate_cache()
    assert s3.exists(f"{bucket}/out/anna/c001.rttm")
    other = sed_run(*arguments, "--channels", "1")
    assert other.returncode == 2 and "channels: mix, now 1" in other.stderr


@pytest.mark.slow
def test_a_missing_bucket(s3, bucket, make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "clips", 1)
    result = sed_run(clips, "-d", "s3://no-such-bucket/out")
    place = "s3://no-such-bucket/out/.sed-journal"
    assert result.returncode == 2
    assert result.stderr == f"sed-run: {place}: expected a bucket that exists, found none\n"
    assert not s3.exists("no-such-bucket")
    result = sed_run(f"s3://{bucket}/none.wav")
    assert result.returncode == 1 and result.stderr == f"sed-run: s3://{bucket}/none.wav: no such file\n"


@pytest.mark.slow
def test_a_long_recording_is_not_held_in_memory(memory, tmp_path, monkeypatch):
    """No read is larger than a block."""
    sizes = []
    read = remote.Remote.read

    def counted(self, size=-1):
        data = read(self, size)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(remote.Remote, "read", counted)
    with io.BytesIO() as file:
        soundfile.write(file, [0.0] * 16000 * 300, 16000, format="WAV")
        memory.pipe_file("/calls/long.wav", file.getvalue())
    order = Order({"diarizer": "none", "vad": "webrtc"}, Outputs(("json",), (), None))
    (recording,) = find_inputs(["memory://calls/long.wav"])
    report = Worker(order).do(Job(0, recording))
    assert report.error is None and report.duration == 300
    assert json.loads(report.products[0].data)["uri"] == "long"
    assert len(sizes) > 3 and max(sizes) <= remote.BLOCK


def test_writes_without_atomic_protocol_use_a_rename(tmp_path):
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    class Plain(LocalFileSystem):
        protocol = "plain"
        broken = False

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.removeprefix("plain://"))

        def mv(self, *arguments, **options):
            if Plain.broken:
                raise OSError("connection lost")
            return super().mv(*arguments, **options)

    fsspec.register_implementation("plain", Plain, clobber=True)
    url = f"plain://{tmp_path}/new/a.rttm"
    remote.save_bytes(b"first", url)
    remote.save_bytes(b"second", url)
    assert contents(tmp_path) == {"new/a.rttm": b"second"} and remote.read_bytes(url) == b"second"
    Plain.broken = True
    with pytest.raises(FormatError, match=r"a.rttm: cannot be written \(connection lost\)"):
        remote.save_bytes(b"third", url)
    assert contents(tmp_path) == {"new/a.rttm": b"second"}


def test_unavailable_protocols():
    with pytest.raises(OptionError, match="foo://x: found protocol foo, expected one that fsspec knows"):
        remote.check("foo://x")
    with pytest.raises(OptionError, match="found several protocols"):
        remote.check("zip://a.wav::s3://x/y.zip")
    with pytest.raises(MissingDependencyError, match=r"oss://x/: Install ossfs .*to access"):
        remote.check("oss://x/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "gcsfs", None)
        known = sys.modules["fsspec.registry"]._registry  # if another test has used it
        patch.delitem(known, "gs", raising=False)
        with pytest.raises(MissingDependencyError, match=r"gs://x/: .*gcsfs.*: pip install '.*\[cloud\]'$"):
            remote.check("gs://x/")
    with pytest.raises(OptionError, match="expected a path, a format, or a URL as the folder"):
        Outputs.parse(["s3://x/a.rttm"], None, 1)


def test_any_exception_of_a_protocol_becomes_one_sentence(monkeypatch, memory):
    def broken(*_, **__):
        raise RuntimeError("the token\nhas expired")

    monkeypatch.setattr(type(memory), "open", broken)
    with pytest.raises(AudioError, match=r"^memory://a.wav: cannot be read \(RuntimeError: the token\)$"):
        remote.Remote("memory://a.wav")


class Server(BaseHTTPRequestHandler):
    """Responds with the status code at the start of the path."""

    def do_GET(self):
        self.send_error(int(self.path[1:4]))

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_a_server_error_is_not_reported_as_a_missing_file():
    pytest.importorskip("aiohttp")
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        for path, text in (
            ("404.wav", "no such file$"),
            ("500.wav", r"cannot be read \(.*500"),
            ("403.wav", "403"),
        ):
            with pytest.raises(AudioError, match=f"^{base}/{path}: .*{text}"):
                remote.Remote(f"{base}/{path}")
        server.shutdown()
    with pytest.raises(AudioError, match=r"/a.wav: cannot be read \(.*[Cc]onnect"):
        remote.Remote(f"{base}/a.wav")
