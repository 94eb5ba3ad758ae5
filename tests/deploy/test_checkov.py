"""checkov finds nothing in the Terraform but what fourteen reasons cover, each of which another test shows to hold."""

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contract.repository import ROOT, fences, files, name_of, page
from tests.deploy.kit.terraform_cli import HAND_WRITTEN

pytestmark = pytest.mark.timeout(180)

CHECKOV = ROOT / ".local/audit/bin/checkov"
MOST_EXCEPTIONS = 14


@dataclass(frozen=True)
class Choice:
    """Checks that are passed over, why, and what stands in the tests that fail once the reason does not hold."""

    reason: str
    checks: tuple[str, ...]
    shown_by: tuple[str, ...]


EXCEPTIONS = (
    Choice(
        "nothing may be cached: answers are about one caller's job",
        ("CKV_AWS_120", "CKV_AWS_225"),
        ("Nothing is cached.",),
    ),
    Choice(
        "only warm events are asynchronous, and not worth a dead-letter queue",
        ("CKV_AWS_116",),
        ("test_only_the_gateways_stage_and_the_warm_rule_may_call_the_alias",),
    ),
    Choice(
        "who may change the code is decided by IAM, not by a signature",
        ("CKV_AWS_272",),
        ("Only the environment deploys, by both of GitHub's subject formats.",),
    ),
    Choice(
        "the API's only back end is Lambda, which needs no client certificate",
        ("CKV2_AWS_51",),
        ("Every method is integrated with the alias.",),
    ),
    Choice(
        "a web ACL (WAF) is yours to choose: output `stage_arn`",
        ("CKV2_AWS_29",),
        ("Every method below /v1 has the authorizer and the scope",),
    ),
    Choice(
        "the instance measures what matters itself; EC2's figures every minute cost 2 $ a month",
        ("CKV_AWS_126",),
        ("Alarms watch what the instance measures itself.",),
    ),
    Choice(
        "flow logs of one open port show only addresses",
        ("CKV2_AWS_11",),
        ("The world reaches the port for TLS, and no other.",),
    ),
    Choice(
        "URLs are encrypted with AWS's own key, for which the function needs no permission",
        ("CKV_AWS_337",),
        ("Two secrets and two facts are published.",),
    ),
    Choice(
        "these actions know no resources; figures are held to a namespace",
        ("CKV_AWS_290", "CKV_AWS_355"),
        ("Figures go into one namespace.", "it reads no parameter."),
    ),
    Choice(
        "what is not secret needs no key: outputs in SSM, names in variables",
        ("CKV2_AWS_34", "CKV_AWS_173"),
        ("refuses_secrets", "The Redis URL is a secret: only its parameter's name is in the function's variables."),
    ),
    Choice(
        "traces, and metrics for each method, cost much and are variables",
        ("CKV_AWS_73", "CKV2_AWS_4"),
        ("The stage is traced only if asked for.", "no metrics for each method unless asked for."),
    ),
    Choice(
        "flow logs of a VPC without a way out are yours to add",
        ("CKV2_AWS_11",),
        ("The VPC has no way out.",),
    ),
    Choice(
        "the stack attaches the group to its functions: `vpc_config`",
        ("CKV2_AWS_5",),
        ("The stack gets its parameter and its place in the VPC.",),
    ),
    Choice(
        "a single Redis node is yours to choose: `replicas = 0`",
        ("CKV2_AWS_50",),
        ("Two nodes in two zones.", "One node, for those who want it cheap."),
    ),
)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What the page's command finds."""
    assert CHECKOV.exists(), f"no {CHECKOV.relative_to(ROOT)}; fix: make audit-tools"
    command = next(block for block in fences(page("docs/deploy.md"), "sh") if "checkov" in block)
    ran = subprocess.run(
        ["sh", "-c", f"{command.strip()} --output json"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=150,
    )
    return dict(json.loads(ran.stdout))


def test_it_finds_nothing_that_is_not_excepted(found: dict[str, Any]) -> None:
    failed = [(each["check_id"], each["resource"]) for each in found["results"]["failed_checks"]]

    assert failed == []
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 40


def test_every_exception_is_still_needed(found: dict[str, Any]) -> None:
    assert {each["check_id"] for each in found["results"]["skipped_checks"]} == set(_skips())


def test_there_are_no_other_exceptions_and_few_of_these() -> None:
    assert set(_skips()) == {check for each in EXCEPTIONS for check in each.checks}
    assert len(EXCEPTIONS) <= MOST_EXCEPTIONS


def test_an_exception_says_why() -> None:
    assert [check for check, why in _skips().items() if len(why.split()) < 5] == []


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda each: each.checks[0])
def test_its_reason_is_tested(exception: Choice) -> None:
    tests = [page("tests/deploy/test_life.py"), *(path.read_text() for path in files(".tftest.hcl"))]

    assert [words for words in exception.shown_by if words not in "\n".join(tests)] == []


def test_the_page_lists_them() -> None:
    rows = [f"| {each.reason} | {', '.join(f'`{check}`' for check in each.checks)} |" for each in EXCEPTIONS]

    assert "\n".join(rows) in page("docs/deploy.md")


def _skips() -> dict[str, str]:
    texts = [path.read_text() for path in files(".tf") if name_of(path).startswith(HAND_WRITTEN.name)]

    return dict(re.findall(r"checkov:skip=(\w+): (.+)", "\n".join(texts)))
