"""A stack that other Terraform contains: its variables for doctor, its state in a file, the fixes of its checks."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.repository import ROOT
from tools.doctor.contained import ContainedStack, stack_in_folder
from tools.stack.backend import StateFile, StateUnread
from tools.stack.checks import FIND, LOG_IN, REACH_AWS, WAIT
from tools.stack.configured import Stack
from tools.stack.deployed import DEPLOY
from tools.stack.findings import Finding
from tools.stack.options import Refused
from tools.stack.repository import package_folder
from tools.stack.terraform import Terraform, TerraformFailed
from tools.verify.drift import of_the_stack
from tools.verify.fixes import for_folder
from tools.verify.routes import REDEPLOY, REIMPORT

EXAMPLE = "terraform/examples/complete"

GIVEN: dict[str, Any] = {
    "app_name": "lambda-router",
    "reserved_concurrency": -1,
    "tags": {"Team": "one"},
    "vpc_config": None,
}


def applied(folder: Path, version: int = 4, **outputs: Any) -> Path:
    """A folder as ``terraform apply`` without a backend leaves it."""
    told = {name: {"value": value, "type": "dynamic"} for name, value in outputs.items()}
    (folder / "terraform.tfstate").write_text(json.dumps({"version": version, "outputs": told}))
    return folder


def test_the_outputs_of_a_contained_stack_are_those_of_its_folder(tmp_path: Path) -> None:
    applied(tmp_path, stack={"api_url": "https://x", "region": "inner"}, region="outer")

    assert Terraform(tmp_path).outputs() == {
        "api_url": "https://x",
        "region": "outer",
        "stack": {"api_url": "https://x", "region": "inner"},
    }
    assert str(Terraform(tmp_path).state) == str(tmp_path / "terraform.tfstate")


def test_a_state_file_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TerraformFailed, match=r"terraform\.tfstate is encrypted or has another format than 4"):
        Terraform(applied(tmp_path, version=5)).outputs()
    with pytest.raises(StateUnread):
        StateFile(tmp_path / "terraform.tfstate").outputs()


def test_a_file_that_a_backend_replaced_does_not_count(tmp_path: Path) -> None:
    """``terraform init -migrate-state`` leaves it behind."""
    (applied(tmp_path) / ".terraform").mkdir()
    (tmp_path / ".terraform/terraform.tfstate").write_text("{}")

    assert StateFile.in_folder(tmp_path, {}) is None


def test_doctor_takes_what_the_stack_was_given_and_nothing_that_the_shell_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_VAR_app_name", "another")
    monkeypatch.setenv("TF_VAR_stage_name", "another")

    stack = stack_in_folder(applied(tmp_path, stack_variables=GIVEN))

    assert {name: value for name, value in stack.environ.items() if name.startswith("TF_VAR_")} == {
        "TF_VAR_app_name": "lambda-router",
        "TF_VAR_reserved_concurrency": "-1",
        "TF_VAR_tags": '{"Team": "one"}',
    }
    assert stack.tfvars() == []
    assert stack.folder == ROOT / "terraform"
    assert stack.state_file == StateFile(tmp_path / "terraform.tfstate")


def test_a_fix_opens_the_file_with_the_block(tmp_path: Path) -> None:
    fix = ContainedStack(environ={}, container=tmp_path).setting("reserved_concurrency", -1)

    assert fix.startswith(f"${{EDITOR:-vi}} {tmp_path}/main.tf ")
    assert fix.endswith("reserved_concurrency = -1")


@pytest.mark.parametrize("outputs", [None, {}], ids=["before the first apply", "after destroy"])
def test_a_folder_that_was_not_applied_is_refused_with_the_command(
    outputs: dict[str, Any] | None, tmp_path: Path
) -> None:
    if outputs is not None:
        applied(tmp_path, **outputs)

    with pytest.raises(Refused, match=rf"-chdir={tmp_path} apply"):
        stack_in_folder(tmp_path)


def test_the_stacks_own_folder_is_as_before() -> None:
    assert type(stack_in_folder(ROOT / "terraform")) is Stack
    assert package_folder(ROOT / "terraform") == ROOT / "terraform"
    assert package_folder(ROOT / "terraform/examples/complete") == ROOT / "terraform"


# The fixes of its checks


def fix_in(folder: Path, fix: str) -> str:
    (finding,) = for_folder([Finding("thing", ok=False, found="bad", why="why", fix=fix)], folder)
    return finding.fix


@pytest.mark.parametrize(
    ("fix", "wanted"),
    [
        (DEPLOY, f"make package && terraform -chdir={EXAMPLE} apply"),
        ("make release", f"make release FOLDER={EXAMPLE}"),
        (
            REIMPORT,
            f"make reimport FOLDER={EXAMPLE} && terraform -chdir={EXAMPLE} apply"
            " -replace=module.stack.aws_api_gateway_deployment.rest_api",
        ),
    ],
)
def test_a_fix_is_for_the_folder_that_was_looked_at(fix: str, wanted: str) -> None:
    assert fix_in(ROOT / EXAMPLE, fix) == wanted


@pytest.mark.parametrize("fix", [DEPLOY, REDEPLOY, REIMPORT, FIND, LOG_IN, REACH_AWS, WAIT])
def test_no_fix_changes_another_stack(fix: str) -> None:
    """Without a folder, each of these targets acts on the stack in terraform/."""
    told = fix_in(ROOT / EXAMPLE, fix)

    assert "make plan" not in told
    assert "make apply" not in told
    assert all(words.startswith(f"verify FOLDER={EXAMPLE}") for words in told.split("make ") if words[:6] == "verify")


def test_a_folder_elsewhere_is_named_as_a_shell_reads_it(tmp_path: Path) -> None:
    folder = tmp_path / "our home"

    assert fix_in(folder, "make release") == f"make release FOLDER='{folder}'"


def test_the_stack_by_itself_keeps_its_fixes() -> None:
    assert fix_in(ROOT / "terraform", REIMPORT) == REIMPORT


class Drifted(Terraform):
    """Terraform that finds these resources changed."""

    def drifted(self) -> list[dict[str, Any]]:
        return [
            {"address": address} for address in ("module.stack.aws_lambda_alias.live", "module.valkey[0].aws_eip.this")
        ]


@pytest.mark.parametrize(("folder", "count"), [(EXAMPLE, 1), ("terraform", 2)])
def test_drift_is_of_the_stack_and_not_of_what_contains_it(folder: str, count: int) -> None:
    assert len(list(of_the_stack(Drifted(ROOT / folder)))) == count


# make


def shown_by_make(target: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """What make would run for a target."""
    command = ["make", "--dry-run", "--no-print-directory", target, *words]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("target", ["init", "summary", "plan", "apply", "destroy"])
def test_what_is_for_the_stack_by_itself_refuses_a_folder_instead_of_acting_on_another_stack(target: str) -> None:
    ran = shown_by_make(target, f"FOLDER={EXAMPLE}")

    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"-chdir={EXAMPLE}" in ran.stderr
    assert shown_by_make(target).returncode == 0


@pytest.mark.parametrize("target", ["verify", "drift", "reimport", "release", "rollback", "doctor", "wait-valkey"])
def test_every_other_target_of_a_stack_takes_the_folder(target: str) -> None:
    assert "--folder 'our home'" in shown_by_make(target, "FOLDER=our home").stdout
