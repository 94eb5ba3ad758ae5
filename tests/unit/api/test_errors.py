"""chalicelib.errors: every problem a caller can meet."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from chalicelib import errors
from chalicelib.errors import (
    IANA_PROBLEM_TYPES,
    InsufficientScope,
    InvalidJob,
    MalformedRequest,
    NotFound,
    Problem,
    QueueFull,
    RateLimited,
    TooManyOpenJobs,
    Unauthenticated,
)

KINDS = list(Problem.kinds())
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)

#: The contract's table, and the two it implies.
STATUSES = {
    "InvalidParameter": 400,
    "MalformedRequest": 400,
    "PreviousResponseNotFound": 400,
    "Unauthenticated": 401,
    "InsufficientScope": 403,
    "ModelNotFound": 404,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "PayloadTooLarge": 413,
    "UnsupportedMediaType": 415,
    "IdempotencyKeyReused": 422,
    "InvalidJob": 422,
    "RateLimited": 429,
    "TooManyHeld": 429,
    "TooManyOpenJobs": 429,
    "TooMuchStored": 429,
    "InternalError": 500,
    "JobNotCompleted": 500,
    "Misconfigured": 500,
    "QueueFull": 503,
    "EncryptionUnavailable": 503,
    "QueueUnavailable": 503,
    "SigningKeysUnavailable": 503,
    "StillRunning": 503,
}


def example(kind: type[Problem]) -> Problem:
    """An instance: two kinds want to know why."""
    wants_reason = kind in (Unauthenticated, InsufficientScope)
    return kind("why") if wants_reason else kind()


def test_each_problem_has_the_status_of_the_contract():
    assert {kind.__name__: kind.status for kind in KINDS} == STATUSES


def test_kinds_come_by_status_and_then_by_name():
    assert [(kind.status, kind.__name__) for kind in KINDS] == sorted((kind.status, kind.__name__) for kind in KINDS)


def test_kinds_list_every_problem_of_the_module():
    defined = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Problem)}
    assert set(KINDS) == defined - {Problem}


@every_kind
def test_a_problem_type_is_a_uri(kind: type[Problem]):
    parts = urlsplit(kind.uri())
    assert parts.scheme in {"urn", "https"}
    assert parts.path
    assert " " not in kind.uri()


def test_no_two_problems_share_a_type_or_a_slug():
    assert len({kind.uri() for kind in KINDS}) == len({kind.slug() for kind in KINDS}) == len(KINDS)


@every_kind
def test_a_slug_is_kebab_case(kind: type[Problem]):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.slug())
    assert kind.slug().replace("-", "") == kind.__name__.lower()


@every_kind
def test_a_docstring_opens_with_when_the_problem_is_raised(kind: type[Problem]):
    assert (kind.__doc__ or "").startswith("Raised ")


@every_kind
def test_a_body_says_type_title_status_and_request_id(kind: type[Problem]):
    body = example(kind).to_dict("request-1")
    assert body["type"] == kind.uri()
    assert body["title"] == kind.title
    assert body["status"] == kind.status
    assert body["instance"] == "request-1"


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        (RateLimited, IANA_PROBLEM_TYPES + "quota-exceeded"),
        (QueueFull, IANA_PROBLEM_TYPES + "temporary-reduced-capacity"),
        (TooManyOpenJobs, "urn:problem-type:lambda-router:too-many-open-jobs"),
        (NotFound, "urn:problem-type:lambda-router:not-found"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_types_that_iana_registers_are_used_and_the_rest_are_ours(kind: type[Problem], uri: str):
    assert kind.uri() == uri


def test_members_without_content_are_left_away():
    assert NotFound().to_dict("").keys() == {"type", "title", "status"}


def test_every_member_stands_in_the_body_when_there_is_something_to_say():
    problem = InvalidJob("Why.", errors=[{"pointer": "/a", "detail": "b"}], violated_policies=["rate"])
    assert problem.to_dict("r") == {
        "type": "urn:problem-type:lambda-router:invalid-job",
        "title": "Invalid job",
        "status": 422,
        "detail": "Why.",
        "instance": "r",
        "errors": [{"pointer": "/a", "detail": "b"}],
        "violated-policies": ["rate"],
    }


def test_a_problem_reads_as_its_detail_or_its_title():
    assert str(MalformedRequest("The header X.")) == "The header X."
    assert str(MalformedRequest()) == "Malformed request"


def test_a_refused_token_tells_the_log_why_and_the_caller_only_what_to_send():
    problem = Unauthenticated("the-secret-reason")
    assert problem.reason == "the-secret-reason"
    assert "the-secret-reason" not in f"{problem}{problem.to_dict('r')}{problem.headers}"
    assert problem.headers == {"WWW-Authenticate": 'Bearer error="invalid_token"'}


def test_a_missing_scope_is_named_to_the_caller():
    problem = InsufficientScope("lambda-router/jobs")
    assert problem.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="lambda-router/jobs"'
    assert "lambda-router/jobs" in problem.detail


def test_a_problem_keeps_its_own_copy_of_what_it_was_given():
    given: dict[str, Any] = {
        "errors": [{"pointer": "", "detail": "x"}],
        "headers": {"A": "1"},
        "violated_policies": ["p"],
    }
    problem = InvalidJob("Why.", **given)
    for mutable in given.values():
        mutable.clear()
    assert problem.errors == [{"pointer": "", "detail": "x"}]
    assert problem.headers == {"A": "1"}
    assert problem.violated_policies == ["p"]
