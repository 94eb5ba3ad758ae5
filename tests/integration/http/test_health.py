"""Health, readiness, and the paths and methods there are."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import chalicelib
from chalicelib import wiring
from tests.conftest import MakeToken, Router
from tests.integration.answers import GIVE_UP_SECONDS
from tests.integration.backend.hostile_servers import silent_server
from tests.integration.conftest import BuildRouter
from tests.servers import free_port

# Health and readiness


def test_health_tells_the_version_and_needs_no_token(router: Router):
    reply = router.as_caller(None).get("/health")
    assert reply.status == 200
    assert reply.json == {"status": "ok", "version": chalicelib.__version__, "function_version": "7"}


def test_health_touches_nothing_outside_the_process(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, make_token: MakeToken
):
    """It answers even where nothing is configured."""
    for name in environ:
        monkeypatch.delenv(name, raising=False)
    with wiring.use(None):  # type: ignore[arg-type]
        assert Router(None).get("/health").status == 200


def test_ready_is_200_when_redis_and_keys_can_be_had(router: Router):
    reply = router.as_caller(None).get("/ready")
    assert reply.status == 200
    assert reply.json.keys() == {"redis", "jwks"}
    for part in reply.json.values():
        assert part.keys() == {"ok", "latency_ms"}
        assert part["ok"] is True
        assert part["latency_ms"] >= 0


def test_ready_is_503_when_redis_is_away(build_router: BuildRouter):
    port = free_port()
    reply = build_router(REDIS_URL=f"redis://:hunter2@127.0.0.1:{port}/0").get("/ready")
    assert reply.status == 503
    assert {name: part["ok"] for name, part in reply.json.items()} == {"redis": False, "jwks": True}
    for secret in ("127.0.0.1", str(port), "hunter2", "Error", "refused"):
        assert secret not in reply.body


@pytest.mark.parametrize("fault", ["closed port", "500", "not JSON", "no keys"])
def test_ready_is_503_when_the_keys_cannot_be_fetched(build_router: BuildRouter, fault: str):
    answers = {"500": (500, b"{}"), "not JSON": (200, b"<html>"), "no keys": (200, b'{"keys":[]}')}

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[fault]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as issuer:
        thread = threading.Thread(target=issuer.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        port = free_port() if fault == "closed port" else issuer.server_port
        reply = build_router(COGNITO_JWKS=f"http://127.0.0.1:{port}/jwks.json").get("/ready")
        issuer.shutdown()
        thread.join()
    assert reply.status == 503
    assert {name: part["ok"] for name, part in reply.json.items()} == {"redis": True, "jwks": False}
    assert "127.0.0.1" not in reply.body


def test_ready_is_503_in_time_when_redis_is_silent(build_router: BuildRouter):
    with silent_server() as url:
        started = time.monotonic()
        reply = build_router(REDIS_URL=url).get("/ready")
        assert time.monotonic() - started < GIVE_UP_SECONDS
    assert reply.status == 503


# Routes and methods


ROUTES = {
    "/health": {"GET", "HEAD"},
    "/ready": {"GET", "HEAD"},
    "/openapi.json": {"GET", "HEAD"},
    "/.well-known/oauth-protected-resource": {"GET", "HEAD"},
    "/v1/jobs": {"GET", "HEAD", "POST"},
    "/v1/jobs/job_00000000000000000000000000000000": {"GET", "HEAD", "DELETE"},
}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"])
@pytest.mark.parametrize("path", ROUTES)
def test_another_method_is_405_and_told_which_there_are(router: Router, path: str, method: str):
    reply = router.call(method, path)
    if method in ROUTES[path]:
        assert reply.status != 405
        return
    assert reply.status == 405
    assert set(reply.headers["allow"].split(", ")) == ROUTES[path]
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["type"] == "urn:problem-type:lambda-router:method-not-allowed"


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/jobs", "/HEALTH", "/ping"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_404(router: Router, path: str, method: str):
    """API Gateway answers most of these itself; ``chalice local`` and a proxy resource do not."""
    reply = router.call(method, path)
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/openapi.json", "/.well-known/oauth-protected-resource", "/v1/jobs"]
)
def test_a_caller_that_takes_no_json_is_406_everywhere(router: Router, path: str):
    assert router.get(path, headers={"Accept": "text/html"}).status == 406


def test_a_content_type_on_a_get_is_nobodys_business(router: Router):
    assert router.get("/v1/jobs", headers={"Content-Type": "text/plain"}).status == 200
