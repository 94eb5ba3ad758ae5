"""Over HTTP: token, gateway, alias, zip, Valkey, worker, result; and what the gateway answers by itself."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from chalicelib.api.gateway import ALLOWED_HEADERS, EXPOSED_HEADERS, PREFLIGHT_SECONDS
from tests.gateway.caller import problem_of
from tests.gateway.stack import NAME, ORIGIN, Stack
from tests.log_secrets import PROMPT_MARKER

# ``package``: pip may need the network for the wheels. The first test that runs brings the stack up.
pytestmark = [pytest.mark.gateway, pytest.mark.package, pytest.mark.timeout(600)]

JOB = {"type": "generate", "input": {"prompt": PROMPT_MARKER}}


def test_a_job_goes_in_by_its_token_and_its_result_comes_out(ann: httpx.Client) -> None:
    sent = ann.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": "once"})
    again = ann.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": "once"})
    job = ann.get(f"/v1/jobs/{sent.json()['id']}", headers={"Prefer": "wait=20"})

    assert (sent.status_code, again.status_code, again.headers["Idempotency-Replayed"]) == (202, 202, "true")
    assert sent.headers["Location"].endswith(f"/v1/jobs/{again.json()['id']}")
    assert (job.json()["status"], job.json()["result"]["text"]) == ("completed", PROMPT_MARKER.upper())
    assert sent.json()["id"] in [each["id"] for each in ann.get("/v1/jobs").json()["data"]]


def test_openais_client_gets_its_answers_and_its_own_kinds_of_errors(stack: Stack) -> None:
    """A refused token is the gateway's own response, which has the member that the client reads."""
    where: dict[str, Any] = {"base_url": f"{stack.url}/v1", "max_retries": 0}
    http = openai.DefaultHttpxClient(trust_env=False)
    with OpenAI(api_key=stack.pool.token(), http_client=http, _strict_response_validation=True, **where) as caller:
        response = caller.responses.create(model="tinyllama", input=PROMPT_MARKER)
        assert response.output_text == PROMPT_MARKER.upper()
        assert caller.responses.retrieve(response.id).status == "completed"
        assert [item.type for item in caller.responses.input_items.list(response.id)] == ["message"]
        caller.responses.delete(response.id)
        with pytest.raises(openai.NotFoundError):
            caller.responses.retrieve(response.id)
        with pytest.raises(openai.NotFoundError) as unknown:
            caller.models.retrieve("other")
        with pytest.raises(openai.AuthenticationError) as refused:
            caller.with_options(api_key="x").models.list()
    assert (unknown.value.code, refused.value.code) == ("model_not_found", "invalid_api_key")


def test_make_smoke_fetches_its_own_token_from_cognito(stack: Stack) -> None:
    login = {"COGNITO_CLIENT_ID": stack.pool.client_id, "COGNITO_CLIENT_SECRET": stack.pool.client_secret}

    ran = stack.make("smoke", f"URL={stack.url}", COGNITO_TOKEN_URL=stack.pool.token_url, **login)

    assert "ok    the job completes" in ran.out


@pytest.mark.parametrize("target", ["doctor", "verify", "drift"])
def test_nothing_is_found_wrong_with_a_stack_as_it_was_applied(stack: Stack, target: str) -> None:
    found = stack.make(target, f"URL={stack.url}").out.splitlines()

    assert [line for line in found if not line.startswith("ok ")] == []


def test_a_canary_sees_a_job_come_out(stack: Stack) -> None:
    stack.make("canary", f"URL={stack.url}", "SMOKE=1", "PATIENCE=0", TOKEN=stack.pool.token())


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/v1/jobs", {"GET", "HEAD", "POST"}), ("/v1/jobs/job_1", {"GET", "DELETE"}), ("/health", {"GET", "HEAD"})],
)
def test_a_browser_may_send_what_its_page_is_allowed_to(anyone: httpx.Client, path: str, methods: set[str]) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Headers": "authorization,content-type"}

    for method in methods:
        answer = anyone.options(path, headers=asked | {"Access-Control-Request-Method": method})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert method in _listed(answer, "Access-Control-Allow-Methods")
        assert _listed(answer, "Access-Control-Allow-Headers") >= set(ALLOWED_HEADERS)
        assert answer.headers["Access-Control-Max-Age"] == str(PREFLIGHT_SECONDS)


def test_a_browser_may_read_what_comes_back(ann: httpx.Client) -> None:
    for answer in (ann.get("/v1/jobs"), ann.get("/v1/jobs/job_unknown"), ann.get("/health")):
        _assert_readable(answer)


def test_without_a_good_token_the_gateway_itself_refuses(stack: Stack, anyone: httpx.Client) -> None:
    good = stack.pool.token()
    head, payload, signature = good.split(".")
    tokens = {
        "none": None,
        "garbage": "garbage",
        "another signature": f"{head}.{payload}.{signature[::-1]}",
        "another scope": stack.pool.token("lambda-router/other"),
    }

    for token in tokens.values():
        answer = anyone.get("/v1/jobs", headers={} if token is None else {"Authorization": f"Bearer {token}"})
        assert (answer.status_code, _by_gateway(answer)) == (401, "UnauthorizedException")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert problem_of(answer)["type"].endswith(":unauthenticated")
        _assert_readable(answer)


@pytest.mark.parametrize("path", ["/", "/v2/jobs", "/v1/jobs/job_1/more"])
def test_an_unknown_path_is_a_404_of_the_gateway(ann: httpx.Client, path: str) -> None:
    answer = ann.get(path)

    assert (answer.status_code, _by_gateway(answer)) == (404, "MissingAuthenticationTokenException")
    assert problem_of(answer)["type"].endswith(":not-found")
    _assert_readable(answer)


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("PUT", "/v1/jobs", {"GET", "POST"}), ("PUT", "/health", {"GET"})]
)
def test_a_wrong_method_reaches_the_function_which_names_the_right_ones(
    ann: httpx.Client, method: str, path: str, allowed: set[str]
) -> None:
    answer = ann.request(method, path)

    assert (answer.status_code, _by_gateway(answer)) == (405, None)
    assert _listed(answer, "Allow") >= allowed
    problem_of(answer)


def test_the_functions_refusals_come_through_as_they_are(ann: httpx.Client) -> None:
    answers = {
        400: ann.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"}),
        404: ann.get("/v1/jobs/job_unknown"),
        415: ann.post("/v1/jobs", content=b"<job/>", headers={"Content-Type": "text/xml"}),
        422: ann.post("/v1/jobs", json={"type": "generate", "input": {}}),
    }

    for status, answer in answers.items():
        assert (answer.status_code, _by_gateway(answer)) == (status, None)
        problem_of(answer)


def test_too_many_requests_are_refused_by_the_gateway(stack: Stack, anyone: httpx.Client) -> None:
    with _throttled(stack, "/openapi.json", "GET"):
        answers = [anyone.get("/openapi.json") for _ in range(3)]

    assert [answer.status_code for answer in answers][-1] == 429
    assert _by_gateway(answers[-1]) == "TooManyRequestsException"
    assert answers[-1].headers["Retry-After"] == "1"
    problem_of(answers[-1])
    _assert_readable(answers[-1])


def test_whom_the_apis_policy_denies_is_a_403_of_the_gateway(stack: Stack, anyone: httpx.Client) -> None:
    with _denied(stack, "GET/health"):
        answer = anyone.get("/health")

    assert (answer.status_code, _by_gateway(answer)) == (403, "AccessDeniedException")
    problem_of(answer)
    _assert_readable(answer)


def test_a_route_that_leads_nowhere_is_a_500_until_it_is_imported_again(stack: Stack, anyone: httpx.Client) -> None:
    _lead_nowhere(stack, "/ready")
    broken = anyone.get("/ready")
    found = stack.clone.make("verify", f"URL={stack.url}")
    stack.make("reimport")

    assert (broken.status_code, problem_of(broken)["type"]) == (500, "urn:problem-type:lambda-router:misconfigured")
    _assert_readable(broken)
    assert found.status == 3
    assert "GET /ready" in found.out
    assert anyone.get("/ready").status_code == 200


def test_callers_are_served_by_the_version_before_after_a_rollback(stack: Stack, anyone: httpx.Client) -> None:
    first = anyone.get("/health").json()["function_version"]
    stack.set(router_queue_cap=5)
    stack.apply()
    second = anyone.get("/health").json()["function_version"]
    stack.make("rollback")
    back = anyone.get("/health").json()["function_version"]

    assert (second, back) == (str(int(first) + 1), first)
    assert f"{first} " in stack.make("releases").out


def test_the_functions_log_lines_reach_its_own_group_and_hold_no_secret(stack: Stack, ann: httpx.Client) -> None:
    answer = ann.post("/v1/jobs", json=JOB)

    logs = stack.account.client("logs")
    events = logs.filter_log_events(logGroupName=f"/aws/lambda/{NAME}")["events"]
    text = "\n".join(event["message"] for event in events)
    assert answer.headers["X-Request-Id"] in text
    for secret in (ann.headers["Authorization"].split(".")[2], PROMPT_MARKER, stack.pool.client_secret, "redis://"):
        assert secret not in text


def test_of_several_origins_each_page_is_answered_by_its_own_name(stack: Stack, ann: httpx.Client) -> None:
    """The last of all: the stack is another afterwards."""
    other = "https://admin.example.com"
    stack.package(ORIGIN, other)
    stack.apply()

    for origin in (ORIGIN, other, "https://evil.example.com"):
        page = {"Origin": origin}
        preflight = ann.options("/v1/jobs", headers=page | {"Access-Control-Request-Method": "POST"})
        answers = [preflight, ann.get("/v1/jobs", headers=page), ann.get("/v1/jobs/job_unknown", headers=page)]

        assert [answer.status_code for answer in answers] == [204, 200, 404]
        assert _listed(preflight, "Access-Control-Allow-Methods") == {"GET", "HEAD", "OPTIONS", "POST"}
        for answer in answers:
            named = answer.headers.get("Access-Control-Allow-Origin")
            assert (named, answer.headers["Vary"]) == (origin if origin in (ORIGIN, other) else None, "Origin")
        refused = ann.get("/v1/jobs", headers=page | {"Authorization": ""})
        assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, "*")


def test_the_pages_come_beside_the_api(stack: Stack, ann: httpx.Client, anyone: httpx.Client) -> None:
    """Neither compression nor streams are shown: the emulator sends each response in one piece, as it is."""
    stack.set(router_docs="true", cognito_domain="https://team.auth.eu-central-1.amazoncognito.com")
    stack.package()
    stack.apply()

    pages = {path: anyone.get(path) for path in ("/", "/docs", "/docs/oauth2-redirect")}
    answer = ann.post("/v1/responses", json={"model": "tinyllama", "input": PROMPT_MARKER})

    for page in pages.values():
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert re.findall(r'<base href="([^"]*)">', page.text) == ["/api/"]  # the emulator's own prefix is no stage
        files = _files_of(page, anyone)
        assert {file.status_code for file in files} == {200}
        assert {file.headers["Cache-Control"] for file in files} == {"public, max-age=31536000, immutable"}
    assert "SwaggerUIBundle" in max((file.text for file in _files_of(pages["/docs"], anyone)), key=len)
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    assert ann.get("/v1/jobs").status_code == 200
    assert anyone.get("/v1/jobs").status_code == 401


def _files_of(page: httpx.Response, anyone: httpx.Client) -> list[httpx.Response]:
    return [anyone.get(f"/{name}") for name in re.findall(r'"(pages/[^"]+)"', page.text)]


def _by_gateway(answer: httpx.Response) -> str | None:
    """The kind that API Gateway names in its own answers only."""
    return answer.headers.get("x-amzn-ErrorType")


def _listed(answer: httpx.Response, header: str) -> set[str]:
    return {each.strip() for each in answer.headers[header].split(",")}


def _assert_readable(answer: httpx.Response) -> None:
    """By a page of that origin, each header included that callers need."""
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert _listed(answer, "Access-Control-Expose-Headers") >= set(EXPOSED_HEADERS)


@contextmanager
def _throttled(stack: Stack, path: str, method: str) -> Iterator[None]:
    """One request, and hardly another."""
    place = f"/{path.replace('/', '~1')}/{method}/throttling"
    for field, value in (("burstLimit", "1"), ("rateLimit", "0.001")):
        _patch_stage(stack, {"op": "replace", "path": f"{place}/{field}", "value": value})
    yield
    for field in ("burstLimit", "rateLimit"):
        _patch_stage(stack, {"op": "remove", "path": f"{place}/{field}"})


def _patch_stage(stack: Stack, operation: dict[str, str]) -> None:
    stack.account.client("apigateway").update_stage(
        restApiId=stack.api_id, stageName="api", patchOperations=[operation]
    )


@contextmanager
def _denied(stack: Stack, what: str) -> Iterator[None]:
    """By a resource policy of the API that somebody made by hand."""
    every = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "*"}
    denied = every | {"Effect": "Deny", "Resource": f"execute-api:/*/{what}"}
    _patch_api(stack, json.dumps({"Version": "2012-10-17", "Statement": [every, denied]}))
    yield
    _patch_api(stack, json.dumps({"Version": "2012-10-17", "Statement": [every]}))


def _patch_api(stack: Stack, policy: str) -> None:
    operation = {"op": "replace", "path": "/policy", "value": policy}
    stack.account.client("apigateway").update_rest_api(restApiId=stack.api_id, patchOperations=[operation])


def _lead_nowhere(stack: Stack, path: str) -> None:
    """Somebody points GET of that path at a function that is not there."""
    gateway = stack.account.client("apigateway")
    resources: list[dict[str, Any]] = gateway.get_resources(restApiId=stack.api_id, limit=500)["items"]
    resource = next(each["id"] for each in resources if each["path"] == path)
    place = {"restApiId": stack.api_id, "resourceId": resource, "httpMethod": "GET"}
    uri = gateway.get_integration(**place)["uri"].replace(NAME, "nobody")
    operation = {"op": "replace", "path": "/uri", "value": uri}
    gateway.update_integration(**place, patchOperations=[operation])
