"""Whom the proxy refuses: pages, other hosts, callers without the key, paths that lead elsewhere."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.client.proxy.proxied import Proxied, answers_all, proxy_for
from tests.model_servers import Call


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    options = ("--allow-origin", "https://chat.example", "--allow-host", "host.docker.internal")
    with proxy_for(tmp_path_factory.mktemp("proxy") / "home", ("alpha",), answers_all, *options) as proxied:
        yield proxied


@pytest.fixture
def proxied(shared: Proxied) -> Proxied:
    """One proxy for all; each test counts from zero, with the usual script."""
    shared.upstreams["alpha"].script = answers_all
    shared.upstreams["alpha"].seen.clear()
    return shared


def code_of(response: httpx.Response) -> Any:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["code"]


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer sk-lr-wrong", "Bearer", "Basic {key}", "Bearer {key}x", "Bearer \xe9", "Bearer token-of-alpha"],
    ids=["none", "wrong", "empty", "basic", "longer", "not ascii", "a token"],
)
def test_without_the_key_nothing_reaches_the_server(proxied: Proxied, sent: str) -> None:
    headers = {"Authorization": sent.format(key=proxied.key).encode("latin-1")}
    response = httpx.get(f"{proxied.base_url}/models", headers=headers, trust_env=False)
    assert (response.status_code, code_of(response)) == (401, "invalid_api_key")
    assert proxied.key not in response.text
    assert not proxied.upstreams["alpha"].seen


def test_two_keys_are_refused(proxied: Proxied) -> None:
    line = f"Authorization: Bearer {proxied.key}"
    answer = proxied.raw("GET /v1/models HTTP/1.1", "Host: localhost", line, line)
    assert answer.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1", "https://chat.example.evil", "https://chat.example:8"],
)
@pytest.mark.parametrize("method", ["POST", "OPTIONS", "GET"])
def test_a_page_that_is_not_allowed_gets_no_grant_even_with_the_key(proxied: Proxied, method: str, origin: str) -> None:
    with proxied.tool(Origin=origin) as page:
        response = page.request(method, "/v1/models", headers={"Access-Control-Request-Method": "POST"})
    assert (response.status_code, code_of(response)) == (403, "origin_not_allowed")
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert not proxied.upstreams["alpha"].seen


def test_an_allowed_page_gets_its_grant_and_still_needs_the_key(proxied: Proxied) -> None:
    with proxied.tool(Origin="https://chat.example") as page:
        preflight = page.options("/v1/models", headers={"Authorization": "", "Access-Control-Request-Method": "POST"})
        refused = page.get("/v1/models", headers={"Authorization": ""})
        answered = page.get("/v1/models")
    assert preflight.status_code == 204
    assert (refused.status_code, answered.status_code) == (401, 200)
    for response in (preflight, refused, answered):
        assert response.headers["access-control-allow-origin"] == "https://chat.example"
    assert "origin" not in proxied.upstreams["alpha"].seen[0].headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:1", "127.0.0.1.evil.example", "192.168.1.2", "localhost@evil", "a b", ""]
)
def test_another_host_name_is_refused(proxied: Proxied, host: str) -> None:
    line = f"Authorization: Bearer {proxied.key}"
    answer = proxied.raw("GET /v1/models HTTP/1.1", f"Host: {host}", line)
    assert answer.split(b" ")[1] in {b"403", b"400"}
    assert not proxied.upstreams["alpha"].seen


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:11435", "[::1]:2", "host.docker.internal:9"])
def test_names_of_this_machine_are_answered(proxied: Proxied, host: str) -> None:
    line = f"Authorization: Bearer {proxied.key}"
    assert proxied.raw("GET /v1/models HTTP/1.1", f"Host: {host}", line).startswith(b"HTTP/1.1 200")
    # The server sees its own name.
    assert proxied.upstreams["alpha"].seen[0].headers["host"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "target",
    [
        "/", "/v1", "/v1/", "/v2/models", "//evil.example/v1/models", "/v1/../v1/models", "/v1//models", "/v1/./models",
        "/v1/%2e%2e/admin", "/v1/%2E./admin", "/v1/a/..%2fb", "/v1/a%252e", "/v1/a%5cb", "/v1/a\\b", "/v1/a%0d%0aX:1",
        "/v1/a%00b", "/v1/%ff", "/v1/.env", "http://evil.example/v1/models", "http://127.0.0.1:1/v1/models",
        "evil.example:443", "*", "/alpha/v1/../v1/models", "/nobody/v1/models",
    ],
)  # fmt: skip
def test_no_path_leads_elsewhere(proxied: Proxied, target: str) -> None:
    line = f"Authorization: Bearer {proxied.key}"
    answer = proxied.raw(f"GET {target} HTTP/1.1", "Host: localhost", line)
    assert answer.split(b" ")[1] in {b"400", b"404"}
    assert not proxied.upstreams["alpha"].seen


def test_a_good_path_arrives_as_it_was_sent(proxied: Proxied) -> None:
    with proxied.tool() as tool:
        tool.get("/v1/responses/resp_1/input_items?limit=2&order=asc&after=a%2Fb")
        tool.get("/v1/models/org%2Fmodel")
        tool.get("/alpha/v1/jobs")
    assert [call.path for call in proxied.upstreams["alpha"].seen] == [
        "/v1/responses/resp_1/input_items?limit=2&order=asc&after=a%2Fb",
        "/v1/models/org%2Fmodel",
        "/v1/jobs",
    ]


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PROPFIND"])
def test_other_methods_are_refused(proxied: Proxied, method: str) -> None:
    line = f"Authorization: Bearer {proxied.key}"
    assert proxied.raw(f"{method} /v1/models HTTP/1.1", "Host: localhost", line).startswith(b"HTTP/1.1 405")


def test_headers_of_a_connection_or_a_browser_stay_behind(proxied: Proxied) -> None:
    dropped = {
        "X-Hop": "1", "Cookie": "a=b", "Referer": "http://x", "X-Forwarded-For": "1.1.1.1", "Forwarded": "for=x",
        "Proxy-Authorization": "Basic x", "TE": "trailers", "X-Real-IP": "1", "Sec-Fetch-Site": "none",
    }  # fmt: skip
    kept = {"Idempotency-Key": "k", "X-Stainless-Retry-Count": "1", "User-Agent": "tool/1"}
    with proxied.tool() as tool:
        tool.post("/v1/jobs", json={"a": 1}, headers={"Connection": "close, X-Hop"} | dropped | kept)
    (call,) = proxied.upstreams["alpha"].seen
    assert call.headers["authorization"] == "Bearer token-of-alpha"
    assert {name.lower() for name in dropped}.isdisjoint(call.headers)
    assert {name: call.headers[name.lower()] for name in kept} == kept
    assert call.body == b'{"a":1}'


def test_headers_of_the_answer_pass_but_for_those_of_its_host(proxied: Proxied) -> None:
    dropped = {"Set_Cookie": "a=b", "Access_Control_Allow_Origin": "*", "Strict_Transport_Security": "max-age=1"}
    hop = {"Connection": "X-Hop", "X_Hop": "1"}

    def answer(call: Call) -> None:
        call.answer(202, {}, RateLimit="r", X_Request_Id="q", Location="/v1/jobs/job_1", **dropped, **hop)

    proxied.upstreams["alpha"].script = answer
    with proxied.tool() as tool:
        response = tool.post("/alpha/v1/jobs", json={})
    kept = {name: response.headers.get(name) for name in ("ratelimit", "x-request-id", "location")}
    assert kept == {"ratelimit": "r", "x-request-id": "q", "location": "/alpha/v1/jobs/job_1"}
    assert {"x-hop", *(name.lower().replace("_", "-") for name in dropped)}.isdisjoint(response.headers)


def test_a_redirect_leads_no_tool_to_another_host(proxied: Proxied) -> None:
    proxied.upstreams["alpha"].script = lambda call: call.answer(307, {}, Location="http://evil.example/v1/models")
    with proxied.tool() as tool:
        response = tool.get("/v1/models")
    assert (response.status_code, code_of(response)) == (502, "server_redirects")
    assert "location" not in response.headers


def test_a_second_request_cannot_be_smuggled_in_a_body(proxied: Proxied) -> None:
    line = f"Authorization: Bearer {proxied.key}"
    hidden = b"0\r\n\r\nGET /v1/hidden HTTP/1.1\r\n\r\n"
    both = ("Content-Length: 5", "Transfer-Encoding: chunked")
    answer = proxied.raw("POST /v1/jobs HTTP/1.1", "Host: localhost", line, *both, body=hidden)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert not proxied.upstreams["alpha"].seen


@pytest.mark.parametrize(
    "bad", ["Host: evil.example", "X: a\x00b", "X y: 1", "Content-Length: +1", "Transfer-Encoding: x"]
)
def test_a_malformed_head_is_refused(proxied: Proxied, bad: str) -> None:
    line = f"Authorization: Bearer {proxied.key}"
    answer = proxied.raw("POST /v1/models HTTP/1.1", "Host: localhost", line, bad)
    assert answer.split(b" ")[1] in {b"400", b"501"}
    assert not proxied.upstreams["alpha"].seen


def test_the_key_is_checked_before_a_body_is_asked_for(proxied: Proxied) -> None:
    head = ("POST /v1/jobs HTTP/1.1", "Host: localhost", "Content-Length: 100000000000", "Expect: 100-continue")
    answer = proxied.raw(*head)
    assert answer.startswith(b"HTTP/1.1 401")
    assert json.loads(answer.partition(b"\r\n\r\n")[2] or b'{"error": {"code": "invalid_api_key"}}')["error"]["code"]
