"""GitHub's workflows: thin, pinned, with few rights; and no step calls what is not there."""

import importlib
import importlib.util
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.contract.repository import ROOT, page, table_column
from tests.contract.workflows import FOLDER, Step, jobs, steps, workflows
from tools.docs import terraform
from tools.docs.workflows import audience

_MAKE = re.compile(r"make [a-z-]+( [A-Z_]+=[\w.-]+)*")
_GUIDE = "docs/github-actions.md"

#: Nobody waits for what runs at night. GitHub's own limit is six hours.
LONGEST_MINUTES = {"nightly": 180}


#: What only a release of the project may: it signs, pushes an image and makes a page.
MORE_RIGHTS = {
    ("release", "files"): {("attestations", "write")},
    ("release", "image"): {("attestations", "write"), ("packages", "write")},
    ("release", "publish"): {("contents", "write")},
}
#: Jobs with a token by which they are known elsewhere than in AWS.
SIGNED = {("release", "files"), ("release", "image"), ("release", "index")}


def runs() -> list[Step]:
    return [step for step in steps() if step.run]


def _id(step: Step) -> str:
    return f"{step.workflow}-{step.job}-{step.run}"


@pytest.mark.parametrize("step", runs(), ids=_id)
def test_a_step_is_a_target_of_make_and_nothing_else(step: Step) -> None:
    assert _MAKE.fullmatch(step.run)


@pytest.mark.parametrize("step", runs(), ids=_id)
def test_what_a_step_would_run_is_there_and_takes_its_options(step: Step) -> None:
    commands = list(would_run(step))

    assert commands
    for words in commands:
        understood(words)


def would_run(step: Step) -> Iterator[list[str]]:
    """The programs' command lines that make would start, with a value where GitHub has an expression."""
    given = {name: re.sub(r"\$\{\{.*\}\}", "10", value) for name, value in step.env.items()}
    inherited = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}  # noqa: TID251
    dry = ["make", "--dry-run", "--no-print-directory", *shlex.split(step.run)[1:]]
    ran = subprocess.run(dry, cwd=ROOT, env=inherited | given, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for line in ran.stdout.replace("\\\n", " ").splitlines():
        if found := re.search(r"(\S*python -m .*?)(; }.*| \|\| .*)?$", line):
            yield shlex.split(found[1])


def understood(words: list[str]) -> None:
    """Fails unless the program is there and knows each option."""
    if words[2].startswith("tools."):
        package = importlib.util.find_spec(words[2])
        assert package, words[2]
        name = f"{words[2]}.__main__" if package.submodule_search_locations else words[2]
        program = importlib.import_module(name).main
        program.make_parser(click.Context(program)).parse_args(words[3:])
        assert CliRunner().invoke(program, ["--help"]).exit_code == 0
    else:
        assert importlib.util.find_spec(words[2])


def test_a_step_with_an_unknown_option_or_program_is_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        understood([".venv/bin/python", "-m", "tools.deploy.plan_summary", "--colour"])
    with pytest.raises(AssertionError, match="no_such_program"):
        understood([".venv/bin/python", "-m", "tools.no_such_program"])
    with pytest.raises(AssertionError, match="No rule to make target 'no-such-target'"):
        list(would_run(Step("ci", "check", {"run": "make no-such-target"}, {})))


@pytest.mark.parametrize("name", workflows())
def test_a_workflow_has_no_rights_but_those_that_a_job_says(name: str) -> None:
    workflow = workflows()[name]

    assert workflow["permissions"] == {}
    for job, about in workflow["jobs"].items():
        more = set(about["permissions"].items()) - {("contents", "read"), ("id-token", "write")}
        assert more == MORE_RIGHTS.get((name, job), set())
        assert "contents" in about["permissions"]
    assert all(job["timeout-minutes"] <= LONGEST_MINUTES.get(name, 60) for job in workflow["jobs"].values())


def test_only_a_job_that_takes_on_a_role_or_signs_may_ask_for_its_token() -> None:
    asks = {at for at, job in jobs().items() if "id-token" in job["permissions"]}
    takes = {(step.workflow, step.job) for step in steps() if "aws-actions/configure-aws-credentials" in step.uses}

    assert asks == takes | SIGNED


def test_the_token_is_for_the_partition_of_the_region() -> None:
    asked = {str(step.step["with"].get("audience")) for step in steps() if "configure-aws-credentials" in step.uses}

    assert asked == {audience()}


def test_no_run_that_changes_something_is_ended_half_way() -> None:
    ended = {name: workflow["concurrency"]["cancel-in-progress"] for name, workflow in workflows().items()}

    assert ended == {"canary": False, "ci": True, "deploy": False, "drift": False, "nightly": False, "release": False}


def test_an_action_is_the_same_commit_everywhere_and_says_its_version() -> None:
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.yml"))
    used = set(re.findall(r"uses: ([\w/-]+)@(\S+) # (v\d+\.\d+\.\d+)$", text, flags=re.MULTILINE))

    assert text.count("uses:") == sum(text.count(f"{name}@{sha} # {version}") for name, sha, version in used)
    assert len({name for name, _, _ in used}) == len(used)
    assert all(re.fullmatch(r"[0-9a-f]{40}", sha) for _, sha, _ in used)


def test_terraform_is_the_same_version_everywhere() -> None:
    setups = [step.step["with"] for step in steps() if "setup-terraform" in step.uses]

    assert len({each["terraform_version"] for each in setups}) == 1
    assert all(each["terraform_wrapper"] is False for each in setups)


def test_terraform_is_there_before_a_package_is_made() -> None:
    """``make package`` asks it for the stack's variables, of which one decides whether the package has the pages."""
    packaging = [job for job in jobs().values() if any(step.get("run") == "make package" for step in job["steps"])]
    terraform = [_place(job, "uses", "hashicorp/setup-terraform@") for job in packaging]
    package = [_place(job, "run", "make package") for job in packaging]

    assert len(packaging) == 3
    assert all(first < then for first, then in zip(terraform, package, strict=True))


def _place(job: dict[str, Any], kind: str, beginning: str) -> int:
    return next(place for place, step in enumerate(job["steps"]) if step.get(kind, "").startswith(beginning))


def test_what_is_applied_is_what_was_planned_and_approved() -> None:
    """The job that deploys makes no package and no plan: it takes those of the job before."""
    build, deploy = (jobs()["deploy", name] for name in ("build", "deploy"))
    uploaded = next(step["with"] for step in build["steps"] if "upload-artifact" in step.get("uses", ""))
    taken = next(step["with"] for step in deploy["steps"] if "download-artifact" in step.get("uses", ""))
    called = [step["run"].split()[1] for step in deploy["steps"] if "run" in step]

    assert taken == {"name": uploaded["name"], "path": "terraform"}
    assert uploaded["path"].split() == [
        f"terraform/{name}" for name in ("deployment.zip", "deployment.zip.sha256", "chalice.tf.json", "it.tfplan")
    ]
    assert called == ["init", "apply", "release", "canary"]
    assert (deploy["environment"], deploy["needs"], build["needs"]) == ("prod", "build", "check")


def test_each_role_is_taken_on_where_it_belongs() -> None:
    """The role that deploys only behind the environment's approval, the one that rolls back only in its own."""
    taken = {
        (step.workflow, step.job): step.step["with"]["role-to-assume"]
        for step in steps()
        if "configure-aws-credentials" in step.uses
    }

    assert taken == {
        ("canary", "canary"): "${{ vars.CANARY_ROLE_ARN }}",
        ("ci", "plan"): "${{ env.PLAN_ROLE }}",
        ("deploy", "build"): "${{ vars.PLAN_ROLE_ARN }}",
        ("deploy", "deploy"): "${{ vars.DEPLOY_ROLE_ARN }}",
        ("drift", "drift"): "${{ vars.PLAN_ROLE_ARN }}",
    }
    environments = {at: job["environment"] for at, job in jobs().items() if "environment" in job}
    assert environments == {
        ("canary", "canary"): "prod-canary",
        ("deploy", "deploy"): "prod",
        ("release", "index"): "release",
    }


def test_a_release_needs_its_tests_and_publishes_what_was_attested() -> None:
    """No job builds again what another has signed, and nothing is public before everything is built."""
    release = {name: about for (workflow, name), about in jobs().items() if workflow == "release"}
    files = next(step["with"] for step in release["files"]["steps"] if "upload-artifact" in step.get("uses", ""))
    taken = {
        name: [step["with"] for step in about["steps"] if "download-artifact" in step.get("uses", "")]
        for name, about in release.items()
    }
    ran = {name: [step["run"] for step in about["steps"] if "run" in step] for name, about in release.items()}

    assert {name: about.get("needs") for name, about in release.items()} == {
        "check": None,
        "files": "check",
        "image": "check",
        "publish": ["files", "image"],
        "index": "publish",
    }
    assert ran["check"][0] == "make publish-notes"
    assert {"make lint", "make test"} <= set(ran["check"])
    assert taken["publish"] == taken["index"] == [{"name": files["name"], "path": "build/release"}]
    assert (ran["publish"], ran["index"]) == (["make publish-github"], ["make publish-index"])
    assert {about["env"]["RELEASE"] for about in release.values()} == {"${{ github.ref_name }}"}


def test_a_pull_request_from_a_fork_gets_a_package_and_no_role() -> None:
    plan = jobs()["ci", "plan"]
    guarded = [step for step in plan["steps"] if step.get("if") == "env.PLAN_ROLE != ''"]
    free = [step["run"] for step in plan["steps"] if "run" in step and step not in guarded]

    assert "head.repo.full_name == github.repository &&" in plan["env"]["PLAN_ROLE"]
    assert free == ["make package", "make summary"]
    assert [step.get("run") for step in guarded if "run" in step] == [
        "make init",
        "make doctor OFFLINE=1",
        "make plan ROLE=lambda-router-prod-deploy",
    ]


def declared() -> dict[str, bool]:
    """Terraform's variables of the stack, and whether each has to be given."""
    text = "\n".join(path.read_text() for path in (ROOT / "terraform").glob("*.tf"))
    blocks = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, flags=re.MULTILINE | re.DOTALL)
    return {name: not re.search(r"^  default ", body, flags=re.MULTILINE) for name, body in blocks}


@pytest.mark.parametrize(("workflow", "job"), [("ci", "plan"), ("deploy", "build"), ("drift", "drift")])
def test_a_job_that_plans_gives_every_variable_that_terraform_asks_for(workflow: str, job: str) -> None:
    given = {name.removeprefix("TF_VAR_") for name in jobs()[workflow, job]["env"] if name.startswith("TF_VAR_")}

    assert given <= set(declared())
    assert {name for name, is_needed in declared().items() if is_needed} <= given
    assert set(terraform.variables()) <= given


def test_nothing_is_given_that_nobody_reads() -> None:
    readers = [ROOT / "Makefile", *(ROOT / "tools").rglob("*.py"), *FOLDER.glob("*.yml")]
    text = "\n".join(path.read_text() for path in readers)
    given = {name for step in steps() for name in step.env if not name.startswith(("TF_VAR_", "AWS_"))}

    assert {name for name in given if not re.search(rf"(env\.|\$\(|\$\{{|[\"']){name}\b", text)} == set()


def test_what_the_repository_has_to_be_told_is_listed() -> None:
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.yml"))
    asked = set(re.findall(r"\b(?:vars|secrets)\.([A-Z_]+)", text))
    settings = {name.upper() for name in terraform.variables()}

    assert set(table_column(page(_GUIDE), "## Variables")) == asked - settings


def test_the_names_in_the_workflows_are_those_of_the_stack() -> None:
    """What bootstrap makes for ``stage_name = "prod"``: the state's key and the role that deploys."""
    bootstrap, github = page("terraform/bootstrap/main.tf"), page("terraform/modules/iam/github.tf")
    stages = {step.env["TF_VAR_stage_name"] for step in steps() if "TF_VAR_stage_name" in step.env}

    assert stages == {"prod"}
    assert '"${var.app_name}/${var.stage_name}.tfstate"' in bootstrap
    assert {step.env["STATE_KEY"] for step in steps() if "STATE_KEY" in step.env} == {"lambda-router/prod.tfstate"}
    assert re.search(r'name += "\$\{var.name\}-\$\{each.key\}"', github)
    assert re.search(r'name += "\$\{var.app_name\}-\$\{var.stage_name\}"', bootstrap)
