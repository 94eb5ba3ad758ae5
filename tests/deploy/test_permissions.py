"""What the roles may do: enough for everything that they were recorded to ask for, and nothing without a reason."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, product

import pytest

from tests.contract.repository import ROOT
from tests.deploy.cloud.aws_calls import call
from tests.deploy.cloud.iam_requests import iam_requests
from tests.deploy.cloud.inventory import client
from tests.deploy.kit.by_make import Journey
from tests.deploy.kit.life import NAME, STATE_BUCKET, STATE_KEY, Life
from tools.doctor.__main__ import ONLINE
from tools.permissions.comparison import compared, statement
from tools.permissions.excused import EXCUSED
from tools.permissions.identity import Deployer, deployer
from tools.permissions.plan import Asking, requests
from tools.permissions.policy import Request, Statement, decide
from tools.permissions.table import KINDS, STATE, Kind, Need
from tools.stack.findings import Status, status_of

pytestmark = [pytest.mark.release, pytest.mark.timeout(900)]

BACKEND = {"bucket": STATE_BUCKET, "key": STATE_KEY}
#: Actions by role that no run used, and that have their reason.
EXCUSES = {role: {each.action for each in EXCUSED if role in each.roles} for role in ("plan", "deploy")}


@pytest.fixture(scope="module")
def asked(life: Life, journey: Journey) -> dict[str, list[Request]]:
    """What each phase asked of IAM. What a role's boundary is, is known from earlier phases."""
    phases = life.recording.phases | journey.recording.phases
    counted = {name: [call(each) for each in phase] for name, phase in phases.items()}
    found = iter(iam_requests(chain.from_iterable(counted.values())))
    return {name: [*_take(found, len(iam_requests(calls)))] for name, calls in counted.items()}


def _take(found: Iterator[Request], count: int) -> Iterator[Request]:
    return (next(found) for _ in range(count))


@pytest.fixture(scope="module")
def by_role(asked: dict[str, list[Request]]) -> dict[str, list[Request]]:
    """The deploy role lives both lives; the plan role plans what there is, and runs make doctor, verify and drift."""
    plans = [phase for name, phase in asked.items() if name.startswith(("init", "plan"))]
    return {"deploy": list(chain.from_iterable(asked.values())), "plan": list(chain.from_iterable(plans))}


@pytest.fixture(scope="module")
def roles(life: Life) -> dict[str, Deployer]:
    """The roles, as the product reads them."""
    sts, iam = client("sts", life.url), client("iam", life.url)
    return {role: deployer(sts, iam, f"{NAME}-{role}") for role in life.credentials}


@pytest.fixture(scope="module")
def compared_by_command(life: Life) -> dict[str, "subprocess.CompletedProcess[str]"]:
    """``python -m tools.permissions`` on the plan of the first apply, by each role; it is recorded too."""
    with life.recording.phase("tools.permissions"):
        return {role: _compare(life, life.credentials[role], "--details") for role in ("plan", "deploy")}


def _compare(life: Life, credentials: dict[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    environ = {"AWS_ENDPOINT_URL": life.url, "TF_CLI_CONFIG_FILE": str(life.folder.parent / "terraform.rc")}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tools.permissions", str(life.folder / "create.tfplan"), *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | environ | credentials,  # noqa: TID251
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def own_reads(life: Life, compared_by_command: object) -> list[Request]:
    """What that command asked."""
    return iam_requests(call(each) for each in life.recording.phases["tools.permissions"])


#: What each role runs, of which the record must show something.
RUNS = {
    "plan": ["doctor", "plan", "verify", "drift", "behind"],
    "deploy": [
        "apply",
        "plan the change",
        "wrong",
        "reimport",
        "forth",
        "forward",
        "releases",
        "kept",
        "release",
        "pruned",
        "destroy",
    ],
}


@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_every_command_of_a_role_was_recorded_with_its_credentials(role: str, asked: dict[str, list[Request]]) -> None:
    assert [step for step in RUNS[role] if not asked[f"{role} {step}"]] == []


def test_the_canary_may_do_what_it_was_seen_to_do(asked: dict[str, list[Request]], roles: dict[str, Deployer]) -> None:
    seen = [*asked["canary canary"], *asked["canary broken"]]

    assert "lambda:UpdateAlias" in {request.action for request in seen}
    assert _denied(roles["canary"].policy, seen) == []


def _denied(policy: Iterable[Statement], wanted: Iterable[Request]) -> list[tuple[Request, str]]:
    policy = list(policy)
    decided = [(request, decide(policy, request)) for request in dict.fromkeys(wanted)]
    return [(request, decision.why) for request, decision in decided if not decision.allowed]


def _without(policy: Iterable[Statement], taken: tuple[str, str]) -> list[Statement]:
    """Less one action of one statement."""
    left = []
    for each in policy:
        names = [name for name in each["Action"] if (each["Sid"], name) != taken or each["Effect"] == "Deny"]
        left.append({**each, "Action": names})
    return left


def _allowed(policy: Iterable[Statement]) -> set[tuple[str, str]]:
    return {(each["Sid"], action) for each in policy if each["Effect"] == "Allow" for action in each["Action"]}


@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_every_recorded_call_is_allowed(
    role: str, by_role: dict[str, list[Request]], own_reads: list[Request], roles: dict[str, Deployer]
) -> None:
    assert _denied(roles[role].policy, by_role[role] + own_reads) == []


@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_every_allowed_action_is_used_or_excused_and_missed_when_it_is_taken_away(
    role: str, by_role: dict[str, list[Request]], own_reads: list[Request], roles: dict[str, Deployer]
) -> None:
    wanted = list(dict.fromkeys(by_role[role] + own_reads))
    policy = roles[role].policy
    useless = [
        (sid, action)
        for sid, action in sorted(_allowed(policy))
        if action not in EXCUSES[role] and not _denied(_without(policy, (sid, action)), wanted)
    ]

    assert useless == []


@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_every_excuse_is_of_an_action_that_is_allowed_and_that_no_run_used(
    role: str, by_role: dict[str, list[Request]], own_reads: list[Request], roles: dict[str, Deployer]
) -> None:
    allowed = {action for _, action in _allowed(roles[role].policy)}
    used = {request.action for request in by_role[role] + own_reads}

    assert EXCUSES[role] - allowed == set()
    assert EXCUSES[role] & used == set()


@pytest.mark.parametrize("role", ["plan", "deploy"])
@pytest.mark.smoke
def test_both_roles_may_look_at_what_make_doctor_looks_at(role: str, roles: dict[str, Deployer]) -> None:
    looked = {action for check in ONLINE for action in check.permissions}
    elsewhere = {
        "cognito-idp:ListUserPools",  # only to tell what else there is, when the pool is not there
        "kms:DescribeKey",  # of the key of the Redis URL, which may be anybody's
        "sts:GetCallerIdentity",  # which nobody needs a permission for
    }

    assert looked - elsewhere <= {action for _, action in _allowed(roles[role].policy)}


def test_every_excuse_has_a_reason_and_says_where_it_stands() -> None:
    assert len({each.action for each in EXCUSED}) == len(EXCUSED)
    assert all(each.reason and each.source.startswith("https://") and each.roles for each in EXCUSED)


@pytest.mark.parametrize("role", ["plan", "deploy"])
def test_taking_an_excused_action_away_leaves_its_excuse_without_one(role: str, roles: dict[str, Deployer]) -> None:
    policy = roles[role].policy
    excused = [each for each in _allowed(policy) if each[1] in EXCUSES[role]]

    assert excused
    for sid, action in excused:
        assert action not in {name for _, name in _allowed(_without(policy, (sid, action)))}


@pytest.mark.smoke
def test_the_roles_may_not_loosen_what_binds_them(roles: dict[str, Deployer]) -> None:
    boundary = f"arn:aws:iam::123456789012:policy/{NAME}-boundary"
    runtime = f"arn:aws:iam::123456789012:role/{NAME}-runtime"
    function = f"arn:aws:lambda:eu-central-1:123456789012:function:{NAME}"
    bounded, elsewhere = {"iam:PermissionsBoundary": boundary}, {"iam:PermissionsBoundary": f"{boundary}-wider"}
    refused = [
        Request("iam:CreateRole", runtime),
        Request("iam:CreateRole", runtime, elsewhere),
        Request("iam:CreateRole", f"{runtime}-2", bounded),
        Request("iam:PutRolePolicy", runtime),
        Request("iam:PutRolePolicy", f"arn:aws:iam::123456789012:role/{NAME}-deploy", bounded),
        Request("iam:DeleteRolePermissionsBoundary", runtime, bounded),
        Request("iam:CreatePolicyVersion", boundary),
        Request("iam:PassRole", runtime, {"iam:PassedToService": "ec2.amazonaws.com"}),
        Request("lambda:InvokeFunction", function),
        Request("lambda:DeleteFunction", f"{function}-other"),
        *_neighbours(),
        Request("ssm:GetParameter", "arn:aws:ssm:eu-central-1:123456789012:parameter/lambda-router/prod/redis-url"),
    ]

    for role in roles.values():
        assert [request for request in refused if decide(role.policy, request).allowed] == []


#: What a neighbour's has, as a call about it tells IAM: another stack's of this app, another app's, nothing at all.
NEIGHBOURS: tuple[dict[str, str], ...] = (
    {"aws:ResourceTag/Application": "lambda-router", "aws:ResourceTag/Stage": "staging"},
    {"aws:ResourceTag/Application": "shop", "aws:ResourceTag/Stage": "prod"},
    {"aws:ResourceTag/Stage": "prod"},
    {},
)


def _neighbours() -> Iterator[Request]:
    """Every change of an API or of API Gateway's log groups that are not the stack's own, or not made as its own."""
    apis = "arn:aws:apigateway:eu-central-1::/restapis"
    group = "arn:aws:logs:eu-central-1:123456789012:log-group:API-Gateway-Execution-Logs_other/api"
    for tags in NEIGHBOURS:
        for verb, path in product(
            ("DELETE", "PATCH", "POST", "PUT"), ("", "/deployments", "/stages/api", "/resources/r")
        ):
            yield Request(f"apigateway:{verb}", f"{apis}/other{path}", tags)
        for action in ("DeleteLogGroup", "PutRetentionPolicy", "UntagResource"):
            yield Request(f"logs:{action}", f"{group}:log-stream:", tags)
        given = {name.replace("Resource", "Request"): value for name, value in tags.items()}
        yield Request("apigateway:POST", apis, given)
        yield Request("logs:CreateLogGroup", f"{group}:log-stream:", given)
    ours = {"aws:RequestTag/Application": "lambda-router", "aws:RequestTag/Stage": "prod"}
    yield from (Request("logs:TagResource", group, ours | tags) for tags in NEIGHBOURS[:2])


def _needs(life: Life, step: str) -> Asking:
    return requests(life.plans[step], BACKEND)


def _covers(needed: Iterable[Request], asked: Request) -> bool:
    """Whether a need names this call, or would if it knew the ids that AWS gave."""
    return decide([statement(Request(each.action, each.resource)) for each in needed], asked).allowed


STEPS = ["create", "everything", "back", "destroy"]


@pytest.mark.parametrize("step", STEPS)
def test_a_plans_needs_name_every_call_of_its_apply(step: str, life: Life, asked: dict[str, list[Request]]) -> None:
    needed = _needs(life, step)

    assert [request for request in dict.fromkeys(asked[step]) if not _covers(needed, request)] == []


def test_no_plan_needs_what_no_run_used_nor_an_excuse_names(life: Life, asked: dict[str, list[Request]]) -> None:
    used = list(dict.fromkeys(chain.from_iterable(asked[step] for step in STEPS)))
    needed = list(dict.fromkeys(chain.from_iterable(_needs(life, step) for step in STEPS)))
    unused = [need for need in needed if not any(_covers([need], each) for each in used)]

    assert {need.action for need in unused} - EXCUSES["deploy"] == set()


def test_the_table_holds_nothing_that_no_plan_needs(life: Life) -> None:
    planned = {
        each["type"] for step in STEPS for each in life.plans[step]["resource_changes"] if each["mode"] == "managed"
    }
    needed = {request.action for step in STEPS for request in _needs(life, step)}
    told = {need.action for name in planned for need in _of(KINDS[name])} | {need.action for need in STATE}

    assert told - needed - EXCUSES["deploy"] == {"iam:DeleteRolePermissionsBoundary"}  # the deploy role is denied it


def _of(kind: Kind) -> Iterator[Need]:
    maps = (kind.given, kind.changed, kind.dropped)
    yield from chain(
        kind.read, kind.create, kind.update, kind.delete, *(needs for each in maps for needs in each.values())
    )


def test_no_plan_lacks_anything_with_the_deploy_role(life: Life, roles: dict[str, Deployer]) -> None:
    for step in STEPS:
        assert [each for each in compared(_needs(life, step), roles["deploy"]) if not each.ok] == []


@pytest.mark.parametrize("step", STEPS)
def test_any_action_taken_from_the_deploy_role_is_reported_by_name_before_apply(
    step: str, life: Life, roles: dict[str, Deployer]
) -> None:
    needed = _needs(life, step)
    for action in sorted({request.action for request in needed}):
        policy = [
            {**each, "Action": [name for name in each["Action"] if name != action]} for each in roles["deploy"].policy
        ]
        found = list(compared(needed, Deployer("deployer", tuple(policy))))
        lacking = [each for each in found if not each.ok]

        assert {each.thing for each in lacking} == {action}
        assert status_of(found) == Status.DIFFERS
        assert all(action in each.fix and "AccessDenied" in each.why for each in lacking)


def test_the_statement_that_is_proposed_mends_it(life: Life, roles: dict[str, Deployer]) -> None:
    needed = _needs(life, "create")
    proposed = [statement(request) for request in needed]

    assert _denied(proposed, needed) == []
    assert [each for each in compared(needed, Deployer("new", tuple(proposed))) if not each.ok] == []


def test_an_apply_by_the_plan_role_is_reported_and_not_blamed_on_reading(
    life: Life, roles: dict[str, Deployer]
) -> None:
    lacking = {each.thing for each in compared(_needs(life, "create"), roles["plan"]) if not each.ok}

    assert {"lambda:CreateFunction", "iam:PassRole", "apigateway:POST", "s3:PutObject"} <= lacking
    assert not {action for action in lacking if ":Get" in action or ":List" in action or ":Describe" in action}


def test_the_command_finds_nothing_lacking_for_the_deploy_role(
    compared_by_command: dict[str, "subprocess.CompletedProcess[str]"],
) -> None:
    ran = compared_by_command["deploy"]

    assert (ran.returncode, ran.stderr) == (Status.OK, "")
    assert "ok    lambda:CreateFunction: needed by aws_lambda_function.api_handler and 1 more\n" in ran.stdout
    assert "ok    s3:PutObject: needed by the state\n" in ran.stdout


def test_without_details_one_line_says_that_nothing_is_missing(life: Life) -> None:
    ran = _compare(life, life.credentials["deploy"])

    (line,) = ran.stdout.splitlines()
    assert re.fullmatch(rf"ok    permissions: role {NAME}-deploy has all \d+ permissions .* DETAILS=1 .*", line)


def test_the_command_names_what_the_plan_role_lacks_with_the_fix(
    compared_by_command: dict[str, "subprocess.CompletedProcess[str]"],
) -> None:
    ran = compared_by_command["plan"]

    assert ran.returncode == Status.DIFFERS
    assert f"WRONG lambda:CreateFunction: denied to role {NAME}-plan on arn:aws:lambda:" in ran.stdout
    assert "why: aws_lambda_function.api_handler needs it; apply would stop there" in ran.stdout
    assert "aws iam put-role-policy --role-name lambda-router-prod-plan" in ran.stdout


def test_who_is_no_role_is_told_so_and_sees_the_needs_all_the_same(life: Life) -> None:
    ran = _compare(life, {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}, "--details")

    assert ran.returncode == Status.FAILED
    assert "UNSEEN permissions of the deployer: these credentials belong to arn:aws:sts::" in ran.stdout
    assert "fix: log in as the role that deploys, or name it: make plan ROLE=" in ran.stdout
    assert "lambda:CreateFunction: needed by aws_lambda_function.api_handler" in ran.stdout


@pytest.mark.parametrize(("step", "traced"), [("create", False), ("back", True)])
def test_the_functions_role_may_send_traces_only_if_they_are_asked_for(step: str, traced: bool, life: Life) -> None:
    address = "module.iam.aws_iam_role_policy.runtime[0]"
    (change,) = [each["change"] for each in life.plans[step]["resource_changes"] if each["address"] == address]

    assert ("xray:" in str(change["after"])) == traced
