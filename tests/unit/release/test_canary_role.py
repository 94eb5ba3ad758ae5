"""The role of the canary may do what going back takes, and nothing else."""

import re
from types import SimpleNamespace
from typing import Any

import boto3

from tests.contract.repository import page
from tools.release.canary_probe import go_back
from tools.release.live_alias import LiveAlias


class Recorded:
    """A client of AWS that notes which actions its caller needs."""

    def __init__(self, service: str, asked: set[str], answers: dict[str, Any]) -> None:
        self._service, self._asked, self._answers = service, asked, answers
        self._methods = boto3.client(service, region_name="eu-central-1").meta.method_to_api_mapping

    def __getattr__(self, method: str) -> Any:
        return lambda **_: self._answer(method)

    def _answer(self, method: str) -> Any:
        self._asked.add(f"{self._service}:{self._methods[method]}")
        return self._answers.get(method)

    def get_paginator(self, method: str) -> SimpleNamespace:
        return SimpleNamespace(paginate=lambda **_: [self._answer(method)])


def test_the_canarys_role_allows_what_going_back_takes_and_nothing_else() -> None:
    asked: set[str] = set()
    versions = [
        {"Version": number, "Description": f"build {number}", "LastModified": "", "CodeSha256": ""} for number in "12"
    ]
    answers = {"get_alias": {"FunctionVersion": "2"}, "list_versions_by_function": {"Versions": versions}}
    alias = LiveAlias(
        Recorded("lambda", asked, answers), Recorded("ssm", asked, {}), "router", "live", "/outputs/function_version"
    )

    said = go_back(alias)

    assert "from version 2 to version 1" in said
    actions = re.findall(r'"((?:lambda|ssm):\w+)"', page("terraform/modules/iam/github_canary.tf"))
    assert sorted(asked) == sorted(actions)
