"""Arbitrary headers and messages of clients: nothing raises, every response is well-formed."""

import json
import logging
import random
import socket
import time

import httpx
import pytest
from live_server import running
from raw_http import BINARY, CLOSE, TEXT, RawSocket, frame, request, send_request, status

from sed.errors import OptionError
from sed.server.hosts import host_name
from sed.server.options import ServerOptions

MALFORMED = (
    b"[",
    b"]",
    b"[::1",
    b"[::1]x",
    b"[zz]",
    b"[v1.x]",
    b"[12345::]",
    b"localhost:99999",
    b"localhost:-1",
    b"localhost:x",
    b"user@localhost",
    b"localhost/",
    b"localhost, evil",
    b"localhost\\evil",
    b"%6cocalhost",
    b"loc\x01alhost",
    b"\xff",
    "bücher.example".encode(),
    b"\xe2\x84\x80",
    b"a" * 9000,
    b"",
)
FOREIGN = (b"evil.example", b"127.0.0.1.evil.example", b"192.0.2.7", b"[2001:db8::1]", b"0x7f.1", b"xn--")
ORIGINS = (
    "http://[",
    "http://[::1",
    "null",
    "",
    "http://localhost:99999",
    "http://",
    "\xff",
    "//x",
    "x" * 5000,
)


@pytest.fixture(scope="module")
def server():
    with running(token="secret") as server:
        yield server


@pytest.fixture
def no_tracebacks(caplog):
    """Check that no traceback is logged, whatever the client sends."""
    caplog.set_level(logging.WARNING)
    yield
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert "Traceback" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize("host", MALFORMED)
def test_a_malformed_host_is_a_bad_request(server, no_tracebacks, host, websocket):
    path = "/stream" if websocket else "/healthz"
    assert status(send_request(server.base, request(host, "", path, websocket))) == 400
    assert httpx.get(f"{server.http}/healthz").status_code == 200


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_is_forbidden(server, no_tracebacks, host, websocket):
    assert (
        status(send_request(server.base, request(host, "", "/stream" if websocket else "/", websocket)))
        == 403
    )


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_malformed_origin_is_forbidden(server, no_tracebacks, origin, websocket):
    data = request(server.base.encode(), f"Origin: {origin}\r\n", "/stream" if websocket else "/", websocket)
    assert status(send_request(server.base, data)) == 403


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    "headers", ["Host: localhost\r\n", "Origin: http://localhost\r\nOrigin: http://{base}\r\n"]
)
def test_repeated_headers_are_a_bad_request(server, no_tracebacks, headers, websocket):
    data = request(server.base.encode(), headers.format(base=server.base), "/", websocket)
    assert status(send_request(server.base, data)) == 400


@pytest.mark.parametrize(
    "headers",
    ["X: " + "y" * 9000 + "\r\n", "X: y\r\n" * 200, "X: " + "y" * 60_000 + "\r\n", "X: a\x02b\r\n"],
)
def test_a_websocket_request_that_cannot_be_parsed_is_rejected(server, no_tracebacks, headers):
    """uvicorn leaves such a connection open forever, without a response."""
    started = time.monotonic()
    response = send_request(server.base, request(server.base.encode(), headers, "/stream", websocket=True))
    assert status(response) == 400 and time.monotonic() - started < 2


def test_rejections_state_the_reason(server):
    answer = httpx.get(f"{server.http}/", headers={"Host": "["})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    answer = httpx.get(f"{server.http}/", headers={"Host": "evil.example"})
    assert answer.status_code == 403 and "--allow-host" in answer.json()["message"]


@pytest.mark.parametrize("token", ["\ud800", "ä", "", "\x00", "x" * 3000, "\udcff\ud800"])
def test_an_unusual_token_is_unauthorized(server, no_tracebacks, token):
    with RawSocket(server.base) as client:
        client.send(TEXT, json.dumps({"type": "start", "token": token}).encode())
        opcode, payload = client.receive()
        assert (opcode, json.loads(payload)["code"]) == (TEXT, "unauthorized")
    data = request(server.base.encode(), "Authorization: Bearer \xff\xfe\r\n", "/metrics")
    assert status(send_request(server.base, data)) == 401


@pytest.mark.slow
@pytest.mark.parametrize(
    "message",
    [
        '{"type": ' + "[" * 985 + "]" * 985 + "}",
        '{"type": "\\ud800"}',
        '{"type": "start", "\\ud800": 1}',
        '{"type": "start", "sample_rate": ' + "9" * 4000 + "}",
        '{"type": "start", "latency": 1e999}',
        '{"type": "start", "latency": {"a": [' + "[" * 900 + "]" * 900 + "]}}",
    ],
)
def test_invalid_messages_are_bad_messages(start_server, no_tracebacks, message):
    with RawSocket(start_server().base) as client:
        client.send(TEXT, message.encode())
        assert json.loads(client.receive()[1])["code"] == "bad_message"


@pytest.mark.slow
def test_random_requests_never_fail_the_server(server, no_tracebacks):
    """600 requests with random invalid parts: each gets a well-formed response, and never a 500."""
    random_ = random.Random(20)
    own = (server.base.encode(), b"localhost", b"[::1]:1", b"127.0.0.1:0")
    paths = ("/", "/stream", "/%00", "/%ff", "/%ed%a0%80", "//", "*", "/..%2f..%2fapp.py", "/" + "a/" * 2000)
    paths += (
        "/metrics?%ff&&=",
        "/stream?" + "b" * 7000,
        "http://evil/",
        "/%0d%0aX:%20y",
        "/a" * 120,
        "/con.js%00",
    )
    parts = (
        "Origin: {}\r\n",
        "Authorization: {}\r\n",
        "Cookie: {}\r\n",
        "Content-Length: {}\r\n",
        "X-{0}: {0}\r\n",
    )
    parts += ("Transfer-Encoding: {}\r\n", "Sec-WebSocket-Key: {}\r\n", "Sec-WebSocket-Version: {}\r\n")
    values = (
        "",
        "x",
        "\xff\xfe",
        "Bearer \xff",
        "http://[",
        "-1",
        "9" * 30,
        "chunked",
        "\t",
        "\x7f",
        "a\x00b",
        "[",
    )
    statuses = set()
    for _ in range(600):
        headers = "".join(
            random_.choice(parts).format(random_.choice(values)) for _ in range(random_.randrange(5))
        )
        path, host = (
            random_.choice(paths),
            random_.choice(random_.choice((MALFORMED, FOREIGN, own, own, own))),
        )
        data = request(host, headers, path, random_.random() < 0.5)
        found = status(send_request(server.base, data, timeout=3.0))
        assert 101 <= found < 500, data
        statuses.add(found)
    assert statuses >= {101, 200, 400, 403, 404}
    assert httpx.get(f"{server.http}/healthz").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"\xff\xff"),
        frame(CLOSE, b"\x01"),
        frame(CLOSE, b"\x00\x05"),
        frame(0x0, b"x"),
        bytes([0xF2, 0x80]) + bytes(4),
        bytes([0x8F, 0x80]) + bytes(4),
        b"\x82\x02\0\0",
        frame(TEXT, b"x", final=False) + frame(BINARY, b"xx"),
        bytes([0x82, 0xFF]) + b"\xff" * 8 + bytes(20),
    ],
)
def test_invalid_frames_close_the_connection(start_server, no_tracebacks, data):
    with RawSocket(start_server().base) as client:
        client.connection.sendall(data)
        assert client.rest()[1] in (1002, 1007, 1009, 1011)


def own_address():
    """The address of this machine in its network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def test_only_known_names_are_accepted_on_every_address(start_server):
    """DNS rebinding: a page of evil.example whose name resolves to this machine."""
    server = start_server(host="0.0.0.0", token="x", hosts=("Box.lan", "bücher.example"))
    port = server.base.rpartition(":")[2]

    def found(host, address="127.0.0.1"):
        return status(send_request(f"{address}:{port}", request(host.encode(), "", "/healthz")))

    for host in ("localhost", "127.0.0.1", f"box.lan:{port}", "BOX.LAN.", "xn--bcher-kva.example", "[::1]"):
        assert found(host) == 200, host
    for host in ("evil.example", "192.0.2.7", "0.0.0.0x", "lan", "xbox.lan"):
        assert found(host) == 403, host
    address = own_address()
    if address and not address.startswith("127."):
        assert found(address) == 403  # arrived at another address
        assert found(address, address) == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "my.lan", ""])
def test_beyond_loopback_a_token_is_required(host):
    with pytest.raises(OptionError, match=r"other machines can reach .*expected a token .*no_token"):
        ServerOptions(host=host)
    assert ServerOptions(host=host, token="x").token and ServerOptions(host=host, no_token=True)


def test_token_and_no_token_cannot_be_combined():
    with pytest.raises(OptionError, match="cannot be combined"):
        ServerOptions(token="x", no_token=True)
    for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"):
        assert ServerOptions(host=host).loopback


@pytest.mark.parametrize(
    "text, name",
    [
        ("a.b:80", "a.b"),
        ("A.b.", "a.b"),
        ("[::FFFF:127.0.0.1]:1", "127.0.0.1"),
        ("[fe80::1%eth0]", "fe80::1"),
        ("localhost:", "localhost"),
        ("localhost:0065536", None),
        ("localhost:065535", None),
        (".", None),
        ("::1", None),
        ("127.0.0.1]", None),
    ],
)
def test_host_names(text, name):
    assert host_name(text) == name
