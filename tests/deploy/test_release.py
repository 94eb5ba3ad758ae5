"""Releases, and ways back from them, in the life of one stack: real Terraform, moto for AWS."""

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
from tools.deployed_stack import DeployedStack, deployed_stack
from tools.findings import Status
from tools.live_alias import LiveAlias
from tools.release import release
from tools.release_refusal import Refused

pytestmark = pytest.mark.timeout(600)

_LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'
ALARM = f"{NAME}-server-errors"


@dataclass
class Life:
    """What each step said, and what served after it."""

    said: dict[str, Said] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    served: dict[str, dict[str, Any]] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    planned: Changes | None = None
    builds: list[str] = field(default_factory=list)
    watched: list[dict[str, Any]] = field(default_factory=list)


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
    _by_its_command(stack, life)
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
    alias = LiveAlias.of(deployed_stack(stack.terraform))
    for step, number in {"forth": 2, "unknown": 9, "back": None, "no earlier": None}.items():
        life.moved[step] = _rolled_back(alias, number)
        life.served[step] = stack.serving()


def _gradually(stack: Released, life: Life) -> None:
    life.builds.append(stack.package(3))
    stack.plan(move_alias=False)
    life.said["kept"] = stack.apply(found_wrong)
    life.served["kept"] = stack.serving()
    deployed = deployed_stack(stack.terraform)
    life.said["alarm"] = _release(stack, deployed, life, alarm_after=2)
    life.served["alarm"] = stack.serving()
    with pytest.raises(Refused) as why:
        _release(stack, deployed, life)
    life.refused["alarm"] = str(why.value)
    _set_alarm(stack, "OK")
    life.said["released"] = _release(stack, deployed, life)
    life.served["released"] = stack.serving()
    life.said["nothing new"] = _release(stack, deployed, life)
    life.planned = stack.plan()


def _by_its_command(stack: Released, life: Life) -> None:
    life.said["rollback"] = _run(rollback.main, stack, "--version", "1")
    life.served["rollback"] = stack.serving()
    life.said["rollback to nowhere"] = _run(rollback.main, stack)


def _pruned(stack: Released, life: Life) -> None:
    """More versions, made by hand for speed, with the alias on old ones."""
    functions = client("lambda", stack.url)
    for number in range(4, 10):
        functions.update_function_configuration(FunctionName=NAME, Description=f"0.1.0+g{number:012x}")
        functions.publish_version(FunctionName=NAME)
    weights = {"AdditionalVersionWeights": {"3": 0.1}}
    functions.update_alias(FunctionName=NAME, Name="live", FunctionVersion="2", RoutingConfig=weights)
    life.said["pruned"] = _run(releases.main, stack, "--prune")


def _run(program: Any, stack: Released, *options: str) -> Said:
    ran = CliRunner().invoke(program, ["--folder", str(stack.stack.folder), *options])
    return Said(Status(ran.exit_code), ran.output)


def _refused(stack: Released) -> str:
    with pytest.raises(Refused) as why:
        stack.apply()
    return str(why.value)


def _rolled_back(alias: LiveAlias, number: int | None) -> str:
    try:
        return rollback.rollback(alias, number)
    except Refused as why:
        return f"refused: {why}"


def _set_alarm(stack: Released, state: str) -> None:
    client("cloudwatch", stack.url).set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="a test")


def _release(stack: Released, deployed: DeployedStack, life: Life, alarm_after: int = 0) -> Said:
    """Ten minutes at 10 %, on a clock that only moves when somebody waits; an alarm after so many looks."""
    now, looks = [0.0], [0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        looks[0] += 1
        if looks[0] == 1:
            life.watched.append(stack.serving())
        if looks[0] == alarm_after:
            _set_alarm(stack, "ALARM")

    canary = Canary(0.1, 600, sleep=sleep, clock=lambda: now[0])
    return said(lambda: release(LiveAlias.of(deployed), Alarms.of(deployed), canary, all_well(deployed)))


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


def test_rollback_goes_to_the_version_before_and_tells_it(life: Life) -> None:
    assert life.moved["back"].startswith(f"alias live: from version 2 to version 1 ({life.builds[0]}).")
    assert life.served["back"] == {"version": "1", "weights": {}, "told": "1"}


def test_rollback_goes_to_any_version(life: Life) -> None:
    assert life.moved["forth"].startswith(f"alias live: from version 1 to version 2 ({life.builds[1]}).")
    assert life.served["forth"] == {"version": "2", "weights": {}, "told": "2"}


@pytest.mark.parametrize(
    ("step", "sentence", "serving"),
    [("no earlier", "there is no version before 1", "1"), ("unknown", "there is no version 9", "2")],
)
def test_rollback_to_nowhere_lists_what_there_is(life: Life, step: str, sentence: str, serving: str) -> None:
    listed = f"published are 2 ({life.builds[1]}), 1 ({life.builds[0]})"

    assert life.moved[step] == f"refused: {sentence}; {listed}: make rollback VERSION=n with one of these"
    assert life.served[step] == {"version": serving, "weights": {}, "told": serving}


def test_the_command_rolls_back_or_says_why_not(life: Life) -> None:
    assert life.said["rollback"].status is Status.OK
    assert life.served["rollback"] == {"version": "1", "weights": {}, "told": "1"}
    assert life.said["rollback to nowhere"].status is Status.FAILED
    assert life.said["rollback to nowhere"].text.startswith("rollback: there is no version before 1; published are 3 (")


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
    assert life.planned is not None
    assert (life.planned.actions, life.planned.outputs) == ({}, [])


def test_what_serves_already_is_not_released_again(life: Life) -> None:
    assert life.said["nothing new"].status is Status.OK
    assert "which is the newest, so there is nothing to release" in life.said["nothing new"].text


def test_pruning_leaves_five_and_those_that_serve(life: Life) -> None:
    lines = life.said["pruned"].text.splitlines()

    assert lines[:2] == [
        "version 4 (0.1.0+g000000000004) deleted: 5 newer ones are kept",
        f"version 1 ({life.builds[0]}) deleted: 5 newer ones are kept",
    ]
    assert [line.split()[0] for line in lines[2:]] == ["version", "9", "8", "7", "6", "5", "3", "2"]


def test_releases_are_listed_with_build_and_share(life: Life) -> None:
    five, three, two = (line.split() for line in life.said["pruned"].text.splitlines()[-3:])

    assert (five[1], three[1], two[1]) == ("0.1.0+g000000000005", life.builds[2], life.builds[1])
    assert (three[-2:], two[-2:]) == (["live", "10%"], ["live", "90%"])
    assert "live" not in five
