"""``chalice local`` as a process, and ``chalice.test.Client``: every route, with a token of the local pool."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from chalice.test import Client

import app as app_module
from chalicelib import wiring
from tests.contract.repository import fences, page
from tests.e2e.conftest import StartStack
from tests.e2e.running_stack import RunningStack, clean_environ, final, is_alive, submit
from tools.local import commands
from tools.local.cognito import LocalCognito
from tools.local.ports import free_ports
from tools.stack.repository import ROOT

CHALICE = Path(sys.executable).parent / "chalice"
STARTED_WITHIN_SECONDS = 30
JOB = json.dumps({"type": "generate", "input": {"prompt": "hello"}})
RESPONSE = json.dumps({"model": "tinyllama", "input": "hello", "background": True})
#: A developer's first try.
_WITHOUT_A_STAGE = """
import json
from chalice.test import Client
from app import app
with Client(app) as client:
    answer = client.http.get("/ready")
print(json.dumps([answer.status_code, answer.json_body["detail"]]))
"""
NOBODYS = "job_00000000000000000000000000000000"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


type Send = Callable[..., Answer]


def _exported(stack: RunningStack) -> dict[str, str]:
    """What a developer exports to use the parts of `make run`."""
    facts = stack.facts
    cognito = LocalCognito.of(facts)
    limits = {"ROUTER_RATE_PER_MINUTE": "60000", "ROUTER_RATE_BURST": "1000"}
    return commands.app_settings(cognito, facts["redis_url"]) | limits


def _shell(**settings: str) -> dict[str, str]:
    """A shell with these settings and none else; no file ``.env`` of the checkout's owner gets in."""
    kept = {
        name: value for name, value in clean_environ().items() if not name.startswith(("ROUTER_", "COGNITO_", "REDIS"))
    }
    return kept | settings


@contextmanager
def _chalice_local(environ: Mapping[str, str], folder: Path = ROOT) -> Iterator[tuple[str, list[str]]]:
    """The command itself on a free port; its URL, and what it has printed once it ended."""
    (port,) = free_ports(1)
    command = [str(CHALICE), "local", "--stage", "local", "--port", str(port), "--no-autoreload"]
    printed: list[str] = []
    with subprocess.Popen(
        command, cwd=folder, env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}", printed
        finally:
            process.terminate()
            printed.append(process.communicate(timeout=10)[0])


def _wait_for(url: str, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + STARTED_WITHIN_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(httpx.TransportError):
            httpx.get(url, trust_env=False)
            return
        time.sleep(0.1)
    raise AssertionError(f"chalice local does not answer; its status is {process.poll()}")


@contextmanager
def _by_process(stack: RunningStack) -> Iterator[Send]:
    with _chalice_local(_shell(**_exported(stack))) as (url, _), httpx.Client(base_url=url, trust_env=False) as http:

        def send(method: str, path: str, body: str | bytes = b"", **headers: str) -> Answer:
            got = http.request(method, path, content=body, headers=headers, timeout=30)
            return Answer(got.status_code, {name.lower(): value for name, value in got.headers.items()}, got.text)

        yield send


@contextmanager
def _by_client(stack: RunningStack) -> Iterator[Send]:
    with wiring.use(wiring.build(_exported(stack))), Client(app_module.app, stage_name="local") as client:

        def send(method: str, path: str, body: str | bytes = b"", **headers: str) -> Answer:
            raw = body.encode() if isinstance(body, str) else body
            got = client.http.request(method, path, body=raw, headers={"Host": "localhost"} | headers)
            return Answer(
                got.status_code, {name.lower(): value for name, value in got.headers.items()}, got.body.decode()
            )

        yield send


@pytest.fixture(scope="module", params=[_by_process, _by_client], ids=["chalice local", "test client"])
def send(stack: RunningStack, request: pytest.FixtureRequest) -> Iterator[Send]:
    with request.param(stack) as way:
        yield way


@pytest.fixture
def ann(stack: RunningStack) -> dict[str, str]:
    """The headers of a caller with a real token of the local pool."""
    return {"Authorization": f"Bearer {stack.token('ann')}", "Content-Type": "application/json"}


def test_a_token_a_job_and_its_result(send: Send, ann: dict[str, str]) -> None:
    accepted = send("POST", "/v1/jobs", JOB, **ann)
    path = accepted.headers["location"]
    done = send("GET", path, **ann, Prefer="wait=15")

    assert accepted.status == 202
    assert path == f"/v1/jobs/{accepted.json['id']}"
    assert done.headers["preference-applied"] == "wait=15"
    assert (done.json["status"], done.json["result"]["text"]) == ("completed", "HELLO")
    assert send("GET", path, **ann, **{"If-None-Match": done.headers["etag"]}).status == 304


def test_a_stream_is_refused_by_name_and_live_output_comes_whole(send: Send, ann: dict[str, str]) -> None:
    before = send("GET", "/v1/jobs", **ann).json["data"]
    for path, body in (
        ("/v1/responses", {"input": "hello"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
    ):
        refused = send("POST", path, json.dumps(body | {"model": "tinyllama", "stream": True}), **ann)
        assert (refused.status, refused.json["error"]["param"]) == (400, "stream")
    assert send("GET", "/v1/jobs", **ann).json["data"] == before

    path = send("POST", "/v1/jobs", JOB, **ann).headers["location"]
    send("GET", path, **ann, Prefer="wait=15")
    events = send("GET", f"{path}/events", **ann, Accept="text/event-stream")
    assert events.headers["content-type"].startswith("text/event-stream")
    names = [line for line in events.body.splitlines() if line.startswith("event: ")]
    assert names == ["event: delta", "event: job"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json", "/.well-known/oauth-protected-resource"])
def test_the_open_routes_answer(send: Send, path: str) -> None:
    answer = send("GET", path)

    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


def test_a_batch_a_list_and_a_cancellation(send: Send, ann: dict[str, str]) -> None:
    later = {"type": "generate", "input": {"prompt": "later"}, "delay_seconds": 600}
    batch = send("POST", "/v1/jobs/batch", json.dumps({"jobs": [later, later]}), **ann)
    ids = [each["job"]["id"] for each in batch.json["data"]]
    listed = send("GET", "/v1/jobs?status=queued&limit=2", **ann)
    cancelled = [send("DELETE", f"/v1/jobs/{each}", **ann) for each in ids]

    assert batch.status == 200
    assert {each["id"] for each in listed.json["data"]} == set(ids)
    assert [(answer.status, answer.json["status"]) for answer in cancelled] == [(200, "cancelled")] * 2


def test_a_repeated_key_gives_the_first_job(send: Send, ann: dict[str, str]) -> None:
    key = {"Idempotency-Key": f"chalice-{time.time_ns()}"}
    first, second = (send("POST", "/v1/jobs", JOB, **ann, **key) for _ in range(2))

    assert (first.status, second.status) == (202, 202)
    assert first.json["id"] == second.json["id"]
    assert second.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/jobs", "{", 400),
        ("POST", "/v1/jobs", b"\xff\x00\xfe", 400),
        ("POST", "/v1/jobs", b"", 400),
        ("POST", "/v1/jobs", '{"type": "generate"}', 422),
        ("GET", f"/v1/jobs/{NOBODYS}", b"", 404),
        ("GET", "/v1/jobs/%2e%2e%2fhealth", b"", 404),
        ("DELETE", f"/v1/jobs/{NOBODYS}", b"", 404),
        ("GET", "/v1/jobs?limit=0", b"", 400),
    ],
    ids=["no JSON", "no text", "empty", "no input", "unknown id", "escaped path", "cancel unknown", "query"],
)
def test_refusals_are_problems(
    send: Send, ann: dict[str, str], method: str, path: str, body: str | bytes, status: int
) -> None:
    answer = send(method, path, body, **ann)

    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["instance"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("token", [None, "Bearer nonsense", "Bearer a.b.c"], ids=["none", "no JWT", "like a JWT"])
def test_nobody_gets_in_without_a_good_token(send: Send, token: str | None) -> None:
    answer = send("GET", "/v1/jobs", **({"Authorization": token} if token else {}))

    assert (answer.status, answer.headers["content-type"]) == (401, "application/problem+json")


def test_somebody_elses_job_is_not_there(send: Send, stack: RunningStack, ann: dict[str, str]) -> None:
    job = send("POST", "/v1/jobs", JOB, **ann).json["id"]

    assert send("GET", f"/v1/jobs/{job}", Authorization=f"Bearer {stack.token('ben')}").status == 404


def test_ping_is_no_route(send: Send) -> None:
    assert send("GET", "/ping").status in {403, 404}


def test_every_route_and_method_answers(send: Send, ann: dict[str, str]) -> None:
    """Those of the app itself, so that a new one is not forgotten."""
    job = send("POST", "/v1/jobs", JOB, **ann).json["id"]
    response = send("POST", "/v1/responses", RESPONSE, **ann).json["id"]
    bodies = {
        "/v1/jobs": JOB,
        "/v1/jobs/batch": f'{{"jobs": [{JOB}]}}',
        "/v1/responses": RESPONSE,
        "/v1/chat/completions": '{"model": "tinyllama", "messages": [{"role": "user", "content": "hello"}]}',
    }
    for path, methods in app_module.app.routes.items():
        for method in sorted(methods, key="DELETE".__eq__):
            body = bodies.get(path, b"") if method == "POST" else b""
            where = path.format(job_id=job, response_id=response, model="tinyllama")
            if "cancel" in where or "input_items" in where:  # their paths come behind the one that deletes
                response = send("POST", "/v1/responses", RESPONSE, **ann).json["id"]
                where = path.format(response_id=response)
            assert send(method, where, body, **ann).status in {200, 202}, (method, path)


@pytest.mark.parametrize(
    ("method", "content_type", "body", "status"),
    [
        ("PUT", "application/json", "{}", 405),
        ("POST", "text/plain", "x", 415),
        ("POST", "application/octet-stream", b"\xff\x00", 415),
        ("POST", "application/json", " " * 1_100_000, 413),
    ],
)
def test_methods_and_content_types_are_refused_by_us(
    send: Send, ann: dict[str, str], method: str, content_type: str, body: str | bytes, status: int
) -> None:
    """In small letters, by which Chalice knows a body that it takes for binary and encodes itself."""
    headers = {"authorization": ann["Authorization"], "content-type": content_type}
    answer = send(method, "/v1/jobs", body, **headers)

    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_query_that_is_repeated_is_refused_and_an_escaped_id_is_found(send: Send, ann: dict[str, str]) -> None:
    job = send("POST", "/v1/jobs", JOB, **ann).json["id"]

    assert send("GET", "/v1/jobs?limit=2&limit=3", **ann).status == 400
    assert send("GET", f"/v1/jobs/%6A{job[1:]}", **ann).json["id"] == job


def test_an_answer_to_head_has_no_body_and_the_connection_goes_on(send: Send) -> None:
    for _ in range(2):
        answer = send("HEAD", "/health")
        assert (answer.status, answer.body) == (200, "")
        assert send("GET", "/health").json["status"] == "ok"


def test_cors_from_the_file_is_for_preflights_answers_and_errors(tmp_path: Path) -> None:
    copy = _copy_of_the_app(tmp_path)
    (copy / ".env").write_text("ROUTER_CORS_ORIGIN=https://app.example.com\n")
    settings = {
        "COGNITO_USER_POOL_ID": "us-east-1_x",
        "COGNITO_AUD": "x",
        "COGNITO_JWKS": "http://127.0.0.1:1/",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    with _chalice_local(_shell(**settings), copy) as (url, _), httpx.Client(base_url=url, trust_env=False) as http:
        answers = [http.options("/v1/jobs"), http.get("/health"), http.get("/v1/jobs")]

    assert [answer.status_code for answer in answers] == [200, 200, 401]
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {"https://app.example.com"}
    assert set(answers[0].headers["Access-Control-Allow-Methods"].split(",")) == {"GET", "HEAD", "POST", "OPTIONS"}


def test_of_several_origins_the_one_that_asks_is_answered(tmp_path: Path) -> None:
    copy = _copy_of_the_app(tmp_path)
    near, far = "https://app.example.com", "https://admin.example.com"
    (copy / ".env").write_text(f"ROUTER_CORS_ORIGIN={near},{far}\n")
    settings = {
        "COGNITO_USER_POOL_ID": "us-east-1_x",
        "COGNITO_AUD": "x",
        "COGNITO_JWKS": "http://127.0.0.1:1/",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    with _chalice_local(_shell(**settings), copy) as (url, _), httpx.Client(base_url=url, trust_env=False) as http:
        for origin in (near, far, "https://evil.example.com"):
            asks = {"Origin": origin}
            answers = [http.options("/v1/jobs", headers=asks), http.get("/health", headers=asks)]
            assert [answer.status_code for answer in answers] == [204, 200]
            allowed = {answer.headers.get("Access-Control-Allow-Origin") for answer in answers}
            assert allowed == {origin if origin in {near, far} else None}
            assert {answer.headers["Vary"] for answer in answers} == {"Origin"}
            methods = answers[0].headers["Access-Control-Allow-Methods"].split(",")
            assert set(methods) == {"GET", "HEAD", "POST", "OPTIONS"}


def test_the_shells_settings_win_over_the_stages_and_the_files(stack: RunningStack, tmp_path: Path) -> None:
    """A copy of the app with a ``.env`` that names a dead Redis, and a burst of its own."""
    copy = _copy_of_the_app(tmp_path)
    (copy / ".env").write_text(
        "REDIS_URL=redis://127.0.0.1:1/0\nROUTER_RATE_BURST=2\n# a comment\nROUTER_RATE_PER_MINUTE=1\n"
    )
    exported = _exported(stack)
    del exported["ROUTER_RATE_BURST"]
    token = stack.token("env-file")

    with _chalice_local(_shell(**exported), copy) as (url, _):
        answers = [
            httpx.post(f"{url}/v1/jobs", content=JOB, trust_env=False, headers=_json_for(token)) for _ in range(1)
        ]

    assert answers[0].status_code == 202  # the shell's Redis
    assert answers[0].headers["RateLimit-Policy"] == '"rate";q=60000;w=60'  # the shell's rate
    assert answers[0].headers["RateLimit"].startswith('"rate";r=1;')  # the file's burst


def test_a_missing_setting_is_named_with_its_fix(tmp_path: Path) -> None:
    copy = _copy_of_the_app(tmp_path)

    with _chalice_local(_shell(), copy) as (url, printed):
        answer = httpx.get(f"{url}/ready", trust_env=False)

    said = "".join(printed)
    terminal = "\n".join(line for line in said.splitlines() if not line.startswith("{"))
    lines = [json.loads(line) for line in said.splitlines() if line.startswith('{"level"')]
    request = next(line for line in lines if line["message"] == "request" and line["route"] == "/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    for text in (answer.json()["detail"], request["reason"], terminal):
        assert "COGNITO_USER_POOL_ID" in text
        assert "REDIS_URL" in text
    assert ".env" in said


def test_a_line_of_the_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    copy = _copy_of_the_app(tmp_path)
    (copy / ".env").write_text("ROUTER_QUEUE=one\nthis is no setting\n")

    ran = subprocess.run(
        [str(CHALICE), "local", "--stage", "local", "--port", "0", "--no-autoreload"],
        cwd=copy,
        env=_shell(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode != 0
    assert ".env, line 2" in ran.stdout + ran.stderr


def test_the_client_without_a_stage_says_what_to_do() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT_A_STAGE],
        cwd=ROOT,
        env=_shell(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    status, detail = json.loads(ran.stdout.splitlines()[-1])
    assert status == 503
    assert 'stage_name="local"' in detail
    assert "COGNITO_USER_POOL_ID" in detail


def test_an_event_of_api_gateway_is_as_strict_as_before_where_chalice_local_is_loaded() -> None:
    """What lets Chalice's own requests in is the context that Chalice makes, not what an event says."""

    class Context:
        aws_request_id = "1"

    event = {"requestContext": {"resourcePath": "/health", "httpMethod": "GET", "path": "/health"}, "body": None}

    assert app_module.app(event, Context())["statusCode"] == 400


def test_the_pages_way_to_test_a_route_works(stack: RunningStack, tmp_path: Path) -> None:
    (snippet,) = [block for block in fences(page("CONTRIBUTING.md"), "python") if "chalice.test" in block]
    script = tmp_path / "test_route.py"
    script.write_text(snippet)
    environ = _shell(**_exported(stack), TOKEN=stack.token("page"), PYTHONPATH=str(ROOT))

    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
            "-c",
            os.devnull,
            str(script),
        ],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.returncode, "1 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr


def test_make_chalice_local_has_services_of_its_own(start_stack: StartStack) -> None:
    stack = start_stack(options=["--chalice"])
    pids = stack.pids

    with stack.caller("own") as caller:
        assert final(caller, submit(caller).json()["id"])["result"]["text"] == "HELLO"
        assert caller.get("/health").headers["Server"].startswith("BaseHTTP")  # Chalice's own server
    assert set(pids) == {"valkey", "cognito", "worker", "app"}
    assert stack.stop() == 0
    assert not [name for name, pid in pids.items() if is_alive(pid)]


def test_make_chalice_local_uses_the_services_of_make_run(stack: RunningStack, start_stack: StartStack) -> None:
    beside = start_stack(options=["--chalice"], SERVICES_PORT=str(stack.port), ROUTER_RATE_BURST="7")

    with beside.caller("beside") as caller, stack.caller("beside") as same:
        accepted = submit(caller)
        assert final(same, accepted.json()["id"])["status"] == "completed"
        assert accepted.headers["RateLimit"].startswith('"rate";r=6;')  # the shell's burst
    assert set(beside.pids) == {"app"}
    asked = {"response_type": "code", "client_id": stack.facts["client_id"], "code_challenge_method": "S256"}
    asked |= {"code_challenge": "a" * 43, "redirect_uri": f"{beside.url}/"}
    page = httpx.get(f"{stack.facts['endpoint']}/login", params=asked, trust_env=False)
    assert page.status_code == 200  # the pool of `make run` takes its page, too
    assert beside.stop() == 0


def _json_for(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def _copy_of_the_app(folder: Path) -> Path:
    """What ``chalice local`` needs, without the checkout's own ``.env``; a path with a space."""
    copy = folder / "a copy"
    copy.mkdir()
    for name in ("app.py", "chalicelib", ".chalice"):
        subprocess.run(["cp", "-R", str(ROOT / name), str(copy)], check=True)
    return copy
