"""Releases, and ways back from them, in the life of one stack: real Terraform, moto for AWS."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner

from tests.deploy.conftest import initialised, played_aws
from tests.deploy.inventory import client
from tests.deploy.released import NAME, Released, Said, all_well, found_wrong, said
from tests.deploy.terraform_cli import Changes, copy_of_terraform
from tools import aws, releases, rollback
from tools.canary import Alarms, Canary
from tools.deployed_stack import deployed_stack
from tools.findings import Status
from tools.live_alias import LiveAlias
from tools.release import release
from tools.release_refusal import Refused

pytestmark = pytest.mark.timeout(300)

_LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
ALARM = f"{NAME}-server-errors"


@dataclass
class Life:
    """What each step said, and what served after it."""

    said: dict[str, Said] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    served: dict[str, dict[str, Any]] = field(default_factory=dict)
    planned: dict[str, Changes] = field(default_factory=dict)
    builds: list[str] = field(default_factory=list)
    watched: list[dict[str, Any]] = field(default_factory=list)
    listed: str = ""
    listed_json: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def life(terraform: None, chalice: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    stack = copy_of_terraform(tmp_path_factory.mktemp("release"), chalice)
    (stack.folder / "backend_override.tf").write_text(_LOCAL_STATE)
    with played_aws() as url, pytest.MonkeyPatch.context() as shell:
        stack.environ = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "TF_CLI_CONFIG_FILE": str(stack.folder.parent / "terraform.rc"),
        }
        for name, value in stack.environ.items():
            shell.setenv(name, value)
        aws.client.cache_clear()
        initialised(stack)
        yield _live(Released(stack, url, chalice))
        aws.client.cache_clear()


def _live(stack: Released) -> Life:
    life = Life()
    _at_once(stack, life)
    _back_and_forth(stack, life)
    _gradually(stack, life)
    _forward_again(stack, life)
    _pruned(stack, life)
    return life


def _at_once(stack: Released, life: Life) -> None:
    life.refused["no plan"] = _refused(stack)
    life.builds.append(stack.package(1))
    stack.plan()
    life.said["first"] = stack.apply()
    life.served["first"] = stack.serving()

    life.builds.append(stack.package(2))
    stack.plan()
    stack.package(99)
    life.refused["another zip"] = _refused(stack)
    life.served["another zip"] = stack.serving()
    stack.package(2)
    life.said["wrong"] = stack.apply(found_wrong)
    life.served["wrong"] = stack.serving()


def _back_and_forth(stack: Released, life: Life) -> None:
    for step, options in {
        "forth": ["--version", "2"],
        "unknown": ["--version", "9"],
        "back": [],
        "no earlier": [],
    }.items():
        life.said[step] = _run(rollback.main, stack, *options)
        life.served[step] = stack.serving()


def _gradually(stack: Released, life: Life) -> None:
    life.builds.append(stack.package(3))
    stack.plan(move_alias=False)
    life.said["kept"] = stack.apply(found_wrong)
    life.served["kept"] = stack.serving()
    life.said["alarm"] = _release(stack, life, alarm_after=2)
    life.served["alarm"] = stack.serving()
    life.refused["alarm"] = _refused_release(stack, life)
    _set_alarm(stack, "OK")
    life.said["released"] = _release(stack, life)
    life.served["released"] = stack.serving()
    life.said["nothing new"] = _release(stack, life)


def _forward_again(stack: Released, life: Life) -> None:
    life.planned["released"] = stack.plan()
    _run(rollback.main, stack)
    life.planned["rolled back"] = stack.plan()


def _pruned(stack: Released, life: Life) -> None:
    """By hand, for speed: more versions, with the alias on an old one."""
    functions = client("lambda", stack.url)
    for number in range(4, 10):
        functions.update_function_configuration(FunctionName=NAME, Description=f"0.1.0+g{number:012x}")
        functions.publish_version(FunctionName=NAME)
    functions.update_alias(
        FunctionName=NAME,
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {"3": 0.1}},
    )
    life.listed = _run(releases.main, stack).text
    life.said["pruned"] = _run(releases.main, stack, "--prune")
    life.listed_json = json.loads(_run(releases.main, stack, "--json").text)


def _run(program: Any, stack: Released, *options: str) -> Said:
    ran = CliRunner().invoke(program, ["--folder", str(stack.stack.folder), *options])
    return Said(ran.exit_code, ran.output)


def _refused(stack: Released) -> str:
    with pytest.raises(Refused) as why:
        stack.apply()
    return str(why.value)


def _set_alarm(stack: Released, state: str) -> None:
    client("cloudwatch", stack.url).set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test")


def _release(stack: Released, life: Life, alarm_after: int = 0) -> Said:
    """Ten minutes at 10 %, on a clock that only moves when somebody waits; an alarm after so many looks."""
    deployed, now, looks = deployed_stack(stack.terraform), [0.0], [0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        looks[0] += 1
        if looks[0] == 1:
            life.watched.append(stack.serving())
        if looks[0] == alarm_after:
            _set_alarm(stack, "ALARM")

    canary = Canary(0.1, 600, sleep=sleep, clock=lambda: now[0])
    return said(lambda: release(LiveAlias.of(deployed), Alarms.of(deployed), canary, all_well(deployed)))


def _refused_release(stack: Released, life: Life) -> str:
    with pytest.raises(Refused) as why:
        _release(stack, life)
    return str(why.value)


def test_without_a_plan_nothing_is_applied(life: Life) -> None:
    assert life.refused["no plan"] == "there is no terraform/it.tfplan: make plan, and read it"


def test_another_zip_than_the_planned_one_is_refused(life: Life) -> None:
    assert life.served["another zip"] == life.served["first"]
    assert "but the plan was made with" in life.refused["another zip"]
    assert life.refused["another zip"].endswith(": make package && make plan")


def test_a_first_release_serves(life: Life) -> None:
    assert life.said["first"] == Said(Status.OK, f"ok    code of the alias: {NAME}\n")
    assert life.served["first"] == {"version": "1", "weights": {}, "told": "1"}


def test_a_release_that_is_wrong_is_taken_back(life: Life) -> None:
    assert life.said["wrong"].status is Status.TAKEN_BACK
    assert "WRONG route POST /v1/jobs: 404, wanted 202" in life.said["wrong"].text
    assert "alias live: taken back from version 2 to version 1." in life.said["wrong"].text
    assert life.served["wrong"] == {"version": "1", "weights": {}, "told": "1"}


def test_after_a_way_back_the_next_plan_goes_forward(life: Life) -> None:
    assert life.planned["rolled back"].actions == {
        "aws_lambda_alias.live": "update",
        'module.ssm.aws_ssm_parameter.write["function_version"]': "update",
    }


def test_rollback_goes_to_the_version_before_and_tells_it(life: Life) -> None:
    assert life.said["back"].status == 0
    assert life.said["back"].text.startswith(f"alias live: from version 2 to version 1 ({life.builds[0]}).")
    assert life.served["back"] == {"version": "1", "weights": {}, "told": "1"}


def test_rollback_goes_to_any_version(life: Life) -> None:
    assert life.said["forth"].status == 0
    assert life.served["forth"] == {"version": "2", "weights": {}, "told": "2"}


@pytest.mark.parametrize(
    ("step", "sentence", "serving"),
    [
        ("no earlier", "rollback: there is no version before 1;", "1"),
        ("unknown", "rollback: there is no version 9;", "2"),
    ],
)
def test_rollback_to_nowhere_lists_what_there_is(life: Life, step: str, sentence: str, serving: str) -> None:
    assert life.said[step].status == Status.FAILED
    assert life.said[step].text.startswith(sentence)
    assert f"published are 2 ({life.builds[1]}), 1 ({life.builds[0]})" in life.said[step].text
    assert life.served[step] == {"version": serving, "weights": {}, "told": serving}


def test_a_version_can_be_published_for_nobody_yet(life: Life) -> None:
    assert life.said["kept"].status is Status.OK
    assert f"still at version 1; the newest version is 3 ({life.builds[2]})" in life.said["kept"].text
    assert life.served["kept"] == {"version": "1", "weights": {}, "told": "1"}


def test_a_new_version_has_a_share_while_it_is_watched(life: Life) -> None:
    assert life.watched == [{"version": "1", "weights": {"3": 0.1}, "told": "1"}] * 2


def test_an_alarm_takes_the_new_version_back(life: Life) -> None:
    assert life.said["alarm"].status is Status.TAKEN_BACK
    assert f"alias live: taken back to version 1: the alarm {ALARM} went off" in life.said["alarm"].text
    assert life.served["alarm"] == {"version": "1", "weights": {}, "told": "1"}


def test_nothing_is_released_while_an_alarm_goes_off(life: Life) -> None:
    assert life.refused["alarm"].startswith(f"the alarm {ALARM} is going off before anything was released")


def test_without_an_alarm_the_new_version_gets_every_request(life: Life) -> None:
    assert life.said["released"].status is Status.OK
    assert "5 alarms are watched" in life.said["released"].text
    assert "alias live: every request to version 3\nok    code of the alias" in life.said["released"].text
    assert life.served["released"] == {"version": "3", "weights": {}, "told": "3"}


def test_what_was_released_gradually_leaves_an_empty_plan(life: Life) -> None:
    assert (life.planned["released"].actions, life.planned["released"].outputs) == ({}, [])


def test_what_serves_already_is_not_released_again(life: Life) -> None:
    assert life.said["nothing new"].status is Status.OK
    assert "which is the newest, so there is nothing to release" in life.said["nothing new"].text


def test_releases_are_listed_newest_first_with_their_share(life: Life) -> None:
    lines = life.listed.splitlines()

    assert [line.split()[0] for line in lines] == ["version", "9", "8", "7", "6", "5", "4", "3", "2", "1"]
    assert lines[-3].split()[1:2] + lines[-3].split()[-2:] == [life.builds[2], "live", "10%"]
    assert lines[-2].split()[1:2] + lines[-2].split()[-2:] == [life.builds[1], "live", "90%"]
    assert lines[-1].split()[1] == life.builds[0]
    assert "live" not in lines[-1]


def test_pruning_leaves_five_and_those_that_serve(life: Life) -> None:
    assert [(each["number"], each["share"]) for each in life.listed_json] == [
        *((number, 0) for number in (9, 8, 7, 6, 5)),
        (3, 0.1),
        (2, 0.9),
    ]
    assert life.said["pruned"].text.splitlines()[:2] == [
        "version 4 (0.1.0+g000000000004) deleted: 5 newer ones are kept",
        f"version 1 ({life.builds[0]}) deleted: 5 newer ones are kept",
    ]
