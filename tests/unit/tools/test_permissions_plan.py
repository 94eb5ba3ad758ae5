"""tools/permissions/plan.py and tools/permissions/__main__.py: a saved plan, and what lacks for it, in small."""

from typing import Any

import pytest

from tools.permissions.comparison import compared, statement
from tools.permissions.identity import Deployer
from tools.permissions.plan import UnknownType, requests
from tools.stack.findings import Status, status_of

ALIAS = {"function_name": "router", "name": "live", "function_version": "1"}
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:router"


def plan(kind: str, *actions: str, before: Any = None, after: Any = None, mode: str = "managed") -> dict[str, Any]:
    data = {
        "aws_partition": {"partition": "aws"},
        "aws_region": {"id": "eu-central-1"},
        "aws_caller_identity": {"account_id": "123456789012"},
    }
    asked = [{"type": each, "mode": "data", "values": values} for each, values in data.items()]
    return {
        "variables": {},
        "prior_state": {"values": {"root_module": {"child_modules": [{"resources": asked}]}}},
        "resource_changes": [
            {
                "address": f"{kind}.it",
                "type": kind,
                "mode": mode,
                "change": {"actions": list(actions), "before": before, "after": after, "after_unknown": {}},
            }
        ],
    }


def needed(of: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each.action, each.resource) for each in requests(of, None)}


def test_a_creation_needs_to_read_what_it_made() -> None:
    assert needed(plan("aws_lambda_alias", "create", after=ALIAS)) == {
        ("lambda:CreateAlias", FUNCTION),
        ("lambda:GetAlias", FUNCTION),
    }


def test_a_replacement_needs_both_halves() -> None:
    actions = {action for action, _ in needed(plan("aws_lambda_alias", "delete", "create", before=ALIAS, after=ALIAS))}

    assert actions == {"lambda:CreateAlias", "lambda:DeleteAlias", "lambda:GetAlias"}


@pytest.mark.parametrize("actions", [["no-op"], ["read"], ["forget"]])
def test_what_does_not_change_needs_nothing(actions: list[str]) -> None:
    assert needed(plan("aws_lambda_alias", *actions, before=ALIAS, after=ALIAS)) == set()


def test_only_what_changes_is_needed_for() -> None:
    role = {"name": "runtime", "description": "old", "tags_all": {"Team": "one", "Stage": "prod"}}
    changed = {
        action for action, _ in needed(plan("aws_iam_role", "update", before=role, after=role | {"description": "new"}))
    }
    untagged = {
        action
        for action, _ in needed(
            plan("aws_iam_role", "update", before=role, after=role | {"tags_all": {"Stage": "prod"}})
        )
    }

    assert changed - untagged == {"iam:UpdateRoleDescription"}
    assert untagged - changed == {"iam:TagRole", "iam:UntagRole"}


def test_an_id_that_aws_will_give_is_left_open_and_a_wildcard_in_what_is_proposed() -> None:
    asking = requests(plan("aws_api_gateway_rest_api", "create", after={"name": "router"}), None)
    put = next(each for each in asking if each.action == "apigateway:PUT")

    assert put.resource == "arn:aws:apigateway:eu-central-1::/restapis/{id}"
    assert statement(put)["Resource"] == "arn:aws:apigateway:eu-central-1::/restapis/*"


def test_the_state_and_its_lock_are_needed_too() -> None:
    asking = requests(plan("aws_lambda_alias", "no-op", after=ALIAS), {"bucket": "octo-state", "key": "x.tfstate"})

    assert {(each.action, each.resource) for each in asking} >= {
        ("s3:PutObject", "arn:aws:s3:::octo-state/x.tfstate"),
        ("s3:DeleteObject", "arn:aws:s3:::octo-state/x.tfstate.tflock"),
    }


def test_a_type_that_the_table_lacks_is_named_with_the_file_to_mend() -> None:
    with pytest.raises(UnknownType, match=r"aws_sqs_queue\.it: add aws_sqs_queue to tools/permissions/table\.py"):
        requests(plan("aws_sqs_queue", "create", after={}), None)


def test_what_is_denied_in_words_is_not_mended_by_one_more_statement() -> None:
    denied = {"Sid": "Never", "Effect": "Deny", "Action": "lambda:CreateAlias", "Resource": "*"}
    policy = ({"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}, denied)
    found = list(compared(requests(plan("aws_lambda_alias", "create", after=ALIAS), None), Deployer("octo", policy)))
    lacking = [each for each in found if not each.ok]

    assert status_of(found) == Status.DIFFERS
    assert [each.thing for each in lacking] == ["lambda:CreateAlias"]
    assert "denied by statement Never" in lacking[0].found
    assert "ask the owner of that statement" in lacking[0].fix
