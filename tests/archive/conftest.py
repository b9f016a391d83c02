"""Fixtures of the archive tests: short recordings, `sed-run` as a subprocess, a local S3 server."""

import os
import socket
import subprocess
import sys

import pytest
import soundfile


@pytest.fixture(scope="session")
def make_clips(data):
    """A function that fills a folder with short recordings: c000.wav, c001.wav, ..."""
    recordings = [soundfile.read(p, dtype="int16")[0] for p in sorted(data.glob("emodb_*.flac"))]

    def make(folder, count, seconds=1.0):
        folder.mkdir(parents=True, exist_ok=True)
        length = round(seconds * 16000)
        for number in range(count):
            recording = recordings[number % len(recordings)]
            first = 800 * (number // len(recordings)) % (len(recording) - length)
            soundfile.write(folder / f"c{number:03d}.wav", recording[first : first + length], 16000)
        return folder

    return make


@pytest.fixture(scope="session")
def command():
    """The command line of `sed-run` with arguments, for `subprocess`."""
    return lambda *arguments: [sys.executable, "-m", "sed.cli.run", *map(str, arguments)]


@pytest.fixture(scope="session")
def sed_run(command):
    """Runs `sed-run` as a subprocess; the result has returncode, stdout and stderr."""

    def run(*arguments, **options):
        return subprocess.run(
            command(*arguments), capture_output=True, text=True, check=False, timeout=480, **options
        )

    return run


@pytest.fixture(scope="session")
def s3():
    """An S3 server on 127.0.0.1, for this process and its children; the value is its file system."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, os.devnull)
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        yield s3fs.S3FileSystem()
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(scope="session")
def gs():
    """A Google Cloud Storage emulator on 127.0.0.1, for this process and its children; the value is its file system."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        patch.setenv("NO_GCE_CHECK", "true")
        # Read on import: otherwise gcsfs queries a second Google service, which is not emulated.
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        gcsfs = pytest.importorskip("gcsfs")
        server = emulator.create_server("127.0.0.1", port, in_memory=True)
        server.start()
        gcsfs.GCSFileSystem.clear_instance_cache()
        yield gcsfs.GCSFileSystem(project="test", token="anon")
        gcsfs.GCSFileSystem.clear_instance_cache()
        server.stop()
