"""A process of its own: variables are read from the environment, some of them at import."""

import json
import subprocess
import sys
from typing import Any

import pytest

from chalicelib import wiring
from tests.conftest import MakeToken, Router
from tests.integration.answers import every_answer
from tests.integration.conftest import Lines
from tests.integration.processes import ROOT, clean_environment
from tests.job_ids import any_job_id

PROGRAM = """
import json, sys
import app
from tests.conftest import LambdaContext, gateway_event
from tests.job_ids import any_job_id

for method, path, headers in json.load(sys.stdin):
    print("reply:" + json.dumps(app.app(gateway_event(method, path, None, headers), LambdaContext())))
"""


def replies_of_a_process(environ: dict[str, str], *requests: tuple[str, str, dict[str, str]]) -> list[dict[str, Any]]:
    """What the app answers in a fresh process with that environment."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        input=json.dumps(requests),
        env=clean_environment(**environ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    lines = done.stdout.splitlines()
    return [json.loads(line.removeprefix("reply:")) for line in lines if line.startswith("reply:")]


def lower(reply: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in reply["headers"].items()}


def test_browsers_may_read_answers_and_problems_of_the_configured_origin(
    environ: dict[str, str], make_token: MakeToken
):
    token = {"Authorization": f"Bearer {make_token()}"}
    replies = replies_of_a_process(
        environ | {"ROUTER_CORS_ORIGIN": "https://app.example.com"},
        ("GET", "/health", {}),
        ("GET", "/v1/jobs", token),
        ("GET", "/v1/jobs", {}),
        ("GET", f"/v1/jobs/{any_job_id()}", token),
        ("PUT", "/v1/jobs", token),
    )
    assert [reply["statusCode"] for reply in replies] == [200, 200, 401, 404, 405]
    for reply in replies:
        headers = lower(reply)
        assert headers["access-control-allow-origin"] == "https://app.example.com"
        exposed = headers["access-control-expose-headers"].split(",")
        assert {"X-Request-Id", "Location", "Retry-After", "RateLimit", "ETag"} <= {name.strip() for name in exposed}
        assert "Idempotency-Key" in headers["access-control-allow-headers"]


def test_of_several_origins_every_answer_names_the_one_that_asks(environ: dict[str, str], make_token: MakeToken):
    token = {"Authorization": f"Bearer {make_token()}"}
    near, far, stranger = "https://app.example.com", "https://admin.example.com", "https://evil.example.com"
    asked = [
        ("GET", "/health", {}, 200),
        ("GET", "/v1/jobs", token, 200),
        ("GET", "/v1/jobs", {}, 401),
        ("PUT", "/v1/jobs", token, 405),
        ("OPTIONS", "/v1/jobs", {"Access-Control-Request-Method": "POST"}, 204),
        ("OPTIONS", f"/v1/jobs/{any_job_id()}", {"Access-Control-Request-Method": "DELETE"}, 204),
    ]
    requests = [
        (method, path, headers | ({"Origin": origin} if origin else {}))
        for origin in (near, far, stranger, "")
        for method, path, headers, _ in asked
    ]

    replies = replies_of_a_process(environ | {"ROUTER_CORS_ORIGIN": f"{near},{far}"}, *requests)

    assert [reply["statusCode"] for reply in replies] == [status for *_, status in asked] * 4
    for (method, path, sent), reply in zip(requests, replies, strict=True):
        headers = lower(reply)
        origin = sent.get("Origin")
        assert headers.get("access-control-allow-origin") == (origin if origin in {near, far} else None)
        assert headers["vary"] == "Origin"
        if method == "OPTIONS":
            methods = {"GET", "HEAD", "OPTIONS", "DELETE" if "job_" in path else "POST"}
            assert set(headers["access-control-allow-methods"].split(",")) == methods


def test_without_an_origin_no_answer_has_cors_headers(router: Router, generate: dict[str, Any]):
    for kind, reply in every_answer(router, generate).items():
        assert not [name for name in reply.headers if name.startswith("access-control")], kind


def test_a_process_without_its_settings_is_500_but_alive(environ: dict[str, str], make_token: MakeToken):
    token = {"Authorization": f"Bearer {make_token()}"}
    without = {name: value for name, value in environ.items() if name != "COGNITO_AUD"}
    replies = replies_of_a_process(without, ("GET", "/v1/jobs", token), ("GET", "/ready", {}), ("GET", "/health", {}))
    assert [reply["statusCode"] for reply in replies] == [500, 500, 200]
    problem = json.loads(replies[0]["body"])
    assert problem["type"] == "urn:problem-type:lambda-router:misconfigured"
    assert "COGNITO_AUD" not in replies[0]["body"]


def test_what_is_missing_stands_in_the_log(monkeypatch: pytest.MonkeyPatch, log_lines: Lines):
    for name in ("COGNITO_USER_POOL_ID", "COGNITO_AUD", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    with wiring.use(None):  # type: ignore[arg-type]
        assert Router(None).get("/v1/jobs").status == 500
    [line] = [line for line in log_lines() if line["message"] == "misconfigured"]
    assert line["level"] == "ERROR"
    for name in ("COGNITO_USER_POOL_ID", "COGNITO_AUD"):
        assert name in line["explanation"]


def test_services_are_built_from_the_environment_once(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, make_token: MakeToken
):
    monkeypatch.delenv("ROUTER_CORPORA", raising=False)  # for tests only: the app would not know it
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with wiring.use(None):  # type: ignore[arg-type]
        assert Router(make_token()).get("/v1/jobs").status == 200
        assert wiring.services() is wiring.services()
