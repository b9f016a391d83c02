"""The files in deploy/: linted, verified by the programs that read them, and a real proxy in front of a real server."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import click
import httpx
import numpy as np
import pytest
import websockets.sync.client
from live_server import running

from sed.cli.serve import main as serve

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAME = "sed.example.org"


def program(name):
    """The path of a program that is checked with only where it is installed."""
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=False)


def test_the_dockerfile_has_no_finding():
    done = run(program("hadolint"), DEPLOY / "Dockerfile")
    assert done.returncode == 0 and not done.stdout, done.stdout


def test_the_image_runs_without_root_and_checks_its_health():
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", text, re.M) and "\nHEALTHCHECK " in text
    probe = [sys.executable, *json.loads(re.search(r"CMD (\[\"python.*\])$", text, re.M)[1])[1:]]
    with running() as server:
        port = server.http.rpartition(":")[2]
        assert run(*[part.replace("8765", port) for part in probe]).returncode == 0
    assert run(*[part.replace("8765", port) for part in probe]).returncode != 0  # the server has stopped


@pytest.mark.slow
def test_the_image_builds(tmp_path):
    docker = program("docker")
    if run(docker, "info").returncode != 0:
        pytest.skip("no Docker daemon is running")
    done = run(docker, "build", "-f", DEPLOY / "Dockerfile", "-t", "sed-test", DEPLOY.parent)
    assert done.returncode == 0, done.stderr[-2000:]
    limits = ("--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none")
    call = DEPLOY.parent / "demo" / "conversation.flac"
    done = run(
        docker, "run", *limits, "-v", f"{call}:/a.flac:ro", "--entrypoint", "sed-run", "sed-test", "/a.flac"
    )
    assert done.returncode == 0 and done.stdout.startswith("SPEAKER a 1"), done.stderr


def test_the_unit_is_valid_and_hardened(tmp_path):
    analyze = program("systemd-analyze")
    unit = tmp_path / "sed-serve.service"
    text = (DEPLOY / "sed-serve.service").read_text()
    unit.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M))
    done = run(analyze, "verify", unit)
    assert done.returncode == 0 and not done.stderr, done.stderr
    done = run(analyze, "security", "--offline=yes", "--threshold=20", unit)  # exposure of at most 2.0 of 10
    assert done.returncode == 0, done.stdout[-400:]


@pytest.mark.parametrize("file", ["sed-serve.service", "compose.yaml", "Dockerfile"])
def test_options_in_the_files_exist(file):
    known = {name for p in serve.params if isinstance(p, click.Option) for name in p.opts}
    lines = [
        line
        for line in (DEPLOY / file).read_text().splitlines()
        if re.match(r"ExecStart|CMD|\s+command:", line)
    ]
    used = set(re.findall(r"--[a-z-]+", " ".join(lines)))
    assert used and used <= known


@pytest.fixture
def certificate(tmp_path):
    openssl = program("openssl")
    pem, key = tmp_path / "sed.pem", tmp_path / "sed.key"
    done = run(
        openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", pem,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return pem, key


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def check_through(port, certificate):
    """A page, a WebSocket and refused metrics through the proxy at `port`."""
    context = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(verify=context) as client:
        url, extra = (
            f"https://127.0.0.1:{port}",
            {"headers": {"host": NAME}, "extensions": {"sni_hostname": NAME}},
        )
        for _ in range(100):
            try:
                health = client.get(f"{url}/v1/healthz", **extra)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        assert health.status_code == 200 and health.json()["status"] == "ok"
        assert client.get(f"{url}/", **extra).text.startswith("<!")
        assert client.get(f"{url}/metrics", **extra).status_code == 403
        foreign = client.get(
            f"{url}/healthz", headers={"host": "evil.example"}, extensions=extra["extensions"]
        )
        assert '"ok"' not in foreign.text
    tone = np.full(16000, 1000, "<i2")
    address = f"wss://{NAME}:{port}/stream"
    with websockets.sync.client.connect(
        address,
        ssl=context,
        sock=socket.create_connection(("127.0.0.1", port)),
        server_hostname=NAME,
        origin=f"https://{NAME}:{port}",
    ) as stream:
        stream.send(tone.tobytes())
        stream.send('{"type": "end"}')
        kinds = [json.loads(text)["type"] for text in stream]
    assert kinds[0] == "ready" and "segment" in kinds and kinds[-1] == "end"


@pytest.mark.slow
def test_nginx_in_front_of_the_server(tmp_path, certificate):
    nginx = program("nginx")
    port = free_port()
    with running(hosts=(NAME,), trusted_proxies=("127.0.0.1",)) as server:
        text = (DEPLOY / "nginx.conf").read_text()
        for old, new in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
            ("    listen [::]:443 ssl;\n", ""),
            ("/etc/ssl/sed.example.org.pem", str(certificate[0])),
            ("/etc/ssl/sed.example.org.key", str(certificate[1])),
            ("http://127.0.0.1:8765", server.http),
        ):
            assert old in text
            text = text.replace(old, new)
        folders = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        (tmp_path / "main.conf").write_text(f"{main}http {{ access_log off; {folders}\n{text}}}")
        command = [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "main.conf")]
        done = run(*command, "-t")
        assert done.returncode == 0, done.stderr
        process = subprocess.Popen(command)
        try:
            check_through(port, certificate[0])
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.slow
def test_caddy_in_front_of_the_server(tmp_path, certificate):
    caddy = program("caddy")
    port = free_port()
    with running(hosts=(NAME,), trusted_proxies=("127.0.0.1",)) as server:
        text = (DEPLOY / "Caddyfile").read_text()
        text = text.replace(f"\n{NAME} {{", f"\n{NAME}:{port} {{\n\ttls {certificate[0]} {certificate[1]}", 1)
        text = text.replace("127.0.0.1:8765", server.http.removeprefix("http://"))
        (tmp_path / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
        process = subprocess.Popen(
            [caddy, "run", "--config", str(tmp_path / "Caddyfile"), "--adapter", "caddyfile"],
            env={"HOME": str(tmp_path), "PATH": "/usr/bin"},
            stderr=subprocess.DEVNULL,
        )
        try:
            check_through(port, certificate[0])
        finally:
            process.terminate()
            process.wait(10)
