"""chalicelib.openai.openai_errors: every problem as an error that OpenAI's clients read."""

from typing import Any

import pytest

from chalicelib import errors
from chalicelib.errors import InsufficientScope, InvalidParameter, JobNotCompleted, Problem, Unauthenticated
from chalicelib.openai.openai_errors import MAX_RETRY_AFTER_SECONDS, openai_error

KINDS = list(Problem.kinds())
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

#: Type and code by problem.
TABLE = {
    "InvalidParameter": ("invalid_request_error", "invalid_value"),
    "MalformedRequest": ("invalid_request_error", "malformed_request"),
    "PreviousResponseNotFound": ("invalid_request_error", "previous_response_not_found"),
    "Unauthenticated": ("authentication_error", "invalid_api_key"),
    "InsufficientScope": ("permission_error", "insufficient_scope"),
    "ModelNotFound": ("invalid_request_error", "model_not_found"),
    "NotFound": ("invalid_request_error", "not_found"),
    "MethodNotAllowed": ("invalid_request_error", "method_not_allowed"),
    "NotAcceptable": ("invalid_request_error", "not_acceptable"),
    "PayloadTooLarge": ("invalid_request_error", "payload_too_large"),
    "UnsupportedMediaType": ("invalid_request_error", "unsupported_media_type"),
    "IdempotencyKeyReused": ("invalid_request_error", "idempotency_key_reused"),
    "InvalidJob": ("invalid_request_error", "invalid_job"),
    "RateLimited": ("rate_limit_error", "rate_limit_exceeded"),
    "TooManyHeld": ("rate_limit_error", "too_many_held"),
    "TooManyOpenJobs": ("rate_limit_error", "too_many_open_jobs"),
    "TooMuchStored": ("rate_limit_error", "too_much_stored"),
    "InternalError": ("server_error", "internal_error"),
    "JobNotCompleted": ("server_error", "failed"),
    "Misconfigured": ("server_error", "misconfigured"),
    "QueueFull": ("server_error", "queue_full"),
    "EncryptionUnavailable": ("server_error", "encryption_unavailable"),
    "QueueUnavailable": ("server_error", "queue_unavailable"),
    "SigningKeysUnavailable": ("server_error", "signing_keys_unavailable"),
    "StillRunning": ("server_error", "still_running"),
}
#: ``x-should-retry``; the others leave it to the client, which repeats 429 and 5xx.
RETRIES = {
    "TooMuchStored": "false",
    "JobNotCompleted": "false",
    "Misconfigured": "false",
    "InternalError": "false",
    "StillRunning": "true",
}
PARAMS = {"PreviousResponseNotFound": "previous_response_id", "ModelNotFound": "model"}


def example(kind: type[Problem], headers: dict[str, str] | None = None) -> Problem:
    """An instance with those headers."""
    wants_reason = kind in (Unauthenticated, InsufficientScope)
    problem = kind("why") if wants_reason else kind()
    problem.headers |= headers or {}
    return problem


def error_of(problem: Problem) -> dict[str, Any]:
    body, _ = openai_error(problem, "r")
    error: dict[str, Any] = body["error"]
    return error


def test_each_problem_has_its_type_and_code() -> None:
    found = {kind.__name__: error_of(example(kind)) for kind in KINDS}
    assert {name: (error["type"], error["code"]) for name, error in found.items()} == TABLE


@every_kind
def test_an_error_has_four_members_and_a_sentence(kind: type[Problem]) -> None:
    error = error_of(example(kind))
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["param"] == PARAMS.get(kind.__name__)


@every_kind
def test_the_problem_stands_beside_the_error(kind: type[Problem]) -> None:
    body, _ = openai_error(example(kind), "r")
    assert {name: value for name, value in body.items() if name != "error"} == example(kind).to_dict("r")


@every_kind
def test_no_problem_has_the_status_that_clients_always_repeat(kind: type[Problem]) -> None:
    assert kind.status not in {408, 409}


@every_kind
def test_only_what_the_client_cannot_know_says_whether_to_retry(kind: type[Problem]) -> None:
    _, headers = openai_error(example(kind), "r")
    assert headers.get("x-should-retry") == RETRIES.get(kind.__name__)


@every_kind
@pytest.mark.parametrize(("given", "sent"), [("1", "1"), ("60", "60"), ("61", "60"), ("3600", "60")])
def test_retry_after_is_never_longer_than_clients_obey(kind: type[Problem], given: str, sent: str) -> None:
    assert MAX_RETRY_AFTER_SECONDS == 60
    _, headers = openai_error(example(kind, {"Retry-After": given}), "r")
    assert headers["Retry-After"] == sent


@every_kind
def test_the_problems_other_headers_stay(kind: type[Problem]) -> None:
    problem = example(kind, {"Allow": "GET"})
    _, headers = openai_error(problem, "r")
    assert headers.items() >= problem.headers.items()


def test_a_problem_that_knows_its_param_and_code_says_so() -> None:
    error = error_of(InvalidParameter("Why.", param="input[0]", code="unknown_parameter"))
    assert error == {
        "message": "Why.",
        "type": "invalid_request_error",
        "param": "input[0]",
        "code": "unknown_parameter",
    }
    assert error_of(JobNotCompleted("Why.", code="expired"))["code"] == "expired"


def test_a_refused_token_tells_the_caller_nothing_of_why() -> None:
    assert "the-secret-reason" not in str(openai_error(errors.Unauthenticated("the-secret-reason"), "r"))
