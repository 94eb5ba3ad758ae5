"""``tools/drift.py``: which differences are somebody's doing."""

from typing import Any

import pytest

from tools.drift import changed, policies_of_roles


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ({"memory_size": 512, "timeout": 29}, {"memory_size": 128, "timeout": 29}, ["memory_size"]),
        ({"tags": None, "layers": None}, {"tags": {}, "layers": []}, []),
        ({"metric_query": [{"period": None}]}, {"metric_query": [{"period": 0}]}, []),
        ({"metric_query": [{"period": 300}]}, {"metric_query": [{"period": 60}]}, ["metric_query"]),
        ({"tags": {"Stage": "prod"}}, {"tags": {}}, ["tags"]),
        ({"inline_policy": []}, {"inline_policy": [{"name": "runtime"}]}, []),
        ({"inline_policy": [{"name": "runtime"}]}, {"inline_policy": [{"name": "admin"}]}, ["inline_policy"]),
        ({"managed_policy_arns": []}, {"managed_policy_arns": ["arn:…/Admin"]}, ["managed_policy_arns"]),
        ({"enabled": True}, {"enabled": False}, ["enabled"]),
        ({"enabled": True}, {"enabled": True, "region": "eu-central-1"}, []),
        ({"region": "eu-central-1"}, {"region": "us-east-1"}, ["region"]),
    ],
    ids=lambda value: ",".join(value) or "nothing" if isinstance(value, dict | list) else str(value),
)
def test_an_attribute_differs_unless_it_was_only_read_for_the_first_time(
    before: dict[str, Any], after: dict[str, Any], names: list[str]
) -> None:
    assert changed({"change": {"before": before, "after": after}}) == names


GIVEN = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
ATTACHMENT = {
    "mode": "managed",
    "type": "aws_iam_role_policy_attachment",
    "values": {"role": "logs", "policy_arn": GIVEN},
}
PLAN = {"prior_state": {"values": {"root_module": {"child_modules": [{"resources": [ATTACHMENT]}]}}}}


@pytest.mark.parametrize(
    ("role", "before", "after", "names"),
    [
        ("logs", [], [GIVEN], []),
        ("logs", [GIVEN], [GIVEN], []),
        ("logs", [], [GIVEN, ADMIN], ["managed_policy_arns"]),
        ("logs", [GIVEN], [], []),  # the attachment, which is gone, says it
        ("runtime", [], [GIVEN], ["managed_policy_arns"]),
    ],
    ids=["read for the first time", "read before", "one more", "taken away", "another role"],
)
def test_a_policy_that_terraform_attached_to_a_role_is_nobodys_doing(
    role: str, before: list[str], after: list[str], names: list[str]
) -> None:
    drifted = {
        "change": {
            "before": {"name": role, "managed_policy_arns": before},
            "after": {"name": role, "managed_policy_arns": after},
        }
    }

    assert changed(drifted, policies_of_roles(PLAN)) == names


def test_a_state_without_attachments_has_attached_nothing() -> None:
    assert policies_of_roles({}) == set()
