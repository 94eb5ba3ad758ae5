"""A secret planted wherever a caller can write to stands in no line of the log and in no metric."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import app as app_module
from chalicelib import wiring
from chalicelib.wiring import Services
from tests.conftest import KID, LambdaContext, Router, base64url, gateway_event
from tests.log_secrets import PLANTED, secrets_in
from tests.unit.forge import Forge

ROUTES = [
    ("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("POST", "/v1/jobs/batch"), ("GET", f"/v1/jobs/{'job_' + '0' * 32}"),
    ("DELETE", f"/v1/jobs/{'job_' + '0' * 32}"), ("GET", "/health"), ("GET", "/ready"), ("GET", "/openapi.json"),
    ("GET", "/.well-known/oauth-protected-resource"),
    ("GET", f"/v1/jobs/{'job_' + '0' * 32}/events"),
]  # fmt: skip
HEADERS = (
    "Accept", "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer",
    "traceparent", "Origin", "X-Request-Id", "x-amzn-RequestId", "X-Forwarded-For", "X-Amzn-Trace-Id", "User-Agent",
    "Cookie", "Host",
)  # fmt: skip
VALUES = (PLANTED, f"Bearer {PLANTED}", f"wait={PLANTED}", f'"{PLANTED}', f"application/json;{PLANTED}", f"{PLANTED}\n")
JOB: dict[str, Any] = {"type": "generate", "input": {"prompt": "x"}}
BODIES: dict[str, Any] = {
    "no JSON": PLANTED,
    "a string": json.dumps(PLANTED),
    "cut off": f'{{"{PLANTED}": "{PLANTED}',
    "a repeated name": f'{{"{PLANTED}": 1, "{PLANTED}": 2}}',
    "not UTF-8": PLANTED.encode() + b"\xff",
    "a number": "1" * 200 + PLANTED,
    "a name": JOB | {PLANTED: PLANTED},
    "a type": JOB | {"type": PLANTED},
    "an input": JOB | {"input": PLANTED},
    "a name within": {"type": "generate", "input": {"prompt": "x", PLANTED: PLANTED}},
    "a prompt": {"type": "generate", "input": {"prompt": PLANTED, "system": PLANTED, "stop": [PLANTED]}},
    "a message": {"type": "chat", "input": {"messages": [{"role": PLANTED, "content": PLANTED}]}},
    "a conversation": {"type": "chat", "input": {"messages": [{"role": "user", "content": PLANTED}]}},
    "metadata": JOB | {"metadata": {PLANTED: PLANTED}},
    "odd metadata": JOB | {"metadata": {PLANTED: 1}},
    "a priority": JOB | {"priority": PLANTED},
    "a number's place": JOB | {"ttl_seconds": PLANTED, "delay_seconds": PLANTED, "store": PLANTED},
    "a batch": {"jobs": [JOB | {"type": PLANTED}, PLANTED, JOB | {"metadata": {PLANTED: PLANTED}}]},
    "no batch": {"jobs": PLANTED, PLANTED: []},
}


@pytest.fixture
def log_is_clean(
    capsys: pytest.CaptureFixture[str], log_lines: Callable[[], list[dict[str, Any]]]
) -> Callable[[], str]:
    """What was written since; fails where it holds what was planted."""

    def written() -> str:
        captured = capsys.readouterr()  # the metrics; the log's handler was there before
        text = "\n".join([*map(json.dumps, log_lines()), captured.out, captured.err])
        assert log_lines()
        lower = text.lower()
        assert PLANTED not in lower, next(line for line in lower.splitlines() if PLANTED in line)
        assert base64url(PLANTED.encode()).lower() not in lower
        return text

    return written


def call(event: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = app_module.app(event, LambdaContext())
    return answer


def event_for(
    router: Router, method: str, path: str, headers: dict[str, Any] | None = None, query: Any = None, body: Any = None
) -> dict[str, Any]:
    usual: dict[str, Any] = {"Authorization": f"Bearer {router.token}", "Content-Type": "application/json"}
    body = (JOB if method == "POST" else None) if body is None else body
    return gateway_event(method, path, body, usual | (headers or {}), query)


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=str)
def test_headers_and_queries_are_not_logged(
    method: str, path: str, router: Router, log_is_clean: Callable[[], str]
) -> None:
    for value in VALUES:
        for name in HEADERS:
            call(event_for(router, method, path, {name: value}))
            call(event_for(router, method, path, {name: [value, value]}))
        for name in ("limit", "status", "cursor", "after", PLANTED):
            call(event_for(router, method, path, query={name: [value]}))
            call(event_for(router, method, path, query={name: [value, value]}))
    call(event_for(router, method, path, {PLANTED: PLANTED}))
    log_is_clean()


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "HEAD", "PUT", PLANTED])
def test_a_path_is_not_logged(method: str, router: Router, log_is_clean: Callable[[], str]) -> None:
    unknown = (f"/v1/jobs/{PLANTED}", f"/v1/jobs/{PLANTED}/events", f"/v1/jobs/job_{PLANTED}", f"/{PLANTED}")
    for path in (*unknown, f"/v1/{PLANTED}", "/v1/jobs"):
        call(event_for(router, method, path))
        call(event_for(router, method, path, {"If-None-Match": "*", "Prefer": "wait=0"}))
    log_is_clean()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/batch"])
def test_a_body_is_not_logged(path: str, body: Any, router: Router, log_is_clean: Callable[[], str]) -> None:
    call(event_for(router, "POST", path, body=body))
    call(event_for(router, "POST", path, body=body) | {"isBase64Encoded": False})
    call(event_for(router, "POST", path) | {"body": f"{PLANTED}=", "isBase64Encoded": True})
    log_is_clean()


TOKENS: dict[str, dict[str, Any]] = {
    name: {name: PLANTED}
    for name in ("sub", "iss", "client_id", "token_use", "scope", "exp", "iat", "nbf", "jti", "username", PLANTED)
}


@pytest.mark.parametrize("claims", TOKENS.values(), ids=TOKENS)
def test_a_claim_is_not_logged(
    claims: dict[str, Any], router: Router, make_token: Callable[..., str], log_is_clean: Callable[[], str]
) -> None:
    call(event_for(router.as_caller(make_token(**claims)), "GET", "/v1/jobs"))
    log_is_clean()


@pytest.mark.parametrize("header", [{"kid": PLANTED}, {"alg": PLANTED}, {"typ": PLANTED}, {PLANTED: PLANTED}], ids=str)
def test_a_tokens_header_is_not_logged(
    header: dict[str, Any], router: Router, forge: Forge, log_is_clean: Callable[[], str]
) -> None:
    call(event_for(router.as_caller(forge.token({"alg": "RS256", "kid": KID} | header)), "GET", "/v1/jobs"))
    log_is_clean()


MEMBERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "the request's id, which a caller may choose": lambda event: event["requestContext"].update(requestId=PLANTED),
    "the same, with a line feed": lambda event: event["requestContext"].update(requestId=f"{PLANTED}\n"),
    "the method": lambda event: event["requestContext"].update(httpMethod=PLANTED),
    "the resource": lambda event: event["requestContext"].update(resourcePath=f"/{PLANTED}"),
    "the context's path": lambda event: event["requestContext"].update(path=f"/{PLANTED}"),
    "the address and the client": lambda event: event["requestContext"].update(
        identity={"sourceIp": PLANTED, "userAgent": PLANTED}
    ),
    "an odd header": lambda event: event["headers"].update({PLANTED: 7}),
    "odd headers": lambda event: event["multiValueHeaders"].update({PLANTED: [PLANTED, 7]}),
    "an odd query": lambda event: event.update(multiValueQueryStringParameters={PLANTED: 7}),
    "an odd parameter of the path": lambda event: event.update(pathParameters={PLANTED: 7}),
    "odd variables of the stage": lambda event: event.update(stageVariables={PLANTED: 7}),
    "an odd body": lambda event: event.update(body={PLANTED: PLANTED}),
    "a path that is no text": lambda event: event["requestContext"].update(path={PLANTED: PLANTED}),
}


@pytest.mark.parametrize("plant", MEMBERS.values(), ids=MEMBERS)
def test_an_event_is_not_logged(
    plant: Callable[[dict[str, Any]], Any], router: Router, log_is_clean: Callable[[], str]
) -> None:
    event = event_for(router, "GET", "/v1/jobs")
    plant(event)
    call(event)
    log_is_clean()


def test_what_nobody_foresaw_is_logged_by_class_and_place_not_by_its_words(
    router: Router, services: Services, log_is_clean: Callable[[], str]
) -> None:
    class Bug:
        def look(self, *_: object) -> None:
            try:
                raise ValueError(PLANTED)
            except ValueError as error:
                raise RuntimeError(f"{PLANTED} again") from error

        take = take_record = record = submit = page = look

    with wiring.use(services._replace(queue=Bug())):  # type: ignore[arg-type]
        assert call(event_for(router, "GET", ROUTES[3][1]))["statusCode"] == 500
        assert call(event_for(router, "POST", "/v1/jobs"))["statusCode"] == 500

    written = log_is_clean()
    assert '"error": "RuntimeError"' in written
    assert f"{__name__.rpartition('.')[2]}.py:" in written


def test_a_refused_event_is_logged_under_its_own_request_id(
    router: Router, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    call(event_for(router, "GET", "/health"))
    context = LambdaContext()
    app_module.app({"requestContext": {}}, context)
    before, line = log_lines()

    assert line["request_id"] == context.aws_request_id != before["request_id"]


def test_the_search_knows_what_was_planted() -> None:
    assert list(secrets_in(f"a {PLANTED.upper()} in a line"))
