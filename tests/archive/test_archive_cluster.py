"""A real Ray cluster of two nodes on this machine, of which one is killed in the middle of a run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from archive_files import contents, noted

BUCKET = "sed-cluster"
MEMORY = 80 * 2**20


def patiently(start):
    """Ray waits for its own processes for fixed times, too short for a machine that is busy with other things."""
    for _ in range(2):
        try:
            return start()
        except Exception:  # that is what it raises
            continue
    return start()


@pytest.fixture(scope="module")
def cluster(s3):
    """Two nodes with a processor each, that know the S3 server."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "120")  # a machine that is busy with other things
        patch.setenv("RAY_agent_register_timeout_ms", "120000")
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": MEMORY}
        cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
        try:
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture
def second(cluster):
    """The second node, as long as the test leaves it alive."""
    node = patiently(lambda: cluster.add_node(num_cpus=1, object_store_memory=MEMORY))
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node)


def test_a_killed_node_changes_nothing(cluster, second, s3, make_clips, command, sed_run, tmp_path):
    clips = make_clips(tmp_path / "calls" / "anna", 40)
    s3.mkdir(BUCKET)
    s3.put(str(clips), f"{BUCKET}/calls/anna", recursive=True)
    alone = sed_run(tmp_path / "calls", "-o", "rttm,json", "-d", tmp_path / "alone")
    assert alone.returncode == 0
    run = subprocess.Popen(
        command(f"s3://{BUCKET}/calls/", "-o", "rttm,json", "-d", f"s3://{BUCKET}/out/")
        + ["--ray", cluster.address],
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < end:
        s3.invalidate_cache()
        if len(s3.find(f"{BUCKET}/out/anna")) >= 24:
            break
        time.sleep(0.05)
    assert run.poll() is None, run.communicate()[1]
    cluster.remove_node(second, allow_graceful=False)
    _, told = run.communicate(timeout=150)
    assert run.returncode == 0, told
    assert "lost with its worker" in told
    assert "sed-run: 40 recordings: 40 done; 40.0 s of audio in " in told
    s3.invalidate_cache()
    s3.get(f"{BUCKET}/out", str(tmp_path / "out"), recursive=True)
    found = {n: data for n, data in contents(tmp_path / "out").items() if not n.startswith(".sed-journal/")}
    assert found == contents(tmp_path / "alone") and len(found) == 80
    again = sed_run(f"s3://{BUCKET}/calls/", "-o", "rttm,json", "-d", f"s3://{BUCKET}/out/")
    assert again.returncode == 0 and "40 recordings: 0 done, 40 done before" in again.stderr
    s3.rm(BUCKET, recursive=True)


def test_results_for_this_machine_come_back(cluster, make_clips, sed_run, tmp_path):
    """Relative names, failures and warnings read as without a cluster; a cluster's worker runs elsewhere."""
    clips = make_clips(tmp_path / "calls", 3)
    (clips / "bad.wav").write_text("no sound")
    short = (clips / "c001.wav").read_bytes()[:20000]
    (clips / "c001.wav").write_bytes(short)
    told = sed_run("calls", "-d", "out", "--ray", cluster.address, cwd=tmp_path)
    alone = sed_run("calls", "-d", "alone", cwd=tmp_path)
    assert told.returncode == alone.returncode == 1
    assert contents(tmp_path / "out") == contents(tmp_path / "alone") and len(contents(tmp_path / "out")) == 3
    assert sorted(noted(tmp_path / "out")) == ["c000", "c001", "c002"]
    assert "sed-run: calls/bad.wav: found text, expected audio" in told.stderr.splitlines()
    assert "  1 x found text, expected audio: calls/bad.wav" in told.stderr.splitlines()
    assert "c001.wav: truncated" in told.stderr
    lines = sed_run("calls", "--ray", cluster.address, "-o", "rttm", "-q", cwd=tmp_path)
    assert lines.stdout == sed_run("calls", "-o", "rttm", "-q", cwd=tmp_path).stdout


def test_a_recording_that_takes_its_workers_along_is_given_up(cluster, make_clips, command, tmp_path):
    """A pipe into which nobody writes keeps its worker at it for as long as the worker lives."""
    clips = make_clips(tmp_path / "calls", 2)
    os.mkfifo(tmp_path / "stuck.wav")
    arguments = (clips, tmp_path / "stuck.wav", "-d", tmp_path / "out", "--ray", cluster.address)
    run = subprocess.Popen(command(*arguments, "--workers", "1"), stderr=subprocess.PIPE, text=True)
    killed = set()
    end = time.monotonic() + 150
    while run.poll() is None and time.monotonic() < end:
        if (tmp_path / "out" / "c001.rttm").exists():  # from here on it is the pipe
            for pid in set(at_work(cluster)) - killed:
                time.sleep(0.5)  # the report of the last clip may be under way
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        time.sleep(0.2)
    told = run.communicate(timeout=30)[1]
    assert run.returncode == 1 and len(killed) == 3, told
    assert f"sed-run: {tmp_path}/stuck.wav: lost with its worker 3 times (" in told
    assert "sed-run: 3 recordings: 2 done, 1 failed; " in told
    assert sorted(contents(tmp_path / "out")) == ["c000.rttm", "c001.rttm"]


def at_work(cluster):
    """The processes of actors of this cluster that are at a job: Ray puts it into their title."""
    raylet = cluster.head_node.all_processes["raylet"][0].process.pid
    for child in Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split():
        try:
            title = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::Actor.do"):
            yield int(child)


def test_wrong_options(cluster, make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "calls", 2)
    told = sed_run(clips, "-d", tmp_path / "out", "--ray", cluster.address, "--tagger", "none.onnx")
    assert told.returncode == 2
    assert told.stderr.splitlines()[-1] == "sed-run: no emotion model at none.onnx: expected an ONNX file"


def test_no_cluster(make_clips, sed_run, tmp_path):
    clips = make_clips(tmp_path / "calls", 2)
    told = sed_run(clips, "-d", tmp_path / "out", "--ray", "127.0.0.1:1")
    assert told.returncode == 2 and not (tmp_path / "out").exists()
    assert told.stderr.startswith("sed-run: no Ray cluster at '127.0.0.1:1' (")
    assert told.stderr.endswith("): expected one that runs (ray start --head)\n")


def test_without_ray(make_clips, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from sed.cli.run import main

    monkeypatch.setitem(sys.modules, "ray", None)
    clips = make_clips(tmp_path / "calls", 1)
    told = CliRunner().invoke(main, [str(clips), "--ray", "auto"])
    assert (
        told.exit_code == 2
        and told.stderr == "sed-run: a cluster needs Ray: pip install 'speech-emotion-diarization[cluster]'\n"
    )


def test_what_ray_says_of_its_nodes_does_not_go_where_results_go(monkeypatch, capsys):
    """Ray prints to standard output, in a thread of its own, that a node has died."""
    from types import SimpleNamespace

    from sed.archive import cluster as module

    class Crew:
        def __init__(self, *_):
            pass

        def work(self, _):
            yield "one"
            print("(raylet) The node has been marked dead")
            yield "two"

    monkeypatch.setattr(module, "_connect", lambda _: SimpleNamespace(shutdown=lambda: None))
    monkeypatch.setattr(module, "_everywhere", lambda order: order)
    monkeypatch.setattr(module, "_Crew", Crew)
    results = sys.stdout  # as `sed-run` has it before the first job
    for said in module.run_cluster("auto", None, None, None, 1):
        print(said, file=results)
    print("behind")
    told = capsys.readouterr()
    assert told.out == "one\ntwo\nbehind\n"
    assert told.err == "(raylet) The node has been marked dead\n"
