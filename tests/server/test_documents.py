"""The OpenAPI and AsyncAPI documents and the TypeScript types agree with what the real server sends."""

import copy
import io
import json
import re
import shutil
import subprocess
import wave

import httpx
import jsonschema
import pytest
import websockets.sync.client
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from sed.result import Segment
from sed.server.app import STATIC
from sed.server.protocol import CLOSE_CODES, Start
from sed.server.refusal import STATUS
from sed.streaming import Event
from sed.streaming.messages import event_message

OPENAPI = json.loads((STATIC / "openapi.json").read_text(encoding="utf-8"))
ASYNCAPI = json.loads((STATIC / "asyncapi.json").read_text(encoding="utf-8"))


def closed(schema):
    """A copy in which objects have no further properties, so that an undocumented one is an error."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(part) for key, part in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return schema


REGISTRY = Registry().with_resources(
    (name, Resource(closed(document), DRAFT202012))
    for name, document in (("openapi.json", OPENAPI), ("asyncapi.json", ASYNCAPI))
)


def check(value, pointer, document="openapi.json"):
    jsonschema.Draft202012Validator({"$ref": f"{document}#{pointer}"}, registry=REGISTRY).validate(value)


def check_message(message):
    check(message, f"/components/messages/{message['type']}/payload", "asyncapi.json")


def check_response(response, path, method="get"):
    """Check status, content type and content against the documented operation."""
    documented = OPENAPI["paths"][path][method]["responses"][str(response.status_code)]
    kind = response.headers["content-type"].split(";")[0]
    schema = documented["content"][kind]["schema"]
    if kind == "application/json":
        check(response.json(), schema["$ref"].removeprefix("#"))
    for header in documented.get("headers", ()):
        assert header in response.headers


@pytest.fixture
def recording(tone):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(tone(0.5).tobytes())
    return out.getvalue()


def test_the_openapi_document_is_valid():
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(copy.deepcopy(OPENAPI))


def test_documents_are_served_with_and_without_a_version(start_server):
    server = start_server()
    for name, document in (("openapi.json", OPENAPI), ("asyncapi.json", ASYNCAPI)):
        for prefix in ("", "/v1"):
            answer = httpx.get(f"{server.http}{prefix}/{name}")
            assert answer.headers["content-type"] == "application/json" and answer.json() == document


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_responses_are_documented(start_server, recording, prefix):
    url = start_server().http + prefix
    for path in ("/healthz", "/metrics", "/palette.json", "/about.json"):
        answer = httpx.get(url + path)
        assert answer.status_code == 200
        check_response(answer, path)
    for query, body in (
        ("", recording),
        ("?format=rttm", recording),
        ("?format=csv", recording),
        ("", b"text"),
        ("", b""),
    ):
        check_response(httpx.post(f"{url}/diarize{query}", content=body, timeout=60), "/diarize", "post")
    line = b"SPEAKER call 1 5 3 angry <NA> anna <NA> <NA>"
    for query, body in (("?format=csv", line), ("?format=none", line), ("", b"text")):
        check_response(httpx.post(f"{url}/convert{query}", content=body), "/convert", "post")
    answer = httpx.post(f"{url}/diarize?progress=1", content=recording, timeout=60)
    assert (
        answer.headers["content-type"].split(";")[0]
        in OPENAPI["paths"]["/diarize"]["post"]["responses"]["200"]["content"]
    )
    for line in answer.text.splitlines():
        kind = json.loads(line)["type"]
        check(json.loads(line), f"/components/schemas/{dict(progress='Progress', result='ResultLine')[kind]}")
    for segment in (Segment(0.5, 1.0, "spk00", "sad", 0.5, {"sad": 0.5}), None):
        line = event_message(Event(3, segment, False, 30.0, 0.0))
        check(line, "/components/schemas/SegmentLine")
        check_message(line)


def test_errors_are_documented(start_server, recording):
    secret = start_server(token="secret secret secret")
    for path, method in (("/diarize", "post"), ("/convert", "post"), ("/metrics", "get")):
        answer = httpx.request(method, secret.http + path)
        assert answer.status_code == 401
        check_response(answer, path, method)
    answer = httpx.post(f"{secret.http}/diarize", headers={"host": "evil.example"})
    assert answer.status_code == 403
    check_response(answer, "/diarize", "post")
    documented = [OPENAPI["paths"][path]["post"]["responses"] for path in ("/diarize", "/convert")]
    assert set(STATUS) <= set(OPENAPI["components"]["schemas"]["Error"]["properties"]["code"]["enum"])
    for code, status in STATUS.items():
        assert any(code in responses[str(status)]["description"] for responses in documented)


@pytest.mark.parametrize("path", ["/stream", "/v1/stream"])
def test_messages_are_documented(start_server, tone, path):
    url = start_server().http.replace("http", "ws") + path
    with websockets.sync.client.connect(url) as socket:
        socket.send(json.dumps({"type": "start", "latency": 1.0}))
        socket.send(tone(2).tobytes())
        socket.send('{"type": "end"}')
        messages = [json.loads(text) for text in socket]
    assert {message["type"] for message in messages} == {"ready", "segment", "progress", "end"}
    for message in messages:
        check_message(message)
    with websockets.sync.client.connect(url) as socket:
        socket.send('{"type": "other"}')
        check_message(json.loads(socket.recv()))


def test_what_the_server_knows_is_in_the_document():
    messages = ASYNCAPI["components"]["messages"]
    assert {"type", *Start.__dataclass_fields__} <= set(messages["start"]["payload"]["properties"])
    assert set(messages["error"]["payload"]["properties"]["code"]["enum"]) == set(CLOSE_CODES)
    with pytest.raises(jsonschema.ValidationError):
        check_message({"type": "end", "time": 1.0, "other": 1})
    check_message({"type": "relabel", "from": "spk01", "to": "spk00", "time": 2.5})
    check_message({"type": "refined", "segments": [{"start": 0, "end": 1, "speaker": "spk00"}]})


def test_references_of_the_asyncapi_document_exist():
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(ASYNCAPI)):
        part = ASYNCAPI
        for key in reference.split("/"):
            part = part[key]


TYPES = (STATIC / "client.d.ts").read_text(encoding="utf-8")


def test_every_export_of_the_client_has_a_type():
    code = (STATIC / "client.js").read_text(encoding="utf-8")
    exports = set(re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", code, re.M))
    typed = set(re.findall(r"^export (?:function|class|const) (\w+)", TYPES, re.M))
    assert exports == typed and len(exports) >= 3
    stream = code[code.index("class SedStream") :].split("\n}\n")[0]
    members = set(re.findall(r"^  (?:static |async |get )*([a-z]\w*)\(.*\{$", stream, re.M)) - {"constructor"}
    assert members and all(re.search(rf"\b{name}\b[(:]", TYPES) for name in members)


def interface(name):
    body = re.search(rf"export interface {name} \{{(.*?)\n\}}", TYPES, re.S)[1]
    found = re.findall(r"^  (\w+)(\??):", body, re.M)
    return {key for key, _ in found}, {key for key, optional in found if not optional}


@pytest.mark.parametrize("kind", ["segment", "progress", "relabel", "refined", "end"])
def test_types_of_messages_are_those_of_the_document(kind):
    payload = ASYNCAPI["components"]["messages"][kind]["payload"]
    assert interface(f"{kind.capitalize()}Message") == (set(payload["properties"]), set(payload["required"]))


@pytest.mark.parametrize("name", ["Segment", "Result", "Settings"])
def test_types_of_results_are_those_of_the_document(name):
    schema = OPENAPI["components"]["schemas"][name]
    assert interface(name) == (set(schema["properties"]), set(schema.get("required", ())))


PROGRAM = """
import { SedStream, SedError, diarizeFile } from "./client.js";
const stream = await SedStream.open({ sampleRate: 16000 });
let emotion: string | undefined;
stream.addEventListener("segment", ({ detail }) => { emotion = detail.segment?.emotion; });
stream.send(new Int16Array(160));
const done: boolean = await stream.end();
const result = await diarizeFile(new Blob(), { onProgress: ({ ahead }) => ahead.toFixed() });
// @ts-expect-error: segments have no such field
result.segments[0].feeling;
// @ts-expect-error: no such code
new SedError("other", "");
export { done, emotion };
"""


@pytest.mark.slow
def test_the_types_compile(tmp_path, need_program):
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.skip("the TypeScript compiler is not installed (npm install -g typescript)")
    (tmp_path / "client.d.ts").write_text(TYPES)
    (tmp_path / "use.ts").write_text(PROGRAM)
    options = [
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "es2022",
        "--moduleResolution",
        "bundler",
        "--lib",
        "es2022,dom",
    ]
    done = subprocess.run(
        [need_program("node"), compiler, *options, "use.ts"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
