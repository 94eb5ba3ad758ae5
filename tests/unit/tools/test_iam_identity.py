"""``tools/permissions/identity.py``: who deploys, read from IAM; botocore's stubs hold both sides to the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tools.permissions.identity import CannotLook, Deployer, deployer
from tools.permissions.policy import Request

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:router"
GET = Request("lambda:GetAlias", FUNCTION)
ROLE = {
    "Path": "/",
    "RoleName": "deployer",
    "RoleId": "AROAEXAMPLEEXAMPLE00",
    "Arn": "arn:aws:iam::123456789012:role/deployer",
    "CreateDate": "2026-11-25T00:00:00Z",
}
BOUNDARY = "arn:aws:iam::123456789012:policy/boundary"
ATTACHED = "arn:aws:iam::123456789012:policy/attached"


def document(*actions: str) -> str:
    quoted = ", ".join(f'"{action}"' for action in actions)
    return f'{{"Statement": {{"Effect": "Allow", "Action": [{quoted}], "Resource": "*"}}}}'


@contextmanager
def stubbed(service: str) -> Iterator[tuple[Any, Stubber]]:
    client = boto3.client(service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        yield client, stub
        stub.assert_no_pending_responses()
    client.close()


def has_policy(stub: Stubber, arn: str, *actions: str) -> None:
    stub.add_response("get_policy", {"Policy": {"DefaultVersionId": "v3"}}, {"PolicyArn": arn})
    version = {"PolicyVersion": {"Document": document(*actions)}}
    stub.add_response("get_policy_version", version, {"PolicyArn": arn, "VersionId": "v3"})


def test_a_role_may_do_what_its_own_and_its_attached_policies_allow_within_its_boundary() -> None:
    with stubbed("sts") as (sts, who), stubbed("iam") as (iam, stub):
        who.add_response("get_caller_identity", {"Arn": "arn:aws:sts::123456789012:assumed-role/deployer/session"})
        role = ROLE | {"PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": BOUNDARY}}
        stub.add_response("get_role", {"Role": role}, {"RoleName": "deployer"})
        has_policy(stub, BOUNDARY, "lambda:*", "s3:GetObject")
        stub.add_response("list_role_policies", {"PolicyNames": ["own"]}, {"RoleName": "deployer"})
        own = {
            "RoleName": "deployer",
            "PolicyName": "own",
            "PolicyDocument": document("lambda:GetAlias", "iam:GetRole"),
        }
        stub.add_response("get_role_policy", own, {"RoleName": "deployer", "PolicyName": "own"})
        attached = {"AttachedPolicies": [{"PolicyName": "attached", "PolicyArn": ATTACHED}]}
        stub.add_response("list_attached_role_policies", attached, {"RoleName": "deployer"})
        has_policy(stub, ATTACHED, "lambda:UpdateAlias")
        found = deployer(sts, iam, None)

    assert found.name == "deployer"
    assert found.decide(GET).allowed
    assert found.decide(Request("lambda:UpdateAlias", FUNCTION)).allowed
    assert found.decide(Request("iam:GetRole", "*")).why == "its boundary: no statement allows it"
    assert found.decide(Request("s3:GetObject", "*")).why == "no statement allows it"


def test_without_a_boundary_the_policies_say_all() -> None:
    assert Deployer("x", ({"Effect": "Allow", "Action": "*", "Resource": "*"},)).decide(GET).allowed


@pytest.mark.parametrize("arn", ["arn:aws:iam::123456789012:user/octo", "arn:aws:iam::123456789012:root"])
def test_who_is_no_role_is_named(arn: str) -> None:
    with stubbed("sts") as (sts, who), stubbed("iam") as (iam, _):
        who.add_response("get_caller_identity", {"Arn": arn})
        with pytest.raises(CannotLook, match=f"these credentials belong to {arn}"):
            deployer(sts, iam, None)


def test_a_role_that_may_not_be_read_is_not_taken_for_one_without_rights() -> None:
    with stubbed("sts") as (sts, _), stubbed("iam") as (iam, stub):
        stub.add_client_error("get_role", "AccessDenied", "not authorized to perform: iam:GetRole", 403)
        with pytest.raises(CannotLook, match="iam:GetRole"):
            deployer(sts, iam, "deployer")
