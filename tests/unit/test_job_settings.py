"""chalicelib.job_settings: what a deployment says of its jobs reaches models, envelopes and the OpenAPI document."""

import json
from typing import Any

import pytest

import app as app_module
from chalicelib import wiring
from chalicelib.api import openapi
from chalicelib.api.body import ParsedJob, parse_job
from chalicelib.errors import InvalidJob, PayloadTooLarge
from chalicelib.jobs.admission import NewJob
from chalicelib.jobs.job_types import JOB_TYPES, JobType, generate_input, registry
from chalicelib.settings import Settings, SettingsError
from chalicelib.wiring import Services
from lambda_router_queue.models import RetryPolicy

ENVIRON = {
    "COGNITO_USER_POOL_ID": "eu-central-1_TestPool1",
    "COGNITO_AUD": "client-1",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}
SMALLEST: dict[str, Any] = {"type": "generate", "input": {"prompt": "x"}}


def deployed(*types: JobType, **variables: str) -> Services:
    return wiring.build(ENVIRON | variables, registry(*(types or JOB_TYPES.values())))


def parsed(parts: Services, document: dict[str, Any]) -> ParsedJob:
    body = json.dumps(document).encode()
    return parse_job(body, "application/json", parts.job_types, parts.settings.router_max_body_bytes)


def refusal(**variables: str) -> str:
    with pytest.raises(SettingsError) as refused:
        deployed(**variables)
    return str(refused.value)


def test_without_settings_jobs_are_worked_as_before() -> None:
    for job_type in deployed().job_types.values():
        assert job_type.terms == {
            "timeout_ms": 300_000,
            "retry": {"attempts": 3, "first_delay_ms": 2_000, "longest_delay_ms": 60_000},
        }


def test_the_settings_are_the_terms_of_every_type() -> None:
    parts = deployed(
        ROUTER_JOB_TIMEOUT_SECONDS="900",
        ROUTER_JOB_ATTEMPTS="2",
        ROUTER_RETRY_FIRST_SECONDS="7",
        ROUTER_RETRY_LONGEST_SECONDS="70",
        ROUTER_TTL_SECONDS="1000",
    )

    for job_type in parts.job_types.values():
        assert job_type.terms == {
            "timeout_ms": 900_000,
            "retry": {"attempts": 2, "first_delay_ms": 7_000, "longest_delay_ms": 70_000},
        }
    assert parsed(parts, SMALLEST).request.ttl_seconds == 1_000
    assert parsed(parts, SMALLEST | {"ttl_seconds": 10}).request.ttl_seconds == 10


def test_a_types_own_terms_go_before_the_settings() -> None:
    own = JobType("own", generate_input, timeout_seconds=60, retry=RetryPolicy(attempts=5), ttl_seconds=20)
    parts = deployed(own, ROUTER_JOB_TIMEOUT_SECONDS="900", ROUTER_JOB_ATTEMPTS="2", ROUTER_TTL_SECONDS="1000")

    terms = parts.job_types["own"].terms
    assert (terms["timeout_ms"], terms["retry"]["attempts"]) == (60_000, 5)
    assert parsed(parts, SMALLEST | {"type": "own"}).request.ttl_seconds == 20


def test_what_is_said_of_one_type_goes_before_all_else() -> None:
    own = JobType("own", generate_input, timeout_seconds=60, retry=RetryPolicy(attempts=5, first_delay_ms=1))
    said = {"own": {"timeout_seconds": 120, "retry_longest_seconds": 90, "ttl_seconds": 30}}
    parts = deployed(own, *JOB_TYPES.values(), ROUTER_JOB_TYPES=json.dumps(said), ROUTER_JOB_ATTEMPTS="2")

    assert parts.job_types["own"].terms == {
        "timeout_ms": 120_000,
        "retry": {"attempts": 5, "first_delay_ms": 1, "longest_delay_ms": 90_000},
    }
    assert parsed(parts, SMALLEST | {"type": "own"}).request.ttl_seconds == 30
    assert parts.job_types["chat"].terms["retry"]["attempts"] == 2


REFUSED = {
    "no JSON": ({"ROUTER_JOB_TYPES": "{"}, "ROUTER_JOB_TYPES: found '{'; must be a JSON object"),
    "a list": ({"ROUTER_JOB_TYPES": "[]"}, "ROUTER_JOB_TYPES: found '[]'; "),
    "a type that does not exist": ({"ROUTER_JOB_TYPES": '{"chta": {}}'}, "'chta' is no job type; there are chat, gen"),
    "a member that does not exist": ({"ROUTER_JOB_TYPES": '{"chat": {"timeout": 9}}'}, "chat.timeout: extra inputs"),
    "a value out of bounds": ({"ROUTER_JOB_TYPES": '{"chat": {"attempts": 21}}'}, "chat.attempts: input should be"),
    "a value of another type": ({"ROUTER_JOB_TYPES": '{"chat": {"attempts": "2"}}'}, "chat.attempts: input should be"),
    "more work than a day": ({"ROUTER_JOB_TIMEOUT_SECONDS": "25201"}, "3 attempts of 25201 s"),
    "more than a day for one type": (
        {"ROUTER_JOB_TYPES": '{"chat": {"attempts": 20}}', "ROUTER_JOB_TIMEOUT_SECONDS": "721"},
        "ROUTER_JOB_TYPES: chat: 20 attempts of 721 s",
    ),
    "pauses upside down": ({"ROUTER_RETRY_FIRST_SECONDS": "61"}, "the first pause is 61 s and the longest 60 s"),
    "a prompt beyond the body": ({"ROUTER_MAX_PROMPT_BYTES": "1048577"}, "ROUTER_MAX_PROMPT_BYTES is 1048577 but"),
    "a chat beyond the body": ({"ROUTER_MAX_CHAT_BYTES": "1048577"}, "ROUTER_MAX_CHAT_BYTES is 1048577 but"),
    "a batch below a body": ({"ROUTER_MAX_BATCH_BYTES": "1048575"}, "ROUTER_MAX_BATCH_BYTES is 1048575 but"),
}


@pytest.mark.parametrize(("variables", "said"), REFUSED.values(), ids=REFUSED)
def test_terms_that_no_job_could_be_worked_by_are_refused(variables: dict[str, str], said: str) -> None:
    assert said in refusal(**variables)


def test_the_most_that_a_day_holds_is_taken() -> None:
    assert deployed(ROUTER_JOB_TIMEOUT_SECONDS="25200").settings.router_job_attempts == 3


def test_a_types_own_terms_are_held_to_a_day_too() -> None:
    slow = JobType("slow", generate_input, timeout_seconds=43_200)
    with pytest.raises(SettingsError, match="job type slow: 3 attempts of 43200 s"):
        deployed(slow)


def test_input_sizes_are_the_settings_and_their_refusals_name_them() -> None:
    parts = deployed(ROUTER_MAX_PROMPT_BYTES="10", ROUTER_MAX_CHAT_BYTES="20", ROUTER_MAX_TOKENS="8192")
    longest = SMALLEST | {"input": {"prompt": "x" * 10, "max_tokens": 8_192}}
    chat = {"type": "chat", "input": {"messages": [{"role": "user", "content": "x" * 21}]}}
    details = {}
    for document in (longest | {"input": {"prompt": "x" * 11, "max_tokens": 8_193}}, chat):
        with pytest.raises(InvalidJob) as refused:
            parsed(parts, document)
        details |= {error["pointer"]: error["detail"] for error in refused.value.errors}

    assert parsed(parts, longest).request.input.max_tokens == 8_192
    assert "at most 10 bytes" in details["/input/prompt"]
    assert "8192" in details["/input/max_tokens"]
    assert "at most 20 bytes" in details["/input"]


def test_a_body_may_be_as_large_as_the_setting_says() -> None:
    parts = deployed(ROUTER_MAX_BODY_BYTES="1048576", ROUTER_MAX_PROMPT_BYTES="1000000")
    small = deployed(ROUTER_MAX_BODY_BYTES="6144", ROUTER_MAX_CHAT_BYTES="6144")
    large = SMALLEST | {"input": {"prompt": "x" * 1_000_000}}

    assert parsed(parts, large)
    with pytest.raises(PayloadTooLarge, match="send at most 6144"):
        parsed(small, large)


def test_the_openapi_document_tells_the_deployed_values() -> None:
    parts = deployed(
        ROUTER_TTL_SECONDS="1000", ROUTER_MAX_PROMPT_BYTES="1234", ROUTER_MAX_CHAT_BYTES="2345",
        ROUTER_MAX_TOKENS="8192", ROUTER_MAX_BODY_BYTES="4567", ROUTER_MAX_BATCH_BYTES="56789",
    )  # fmt: skip
    document = openapi.document(app_module.app.routes, parts.job_types, "s", "/", parts.settings.body_limits)
    schemas, paths = document["components"]["schemas"], document["paths"]

    assert "Default: `1000`." in schemas["GenerateJobRequest"]["properties"]["ttl_seconds"]["description"]
    assert schemas["GenerateInput"]["properties"]["max_tokens"]["maximum"] == 8_192
    assert "1,234" in schemas["GenerateInput"]["properties"]["prompt"]["description"]
    assert "2,345" in schemas["ChatInput"]["properties"]["messages"]["description"]
    assert "4,567" in paths["/v1/jobs"]["post"]["requestBody"]["description"]
    assert "56,789" in paths["/v1/jobs/batch"]["post"]["requestBody"]["description"]


def test_models_are_made_once_and_not_before_they_are_needed() -> None:
    job_type = deployed().job_types["chat"]

    assert "input_type" not in vars(job_type)
    assert job_type.request_model is job_type.request_model


def test_a_key_stays_good_when_the_deployments_waiting_time_changes() -> None:
    def fingerprint(document: dict[str, Any], **variables: str) -> str:
        job = parsed(deployed(**variables), document)
        return NewJob("job_1", job.request, job.job_type).fingerprint()

    assert fingerprint(SMALLEST) == fingerprint(SMALLEST, ROUTER_TTL_SECONDS="900")
    assert fingerprint(SMALLEST) == fingerprint(SMALLEST | {"ttl_seconds": 300})
    assert fingerprint(SMALLEST) != fingerprint(SMALLEST | {"ttl_seconds": 900}, ROUTER_TTL_SECONDS="900")


def test_the_bounds_of_one_type_are_those_of_all() -> None:
    general = {
        "timeout_seconds": "router_job_timeout_seconds",
        "attempts": "router_job_attempts",
        "retry_first_seconds": "router_retry_first_seconds",
        "retry_longest_seconds": "router_retry_longest_seconds",
        "ttl_seconds": "router_ttl_seconds",
    }
    schema = Settings.model_json_schema()
    of_types = schema["$defs"]["TypeTerms"]["properties"]

    assert of_types.keys() == general.keys()
    for name, setting in general.items():
        number = next(kind for kind in of_types[name]["anyOf"] if kind["type"] == "integer")
        wanted = schema["properties"][setting.upper()]
        assert (number["minimum"], number["maximum"]) == (wanted["minimum"], wanted["maximum"])
