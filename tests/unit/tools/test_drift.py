"""``tools/verify/drift.py``: which differences are somebody's doing."""

from typing import Any

import pytest

from tools.verify.drift import changed


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


@pytest.mark.parametrize("name", ["function_version", "stream_function_version"])
def test_a_release_by_hand_is_no_change_by_hand(name: str) -> None:
    """Alias and parameter are compared with the newest version by checks of their own."""
    versions = {"function_version": "1"}, {"function_version": "2"}
    told = {"value": "1", "version": 1, "tier": "Standard"}, {"value": "2", "version": 2, "tier": "Standard"}

    assert changed({"type": "aws_lambda_alias", "change": _change(*versions)}) == []
    assert changed({"type": "aws_ssm_parameter", "index": name, "change": _change(*told)}) == []


def test_other_changes_of_an_alias_or_a_parameter_are_found() -> None:
    api = {"value": "https://one.example.com"}, {"value": "https://other.example.com"}
    alias = {"function_version": "1", "description": ""}, {"function_version": "2", "description": "mine"}

    assert changed({"type": "aws_ssm_parameter", "index": "api_url", "change": _change(*api)}) == ["value"]
    assert changed({"type": "aws_lambda_alias", "change": _change(*alias)}) == ["description"]


def _change(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {"before": before, "after": after}
