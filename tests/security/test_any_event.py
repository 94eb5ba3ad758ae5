"""Whatever event the function is called with, it answers as API Gateway wants it and raises nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import app as app_module
from tests.conftest import LambdaContext, Router, gateway_event

HTTP_API = {
    "version": "2.0",
    "routeKey": "GET /v1/jobs",
    "rawPath": "/v1/jobs",
    "rawQueryString": "",
    "headers": {"host": "example.execute-api.eu-central-1.amazonaws.com"},
    "requestContext": {"http": {"method": "GET", "path": "/v1/jobs", "sourceIp": "192.0.2.1"}, "stage": "$default"},
    "isBase64Encoded": False,
}
EVENTS: dict[str, Any] = {
    "null": None,
    "an empty object": {},
    "a list": [],
    "a string": "hello",
    "a number": 7,
    "true": True,
    "the console's test event": {"key1": "value1", "key2": "value2", "key3": "value3"},
    "an HTTP API": HTTP_API,
    "a function URL": HTTP_API | {"routeKey": "$default"},
    "a load balancer": {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/x/1"}},
        "httpMethod": "GET",
        "path": "/v1/jobs",
        "queryStringParameters": {},
        "headers": {"host": "example.com"},
        "body": "",
        "isBase64Encoded": False,
    },
    "a websocket": {"requestContext": {"routeKey": "$connect", "eventType": "CONNECT", "connectionId": "x"}},
    "an authorizer": {"type": "TOKEN", "authorizationToken": "x", "methodArn": "arn:aws:execute-api:eu-central-1:1:x"},
    "SQS": {"Records": [{"messageId": "1", "body": "x", "eventSource": "aws:sqs", "attributes": {}}]},
    "SNS": {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "x"}}]},
    "S3": {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "x"}, "object": {"key": "y"}}}]},
    "DynamoDB": {"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {"Keys": {}}}]},
    "Kinesis": {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": "eA=="}}]},
    "EventBridge": {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}},
    "CloudWatch Logs": {"awslogs": {"data": "H4sIAAAA"}},
    "Cognito": {"triggerSource": "PreSignUp_SignUp", "userPoolId": "x", "request": {}, "response": {}},
    "Step Functions": {"input": {"x": 1}},
    "CloudFormation": {"RequestType": "Create", "ResponseURL": "https://example.com", "ResourceProperties": {}},
}


def called_with(event: Any, context: Any = None) -> dict[str, Any]:
    answer: dict[str, Any] = app_module.app(event, context or LambdaContext())
    assert answer.keys() == {"statusCode", "headers", "multiValueHeaders", "body"} | (
        {"isBase64Encoded"} if "isBase64Encoded" in answer else set()
    )
    assert isinstance(answer["statusCode"], int)
    assert all(type(name) is type(value) is str for name, value in answer["headers"].items())
    json.dumps(answer)
    return answer


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_of_another_service_is_refused_with_a_problem(event: Any, router: Router) -> None:
    context = LambdaContext()
    answer = called_with(event, context)

    assert answer["statusCode"] == 400
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert json.loads(answer["body"])["instance"] == context.aws_request_id == answer["headers"]["X-Request-Id"]


def test_an_event_without_a_context_gets_an_answer(router: Router) -> None:
    assert app_module.app({}, None)["statusCode"] == 400


def test_what_is_wrong_with_an_event_is_logged_and_nothing_that_it_holds(
    router: Router, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    called_with({"requestContext": {"resourcePath": "hunter2", "httpMethod": 7}, "hunter2": "hunter2"})

    (line,) = log_lines()
    assert line["message"] == "refused_event"
    assert line["explanation"] == "not an event of a REST API: see requestContext.httpMethod"
    assert "hunter2" not in json.dumps(line)


def good_event(token: str | None) -> dict[str, Any]:
    headers: dict[str, Any] = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return gateway_event("POST", "/v1/jobs", {"type": "generate", "input": {"prompt": "x"}}, headers)


MEMBERS = """
    headers multiValueHeaders queryStringParameters multiValueQueryStringParameters pathParameters stageVariables body
    isBase64Encoded requestContext requestContext.resourcePath requestContext.httpMethod requestContext.path
    requestContext.requestId requestContext.identity headers.Authorization multiValueHeaders.Authorization
    multiValueHeaders.Content-Type resource path httpMethod
""".split()  # noqa: SIM905
ODD: dict[str, Any] = {
    "null": None, "a number": 7, "a string": "x", "a list": ["x"], "an object": {"x": 1}, "true": True,
    "a lone surrogate": "\ud800", "a list of null": [None], "nothing": ...,
}  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS)
def test_an_event_with_one_odd_member_is_answered_without_a_5xx(member: str, router: Router) -> None:
    *path, last = member.split(".")
    for odd in ODD.values():
        event = good_event(router.token)
        place: Any = event
        for step in path:
            place = place[step]
        place.pop(last) if odd is ... else place.update({last: odd})
        assert called_with(event)["statusCode"] < 500, (member, odd)


def test_a_path_without_its_parameter_is_no_route(router: Router) -> None:
    event = gateway_event("GET", "/v1/jobs/job_x", None, {"Authorization": f"Bearer {router.token}"})

    assert called_with(event | {"pathParameters": None})["statusCode"] == 400
    assert called_with(event | {"pathParameters": {"other": "x"}})["statusCode"] == 400


@pytest.mark.parametrize("body", ["!", "A", "eA", "\ud800", "ä"])
def test_a_body_that_is_not_the_base64_it_should_be_is_400(body: str, router: Router) -> None:
    assert called_with(good_event(router.token) | {"body": body})["statusCode"] == 400


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "headers", "body"]), inner),
    max_leaves=6,
)
events = st.dictionaries(
    st.sampled_from([member for member in MEMBERS if "." not in member]), values, min_size=1, max_size=6
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events, st.booleans())
def test_any_event_is_answered(router: Router, event: dict[str, Any], on_top: bool) -> None:
    answer = called_with(good_event(router.token) | event if on_top else event)

    assert answer["statusCode"] < 500
