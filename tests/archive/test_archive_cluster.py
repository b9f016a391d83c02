"""A Ray cluster of two nodes on this machine, one of which is killed during a run."""

import os
import signal
import subprocess
import sys
import time

import pytest
from archive_files import contents, recorded
from ray_workers import StoppedWorkers, busy_workers, wait_until

BUCKET = "sed-cluster"
MEMORY = 80 * 2**20


def retry(start):
    """Try three times: Ray's fixed timeouts for its own processes are too short for a busy machine."""
    for _ in range(2):
        try:
            return start()
        except Exception:  # the type that Ray raises
            continue
    return start()


@pytest.fixture(scope="module")
def cluster(s3):
    """A node with one CPU and access to the S3 server; `second` adds another."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "120")  # for a busy machine
        patch.setenv("RAY_agent_register_timeout_ms", "120000")
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": MEMORY}
        cluster = retry(lambda: Cluster(initialize_head=True, head_node_args=head))
        try:
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture
def second(cluster):
    """The second node, removed afterwards unless the test has killed it."""
    node = retry(lambda: cluster.add_node(num_cpus=1, object_store_memory=MEMORY))
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


@pytest.mark.slow
def test_a_killed_node_changes_nothing(cluster, second, s3, make_clips, command, sed_run, tmp_path):
    """The node dies after it has written results, and with a job that its stopped worker cannot finish."""
    clips = make_clips(tmp_path / "calls" / "anna", 20)
    s3.mkdir(BUCKET)
    s3.put(str(clips), f"{BUCKET}/calls/anna", recursive=True)
    local = sed_run(tmp_path / "calls", "-o", "rttm,json", "-d", tmp_path / "local")
    assert local.returncode == 0
    run = subprocess.Popen(
        command(f"s3://{BUCKET}/calls/", "-o", "rttm,json", "-d", f"s3://{BUCKET}/out/")
        + ["--ray", cluster.address],
        stderr=subprocess.PIPE,
        text=True,
    )

    def written():
        s3.invalidate_cache()
        return len(s3.find(f"{BUCKET}/out/anna"))

    first = cluster.head_node
    with StoppedWorkers() as workers:
        workers.stop(first, second, run=run)  # each with a job, however late the other was ready
        before = written()
        workers.resume(second)
        wait_until(lambda: written() >= before + 4, run)  # by the second: the first is stopped
        workers.stop(second, run=run)
        workers.resume(first)
        wait_until(lambda: written() >= 20, run)
        cluster.remove_node(second, allow_graceful=False)
    _, stderr = run.communicate(timeout=300)
    assert run.returncode == 0, stderr
    assert stderr.count("lost with its worker") == 1
    assert "sed-run: 20 recordings: 20 done; 20.0 s of audio in " in stderr
    s3.invalidate_cache()
    s3.get(f"{BUCKET}/out", str(tmp_path / "out"), recursive=True)
    found = {n: data for n, data in contents(tmp_path / "out").items() if not n.startswith(".sed-journal/")}
    assert found == contents(tmp_path / "local") and len(found) == 40
    again = sed_run(f"s3://{BUCKET}/calls/", "-o", "rttm,json", "-d", f"s3://{BUCKET}/out/")
    assert again.returncode == 0 and "20 recordings: 0 done, 20 done before" in again.stderr
    s3.rm(BUCKET, recursive=True)


@pytest.mark.slow
def test_results_for_a_local_folder_are_returned(cluster, make_clips, sed_run, tmp_path):
    """Relative names, failures and warnings are the same as without a cluster."""
    clips = make_clips(tmp_path / "calls", 3)
    (clips / "bad.wav").write_text("no sound")
    short = (clips / "c001.wav").read_bytes()[:20000]
    (clips / "c001.wav").write_bytes(short)
    result = sed_run("calls", "-d", "out", "--ray", cluster.address, cwd=tmp_path)
    local = sed_run("calls", "-d", "local", cwd=tmp_path)
    assert result.returncode == local.returncode == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "local") and len(contents(tmp_path / "out")) == 3
    assert sorted(recorded(tmp_path / "out")) == ["c000", "c001", "c002"]
    assert "sed-run: calls/bad.wav: found text, expected audio" in result.stderr.splitlines()
    assert "  1 x found text, expected audio: calls/bad.wav" in result.stderr.splitlines()
    assert "c001.wav: truncated" in result.stderr
    lines = sed_run("calls", "--ray", cluster.address, "-o", "rttm", "-q", cwd=tmp_path)
    assert lines.stdout == sed_run("calls", "-o", "rttm", "-q", cwd=tmp_path).stdout


@pytest.mark.slow
def test_a_recording_that_kills_its_workers_is_abandoned(cluster, make_clips, command, tmp_path):
    """A worker that reads a pipe without a writer is busy until it is killed."""
    clips = make_clips(tmp_path / "calls", 2)
    os.mkfifo(tmp_path / "stuck.wav")
    arguments = (clips, tmp_path / "stuck.wav", "-d", tmp_path / "out", "--ray", cluster.address)
    run = subprocess.Popen(command(*arguments, "--workers", "1"), stderr=subprocess.PIPE, text=True)
    killed = set()
    end = time.monotonic() + 300
    while run.poll() is None and time.monotonic() < end:
        if (tmp_path / "out" / "c001.rttm").exists():  # only the pipe is left
            for pid in set(busy_workers(cluster.head_node)) - killed:
                time.sleep(0.5)  # the report of the last clip may be in transit
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.2)
    stderr = run.communicate(timeout=30)[1]
    assert run.returncode == 1 and len(killed) == 3, stderr
    assert f"sed-run: {tmp_path}/stuck.wav: lost with its worker 3 times (" in stderr
    assert "sed-run: 3 recordings: 2 done, 1 failed; " in stderr
    assert sorted(contents(tmp_path / "out")) == ["c000.rttm", "c001.rttm"]


@pytest.mark.slow
def test_wrong_options(cluster, make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "calls", 2)
    result = sed_run(clips, "-d", tmp_path / "out", "--ray", cluster.address, "--tagger", "none.onnx")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == "sed-run: no emotion model at none.onnx: expected an ONNX file"


@pytest.mark.slow
def test_no_cluster(make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "calls", 2)
    result = sed_run(clips, "-d", tmp_path / "out", "--ray", "127.0.0.1:1")
    assert result.returncode == 2 and not (tmp_path / "out").exists()
    assert result.stderr.startswith("sed-run: no Ray cluster at '127.0.0.1:1' (")
    assert result.stderr.endswith("): expected a running one (ray start --head)\n")


def test_without_ray(make_clips, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from sed.cli.run import main

    monkeypatch.setitem(sys.modules, "ray", None)
    clips = make_clips(tmp_path / "calls", 1)
    result = CliRunner().invoke(main, [str(clips), "--ray", "auto"])
    assert (
        result.exit_code == 2
        and result.stderr
        == "sed-run: a cluster needs Ray: pip install 'speech-emotion-diarization[cluster]'\n"
    )


@pytest.mark.slow
def test_output_of_ray_does_not_reach_standard_output(monkeypatch, capsys):
    """Ray prints to standard output from another thread when a node dies."""
    from types import SimpleNamespace

    from sed.archive import cluster as module

    class Pool:
        def __init__(self, *_):
            pass

        def run(self, _):
            yield "one"
            print("(raylet) The node has been marked dead")
            yield "two"

    monkeypatch.setattr(module, "_connect", lambda _: SimpleNamespace(shutdown=lambda: None))
    monkeypatch.setattr(module, "_with_absolute_tagger", lambda order: order)
    monkeypatch.setattr(module, "_ActorPool", Pool)
    results = sys.stdout  # as `sed-run` has it before the first job
    for report in module.run_cluster("auto", None, None, None, 1):
        print(report, file=results)
    print("after")
    captured = capsys.readouterr()
    assert captured.out == "one\ntwo\nafter\n"
    assert captured.err == "(raylet) The node has been marked dead\n"
