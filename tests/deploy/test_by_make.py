"""A stack's life by ``make``: every target of a release with the real Terraform, and what each says."""

import json
import re

import pytest

from tests.deploy.kit.by_make import ALARM, Journey
from tests.deploy.kit.life import NAME, Life
from tests.deploy.kit.terraform_cli import Ran
from tools.stack.findings import Status

pytestmark = [
    pytest.mark.release,
    pytest.mark.package,
    pytest.mark.timeout(900),
]


def _well(ran: Ran) -> bool:
    """Whether all was looked at and nothing found wrong."""
    return ran.status == Status.OK and "WRONG" not in ran.out and "UNSEEN" not in ran.out and "ok    " in ran.out


def _at(version: str, **weights: float) -> dict[str, object]:
    """Both functions have it: they change together here."""
    shares = {name.removeprefix("v"): share for name, share in weights.items()}
    served = {"version": version, "weights": shares, "told": version}
    return {NAME: served, f"{NAME}-stream": served}


def test_without_a_plan_nothing_is_applied(journey: Journey) -> None:
    ran = journey.said["too early"]

    assert (ran.status, ran.err.splitlines()[0]) == (
        1,
        "apply: there is no terraform/it.tfplan: make plan, and read it",
    )
    assert journey.served["too early"] == {}


def test_doctor_finds_nothing_wrong_before_the_first_apply(journey: Journey) -> None:
    ran = journey.said["doctor"]

    assert _well(ran), ran.said
    assert {"ok    state: s3://state/lambda-router/prod.tfstate exists", "ok    state's lock: free"} <= {
        *ran.out.splitlines()
    }


def test_plan_prints_that_the_deploy_role_lacks_nothing(journey: Journey) -> None:
    ran = journey.said["plan"]

    assert _well(ran), ran.said
    assert "Plan: " in ran.said
    assert "ok    lambda:CreateFunction: needed by aws_lambda_function.api_handler" in ran.out


def test_apply_deploys_what_was_packaged_and_proves_it(journey: Journey) -> None:
    ran = journey.said["apply"]

    assert _well(ran), ran.said
    assert f"ok    version in GET /health: {journey.packages[0].build}\n" in ran.out
    assert f"ok    code of alias live: {journey.packages[0].sums.code_sha256}\n" in ran.out
    assert f"ok    code of alias live of {NAME}-stream: {journey.packages[0].sums.code_sha256}\n" in ran.out
    assert journey.served["apply"] == _at("1")


@pytest.mark.parametrize("target", ["verify", "drift"])
def test_after_an_apply_nothing_is_wrong_and_nothing_drifted(journey: Journey, target: str) -> None:
    assert _well(journey.said[target]), journey.said[target].said


def test_another_zip_than_the_planned_one_is_refused(journey: Journey) -> None:
    ran, (older, newer) = journey.said["another zip"], journey.packages

    assert ran.status == 1
    assert ran.err.startswith(
        f"apply: terraform/deployment.zip has the sha256 {older.sums.code_sha256} but the plan was made with"
        f" {newer.sums.code_sha256}:"
    )
    assert "make package && make plan\n" in ran.err
    assert journey.served["another zip"] == _at("1")


def test_a_release_that_is_wrong_is_taken_back(journey: Journey) -> None:
    ran = journey.said["wrong"]

    assert ran.status == Status.TAKEN_BACK
    assert re.findall("WRONG (.*)", ran.out) == ["route GET /admin: a route, MOCK, wanted no such route"]
    assert "alias live: taken back from version 2 to version 1." in ran.out
    assert journey.served["wrong"] == _at("1")


def test_verify_names_the_alias_left_behind_and_the_printed_line_mends_it(journey: Journey) -> None:
    ran = journey.said["behind"]

    assert ran.status == Status.DIFFERS
    assert "WRONG alias live: version 1, wanted version 2\n" in ran.out
    assert f"WRONG alias live of {NAME}-stream: version 1, wanted version 2\n" in ran.out
    assert {*re.findall("fix: (.*)", ran.out)} == {"make release"}
    assert "alias live: all requests go to version 2\n" in journey.said["forth"].out
    assert _well(journey.said["forth"]), journey.said["forth"].said
    assert journey.served["forth"] == _at("2")
    assert _well(journey.said["mended"]), journey.said["mended"].said


def test_releases_names_the_build_of_each_version_and_which_serves(journey: Journey) -> None:
    listed = json.loads(journey.said["releases"].out)

    assert [(each["number"], each["stream_version"], each["build"], each["share"]) for each in listed] == [
        (2, "2", journey.packages[1].build, 1),
        (1, "1", journey.packages[0].build, 0),
    ]


def test_rollback_goes_to_the_version_before_and_tells_it(journey: Journey) -> None:
    assert journey.said["back"].out.startswith(
        f"alias live: from version 2 to version 1 ({journey.packages[0].build}), and {NAME}-stream to version 1."
        " Only the functions went back:"
    )
    assert journey.served["back"] == _at("1")


def test_after_a_way_back_the_next_apply_moves_callers_forward_again(journey: Journey) -> None:
    assert _well(journey.said["seen"]), journey.said["seen"].said
    assert journey.served["seen"] == _at("2")


@pytest.mark.parametrize(("step", "serving"), [("forward", "2"), ("canary blind", "3")], ids=["apply", "canary"])
def test_a_release_that_cannot_be_asked_from_here_goes_on_serving(journey: Journey, step: str, serving: str) -> None:
    ran = journey.said[step]

    assert ran.status == Status.FAILED
    assert "UNSEEN GET /health: ConnectError" in ran.out
    assert "WRONG" not in ran.out
    assert not {"make apply", "make release", "make package"} & {*re.findall("make [a-z]+", ran.out)}
    assert journey.served[step] == _at(serving)


@pytest.mark.parametrize(
    ("step", "sentence", "serving"),
    [("no earlier", "there is no version before 1", "1"), ("unknown", "there is no version 9", "2")],
)
def test_rollback_to_nowhere_lists_what_there_is(journey: Journey, step: str, sentence: str, serving: str) -> None:
    first, second = (package.build for package in journey.packages)

    assert journey.said[step].status == 1
    assert journey.said[step].err.splitlines()[0] == (
        f"rollback: {sentence}; published versions: 2 ({second}), 1 ({first}): choose one with make rollback VERSION=n"
    )
    assert journey.served[step] == _at(serving)


def test_a_version_can_be_published_for_nobody_yet(journey: Journey) -> None:
    assert journey.said["kept"].status == Status.OK
    assert (
        f"alias live: still at version 2; the newest version is 3 ({journey.packages[1].build}):"
        " make release CANARY=10 MINUTES=5\n"
    ) in journey.said["kept"].out
    assert journey.served["kept"] == _at("2")


def test_a_new_version_has_a_share_while_it_is_watched(journey: Journey) -> None:
    assert journey.watched == [_at("2", v3=0.1)]


def test_an_alarm_takes_the_new_version_back(journey: Journey) -> None:
    assert journey.said["alarm"].status == Status.TAKEN_BACK
    assert f"alias live: taken back to version 2: the alarm {ALARM} went off" in journey.said["alarm"].out
    assert journey.served["alarm"] == _at("2")


def test_nothing_is_released_while_an_alarm_goes_off(journey: Journey) -> None:
    assert journey.said["alarm before"].err.startswith(f"the alarm {ALARM} is going off before the release")
    assert journey.served["alarm before"] == _at("2")


def test_a_gradual_release_ends_with_every_request_and_a_proof(journey: Journey) -> None:
    ran = journey.said["release"]

    assert _well(ran), ran.said
    assert "alias live: 10% of the requests to version 3" in ran.out
    assert "watching 8 alarms\nalias live: all requests go to version 3\n" in ran.out
    assert journey.served["release"] == _at("3")


def test_what_serves_already_is_not_released_again(journey: Journey) -> None:
    assert journey.said["nothing new"].status == Status.OK
    assert "the newest: there is nothing to release" in journey.said["nothing new"].out


def test_what_was_released_gradually_leaves_an_empty_plan(journey: Journey) -> None:
    assert journey.said["in the end"].status == Status.OK
    assert "No changes." in journey.said["in the end"].said


def test_the_canary_finds_nothing_wrong_with_a_good_release(journey: Journey) -> None:
    assert _well(journey.said["canary"]), journey.said["canary"].said
    assert journey.served["canary"] == _at("3")


def test_what_the_canary_sees_to_be_wrong_is_taken_back_by_its_own_role(journey: Journey) -> None:
    ran = journey.said["broken"]

    assert ran.status == Status.TAKEN_BACK
    assert "WRONG POST /v1/jobs without a token: 500" in ran.out
    assert "canary: wrong for 1 s. alias live: from version 4 to version 3 (" in ran.out
    assert journey.served["broken"] == _at("3")


def test_pruning_leaves_five_and_those_that_serve(journey: Journey) -> None:
    lines = journey.said["pruned"].out.splitlines()

    assert lines[:2] == [
        "version 4 (0.1.0+g000000000004) deleted: 5 newer ones are kept",
        f"version 1 ({journey.packages[0].build}) deleted: 5 newer ones are kept",
    ]
    assert [line.split()[0] for line in lines[2:]] == ["version", "9", "8", "7", "6", "5", "3", "2"]


def test_versions_that_share_are_listed_with_their_share(journey: Journey) -> None:
    five, three, two = (line.split() for line in journey.said["pruned"].out.splitlines()[-3:])

    assert (three[-2:], two[-2:]) == (["live", "10%"], ["live", "90%"])
    assert "live" not in five


def test_destroy_leaves_only_what_was_there_before_the_stack(journey: Journey, life: Life) -> None:
    assert journey.left == life.held["after"]
