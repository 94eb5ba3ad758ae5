"""tools/permissions/policy.py: IAM's rules as far as policies of stacks like ours need them."""

from typing import Any

import pytest

from tools.permissions.policy import Request, decide, statements

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:router"


def allow(**parts: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "lambda:GetAlias", "Resource": ARN} | parts


def deny(**parts: Any) -> dict[str, Any]:
    return allow(**parts) | {"Effect": "Deny", "Sid": "No"}


ASKED = Request("lambda:GetAlias", ARN, {"iam:PassedToService": "lambda.amazonaws.com"})
ONLY_LAMBDA = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
ONLY_EC2 = {"StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com"]}}


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        pytest.param([], False, id="nothing allows"),
        pytest.param([allow()], True, id="exactly"),
        pytest.param([allow(Action=["lambda:Get*"])], True, id="star in the action"),
        pytest.param([allow(Action="LAMBDA:getalias")], True, id="actions have no case"),
        pytest.param([allow(Action="lambda:GetAliases")], False, id="another action"),
        pytest.param(
            [allow(Resource="arn:aws:lambda:*:123456789012:function:rout?r")], True, id="wildcards in the ARN"
        ),
        pytest.param([allow(Resource=ARN.upper())], False, id="ARNs have case"),
        pytest.param([allow(Resource=ARN.replace("-", "."))], False, id="a dot is a dot"),
        pytest.param([allow(Resource=f"{ARN}:*")], False, id="versions are not the function"),
        pytest.param([allow(), deny()], False, id="deny beats allow"),
        pytest.param([allow(), deny(Resource=f"{ARN}-2")], True, id="deny of another resource"),
        pytest.param([allow(), deny(Condition=ONLY_EC2)], True, id="deny on a condition that is not met"),
        pytest.param([allow(), deny(Condition=ONLY_LAMBDA)], False, id="deny on a condition that is met"),
        pytest.param([allow(Condition=ONLY_LAMBDA)], True, id="condition met"),
        pytest.param([allow(Condition=ONLY_EC2)], False, id="condition not met"),
        pytest.param([allow(Condition={"StringEquals": {"aws:other": "x"}})], False, id="key not there"),
        pytest.param([allow(Condition={"StringEqualsIfExists": {"aws:other": "x"}})], True, id="key need not be there"),
        pytest.param([allow(Condition={"StringNotEquals": {"aws:other": "x"}})], True, id="what is not there is not x"),
        pytest.param([allow(Condition={"StringLike": {"iam:PassedToService": "lambda.*"}})], True, id="like"),
        pytest.param([allow(Condition={"IpAddress": {"aws:SourceIp": "::/0"}})], False, id="unknown to us: no allow"),
        pytest.param(
            [allow(), deny(Condition={"IpAddress": {"aws:SourceIp": "::/0"}})], False, id="unknown to us: deny"
        ),
        pytest.param([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], True, id="not action"),
        pytest.param([{"Effect": "Allow", "NotAction": "lambda:*", "Resource": "*"}], False, id="not that action"),
        pytest.param([{"Effect": "Allow", "Action": "*", "NotResource": ARN}], False, id="not that resource"),
    ],
)
def test_a_request_is_decided_as_iam_does(policy: list[dict[str, Any]], allowed: bool) -> None:
    assert decide(policy, ASKED).allowed is allowed


def test_a_refusal_says_why() -> None:
    assert decide([], ASKED).why == "no statement allows it"
    assert decide([allow(), deny()], ASKED).why == "denied by statement No"
    assert "ec2.amazonaws.com" in decide([allow(Condition=ONLY_EC2)], ASKED).why


def test_one_statement_may_stand_without_brackets() -> None:
    assert statements({"Statement": allow()}) == statements({"Statement": [allow()]}) == [allow()]


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("*", True),
        ("arn:aws:logs:*:log-group:*", True),
        ("arn:aws:logs:eu:1:log-group:gateway_*/api", True),
        ("arn:aws:logs:eu:1:log-group:gateway_abc/api", True),
        ("arn:aws:logs:eu:1:log-group:gateway_?/api", True),
        ("arn:aws:logs:eu:1:log-group:gateway_*/other", False),
        ("arn:aws:logs:eu:1:log-group:other_*", False),
    ],
)
def test_what_is_not_known_yet_needs_room_in_a_policy(pattern: str, allowed: bool) -> None:
    unknown = Request("logs:CreateLogGroup", "arn:aws:logs:eu:1:log-group:gateway_{id}/api")

    assert decide([allow(Action="logs:*", Resource=pattern)], unknown).allowed is allowed


def test_a_deny_of_one_name_is_not_of_every_name_that_is_not_known_yet() -> None:
    unknown = Request("logs:CreateLogGroup", "arn:aws:logs:eu:1:log-group:{name}")
    everything = allow(Action="*", Resource="*")
    one = deny(Action="*", Resource="arn:aws:logs:eu:1:log-group:secret")

    assert decide([everything, one], unknown).allowed
    assert not decide([everything, deny(Action="*", Resource="arn:aws:logs:*")], unknown).allowed
